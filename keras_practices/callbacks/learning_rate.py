"""Learning rates that decay by epochs or by optimizer steps.

Callbacks over Keras's schedules, for three things that a schedule handed to the
optimizer cannot do: count in epochs, show in the history the rate that was used, and
start right in a second `fit`. For all of them:

The rate is set at the beginning of each epoch or, with `unit="steps"`, before each
step from the number of updates that the optimizer has made. A group of accumulated
batches counts as one update, where a schedule in the optimizer counts the batches.
With `steps_per_execution` of n the rate can change every n steps only. On JAX each
write in `unit="steps"` brings the model's state back to Python for one step.

A second `fit` starts from the same rate as the first, also with another callback of
this kind, unless the optimizer was given a new rate in between: the decay neither
compounds nor forgets where it began. With `unit="epochs"` pass `initial_epoch` to go
on where the first `fit` ended; `unit="steps"` goes on by itself. In a new process
pass `initial_learning_rate`, or `set_state` what `get_state` returned.

`callback.history` has three lists with one entry a step: `"epoch"` (position of the
step's end in epochs, steps spread evenly over the epoch), `"step"` (updates before
this one) and `"learning_rate"`. It is kept over several fits of one optimizer and
emptied when training begins with a new one. The last rate of each epoch is in the
history that `fit` returns, as `"learning_rate"`.
"""

import math
import weakref
from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error

# Of each optimizer: the rate it started from and the one that was set last. A rate
# that is still the one we set is no new starting point, whichever callback asks.
_RATES: weakref.WeakKeyDictionary[Any, tuple[float, float]]
_RATES = weakref.WeakKeyDictionary()


class _Decay(keras.callbacks.Callback):
    """What the decays share: when the rate is set, and what is written down."""

    def __init__(self, unit, initial_learning_rate):
        super().__init__()
        self.unit = check_choice(self, "unit", unit, ("epochs", "steps"))
        if initial_learning_rate is not None:
            check_number(
                self,
                "initial_learning_rate",
                initial_learning_rate,
                low=0,
                closed="neither",
            )
        self.initial_learning_rate = initial_learning_rate
        self.history = {"epoch": [], "step": [], "learning_rate": []}
        self._initial = None
        self._rate = None
        self._restored = None

    def _make_schedule(self, initial_learning_rate):
        """Returns the Keras schedule over `unit`."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        """Finds the rate to start from; refuses an optimizer that holds a schedule."""
        optimizer = self.model.optimizer
        remedy = "Compile with a float as learning_rate, or leave this callback out."
        current = plain_rate(self, optimizer, remedy)
        self._initial = self._starting_rate(optimizer, current)
        self._schedule = self._make_schedule(self._initial)
        self._step = _steps_of(optimizer)
        self._pending = []
        self._forget_from(self._step)

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the rate of the epoch, or of its first step."""
        optimizer = self.model.optimizer
        self._set_rate(optimizer, epoch if self.unit == "epochs" else self._step)

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the rate of the next step when the unit is a step."""
        if self.unit == "steps":
            optimizer = self.model.optimizer
            self._note_steps(optimizer)
            self._set_rate(optimizer, self._step)

    def on_epoch_end(self, epoch, logs=None):
        """Writes the rates of the epoch into `history`, the last into `logs`."""
        self._note_steps(self.model.optimizer)
        count = len(self._pending)
        for place, (step, rate) in enumerate(self._pending, 1):
            self.history["epoch"].append(epoch + place / count)
            self.history["step"].append(step)
            self.history["learning_rate"].append(rate)
        self._pending = []
        if logs is not None:
            logs["learning_rate"] = self._rate

    def _starting_rate(self, optimizer, current):
        if self.initial_learning_rate is not None:
            return self.initial_learning_rate
        known, self._restored = self._restored or _RATES.get(optimizer), None
        return known[0] if known is not None and current in known else current

    def _set_rate(self, optimizer, time):
        optimizer.learning_rate = float(ops.convert_to_numpy(self._schedule(time)))
        self._rate = float(ops.convert_to_numpy(optimizer.learning_rate))
        _RATES[optimizer] = (self._initial, self._rate)

    def _note_steps(self, optimizer):
        """Notes the steps since the last call, all made with the present rate."""
        steps = _steps_of(optimizer)
        self._pending.extend((step, self._rate) for step in range(self._step, steps))
        self._step = steps

    def _forget_from(self, step):
        """Drops what another run of this optimizer, or another one, wrote later."""
        kept = sum(1 for known in self.history["step"] if known < step)
        for values in self.history.values():
            del values[kept:]

    def get_state(self) -> dict[str, Any]:
        """Returns what a later process needs to go on, as plain values."""
        history = {name: list(values) for name, values in self.history.items()}
        if self._rate is None:
            return {"history": history}
        return {
            "history": history,
            "initial_learning_rate": self._initial,
            "learning_rate": self._rate,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` returned, before the next `fit`."""
        self.history = {name: list(values) for name, values in state["history"].items()}
        if "initial_learning_rate" in state:
            self._restored = (state["initial_learning_rate"], state["learning_rate"])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"unit": self.unit, "initial_learning_rate": self.initial_learning_rate}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "_Decay":
        """Builds the callback from what `get_config` returned."""
        return cls(**config)


