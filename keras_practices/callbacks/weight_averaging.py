"""An average of the weights that takes part in the whole of `fit`."""

import sys
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices.callbacks.batch_norm import StatisticsPass
from keras_practices.callbacks.batch_norm import batch_norms
from keras_practices.callbacks.batch_norm import batches_of
from keras_practices.callbacks.callback_order import move_first
from keras_practices.callbacks.weight_average import WeightAverage
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError


class WeightAveraging(keras.callbacks.Callback):
    """Averages the weights over the steps, and shows the average wherever it matters.

    Training goes on with the running weights. From the validation of an epoch until
    the next epoch begins the model holds the average: `val_…` in the logs, the scores
    that `EarlyStopping` compares, the weights it remembers, what `ModelCheckpoint` and
    `TopKCheckpoints` write, and what is left in the model when `fit` returns, all are
    of the averaged weights. `loss` and the other training metrics are of the running
    ones. It does not matter where in the list of callbacks it stands: in `fit` it
    moves to the front.

    `kind="ema"` is the exponential moving average `a ← d·a + (1 − d)·w` over the
    optimizer's steps. With `warmup` the decay `d` of step `t` is no more than
    `(1 + t)/(10 + t)`, so the start is soon forgotten; without it the first step is
    taken as it is, as by Keras's `use_ema`. `kind="tail"` is the plain mean of the
    weights from `start_epoch` on (Polyak and Ruppert): train that part at a constant,
    not too small rate.

    BatchNorm statistics belong to the weights they were collected with. With
    `batch_norm_data` those of the average are computed anew each time it is put into
    the model; without, the statistics are averaged as the weights are, which is
    close where weights and statistics move slowly, as late in a training.

    Steps that the optimizer skips (overflow in `mixed_float16`, gradient accumulation)
    do not count. With `steps_per_execution` of `k`, `kind="ema"` sees each `k`-th
    step's weights, with the decay of `k` steps; `kind="tail"` averages these alone.

    To go on after a kill, give it to the `callbacks` of
    `keras_practices.callbacks.BackupAndRestore`: Keras's own would go on from the
    average. A `ModelCheckpoint` that saves within an epoch saves running weights.
    Weights that another callback writes at the end of an epoch are lost when the
    running ones come back. After an exception in `fit` the model holds the running
    weights, or the average if it came between two epochs; `apply` and `restore_raw`
    work then, too.

    Args:
        kind: `"ema"` or `"tail"`.
        decay: Number in [0, 1): what the exponential average keeps of itself in one
            step. 0.999 looks back about 1,000 steps; an average over more than a tenth
            of all steps lags behind.
        warmup: Bool. Let the decay of the exponential average rise.
        start_epoch: Integer of at least 0, first epoch, counted from 0, whose steps
            count; None for 0 with `"ema"`, and half of the epochs of `fit` with
            `"tail"`.
        every: Integer of at least 1. Batches from one look at the weights to the next
            (calls, with `steps_per_execution`). The decay is still that of one step.
        batch_norm_data: What `update_batch_norm` takes as `data`, or None. It is gone
            through after each epoch: no generator.
        batch_size: Rows of a batch of `batch_norm_data`, for arrays.

    Attributes:
        count: Number of weights in the average.

    Raises:
        RuntimeError: in `fit`, the optimizer has `use_ema=True`.
        TypeError, ValueError: bad arguments.

    State:
        The average on the device, in float32 or better; from validation to the next
        epoch the running weights as well. These stay for `restore_raw`.

    Cost:
        A pass over the weights each `every` batches; nothing is copied to the host
        and nothing waits for the device.

    Example:

    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> averaging = WeightAveraging(decay=0.9)
    >>> history = model.fit(x, 2 * x, validation_data=(x, 2 * x), epochs=3, verbose=0,
    ...                     batch_size=8, callbacks=[averaging])
    >>> averaging.count
    12
    >>> loss = model.evaluate(x, 2 * x, verbose=0)
    >>> bool(np.isclose(loss, history.history["val_loss"][-1]))
    True

    References:
        B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging"
        (1992). A. Rakhlin et al., "Making Gradient Descent Optimal for Strongly Convex
        Stochastic Optimization" (2012): the mean of the last half. A. Tarvainen,
        H. Valpola, "Mean teachers are better role models" (2017). CS231n, Neural
        Networks Part 3: "keep a second copy of the network's weights in memory that
        maintains an exponentially decaying sum of previous weights".
    """

    _average: Any
    _recomputed: list[Any]
    _raw: list[Any] | None
    _pass: Any

    def __init__(
        self,
        kind: str = "ema",
        decay: float = 0.999,
        warmup: bool = True,
        start_epoch: int | None = None,
        every: int = 1,
        *,
        batch_norm_data: Any = None,
        batch_size: int = 32,
    ):
        super().__init__()
        self.kind = check_choice(self, "kind", kind, ("ema", "tail"))
        self.decay = check_number(self, "decay", decay, 0, 1, closed="left")
        self.warmup = bool(warmup)
        if start_epoch is not None:
            check_integer(self, "start_epoch", start_epoch, low=0)
        self.start_epoch = start_epoch
        self.every = check_integer(self, "every", every, low=1)
        if hasattr(batch_norm_data, "__next__"):
            raise type_error(
                self,
                "batch_norm_data",
                "data that can be gone through after each epoch",
                batch_norm_data,
                "Pass an array or a dataset, not a generator.",
            )
        self.batch_norm_data = batch_norm_data
        self.batch_size = check_integer(self, "batch_size", batch_size, low=1)
        self._resumed: dict[str, Any] | None = None
        self._forget()

    @property
    def count(self) -> int:
        """Number of weights in the average."""
        return 0 if self._average is None else self._average.count

    def on_train_begin(self, logs=None):
        """Begins a new average, or goes on with one that was restored."""
        move_first(self, sys._getframe(1))
        self._forget()
        model = self.model
        _check_optimizer(model.optimizer)
        norms = batch_norms(model)
        self._recomputed = []
        averaged = list(model.trainable_variables)
        statistics = [v for x in norms for v in (x.moving_mean, x.moving_variance)]
        if self.batch_norm_data is None:
            averaged += statistics
        else:
            self._recomputed = statistics
        decay = self.decay if self.kind == "ema" else None
        self._average = WeightAverage(averaged, decay, self.warmup)
        self._first = self.start_epoch
        if self._first is None:
            epochs = (self.params or {}).get("epochs") or 0
            self._first = 0 if self.kind == "ema" else epochs // 2
        if self._resumed is not None:
            self._take_over(self._resumed)
            self._resumed = None

    def on_epoch_begin(self, epoch, logs=None):
        """Puts the running weights back."""
        self.restore_raw()
        self._stepped = False
        self._in_epoch = True
        self._active = epoch >= self._first
        if self._active and not self.count:
            # Where the first difference in the number of steps begins.
            self._average.begin(self.model.optimizer.iterations)

    # The step is over when the next one begins, or the epoch ends. A hook at its own
    # end would have Keras fetch the logs, and so wait for the device each time.
    def on_train_batch_begin(self, batch, logs=None):
        """Adds the weights after the batch before this one."""
        if self._stepped:
            self._add()
        self._stepped = True

    def on_test_begin(self, logs=None):
        """Puts the average into the model for the validation of an epoch."""
        self._end_steps()

    def on_epoch_end(self, epoch, logs=None):
        """Puts the average into the model where there was no validation."""
        self._end_steps()
        self._in_epoch = False

    def on_train_end(self, logs=None):
        """The average is in the model already; warns where there is none."""
        self._in_epoch = False
        if not self.count:
            warnings.warn(
                f"WeightAveraging: training ended before epoch {self._first}, so the "
                "weights are those of the last step. Lower start_epoch.",
                KerasPracticesWarning,
                stacklevel=2,
            )

    def apply(self) -> None:
        """Puts the average into the model; `restore_raw` undoes it.

        `fit` does so by itself. This is for after an exception in `fit`.

        Raises:
            RuntimeError: there is no average yet.
        """
        average = self._average
        if average is None or not average.count:
            raise UsageError(
                "WeightAveraging: there is no average yet. Call fit first, with a "
                "start_epoch that it reaches."
            )
        if self._raw is not None:
            return
        model = self.model  # on JAX this brings the variables up to date
        self._raw = average.copies(self._swapped())
        average.write()
        if self._recomputed:
            if self._pass is None:
                self._pass = StatisticsPass(model)
            self._pass.run(batches_of(self.batch_norm_data, self.batch_size, None))

    def restore_raw(self) -> None:
        """Puts the running weights back into the model, to train on from there.

        Nothing happens where they are in it already.
        """
        if self._raw is None:
            return
        for variable, value in zip(self._swapped(), self._raw, strict=True):
            variable.assign(value)
        self._raw = None

    def get_state(self) -> dict[str, Any]:
        """Returns what a later process needs: the average and the running weights."""
        raw = self._raw
        if raw is not None:
            raw = [np.array(ops.convert_to_numpy(value)) for value in raw]
        state = None if self._average is None else self._average.get_state()
        return {"average": state, "raw": raw}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` returned, when the training begins."""
        self._resumed = state

    def _forget(self):
        self._average = None
        self._recomputed = []
        self._raw = None
        self._pass = None
        self._first = 0
        self._calls = 0
        self._active = self._stepped = self._in_epoch = False

    def _take_over(self, state):
        if state["average"] is not None:
            self._average.set_state(state["average"])
        # At the end of an epoch a backup of the model has the average in it.
        self._raw = state["raw"]
        self.restore_raw()

    def _swapped(self):
        return [*self._average.variables, *self._recomputed]

    def _add(self):
        self._calls += 1
        if self._active and self._calls % self.every == 0:
            model = self.model  # on JAX this brings the variables up to date
            self._average.add(model.optimizer.iterations)

    def _end_steps(self):
        if not self._in_epoch:
            return  # `evaluate` outside of `fit`
        if self._stepped:
            self._add()
            self._stepped = False
        if self.count:
            self.apply()


def _check_optimizer(optimizer):
    todo = [optimizer]
    while todo:
        one = todo.pop()
        if getattr(one, "use_ema", False):
            raise UsageError(
                "WeightAveraging: the optimizer has use_ema=True and would write its "
                "own average over the weights when fit ends. Make it without use_ema."
            )
        inner = getattr(one, "inner_optimizer", None)
        todo += [inner] if inner is not None else []
        todo += list(getattr(one, "optimizers", None) or [])
    if getattr(optimizer, "iterations", None) is None:
        raise UsageError(
            "WeightAveraging: the model has no optimizer whose steps can be counted. "
            "Compile it with one."
        )
