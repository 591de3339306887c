"""Momentum that changes while a model is trained."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.validation import type_error

# Where these keep what the paper calls momentum.
_NAMES = {keras.optimizers.SGD: "momentum", keras.optimizers.Adam: "beta_1"}
_ENTRY = "_backend_update_step"


class MomentumSchedule(keras.callbacks.Callback):
    """Sets the momentum of SGD, or `beta_1` of Adam and AdamW, before each update.

    In Keras it is a Python number that is compiled into the step, so that a new value
    does nothing on TensorFlow and JAX. Here it is computed inside the step, from the
    updates made so far; it is right with `steps_per_execution`, accumulated gradients
    (a group of batches is one update) and in a second `fit`, which goes on where the
    first ended.

    The one-cycle momentum mirrors the rate, high, low and high again: `OneCycle(0.85,
    total_steps, start_divisor=0.85 / 0.95, end_divisor=1.0)`.

    The last momentum of each epoch is in the history, as `"momentum"`. After a `fit`
    that was interrupted by an exception, compile the model anew.

    Args:
        schedule: Keras schedule, asked with the update, counted from 0. Without
            accumulation of its own: updates are counted here.

    Raises:
        TypeError: `schedule` is none; in `fit`, an optimizer that is not SGD with a
            momentum above 0, Adam or AdamW.

    State:
        None; the optimizer counts the updates.

    Cost:
        The step is compiled anew at each `fit`. SGD passes over its velocities once
        more in each step.

    Example:

    >>> from keras_practices.schedules import OneCycle
    >>> mirrored = OneCycle(0.85, 100, start_divisor=0.85 / 0.95, end_divisor=1.0)
    >>> callback = MomentumSchedule(mirrored)
    >>> [round(float(mirrored(step)), 2) for step in (0, 29, 99)]
    [0.95, 0.85, 0.95]

    References:
        Smith, "A disciplined approach to neural network hyper-parameters: Part 1"
        (2018), arXiv:1803.09820.
    """

    def __init__(self, schedule: Any):
        super().__init__()
        if (
            not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
            or getattr(schedule, "accumulation_steps", 1) > 1
        ):
            expected = "a Keras schedule without accumulation_steps"
            raise type_error(self, "schedule", expected, schedule)
        self.schedule = schedule
        self._shadowed = None

    def set_model(self, model):
        """Puts the schedule into the optimizer, before `fit` makes its step."""
        super().set_model(model)
        if self._shadowed is not None:
            self._take_off()
        optimizer = _innermost(getattr(model, "optimizer", None))
        name = _name_of(self, optimizer)
        original = getattr(optimizer, _ENTRY)

        def update(grads, trainable_variables, learning_rate):
            args = (grads, trainable_variables, learning_rate)
            wanted = self.schedule(optimizer.iterations)
            _step(optimizer, name, wanted, original, args)

        # Past Keras's attribute tracking: this is no state of the optimizer.
        optimizer.__dict__[_ENTRY] = update
        self._shadowed = optimizer
        model.train_function = None

    def on_epoch_end(self, epoch, logs=None):
        """Writes the last momentum into the logs."""
        optimizer = _innermost(self.model.optimizer)
        last = max(0, int(ops.convert_to_numpy(optimizer.iterations)) - 1)
        if logs is not None:
            logs["momentum"] = float(ops.convert_to_numpy(self.schedule(last)))

    def on_train_end(self, logs=None):
        """Takes the schedule out of the optimizer."""
        self._take_off()
        # The compiled step holds the schedule.
        self.model.train_function = None

    def _take_off(self):
        if self._shadowed is not None:
            self._shadowed.__dict__.pop(_ENTRY, None)
        self._shadowed = None


def _innermost(optimizer):
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def _name_of(owner, optimizer):
    for kind, name in _NAMES.items():
        if isinstance(optimizer, kind) and hasattr(optimizer, _ENTRY):
            if getattr(optimizer, name) > 0:
                return name
    expected = "SGD with a momentum above 0, Adam or AdamW"
    raise type_error(owner, "optimizer", expected, optimizer)


def _step(optimizer, name, wanted, original, args):
    """Makes one update with another momentum, and leaves the optimizer as it was."""
    nominal = getattr(optimizer, name)
    if keras.backend.backend() == "torch":
        # Eager, and its own update compares and multiplies with a Python number.
        wanted = float(ops.convert_to_numpy(wanted))
    elif name == "momentum":
        _sgd_step(optimizer, nominal, wanted, original, args)
        return
    optimizer.__dict__[name] = wanted
    try:
        original(*args)
    finally:
        optimizer.__dict__[name] = nominal


def _sgd_step(optimizer, nominal, wanted, original, args):
    """The same for SGD, which compares its momentum with 0 and so needs a number.

    Velocities are scaled, so that the nominal momentum makes of them what the wanted
    one would have; Nesterov's step looks ahead by the momentum once more.
    """
    variables = args[1]
    velocities = [
        optimizer.momentums[optimizer._get_variable_index(v)] for v in variables
    ]
    for velocity in velocities:
        scale = ops.cast(wanted / nominal, velocity.dtype)
        velocity.assign(velocity * scale)
    original(*args)
    if optimizer.nesterov:
        for variable, velocity in zip(variables, velocities, strict=True):
            ahead = ops.cast(wanted - nominal, velocity.dtype)
            variable.assign_add(velocity * ahead)
