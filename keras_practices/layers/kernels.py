"""The kernel of a layer of Keras's: which one, along which axes, and another value."""

import contextlib

import keras

from keras_practices._core.validation import type_error
from keras_practices.errors import UsageError

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)

# Layers that read one weight of the name `kernel`, and have units.
KINDS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    *_TRANSPOSED,
    *_DEPTHWISE,
)


def check_kind(owner, layer):
    """Returns `layer` if it is one whose kernel can be replaced.

    Args:
        owner: Object that the message begins with.
        layer: What was received.

    Raises:
        TypeError: another kind of layer.
    """
    if not isinstance(layer, KINDS):
        expected = "a Dense, Conv, ConvTranspose or DepthwiseConv layer of Keras"
        advice = "Separable and recurrent layers have several kernels."
        raise type_error(owner, "layer", expected, layer, advice)
    return layer


def kernel_of(owner, layer):
    """Returns the variable of a built layer's kernel.

    Raises:
        RuntimeError: the layer is quantized or adapted by LoRA.
    """
    kernel = layer.kernel
    if not isinstance(kernel, keras.Variable):
        raise UsageError(
            f"{type(owner).__name__}: the kernel of layer {layer.name!r} is computed "
            f"from other weights (quantized, or adapted by LoRA). Wrap it before that."
        )
    return kernel


def input_axes(layer, rank):
    """Returns the axes of the kernel that run over the inputs of one unit."""
    axes = range(rank)
    if isinstance(layer, _DEPTHWISE):  # (space..., channels, multiplier)
        return tuple(axes[:-2])
    if isinstance(layer, _TRANSPOSED):  # (space..., units, inputs)
        return tuple(axis for axis in axes if axis != rank - 2)
    return tuple(axes[:-1])


@contextlib.contextmanager
def replaced(layer, kernel, value):
    """Lets a layer compute with another kernel while the context is open.

    Args:
        layer: A built layer of one of `KINDS`.
        kernel: The variable of its kernel.
        value: Tensor of the shape of the kernel, in the layer's compute dtype.

    Yields:
        None.
    """
    # Past Keras's attribute tracking: a tensor is no state of the layer. Keras keeps
    # the variable as `_kernel` in some layers, as `kernel` in others.
    attributes = vars(layer)
    name = "_kernel" if "_kernel" in attributes else "kernel"
    attributes[name] = value
    try:
        yield
    finally:
        # The variable that we were given, not what stood here: two threads may be in.
        attributes[name] = kernel


@contextlib.contextmanager
def without_activation(layer):
    """Lets a layer give what goes into its activation while the context is open."""
    attributes = vars(layer)
    # An activation that is a layer is kept elsewhere on PyTorch; this stands before.
    own = "activation" in attributes
    activation = layer.activation
    attributes["activation"] = None
    try:
        yield
    finally:
        if own:
            attributes["activation"] = activation
        else:
            del attributes["activation"]
