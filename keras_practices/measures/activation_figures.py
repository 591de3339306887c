"""Figures of the outputs of one layer: sums on the device, figures on the host."""

import numpy as np
from keras import ops

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
        List of `((figure, layer name), tensor of rank 1)`. All of them are sums, so
        that the mean over the replicas of a distributed step keeps their ratios.
    """
    rows = [ops.reshape(ops.cast(c, "float32"), (-1, c.shape[-1])) for c in calls]
    # One activation layer may serve layers of different widths: then it has no units.
    has_units = len({row.shape[-1] for row in rows}) == 1
    if not has_units:
        rows = [ops.reshape(row, (-1,)) for row in rows]
    flat = ops.concatenate(rows) if len(rows) > 1 else rows[0]
    activation = activation_name(layer)
    parts = {
        "size": ops.cast(ops.size(flat), "float32"),
        "sum": ops.sum(flat),
        "square": ops.sum(ops.square(flat)),
        # The second moment less the squared mean has no digit left far from zero.
        "spread": ops.sum(ops.square(flat - ops.mean(flat))),
        "zeros": _count(ops.equal(flat, 0)),
    }
    if activation in BOUNDS:
        low, high = BOUNDS[activation]
        edge = FLAT * (high - low)
        ends = ops.logical_or(flat <= low + edge, flat >= high - edge)
        parts["saturated"] = _count(ends)
    found = [((name, layer.name), ops.reshape(t, (1,))) for name, t in parts.items()]
    if activation in CAN_DIE and has_units:
        # What is NaN is not zero: overflow is no death. (TensorFlow's optimizer turns
        # "not below or equal" into "above", which NaN is not.)
        alive = ops.any(ops.logical_or(flat > 0, ops.isnan(flat)), axis=0)
        found.append((("active", layer.name), ops.cast(alive, "float32")))
    return found


def read_activation(parts):
    """Turns the sums of `activation_parts` into figures of one layer.

    Args:
        parts: Dict figure → NumPy array of rank 1.

    Returns:
        Dict with `mean`, `std`, `second_moment`, `zeros`, and `saturated`, `units`,
        `inactive`, `active` where the activation has them.
    """
    size = parts["size"][0]
    if size == 0:
        return {}
    figures = {
        "mean": float(parts["sum"][0] / size),
        "std": float(np.sqrt(parts["spread"][0] / size)),
        "second_moment": float(parts["square"][0] / size),
        "zeros": float(parts["zeros"][0] / size),
    }
    if "saturated" in parts:
        figures["saturated"] = float(parts["saturated"][0] / size)
    if "active" in parts:
        figures["active"] = parts["active"] > 0
        figures["units"] = len(parts["active"])
        figures["inactive"] = float(1 - figures["active"].mean())
    return figures


def _count(condition):
    return ops.sum(ops.cast(condition, "float32"))
