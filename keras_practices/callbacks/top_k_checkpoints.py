"""Keeps the checkpoints of the best epochs."""

import contextlib
import math
import os
import re
import warnings
from typing import NamedTuple

import keras
import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.callbacks.disk import check_folder
from keras_practices.callbacks.disk import check_room
from keras_practices.callbacks.disk import flush
from keras_practices.callbacks.disk import make_folder
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError
from keras_practices.errors import first_line

PARTIAL = "partial_"


class _Checkpoint(NamedTuple):
    score: float
    epoch: int
    path: str


class TopKCheckpoints(keras.callbacks.Callback):
    """Keeps the checkpoints of the `k` best epochs on disk, the score in the name.

    Names are like `epoch-0005_val_loss-0.123456.keras`, epochs counted from 1. A
    checkpoint is written under a temporary name and renamed, and a worse one is deleted
    after that: there are never more than `k + 1` files, and a killed training leaves no
    half-written one under a proper name. Scores are compared in float32; of equal
    ones the earlier epoch stays; NaN and infinite ones are never kept. A checkpoint
    that cannot be written (full disk) is one warning, and training goes on.

    State: the files. A training in a `directory` with checkpoints of this `monitor`
    goes on with them, and deletes those that are no longer among the best: give every
    experiment its own folder.

    Cost: writes the model in the epochs that are among the best so far.

    Args:
        directory: Local folder. Made if it is not there.
        k: Int of at least 1. Checkpoints to keep.
        monitor: Name in the logs of `fit`, `"val_loss"`, `"val_accuracy"`.
        mode: `"min"`, `"max"`, or `"auto"`, which asks Keras whether less or more of
            the metric is better.
        save_weights_only: Bool. Write `.weights.h5` files, not whole models.
        validation_freq: Int. That of `fit`: a `val_` score is expected in each
            `validation_freq`-th epoch only.

    Attributes:
        best_paths: List of paths, best first.
        best_score: Score of the best, or None.

    Raises:
        OSError: `directory` cannot be made.
        RuntimeError: `monitor` is not in the logs of the first epoch.
        TypeError, ValueError: bad arguments; `mode="auto"` where Keras knows no
            direction.

    Example:

    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> best = TopKCheckpoints("checkpoints", k=2)
    >>> history = model.fit(x, 2 * x, validation_data=(x, 2 * x), epochs=4, verbose=0,
    ...                     callbacks=[best])
    >>> len(best.best_paths), best.best_score == min(history.history["val_loss"])
    (2, True)
    >>> model.load_weights(best.best_paths[0])

    References:
        CS231n, Neural Networks Part 3: checkpoints with the validation score in the
        file name. A. Karpathy, J. Johnson, L. Fei-Fei, 2015, "Visualizing and
        Understanding Recurrent Networks", whose code does so.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        k: int = 3,
        monitor: str = "val_loss",
        mode: str = "auto",
        save_weights_only: bool = False,
        *,
        validation_freq: int = 1,
    ):
        super().__init__()
        self.directory = check_folder(self, "directory", directory)
        self.k = check_integer(self, "k", k, low=1)
        if not isinstance(monitor, str):
            raise type_error(self, "monitor", "a name in the logs of fit", monitor)
        self.monitor = monitor
        self.mode = check_choice(self, "mode", mode, ("auto", "min", "max"))
        self.save_weights_only = save_weights_only
        self.validation_freq = check_integer(
            self, "validation_freq", validation_freq, low=1
        )
        self._suffix = ".weights.h5" if save_weights_only else ".keras"
        self._label = re.sub(r"[^\w.-]", "_", monitor)
        self._kept: list[_Checkpoint] = []

    @property
    def best_paths(self) -> list[str]:
        """Paths of the kept checkpoints, best first."""
        return [checkpoint.path for checkpoint in self._kept[: self.k]]

    @property
    def best_score(self) -> float | None:
        """Score of the best checkpoint."""
        return self._kept[0].score if self._kept else None

    def on_train_begin(self, logs=None):
        """Makes the folder and takes over what an earlier training left there."""
        make_folder(self.directory)
        self._kept = []
        self._direction = None
        self._seen = self._warned = False
        for checkpoint in self._checkpoints_on_disk(PARTIAL):
            os.remove(checkpoint.path)
        try:
            self._set_direction()
        except ValueError:
            # Keras builds the metrics on the first batch on some backends, so it may
            # know the direction at the end of the epoch.
            if all(getattr(metric, "built", True) for metric in self.model.metrics):
                raise

    def on_epoch_end(self, epoch, logs=None):
        """Writes a checkpoint if the epoch is among the best."""
        if self.monitor.startswith("val_") and (epoch + 1) % self.validation_freq:
            return
        score = self._score_in(logs or {})
        if score is None or not math.isfinite(score):
            return
        if self._direction is None:
            self._set_direction()
        text = str(np.float32(score))
        name = f"epoch-{epoch + 1:04d}_{self._label}-{text}{self._suffix}"
        checkpoint = _Checkpoint(score, epoch + 1, os.path.join(self.directory, name))
        kept = self._ranked({*self._kept, checkpoint})
        if checkpoint in kept[: self.k]:
            self._write(checkpoint, kept)

    def _write(self, checkpoint, kept):
        head, tail = os.path.split(checkpoint.path)
        partial = os.path.join(head, PARTIAL + tail)
        try:
            check_room(self.directory, self.model)
            if self.save_weights_only:
                self.model.save_weights(partial)
            else:
                self.model.save(partial)
            flush(partial)
            os.replace(partial, checkpoint.path)
        except OSError as error:
            self._warn_once(error)
            return
        finally:
            with contextlib.suppress(OSError):
                os.remove(partial)
        self._kept = kept[: self.k]
        for worse in kept[self.k :]:
            with contextlib.suppress(OSError):
                os.remove(worse.path)

    def _warn_once(self, error):
        if not self._warned:
            warnings.warn(
                f"TopKCheckpoints: a checkpoint could not be written to "
                f"{self.directory!r}. Training goes on, and the next good epoch is "
                f"tried again. {first_line(error)}",
                KerasPracticesWarning,
                stacklevel=2,
            )
        self._warned = True

    def _score_in(self, logs):
        if self.monitor not in logs:
            if not self._seen:
                raise UsageError(
                    f"TopKCheckpoints: monitor={self.monitor!r} is not in the logs of "
                    f"this epoch, which has {', '.join(map(repr, logs))}. Name one of "
                    "these; for a score that begins with 'val_' pass validation_data "
                    "to fit, and here the validation_freq of fit."
                )
            return None
        value = np.asarray(logs[self.monitor])
        if value.size != 1:
            raise type_error(
                self, "monitor", "the name of one number", self.monitor, f"It: {value}."
            )
        self._seen = True
        return _in_float32(value.reshape(()))

    def _set_direction(self):
        """Finds out which scores are better, and takes over the files on disk."""
        if self.mode != "auto":
            better = self.mode
        else:
            # Keras keeps its knowledge of metrics in private places, but shows what it
            # decides: which of 0 and 1 an EarlyStopping takes for the better one.
            probe = keras.callbacks.EarlyStopping(self.monitor, patience=2)
            probe.set_model(self.model)
            probe.on_train_begin()
            try:
                for epoch, value in enumerate((0.0, 1.0)):
                    probe.on_epoch_end(epoch, {self.monitor: value})
            except ValueError as error:
                raise value_error(
                    self,
                    "mode",
                    f"'min' or 'max', as Keras knows no direction of {self.monitor!r}",
                    self.mode,
                    "Or correct the name.",
                ) from error
            better = "max" if probe.best else "min"
        self._direction = 1 if better == "min" else -1
        self._kept = self._ranked(self._checkpoints_on_disk())

    def _ranked(self, checkpoints):
        return sorted(checkpoints, key=lambda c: (self._direction * c.score, c.epoch))

    def _checkpoints_on_disk(self, prefix=""):
        pattern = re.compile(
            rf"{prefix}epoch-(\d+)_{re.escape(self._label)}"
            rf"-(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?){re.escape(self._suffix)}"
        )
        matches = map(pattern.fullmatch, sorted(os.listdir(self.directory)))
        return [
            _Checkpoint(
                _in_float32(match[2]),
                int(match[1]),
                os.path.join(self.directory, match[0]),
            )
            for match in matches
            if match
        ]


def _in_float32(score):
    """The score as its short name in a file gives it back."""
    with np.errstate(over="ignore"):
        return float(np.float32(score))