def plain_rate(owner, optimizer, remedy):
    """Returns the learning rate of an optimizer that holds one number.

    Args:
        owner: Callback that the message begins with.
        optimizer: A Keras optimizer.
        remedy: What to do otherwise.

    Raises:
        TypeError: it holds a schedule, a function, or several optimizers.
    """
    try:
        rate = optimizer.learning_rate
    except AttributeError:  # a MultiOptimizer has several
        rate = None
    if not isinstance(rate, keras.Variable):
        raise type_error(
            owner,
            "optimizer",
            "an optimizer with one plain learning rate, not one that holds a "
            "schedule, a function, or several optimizers",
            optimizer,
            remedy,
        )
    return float(ops.convert_to_numpy(rate))


def _steps_of(optimizer):
    """Updates made so far: not micro-batches, not calls of the batch hook."""
    return int(ops.convert_to_numpy(optimizer.iterations))


@register
class StepDecay(_Decay):
    """Multiplies the learning rate by `rate` after every `every` epochs or steps.

    The rate is `initial * rate ** floor(t / every)`. CS231n names 0.5 every 5 epochs
    and 0.1 every 20 as typical. How two fits, resumption and `steps_per_execution`
    are treated stands at the head of `keras_practices.callbacks.learning_rate`.

    Args:
        rate: Float in (0, 1). Factor at each step down; `decay_rate` of
            `keras.optimizers.schedules.ExponentialDecay(staircase=True)`.
        every: Integer of at least 1. Epochs or steps between two steps down; its
            `decay_steps`.
        unit: `"epochs"` or `"steps"`: what `t` counts, from 0.
        initial_learning_rate: Float above 0, or None for the rate of the optimizer
            when training begins.

    Raises:
        ValueError: a number out of range, another `unit`.
        TypeError: a number of the wrong kind; in `fit`, an optimizer that holds a
            schedule or several optimizers, before the first epoch.

    State:
        `history`: three lists with one entry a step, about 100 bytes each step.

    Cost:
        One write an epoch, or a step; see the head of the module for JAX.

    Example:

    >>> decay = StepDecay(rate=0.5, every=5)
    >>> decay.get_config()["every"]
    5

    References:
        CS231n, "Neural Networks Part 3", annealing the learning rate (step decay).
    """

    def __init__(
        self,
        rate: float = 0.5,
        every: int = 5,
        *,
        unit: str = "epochs",
        initial_learning_rate: float | None = None,
    ):
        self.rate = check_number(self, "rate", rate, low=0, high=1, closed="neither")
        self.every = check_integer(self, "every", every, low=1)
        super().__init__(unit, initial_learning_rate)

    def _make_schedule(self, initial_learning_rate):
        return keras.optimizers.schedules.ExponentialDecay(
            initial_learning_rate,
            decay_steps=self.every,
            decay_rate=self.rate,
            staircase=True,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"rate": self.rate, "every": self.every, **super().get_config()}


