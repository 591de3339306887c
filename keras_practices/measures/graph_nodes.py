"""What one layer does to the values that pass through it, in one word."""

import keras
import numpy as np
from keras import layers

from keras_practices.measures.capture import activation_name


def _classes(*names):
    # Some came with later releases of Keras 3.
    return tuple(getattr(layers, name) for name in names if hasattr(layers, name))


def _ranks(stem, *ranks):
    return _classes(*(f"{stem}{rank}" for rank in ranks or ("1D", "2D", "3D")))


_DEPTHWISE = _ranks("DepthwiseConv", "1D", "2D")
_SEPARABLE = _ranks("SeparableConv", "1D", "2D")
_TRANSPOSED = _ranks("Conv", "1DTranspose", "2DTranspose", "3DTranspose")
_KERNEL = (
    *_classes("Dense", "EinsumDense"),
    *_ranks("Conv"),
    *_TRANSPOSED,
    *_DEPTHWISE,
    *_SEPARABLE,
)
_ATTENTION = _classes(
    "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"
)
_MERGE = _classes(
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"
)
DROPOUT = (
    *_classes("Dropout", "AlphaDropout", "GaussianDropout"),
    *_ranks("SpatialDropout"),
)
_ROW_NORM = _classes(
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
    "UnitNormalization",
)
_NEUTRAL = (
    *DROPOUT,
    *_classes("GaussianNoise", "Flatten", "Reshape", "Permute", "RepeatVector"),
    *_classes("Identity", "Masking", "ActivityRegularization", "Rescaling"),
    *_classes("Normalization", "Resizing", "CenterCrop"),
    *_ranks("ZeroPadding"),
    *_ranks("Cropping"),
    *_ranks("UpSampling"),
    *_ranks("AveragePooling"),
    *_ranks("GlobalAveragePooling"),
)
_ACTIVATION = _classes("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")
_MAX = (*_ranks("MaxPooling"), *_ranks("GlobalMaxPooling"))
# Operations called as functions in a functional model, by class name.
_FUNCTIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Gelu": "gelu",
    "Silu": "silu",
    "Elu": "elu",
    "Selu": "selu",
    "LeakyRelu": "leaky_relu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Exp": "exponential",
}
_PASSING = ("Reshape", "Transpose", "Squeeze", "ExpandDims", "Ravel", "Cast", "Mean")
_JOINING = ("Add", "Subtract", "Multiply", "Concatenate", "Stack", "Matmul", "Einsum")
_LINEAR_IN_ONE = ("Add", "Subtract", "Multiply", "Concatenate")


def describe(operation, feeds):
    """Describes one layer or operation.

    Args:
        operation: A Keras layer, or an operation of a functional model.
        feeds: Number of tensors that go in.

    Returns:
        Dict with `name`, `class`, `kind` (`"kernel"`: multiplies by a matrix of
        weights; `"neutral"`: passes values on by a linear map of its own;
        `"activation"`, `"pool-max"`, `"merge"`, `"embedding"`, `"recurrent"`,
        `"other"`), `activation`, `units`, `width_in` (features or channels that come
        in), `part` (`"depthwise"`, `"separable"`, `"einsum"`), `norm` (`"batch"` or
        `"row"`), `rate` (dropout); None where a layer has no such thing.
    """
    node = {"name": operation.name, "class": type(operation).__name__}
    blank = ("activation", "units", "width_in", "part", "norm", "rate")
    node.update(dict.fromkeys(blank))
    if isinstance(operation, _classes("TimeDistributed", "SpectralNormalization")):
        return {**describe(operation.layer, feeds), **{"name": operation.name}}
    if not isinstance(operation, keras.layers.Layer):
        return {**node, **_function(type(operation).__name__, feeds)}
    if isinstance(operation, _KERNEL):
        return {**node, "kind": "kernel", **_kernel(operation)}
    if isinstance(operation, _classes("RNN", "Bidirectional")):
        return {**node, "kind": "recurrent", "units": _recurrent_units(operation)}
    if isinstance(operation, _ACTIVATION):
        name = activation_name(operation)
        kind = "neutral" if name == "linear" else "activation"
        return {**node, "kind": kind, "activation": name}
    if isinstance(operation, layers.BatchNormalization):
        return {**node, "kind": "neutral", "norm": "batch"}
    if isinstance(operation, _ROW_NORM):
        return {**node, "kind": "neutral", "norm": "row"}
    if isinstance(operation, layers.Embedding):
        return {**node, "kind": "embedding", "units": int(operation.output_dim)}
    if isinstance(operation, _ATTENTION):
        return {**node, "kind": "merge"}
    if isinstance(operation, _MERGE):
        return {**node, "kind": "merge" if feeds > 1 else "neutral"}
    if isinstance(operation, _MAX):
        return {**node, "kind": "pool-max"}
    if isinstance(operation, _NEUTRAL) or _augments(operation):
        rate = operation.rate if isinstance(operation, DROPOUT) else None
        return {**node, "kind": "neutral", "rate": _number(rate)}
    return {**node, "kind": "other"}


def _augments(layer):
    keras_own = type(layer).__module__.startswith("keras.")
    return keras_own and type(layer).__name__.startswith("Random")


def _function(name, feeds):
    if name in _FUNCTIONS:
        return {"kind": "activation", "activation": _FUNCTIONS[name]}
    if name in _PASSING or (feeds == 1 and name in _LINEAR_IN_ONE):
        return {"kind": "neutral"}
    return {"kind": "merge" if name in _JOINING else "other"}


def _kernel(layer):
    found = {"activation": activation_name(layer)}
    if isinstance(layer, _DEPTHWISE):
        return {**found, "part": "depthwise"}
    if isinstance(layer, _SEPARABLE):
        return {**found, "part": "separable", "units": int(layer.filters)}
    shape = [int(n) for n in layer.kernel.shape] if layer.built else []
    if isinstance(layer, layers.EinsumDense):
        return {**found, "part": "einsum", "units": shape[-1] if shape else None}
    units = layer.units if isinstance(layer, layers.Dense) else layer.filters
    place = -1 if isinstance(layer, _TRANSPOSED) else -2
    width = shape[place] if shape else None
    return {**found, "units": int(units), "width_in": width}


def fan_in(layer):
    """Returns how many products one output of a kernel layer sums up, or None.

    Args:
        layer: A built Keras layer.

    Returns:
        Int, at least 1. Every output of a transposed convolution sees only its share
        of the kernel, one part in its stride.
    """
    shape = [int(n) for n in layer.kernel.shape]
    if isinstance(layer, _TRANSPOSED):
        taps = np.prod(shape[:-2]) / np.prod(layer.strides)
        return max(1, int(round(taps * shape[-1])))
    if isinstance(layer, layers.Dense) or isinstance(layer, _ranks("Conv")):
        return int(np.prod(shape[:-1]))
    return None


def _recurrent_units(layer):
    if isinstance(layer, layers.Bidirectional):
        inner = _recurrent_units(layer.forward_layer)
        return 2 * inner if inner and layer.merge_mode == "concat" else inner
    units = getattr(layer.cell, "units", None)
    return int(units) if isinstance(units, int) else None


def _number(value):
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
