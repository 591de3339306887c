"""Figures of what flows through the layers, on a few rows."""

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices.measures.arrays import measure_scale
from keras_practices.measures.capture import CLOSED
from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import captured_calls
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import without_noise

# Activations that give exactly zero, with no gradient, for negative input.
CAN_DIE = ("relu", "relu6")
# Flat ends of bounded activations; "saturated" is within 1 % of the range of one.
BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
}
FLAT = 0.01


def run_captured(model, x, *, training=False):
    """Runs the model on `x`, noise off, and returns the calls of its layers.

    Args:
        model: A built Keras model.
        x: Inputs, from `input_tensors`.
        training: Bool. In training mode BatchNorm uses the batch; its moving
            statistics are not written.

    Returns:
        `(outputs, calls)`; `calls` as `captured_calls` gives them.
    """
    with (
        keras.StatelessScope(),
        without_noise(model),
        captured_calls(open_layers(model)) as calls,
    ):
        outputs = model(x, training=training)
    return outputs, calls


def run_forward(model, x, *, times=1):
    """Runs the model on `x` in inference mode, noise off; nothing is written.

    Args:
        model: A built Keras model.
        x: Inputs, from `input_tensors`.
        times: How often, in one scope: random numbers go on.

    Returns:
        List of what the model gave, one entry a run.
    """
    variables = model.variables

    def run(values, inputs):
        present = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=present):
            return [model(inputs, training=False) for _ in range(times)]

    # The outer scope: variables that are made in the inner one get their values when
    # the outer one ends, which is never inside a compiled function.
    with keras.StatelessScope(), without_noise(model):
        return backend.as_one(run)([v.value for v in variables], x)


def input_tensors(x):
    """Converts NumPy inputs to tensors, floats to Keras's own float type.

    Tensors are returned as they are.
    """

    def convert(array):
        if not isinstance(array, np.ndarray):
            return array
        is_float = np.issubdtype(array.dtype, np.floating)
        return ops.convert_to_tensor(array, keras.config.floatx() if is_float else None)

    return keras.tree.map_structure(convert, x)


def measure_layers(calls):
    """Measures the outputs of every layer with an activation.

    Args:
        calls: From `run_captured`, or with NumPy arrays in their place.

    Returns:
        Dict layer name → dict with `activation`, `mean`, `std`, `zeros` (share),
        `units`, and, where the activation has them, `inactive` (share of units that
        give zero on every row; channels for images) and `saturated` (share of
        entries within 1 % of a flat end). A layer called several times is measured
        over all its calls.
    """
    outputs = {}
    for call in calls:
        activation = activation_name(call.layer)
        array = _as_float(call.outputs)
        if activation is not None and array is not None:
            outputs.setdefault(call.layer.name, (activation, []))[1].append(array)
    return {
        name: _figures_of(activation, arrays)
        for name, (activation, arrays) in outputs.items()
    }


def _figures_of(activation, arrays):
    rows = [array.reshape(-1, array.shape[-1]) for array in arrays]
    flat = np.concatenate([row.ravel() for row in rows])
    figures = {
        "activation": activation,
        "units": rows[0].shape[-1],
        "mean": float(flat.mean()),
        "std": float(flat.std()),
        "zeros": float((flat == 0).mean()),
    }
    if activation in CAN_DIE:
        # What is NaN is not zero: overflow is no death.
        active = np.any([(~(row <= 0)).any(axis=0) for row in rows], axis=0)
        figures["inactive"] = float(1 - active.mean())
    if activation in BOUNDS:
        low, high = BOUNDS[activation]
        edge = FLAT * (high - low)
        flat_end = (flat <= low + edge) | (flat >= high - edge)
        figures["saturated"] = float(flat_end.mean())
    return figures


def measure_first_inputs(calls, inputs):
    """Measures what reaches the first layers that multiply by a kernel.

    That is what "the inputs are scaled" is about: a `Rescaling`, `Normalization` or
    `BatchNormalization` before it does the job as well as preprocessing does.

    Args:
        calls: From `run_captured` in training mode.
        inputs: The input tensors of that run.

    Returns:
        Dict layer name → figures of `measure_scale`, for every kernel layer that is
        reached from the inputs without passing another layer with weights.
    """
    fed = {id(tensor) for tensor in keras.tree.flatten(inputs)}
    figures, kernels_seen = {}, False
    for call in calls:
        # A tensor of unknown origin (cast for mixed precision, made by an op) is the
        # input as long as no kernel has been met.
        if id(call.inputs) not in fed and kernels_seen:
            continue
        if _multiplies(call.layer):
            kernels_seen = True
            array = _as_float(call.inputs)
            if array is not None:
                figures.setdefault(call.layer.name, measure_scale(array))
        elif not _has_weights(call.layer):
            fed.add(id(call.outputs))
    return figures


def first_kernel(model):
    """Returns `(layer name, kernel)` of the first kernel layer, or None.

    Args:
        model: A built Keras model.

    Returns:
        Name and NumPy array, or None for a model without a kernel.
    """
    for layer in open_layers(model):
        if _has_kernel(layer):
            return layer.name, ops.convert_to_numpy(layer.kernel)
    return None


def _has_kernel(layer):
    return isinstance(getattr(layer, "kernel", None), keras.Variable)


def _multiplies(layer):
    # A recurrent or wrapped layer keeps its kernels inside.
    kernels_inside = isinstance(layer, CLOSED) and bool(layer.weights)
    return kernels_inside or _has_kernel(layer)


def _has_weights(layer):
    normalises = isinstance(
        layer, keras.layers.BatchNormalization | keras.layers.Normalization
    )
    return bool(layer.weights) and not normalises


def _as_float(tensor):
    if tensor is None or not hasattr(tensor, "shape"):
        return None
    try:
        array = ops.convert_to_numpy(tensor)
    except Exception:  # a tracer: the layer ran inside a loop of another layer
        return None
    if (
        array.ndim < 2
        or array.dtype.kind not in "fc"
        and array.dtype.name != "bfloat16"
    ):
        return None
    return array.astype(np.float32)