@register
class ExponentialDecay(_Decay):
    """Lets the learning rate fall as `initial * exp(-rate * t)`.

    How two fits, resumption and `steps_per_execution` are treated stands at the head
    of `keras_practices.callbacks.learning_rate`.

    Args:
        rate: Float above 0. The `k` of `exp(-k t)`, per epoch or per step: 0.05 takes
            5 % off each epoch. In `keras.optimizers.schedules.ExponentialDecay` it is
            `decay_rate=exp(-1)` with `decay_steps=1 / rate`.
        unit: `"epochs"` or `"steps"`: what `t` counts, from 0.
        initial_learning_rate: Float above 0, or None for the rate of the optimizer
            when training begins.

    Raises:
        ValueError: a number out of range, another `unit`.
        TypeError: a number of the wrong kind; in `fit`, an optimizer that holds a
            schedule or several optimizers, before the first epoch.

    State:
        `history`: three lists with one entry a step, about 100 bytes each step.

    Cost:
        One write an epoch, or a step; see the head of the module for JAX.

    Example:

    >>> decay = ExponentialDecay(rate=0.05)
    >>> decay.unit
    'epochs'

    References:
        CS231n, "Neural Networks Part 3", annealing the learning rate (exponential
        decay).
    """

    def __init__(
        self,
        rate: float,
        *,
        unit: str = "epochs",
        initial_learning_rate: float | None = None,
    ):
        self.rate = check_number(self, "rate", rate, low=0, closed="neither")
        super().__init__(unit, initial_learning_rate)

    def _make_schedule(self, initial_learning_rate):
        # Not decay_rate=exp(-rate) with decay_steps=1: Keras takes the power in
        # float32, and the rounding of a base near 1 grows with every step.
        return keras.optimizers.schedules.ExponentialDecay(
            initial_learning_rate, decay_steps=1 / self.rate, decay_rate=math.exp(-1)
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"rate": self.rate, **super().get_config()}


@register
class InverseTimeDecay(_Decay):
    """Lets the learning rate fall as `initial / (1 + rate * t)`.

    How two fits, resumption and `steps_per_execution` are treated stands at the head
    of `keras_practices.callbacks.learning_rate`.

    Args:
        rate: Float above 0. The `k` of `1 / (1 + k t)`, per epoch or per step: the
            learning rate has halved at `t = 1 / rate`. In
            `keras.optimizers.schedules.InverseTimeDecay` it is `decay_rate` with
            `decay_steps=1`.
        unit: `"epochs"` or `"steps"`: what `t` counts, from 0.
        initial_learning_rate: Float above 0, or None for the rate of the optimizer
            when training begins.

    Raises:
        ValueError: a number out of range, another `unit`.
        TypeError: a number of the wrong kind; in `fit`, an optimizer that holds a
            schedule or several optimizers, before the first epoch.

    State:
        `history`: three lists with one entry a step, about 100 bytes each step.

    Cost:
        One write an epoch, or a step; see the head of the module for JAX.

    Example:

    >>> decay = InverseTimeDecay(rate=0.1)
    >>> decay.history["learning_rate"]
    []

    References:
        CS231n, "Neural Networks Part 3", annealing the learning rate (1/t decay).
    """

    def __init__(
        self,
        rate: float,
        *,
        unit: str = "epochs",
        initial_learning_rate: float | None = None,
    ):
        self.rate = check_number(self, "rate", rate, low=0, closed="neither")
        super().__init__(unit, initial_learning_rate)

    def _make_schedule(self, initial_learning_rate):
        return keras.optimizers.schedules.InverseTimeDecay(
            initial_learning_rate, decay_steps=1, decay_rate=self.rate
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"rate": self.rate, **super().get_config()}
