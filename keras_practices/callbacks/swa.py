"""Stochastic weight averaging."""

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import check_integer
from keras_practices.callbacks.batch_norm import StatisticsPass
from keras_practices.callbacks.batch_norm import batch_norms
from keras_practices.callbacks.batch_norm import batches_of
from keras_practices.errors import KerasPracticesWarning


class SWA(keras.callbacks.Callback):
    """Averages the weights of the last epochs and leaves the average in the model.

    The plain mean of the trainable weights at the end of epochs `start_epoch`,
    `start_epoch + every`, … It is written into the model when training ends. Train
    these epochs at a constant or cyclical rate that is still high; at a rate that has
    decayed to nothing there is nothing to average.

    BatchNorm statistics belong to the weights they were collected with. Those of the
    averaged weights are computed anew from `batch_norm_data`; without it a model with
    BatchNorm gets a warning, and wants `update_batch_norm`.

    What `fit` logs as `val_…` is of the running weights, unless `swap_for_validation`.
    Put it after callbacks that write weights when training ends, such as
    `EarlyStopping(restore_best_weights=True)`: the last one stays.

    Args:
        start_epoch: Integer of at least 0. First epoch, counted from 0, whose weights
            count.
        every: Integer of at least 1. Epochs between two.
        swap_for_validation: Bool. Validate `fit` with the average so far, BatchNorm
            statistics included where `batch_norm_data` is given. The running weights
            are put back.
        batch_norm_data: What `update_batch_norm` takes as `data`, or None.
        batch_size: Rows of a batch of `batch_norm_data`, for arrays.

    Attributes:
        count: Number of epochs in the average.
        average: List of float64 arrays, as `model.trainable_variables`, or None.

    Raises:
        TypeError, ValueError: bad arguments.

    State:
        The average, 8 bytes for each trainable weight, on the host.

    Cost:
        One copy of the weights to the host an epoch; with `swap_for_validation` three
        more, and a forward pass over `batch_norm_data`.

    Example:

    >>> x = np.arange(8.0)[:, None] / 8
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> swa = SWA(start_epoch=2)
    >>> history = model.fit(x, x, epochs=5, verbose=0, callbacks=[swa])
    >>> swa.count
    3

    References:
        Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
        Generalization" (2018), arXiv:1803.05407.
    """

    def __init__(
        self,
        start_epoch: int,
        every: int = 1,
        *,
        swap_for_validation: bool = False,
        batch_norm_data: Any = None,
        batch_size: int = 32,
    ):
        super().__init__()
        self.start_epoch = check_integer(self, "start_epoch", start_epoch, low=0)
        self.every = check_integer(self, "every", every, low=1)
        self.swap_for_validation = swap_for_validation
        self.batch_norm_data = batch_norm_data
        self.batch_size = check_integer(self, "batch_size", batch_size, low=1)
        self._forget()

    def on_train_begin(self, logs=None):
        """Begins a new average."""
        self._forget()

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the epoch, which its validation does not say."""
        self._epoch = epoch

    def on_test_begin(self, logs=None):
        """Puts the average into the model for the validation of an epoch."""
        # Validation comes before the end of the epoch: its weights count already.
        if self._epoch is None or not self.swap_for_validation:
            return
        self._add(self._epoch)
        if self.count:
            model = self.model
            variables = [*model.trainable_variables, *model.non_trainable_variables]
            self._running = [(v, ops.convert_to_numpy(v.value)) for v in variables]
            # JAX and PyTorch may hand out a view of what is written next.
            self._running = [(v, np.array(value)) for v, value in self._running]
            self._write()

    def on_test_end(self, logs=None):
        """Puts the running weights back."""
        for variable, value in self._running:
            variable.assign(value)
        self._running = []

    def on_epoch_end(self, epoch, logs=None):
        """Adds the weights of the epoch to the average."""
        self._add(epoch)
        self._epoch = None

    def on_train_end(self, logs=None):
        """Leaves the average in the model."""
        if not self.count:
            warnings.warn(
                f"SWA: training ended before epoch {self.start_epoch}, so the weights "
                "are those of the last epoch. Lower start_epoch.",
                KerasPracticesWarning,
                stacklevel=2,
            )
            return
        self._write()
        if self.batch_norm_data is None and batch_norms(self.model):
            warnings.warn(
                "SWA: the statistics of BatchNorm are those of the last weights, not "
                "of the average. Pass batch_norm_data, or call update_batch_norm.",
                KerasPracticesWarning,
                stacklevel=2,
            )

    def get_state(self) -> dict[str, Any]:
        """Returns what a later process needs to go on: the average and its count."""
        return {"count": self.count, "average": self.average, "latest": self._latest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` returned."""
        self.count, self._latest = state["count"], state["latest"]
        average = state["average"]
        self.average = None if average is None else [np.array(a) for a in average]

    def _forget(self):
        self.count = 0
        self.average: list[Any] | None = None
        self._latest = None
        self._epoch = None
        self._running = []
        self._pass = None

    def _add(self, epoch):
        due = epoch >= self.start_epoch and (epoch - self.start_epoch) % self.every == 0
        if not due or epoch == self._latest:
            return
        self._latest = epoch
        values = [
            np.array(ops.convert_to_numpy(v.value), "float64")
            for v in self.model.trainable_variables
        ]
        if self.average is None:
            self.average = [np.zeros_like(value) for value in values]
        self.count += 1
        for mean, value in zip(self.average, values, strict=True):
            mean += (value - mean) / self.count

    def _write(self):
        variables = self.model.trainable_variables
        for variable, value in zip(variables, self.average, strict=True):
            variable.assign(value.astype("float32"))
        if self.batch_norm_data is not None:
            if self._pass is None:
                self._pass = StatisticsPass(self.model)
            self._pass.run(batches_of(self.batch_norm_data, self.batch_size, None))
