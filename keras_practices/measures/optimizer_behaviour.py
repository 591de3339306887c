"""Which way an optimizer goes, found out by giving it a known gradient."""

import math

import keras
import numpy as np
from keras import ops

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.side_state import fresh_optimizer

STEPS = 3


def measure_optimizer_behaviour(optimizer, steps=STEPS):
    """Takes a few steps on a variable of its own whose gradient is always 1.

    Args:
        optimizer: A Keras optimizer, also a subclass that updates in its own way; a
            fresh one of the same settings is tried, it is not written itself.
        steps: How many steps.

    Returns:
        Dict with `uphill` (True where every weight rose although its gradient is
        positive), `moved` (mean change of the weights, in their own unit),
        `rate_negative` (None where there is no single rate) and `steps`. None where
        it cannot be tried: no optimizer, one that cannot be made again from its
        settings, one that refuses the variable.
    """
    if optimizer is None:
        return None
    try:
        with restore_rng():
            moved, rate = _moved(fresh_optimizer(optimizer), steps)
    except Exception:
        # An optimizer of the user's own may need more than its config holds.
        return None
    if not np.isfinite(moved).all():
        return None
    return {
        "uphill": bool((moved > 0).all()),
        "moved": float(moved.mean()),
        "rate_negative": None if rate is None else rate < 0,
        "steps": steps,
    }


def _moved(optimizer, steps):
    # Zero weights: a weight decay pulls at nothing. Not trainable: on PyTorch the
    # update needs no gradient of its own.
    variable = keras.Variable(
        np.zeros((4, 4), dtype="float32"), trainable=False, name="probed_kernel"
    )
    optimizer.build([variable])
    gradient = ops.ones((4, 4), dtype="float32")
    for _ in range(steps):
        optimizer.apply([gradient], [variable])
    values = ops.convert_to_numpy(variable.value)
    return np.asarray(values, dtype=np.float64), _rate(optimizer)


def _rate(optimizer):
    try:
        rate = float(ops.convert_to_numpy(optimizer.learning_rate))
    except (AttributeError, TypeError, ValueError):  # several optimizers in one
        return None
    return rate if math.isfinite(rate) else None
