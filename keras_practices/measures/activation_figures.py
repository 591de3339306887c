"""Figures of the outputs of one layer: sums on the device, figures on the host."""

import functools
import math

import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices.measures.capture import activation_name
from keras_practices.measures.layers import BOUNDS
from keras_practices.measures.layers import CAN_DIE
from keras_practices.measures.layers import FLAT


def activation_parts(layer, output):
    """Reduces an output of a layer to sums, on the device.

    Args:
        layer: A layer with an activation.
        output: Tensor of what one call gave.

    Returns:
        Dict figure → scalar, all of them sums, so that the mean over the replicas of a
        distributed step keeps their ratios; and `active`, one flag a unit, where units
        can die.
    """
    flat = backend.shaped(output, -1, output.shape[-1])
    size, total = backend.size(flat), backend.total(flat)
    activation = activation_name(layer)
    parts = {
        "size": size,
        "sum": total,
        "square": backend.square_sum(flat),
        # The second moment less the squared mean has no digit left far from zero.
        "spread": backend.square_sum(flat - total / size),
        "zeros": backend.total(flat == 0),
    }
    if activation in BOUNDS:
        low, high = BOUNDS[activation]
        edge = FLAT * (high - low)
        ends = (flat <= low + edge) | (flat >= high - edge)
        parts["saturated"] = backend.total(ends)
    if activation in CAN_DIE:
        # What is NaN is not zero: overflow is no death.
        parts["active"] = backend.alive(flat)
    return parts


def joined_parts(calls):
    """Puts what `activation_parts` has found in several calls of a layer together.

    Args:
        calls: List of dicts, one a call.

    Returns:
        A dict like them; `active` is there where all calls have the same units.
    """
    if len(calls) == 1:
        return dict(calls[0])
    flags = [call["active"] for call in calls if "active" in call]
    parts = {k: sum(c[k] for c in calls) for k in calls[0] if k != "active"}
    mean = parts["sum"] / parts["size"]
    for call in calls:
        # A call with no rows has no mean, and no weight.
        own = call["sum"] / ops.maximum(call["size"], 1.0)
        parts["spread"] = parts["spread"] + call["size"] * ops.square(own - mean)
    # One activation layer may serve layers of different widths: then it has no units.
    if flags and len({flag.shape[0] for flag in flags}) == 1:
        parts["active"] = functools.reduce(ops.maximum, flags)
    return parts


def read_activation(parts):
    """Turns the sums of `activation_parts` into figures of one layer.

    Args:
        parts: Dict figure → float; `active`, if there, is a NumPy array.

    Returns:
        Dict with `mean`, `std`, `second_moment`, `zeros`, and `saturated`, `units`,
        `inactive`, `active` where the activation has them.
    """
    size = parts["size"]
    if size == 0:
        return {}
    figures = {
        "mean": parts["sum"] / size,
        "std": root(parts["spread"] / size),
        "second_moment": parts["square"] / size,
        "zeros": parts["zeros"] / size,
    }
    if "saturated" in parts:
        figures["saturated"] = parts["saturated"] / size
    if "active" in parts:
        figures["active"] = active = parts["active"] > 0
        figures["units"] = len(active)
        figures["inactive"] = 1 - np.count_nonzero(active) / len(active)
    return figures


def root(value):
    """The square root, NaN for NaN."""
    return math.sqrt(value) if value >= 0 else math.nan
