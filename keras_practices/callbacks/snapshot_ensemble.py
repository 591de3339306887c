"""Several models from one training: cosine restarts with a snapshot at each end."""

import contextlib
import math
import os
import warnings
from typing import Any

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error
from keras_practices.callbacks.disk import check_folder
from keras_practices.callbacks.disk import check_room
from keras_practices.callbacks.disk import flush
from keras_practices.callbacks.disk import make_folder
from keras_practices.callbacks.learning_rate import _Decay
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import first_line


class SnapshotEnsemble(_Decay):
    """Lets the rate fall along a cosine in each of several cycles, and saves each end.

    Within a cycle the learning rate falls, before each step, as
    `rate * (1 + cos(π t)) / 2`, where `t` is the share of the cycle that is done;
    then it starts again from the top, which throws the weights out of the minimum
    that was just saved. `ensembles.from_checkpoints(callback.paths)` makes the
    ensemble. When training ends, the rate is what it was before.

    The epochs of `fit` are divided evenly among the cycles, counted from epoch 0, so
    that a training resumed with `initial_epoch` goes on in the same cycle. Compile
    with a rate that is high, such as 0.1 to 0.2 for SGD: the paper's.

    Args:
        directory: Local folder for the snapshots. Made if it is not there. Files of
            an earlier training with the same names are replaced.
        cycles: Integer of at least 1. No more than the epochs of `fit`.
        initial_learning_rate: Float above 0, or None for the rate of the optimizer
            when training begins.

    Attributes:
        paths: List of the paths of the snapshots of this training, oldest first.
        history: Dict of lists, one entry a step: `"epoch"`, `"step"`,
            `"learning_rate"`.

    Raises:
        TypeError, ValueError: bad arguments; in `fit`, before the first epoch, an
            optimizer that holds a schedule or several optimizers, and fewer epochs
            than cycles.
        OSError: `directory` cannot be made.

    State:
        The paths, and `history`, about 100 bytes each step.

    Cost:
        One write of the rate a step, which on JAX brings the model's state back to
        Python for that step, and one file a cycle. A snapshot that cannot be written
        (full disk) is one warning, and training goes on.

    Example:

    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> snapshots = SnapshotEnsemble("snapshots", cycles=2)
    >>> history = model.fit(x, 2 * x, epochs=4, verbose=0, callbacks=[snapshots])
    >>> ensemble = kp.ensembles.from_checkpoints(snapshots.paths)
    >>> len(ensemble.members), round(float(model.optimizer.learning_rate), 3)
    (2, 0.1)

    References:
        Huang, Li, Pleiss, Liu, Hopcroft and Weinberger, "Snapshot ensembles: train
        1, get M for free", 2017, ICLR, equation 2.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        cycles: int = 5,
        *,
        initial_learning_rate: float | None = None,
    ):
        super().__init__("steps", initial_learning_rate)
        self.directory = check_folder(self, "directory", directory)
        self.cycles = check_integer(self, "cycles", cycles, low=1)
        self.paths: list[str] = []
        self._resumed = False

    def on_train_begin(self, logs=None):
        """Makes the folder, and finds the rate and where the cycles end."""
        epochs = self.params.get("epochs") or 0
        if epochs < self.cycles:
            expected = f"no more than the epochs of fit, {epochs}"
            raise value_error(self, "cycles", expected, self.cycles)
        make_folder(self.directory)
        super().on_train_begin(logs)
        # Epochs before which cycle 0, 1, … begins, and the end of the last.
        self._starts = [i * epochs // self.cycles for i in range(self.cycles + 1)]
        self._per_epoch = self._expected_steps()
        if not self._resumed:
            self.paths = []
        self._resumed = False

    def on_epoch_begin(self, epoch, logs=None):
        """Finds the cycle of the epoch and sets the rate of its first step."""
        self._cycle = max(i for i in range(self.cycles) if self._starts[i] <= epoch)
        self._epoch, self._first_step = epoch, self._step
        self._set_rate(self.model.optimizer, self._position())

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the rate of the next step."""
        optimizer = self.model.optimizer
        self._note_steps(optimizer)
        self._set_rate(optimizer, self._position())

    def on_epoch_end(self, epoch, logs=None):
        """Notes the rates, and saves the model where a cycle ends."""
        super().on_epoch_end(epoch, logs)
        self._per_epoch = max(1, self._step - self._first_step)
        if epoch + 1 == self._starts[self._cycle + 1]:
            self._save(epoch)

    def on_train_end(self, logs=None):
        """Puts the rate back that training began with."""
        optimizer = self.model.optimizer
        optimizer.learning_rate = self._initial

    def get_state(self) -> dict[str, Any]:
        """Returns what a later process needs to go on, as plain values."""
        return {**super().get_state(), "paths": list(self.paths)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` returned, before the next `fit`."""
        super().set_state(state)
        self.paths = list(state["paths"])
        self._resumed = True

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "directory": self.directory,
            "cycles": self.cycles,
            "initial_learning_rate": self.initial_learning_rate,
        }

    def _make_schedule(self, initial_learning_rate):
        def rate(share):
            return initial_learning_rate * (1 + math.cos(math.pi * share)) / 2

        return rate

    def _expected_steps(self):
        """Returns the updates of an epoch; 0 where it is not known yet."""
        batches = self.params.get("steps") or 0
        group = self.model.optimizer.gradient_accumulation_steps or 1
        return batches / group

    def _position(self):
        """Returns the share of the present cycle that is done."""
        start, end = self._starts[self._cycle], self._starts[self._cycle + 1]
        done = self._step - self._first_step
        within = min(1.0, done / self._per_epoch) if self._per_epoch else 0.0
        return (self._epoch + within - start) / (end - start)

    def _save(self, epoch):
        name = f"snapshot-{self._cycle + 1:02d}_epoch-{epoch + 1:04d}.keras"
        path = os.path.join(self.directory, name)
        partial = os.path.join(self.directory, f"partial_{name}")
        try:
            check_room(self.directory, self.model)
            self.model.save(partial)
            flush(partial)
            os.replace(partial, path)
        except OSError as error:
            warnings.warn(
                f"SnapshotEnsemble: the snapshot of cycle {self._cycle + 1} could not "
                f"be written to {self.directory!r}; training goes on. "
                f"{first_line(error)}",
                KerasPracticesWarning,
                stacklevel=2,
            )
            return
        finally:
            with contextlib.suppress(OSError):
                os.remove(partial)
        self.paths = [*[one for one in self.paths if one != path], path]
