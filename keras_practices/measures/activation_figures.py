"""Figures of the outputs of one layer: sums on the device, figures on the host."""

import math

import numpy as np

from keras_practices._core import backend
from keras_practices.measures.capture import activation_name
from keras_practices.measures.layers import BOUNDS
from keras_practices.measures.layers import CAN_DIE
from keras_practices.measures.layers import FLAT


def activation_parts(layer, calls):
    """Reduces the outputs of a layer to sums, on the device.

    Args:
        layer: A layer with an activation.
        calls: List of output tensors, one a call.

    Returns:
        Dict figure → scalar, all of them sums, so that the mean over the replicas of a
        distributed step keeps their ratios; and `active`, one flag a unit, where units
        can die.
    """
    rows = [backend.shaped(call, -1, call.shape[-1]) for call in calls]
    # One activation layer may serve layers of different widths: then it has no units.
    has_units = len({row.shape[-1] for row in rows}) == 1
    if not has_units:
        rows = [backend.shaped(row, -1) for row in rows]
    flat = backend.joined(rows) if len(rows) > 1 else rows[0]
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
    if activation in CAN_DIE and has_units:
        # What is NaN is not zero: overflow is no death.
        parts["active"] = backend.alive(flat)
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
