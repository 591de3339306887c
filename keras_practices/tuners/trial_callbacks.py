"""What watches the training of a trial: figures, weights, pruning, hooks."""

import json
import math
import os
import time
from typing import Any

import keras

from keras_practices.callbacks.top_k_checkpoints import TopKCheckpoints
from keras_practices.tuners.files import STATS_FILE
from keras_practices.tuners.files import finite_or_none
from keras_practices.tuners.kept_weights import FULL
from keras_practices.tuners.kept_weights import KeptWeights
from keras_practices.tuners.outcomes import lacking
from keras_practices.tuners.outcomes import names_of


class TrialLog(keras.callbacks.Callback):
    """Writes a line an epoch: figures, learning rate, seconds.

    Args:
        folder: Folder of the attempt.
        kept: The `KeptWeights` of the search, which is told of a full disk.
        execution: Number of the execution.
        fold: Number of the fold, or None.
    """

    def __init__(
        self, folder: str, kept: KeptWeights, execution: int, fold: int | None
    ):
        super().__init__()
        self._path = os.path.join(folder, STATS_FILE)
        self._kept = kept
        self._place = {"execution": execution, "fold": fold}
        self._begun = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the time."""
        self._begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the line."""
        line = {
            "epoch": epoch + 1,
            **self._place,
            "seconds": round(time.monotonic() - self._begun, 6),
            "learning_rate": learning_rate_of(self.model),
            **{name: number_of(value) for name, value in (logs or {}).items()},
        }
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(finite_or_none(line)) + "\n")
        except OSError as error:
            self._kept.warn(error)


class ObjectiveCheck(keras.callbacks.Callback):
    """Ends the search after the first epoch where the logs lack the objective.

    Args:
        objective: `keras_tuner.Objective`.
        validation_freq: That of `fit`.
    """

    def __init__(self, objective: Any, validation_freq: Any = 1):
        super().__init__()
        self._objective = objective
        self._freq = validation_freq
        self._found = False

    def on_epoch_end(self, epoch, logs=None):
        """Looks for it."""
        if self._found:
            return
        validated = any(name.startswith("val_") for name in names_of(self._objective))
        if validated and not _is_validated(epoch, self._freq):
            return
        if not self._objective.has_value(logs or {}):
            raise lacking(self._objective, f"the logs of epoch {epoch + 1}", logs or {})
        self._found = True


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the best epoch of all executions of a trial.

    Where the logs lack the objective (it is worked out after `fit`), those of the
    last epoch.

    Args:
        folder: Folder of the attempt.
        objective: `keras_tuner.Objective`.
        kept: The `KeptWeights` of the search.
    """

    def __init__(self, folder: str, objective: Any, kept: KeptWeights):
        super().__init__()
        self._folder = folder
        self._objective = objective
        self._kept = kept
        self._inner: _Checkpoints | None = None

    def on_epoch_end(self, epoch, logs=None):
        """Writes the weights if the epoch is the best so far."""
        logs = {name: number_of(value) for name, value in (logs or {}).items()}
        name, direction = self._objective.name, self._objective.direction
        if self._objective.has_value(logs):
            logs = {name: self._objective.get_value(logs)}
        elif any(one.startswith("val_") for one in names_of(self._objective)):
            if any(one.startswith("val_") for one in logs) or self._inner is not None:
                return  # an epoch without validation
            name, direction, logs = "epoch", "max", {"epoch": epoch + 1}
        else:
            name, direction, logs = "epoch", "max", {"epoch": epoch + 1}
        if self._inner is None or self._inner.monitor != name:
            self._inner = _Checkpoints(self._folder, 1, name, direction, True)
            self._inner.set_model(self.model)
            self._inner.on_train_begin()
        self._inner.set_model(self.model)
        if not self._kept.reserve(_bytes_of(self.model)):
            self._kept.warn("`max_disk_gb` is less than the weights of one model")
            return
        self._write(epoch, logs)

    def _write(self, epoch, logs):
        inner = self._inner
        while True:
            inner.error = None
            inner.on_epoch_end(epoch, logs)
            if inner.error is None:
                return
            if inner.error.errno not in FULL or not self._kept.make_room():
                self._kept.warn(inner.error)
                return


class _Checkpoints(TopKCheckpoints):
    """Hands on what went wrong: a search says it once, not once a trial."""

    error: OSError | None = None

    def _warn_once(self, error):
        self.error = error


class PruneTrial(keras.callbacks.Callback):
    """Ends a trial that the pruner takes for worse than others.

    Args:
        pruner: Object with `report(epoch, value) -> bool`.
        objective: `keras_tuner.Objective`.
    """

    def __init__(self, pruner: Any, objective: Any):
        super().__init__()
        self._pruner = pruner
        self._objective = objective
        self.pruned_at: int | None = None

    def on_epoch_end(self, epoch, logs=None):
        """Reports the value of the epoch."""
        if not self._objective.has_value(logs or {}):
            return
        value = float(self._objective.get_value(logs))
        if math.isfinite(value) and self._pruner.report(epoch + 1, value):
            self.pruned_at = epoch + 1
            self.model.stop_training = True


class TunerHooks(keras.callbacks.Callback):
    """Calls the tuner's own `on_epoch_end` and the like.

    Args:
        tuner: The tuner.
        trial: The trial, for its hooks.
    """

    def __init__(self, tuner: Any, trial: Any):
        super().__init__()
        self._tuner = tuner
        self._trial = trial

    def on_epoch_begin(self, epoch, logs=None):
        """Calls the tuner's."""
        self._tuner.on_epoch_begin(self._trial, self.model, epoch, logs=logs)

    def on_epoch_end(self, epoch, logs=None):
        """Calls the tuner's."""
        self._tuner.on_epoch_end(self._trial, self.model, epoch, logs=logs)


class TunerBatchHooks(TunerHooks):
    """Calls those of batches too, which makes Keras wait for every batch."""

    def on_train_batch_begin(self, batch, logs=None):
        """Calls the tuner's `on_batch_begin`."""
        self._tuner.on_batch_begin(self._trial, self.model, batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """Calls the tuner's `on_batch_end`."""
        self._tuner.on_batch_end(self._trial, self.model, batch, logs)


def learning_rate_of(model: Any) -> float | None:
    """Returns the learning rate of a model as it is now, None where there is none."""
    try:
        rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate)
        return float(rate)
    except (AttributeError, TypeError, ValueError):
        return None  # an optimizer of the user's, without one or with several


def number_of(value: Any) -> Any:
    """Returns a float for what is one number, else None."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _is_validated(epoch, freq):
    return epoch + 1 in freq if isinstance(freq, list) else not (epoch + 1) % freq


def _bytes_of(model):
    return sum(4 * math.prod(v.shape) + 2048 for v in model.variables)
