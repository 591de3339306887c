"""Puts one penalty on the weights of a model that is built already."""

import keras

from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.regularizers.weights import split_variables

# Weight and regularizer of one layer, by the names that Keras's layers use.
_PAIRS = (
    ("kernel", "kernel_regularizer"),
    ("kernel", "depthwise_regularizer"),
    ("recurrent_kernel", "recurrent_regularizer"),
    ("depthwise_kernel", "depthwise_regularizer"),
    ("pointwise_kernel", "pointwise_regularizer"),
    ("embeddings", "embeddings_regularizer"),
)
# They make the layers that hold the kernels, and write this one into their config.
_ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)

_REPLACEABLE = (
    keras.regularizers.L1,
    keras.regularizers.L2,
    keras.regularizers.L1L2,
)


def regularize(
    model: keras.Model, *, l2: float = 0.0, l1: float = 0.0
) -> dict[str, float]:
    """Adds `½ · l2 · Σw² + l1 · Σ|w|` over all weights of a model to its loss.

    One strength for the whole model, in the convention of the course notes: the
    gradient of the penalty is `l2 · w`. Keras's own `L2(l)` adds `l · Σw²`, twice as
    much for the same number (and `"l2"` means `L2(0.01)`). Weights are kernels of
    every kind, recurrent kernels, embeddings, and variables with two axes or more in
    layers of your own. Biases, the parameters of normalization layers and the slopes
    of `PReLU` get no penalty; one that you put there yourself stays.

    It works at once, on new, loaded and pretrained models, also those that were
    trained: compiled steps are made anew, the optimizer's state stays. A penalty of
    Keras's L1 and L2 that stands on a weight is replaced, so another call changes the
    strength; a call with zeros takes it off. Frozen weights get it too; Keras counts
    it from when they are unfrozen. Call it on the model that you fit.

    `model.save` writes the penalty with the layers that the model's configuration
    lists. Subclassed models and layers of your own do not write it: after loading
    such a model, call this again. The loss that Keras reports contains the penalty.

    Args:
        model: A built `keras.Model`.
        l2: Float of at least 0. Strength on the squares; the notes' lambda.
        l1: Float of at least 0. Strength on the absolute values. With both it is the
            elastic net.

    Returns:
        Dict from the path of each weight to the penalty that it adds now. Their sum
        is the share of the loss (of weights that are not frozen).

    Raises:
        TypeError: `model` is not a Keras model.
        RuntimeError: the model is not built, or weights are quantized or adapted by
            LoRA.
        ValueError: a strength below 0; a weight has a regularizer of another kind.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")]
    ... )
    >>> regularize(model, l2=0.1)  # 0.5 * 0.1 * (1 + 1)
    {'sequential/dense/kernel': 0.1}
    >>> len(model.losses)
    1

    References:
        CS231n, "Neural Networks Part 2", regularization (L2 with ½λw², L1, elastic
        net; "it is not common to regularize the bias"). Differs: in the elastic net
        the notes leave out the ½; here l2 means the same with l1 and without.
    """
    if not isinstance(model, keras.Model):
        raise type_error("regularize", "model", "a keras.Model", model)
    check_number("regularize", "l2", l2, low=0)
    check_number("regularize", "l1", l1, low=0)
    if not model.built:
        raise UsageError(
            f"regularize: argument `model` must be built, so that it has weights. "
            f"Received: model={model.name!r}, not built. Give it a keras.Input, or "
            f"call it on a batch first."
        )
    _refuse_computed_weights(model)
    weights, _ = split_variables(model)
    for _, variable in weights:
        _check_present(variable)
    # One object for all is saved with every layer; it holds no state.
    penalty = keras.regularizers.L1L2(l1=l1, l2=l2 / 2) if l1 or l2 else None
    for layer, variable in weights:
        variable.regularizer = penalty
        for weight, attribute in _PAIRS:
            if hasattr(layer, attribute) and getattr(layer, weight, None) is variable:
                setattr(layer, attribute, penalty)
    for layer in all_layers(model, itself=True):
        if isinstance(layer, _ATTENTION) and hasattr(layer, "_kernel_regularizer"):
            layer._kernel_regularizer = penalty
    _make_steps_anew(model)
    return {variable.path: _size(penalty, variable) for _, variable in weights}


def _size(penalty, variable):
    if penalty is None:
        return 0.0
    value = keras.ops.cast(variable, "float32")
    size = float(keras.ops.convert_to_numpy(penalty(value)))
    return float(f"{size:.6g}")  # what a float32 sum is good for


def _refuse_computed_weights(model):
    for layer in all_layers(model, itself=True):
        quantized = getattr(layer, "quantization_mode", None) is not None
        if quantized or getattr(layer, "lora_enabled", False):
            raise UsageError(
                f"regularize: the kernel of layer {layer.path!r} is computed from "
                f"other weights (quantized, or adapted by LoRA), so it cannot have a "
                f"penalty. Call regularize before quantizing or enabling LoRA."
            )


def _check_present(variable):
    present = variable.regularizer
    if present is not None and type(present) not in _REPLACEABLE:
        raise value_error(
            "regularize",
            "model",
            f"without another regularizer on {variable.path!r} than Keras's L1 and L2",
            present,
            "A weight has one regularizer; take the other one off first.",
        )


def _make_steps_anew(model):
    """Compiled steps hold the penalties that stood when they were traced."""
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)
    if getattr(model, "test_function", None) is not None:
        model.make_test_function(force=True)
