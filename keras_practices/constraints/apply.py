"""Puts max-norm on the kernels of a model that is built already."""

import keras

from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.constraints.max_norm import MaxNorm
from keras_practices.errors import UsageError

# Weight and constraint of one layer, by the names that Keras's layers use. Biases
# and the parameters of normalization layers have other names and are left out.
_PAIRS = (
    ("kernel", "kernel_constraint"),
    ("recurrent_kernel", "recurrent_constraint"),
    ("kernel", "depthwise_constraint"),
    ("depthwise_kernel", "depthwise_constraint"),
    ("pointwise_kernel", "pointwise_constraint"),
    ("embeddings", "embeddings_constraint"),
)

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


def apply_max_norm(model: keras.Model, max_value: float = 3.0) -> dict[str, list[int]]:
    """Limits the norm of the weights into every unit of a built model.

    Each kernel gets a `MaxNorm` over its input axes: `Dense`, convolutions of every
    kind, embeddings (one norm a row), recurrent layers (kernel and recurrent kernel,
    one norm for each gate of each unit), `EinsumDense` and the attention layers made
    of it, and layers of your own whose `kernel` goes with a `kernel_constraint`.
    Biases, normalization parameters and weights that are not trainable are left
    alone: call it again after unfreezing.

    It works at once: weights above the limit are scaled down now, the optimizer
    keeps them there from the next step on, and a model that has been trained before
    needs no new `compile` (its compiled train step is made anew, the optimizer's
    state stays). Call it on the model that you fit, not on a part of it.

    `model.save` writes the constraint with the layers that the model's configuration
    lists. Layers that make other layers by themselves (`MultiHeadAttention`,
    subclassed models, layers of your own) do not write it: after loading such a
    model, call this again.

    Args:
        model: A built `keras.Model`.
        max_value: Float above 0. Largest norm of the weights into one unit.

    Returns:
        Dict from the path of each constrained weight to the list of axes that one
        norm is taken over.

    Raises:
        TypeError: `model` is not a Keras model.
        RuntimeError: the model is not built, or one of the weights is quantized or
            adapted by LoRA.
        ValueError: `max_value` not above 0, or a weight has another constraint.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(3, name="hidden")]
    ... )
    >>> apply_max_norm(model, 2.0)
    {'sequential/hidden/kernel': [0]}

    References:
        CS231n, "Neural Networks Part 2", regularization (max norm constraints).
    """
    if not isinstance(model, keras.Model):
        raise type_error("apply_max_norm", "model", "a keras.Model", model)
    check_number("apply_max_norm", "max_value", max_value, low=0, closed="neither")
    if not model.built:
        raise UsageError(
            f"apply_max_norm: argument `model` must be built, so that it has weights. "
            f"Received: model={model.name!r}, not built. Give it a keras.Input, or "
            f"call it on a batch first."
        )
    found = list(_find_weights(model))
    for layer, _, variable, _ in found:
        _check_weight(layer, variable)
    for layer, attribute, variable, axis in found:
        constraint = MaxNorm(max_value, axis=axis)
        variable.assign(constraint(variable))
        variable.constraint = constraint
        setattr(layer, attribute, constraint)
    if getattr(model, "train_function", None) is not None:
        # TensorFlow and JAX traced the step without the constraint.
        model.make_train_function(force=True)
    return {variable.path: axis for _, _, variable, axis in found}


def _find_weights(model):
    """Yields `(layer, name of the constraint, variable, axes)`, each weight once."""
    seen = set()
    for layer in all_layers(model, itself=True):
        if not layer.built:
            continue
        for weight, attribute in _PAIRS:
            variable = getattr(layer, weight, None)
            if variable is None or not hasattr(layer, attribute):
                continue
            if id(variable) in seen or not getattr(variable, "trainable", True):
                continue
            seen.add(id(variable))
            axis = _input_axes(layer, attribute, len(variable.shape))
            if axis:  # otherwise a factor a unit, with no inputs to take a norm of
                yield layer, attribute, variable, axis


def _check_weight(layer, variable):
    if not isinstance(variable, keras.Variable):
        raise UsageError(
            f"apply_max_norm: the kernel of layer {layer.path!r} is computed from "
            f"other weights (quantized, or adapted by LoRA), so its norm cannot be "
            f"limited. Call apply_max_norm before quantizing or enabling LoRA."
        )
    constraint = variable.constraint
    if constraint is not None and not isinstance(constraint, keras.constraints.MaxNorm):
        raise value_error(
            "apply_max_norm",
            "model",
            f"without another constraint on {variable.path!r}",
            constraint,
            "A weight has one constraint; take the other one off first.",
        )


def _input_axes(layer, attribute, rank):
    """Returns the axes of a weight that run over the inputs of one unit."""
    axes = list(range(rank))
    if isinstance(layer, keras.layers.EinsumDense):
        inputs, output = layer.equation.replace(" ", "").split("->")
        letters = inputs.split(",")[1]
        return [axis for axis, letter in enumerate(letters) if letter not in output]
    if attribute == "embeddings_constraint":
        return axes[1:]
    if attribute == "depthwise_constraint":  # (space..., channels, multiplier)
        return axes[:-2]
    if isinstance(layer, _TRANSPOSED):  # (space..., units, inputs)
        return [axis for axis in axes if axis != axes[-2]]
    return axes[:-1]
