"""Stops a training when its time is up."""

import datetime
import sys
from time import monotonic

import keras

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_number


class TimeStopping(keras.callbacks.Callback):
    """Stops the training when `seconds` have passed since it began.

    Takes the arguments of `tfa.callbacks.TimeStopping`. With `unit="epochs"` the clock
    is read at the end of each epoch, so the training ends up to one epoch late, or in
    time with `avoid_overrun`. With `unit="steps"` it is read after each step too; the
    epoch that is cut short is still validated. Reading it after each step makes
    training on JAX wait for each step.

    `fit` ends in the ordinary way: a `BackupAndRestore` deletes its backup then,
    unless it has `delete_checkpoint=False`.

    Args:
        seconds: Number of at least 0. Length of the training in seconds.
        verbose: 0 is silent, 1 prints a line when the training was stopped.
        unit: `"epochs"` or `"steps"`: after what the clock is read.
        avoid_overrun: Bool. Stop also at the end of an epoch when another one as long
            would end after the limit.

    Attributes:
        stopped_epoch: Int, the epoch (from 0) after which the training was stopped, or
            None.

    Raises:
        TypeError, ValueError: bad arguments.

    Example:

    >>> x = np.zeros((8, 1))
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> stopping = TimeStopping(seconds=0)
    >>> history = model.fit(x, x, epochs=5, verbose=0, callbacks=[stopping])
    >>> len(history.epoch), stopping.stopped_epoch
    (1, 0)

    References:
        TensorFlow Addons 0.23, `tfa.callbacks.TimeStopping`.
    """

    def __init__(
        self,
        seconds: float = 86400,
        verbose: int = 0,
        *,
        unit: str = "epochs",
        avoid_overrun: bool = False,
    ):
        super().__init__()
        self.seconds = check_number(self, "seconds", seconds, low=0)
        self.verbose = verbose
        self.unit = check_choice(self, "unit", unit, ("epochs", "steps"))
        self.avoid_overrun = avoid_overrun
        self.stopped_epoch: int | None = None
        if unit == "steps":
            # A class that has this hook makes training on JAX wait for each step, so
            # only the instance that asked for it gets it.
            self.on_train_batch_end = self._stop_when_over

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self.stopped_epoch = None
        self._end = monotonic() + self.seconds

    def on_epoch_begin(self, epoch, logs=None):
        """Notes when the epoch began."""
        self._epoch_began = monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Stops the training if the time is up, or would be after another epoch."""
        now = monotonic()
        ahead = now - self._epoch_began if self.avoid_overrun else 0
        if now + ahead >= self._end:
            self.model.stop_training = True
            self.stopped_epoch = epoch

    def on_train_end(self, logs=None):
        """Says that the training was stopped."""
        if self.stopped_epoch is not None and self.verbose > 0:
            limit = datetime.timedelta(seconds=self.seconds)
            sys.stdout.write(
                f"Timed stopping at epoch {self.stopped_epoch + 1} after training "
                f"for {limit}\n"
            )

    def _stop_when_over(self, batch, logs=None):
        if monotonic() >= self._end:
            self.model.stop_training = True
