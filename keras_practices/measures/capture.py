"""What goes into and comes out of each layer in one forward pass."""

import contextlib
import dataclasses
import inspect
from typing import Any

import keras

from keras_practices._core.model_layers import all_layers
from keras_practices._core.model_layers import direct_layers
from keras_practices._core.shadowing import shadowed

# Built-in layers that run others inside a loop or a branch of their own: what
# happens there belongs to another trace, and the layer as a whole is what we read.
CLOSED = (keras.layers.RNN, keras.layers.Wrapper, keras.layers.MultiHeadAttention)


@dataclasses.dataclass
class Call:
    """One call of one layer: the layer, its first input and its first output."""

    layer: Any
    inputs: Any
    outputs: Any


def open_layers(model):
    """Returns the layers whose calls can be read one by one, in a stable order.

    Models and layers of the user's own are opened; built-in layers are leaves.

    Args:
        model: A Keras model.

    Returns:
        List of layers without sub-layers that are read separately, each once.
    """
    found, seen = [], set()

    def visit(layer):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        children = [] if isinstance(layer, CLOSED) else _children(layer)
        for child in children:
            visit(child)
        if not children:
            found.append(layer)

    for layer in _children(model):
        visit(layer)
    return found


def _children(layer):
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return direct_layers(layer)


def _first_tensor(value):
    leaves = keras.tree.flatten(value)
    return leaves[0] if leaves else None


@contextlib.contextmanager
def captured_calls(layers):
    """Writes down every call of `layers` while the context is open.

    The layer's `call` is shadowed on the instance and put back at the end, so
    nothing is left on the model, also after an exception.

    Args:
        layers: List of Keras layers.

    Yields:
        List of `Call`, filled as the layers are called.
    """
    calls = []

    def shadow(layer, original):
        def call(*args, **kwargs):
            outputs = original(*args, **kwargs)
            given = args if args else tuple(kwargs.values())
            calls.append(Call(layer, _first_tensor(given), _first_tensor(outputs)))
            return outputs

        return call

    with shadowed(layers, shadow):
        yield calls


@contextlib.contextmanager
def without_noise(model):
    """Switches dropout, noise and augmentation off, also in training mode.

    A layer with a seed generator of its own is a source of noise; it is run in
    inference mode while the context is open. BatchNorm keeps its training mode.

    Args:
        model: A Keras model.

    Yields:
        None.
    """

    def shadow(layer, original):
        takes_training = "training" in inspect.signature(original).parameters

        def call(*args, **kwargs):
            if takes_training:
                kwargs["training"] = False
            return original(*args, **kwargs)

        return call

    with shadowed([x for x in all_layers(model) if _is_noisy(x)], shadow):
        yield


@contextlib.contextmanager
def without_penalties(model):
    """Leaves the weight penalties out of `model.compute_loss`.

    Taking them off the sum afterwards would not do: beside the penalty of weights
    that diverged, a float32 sum has no digit left for the loss of the data.

    Args:
        model: A Keras model.

    Yields:
        None.
    """
    # Where Keras collects them for `model.losses`; what the model adds by itself
    # (`add_loss`, activity regularisers) stays where the scope collects losses.
    model.__dict__["_get_regularization_losses"] = list
    try:
        yield
    finally:
        model.__dict__.pop("_get_regularization_losses", None)


def _is_noisy(layer):
    if isinstance(layer, keras.Model):
        return False
    # On PyTorch a recurrent layer draws the masks of its cell itself.
    source = layer.cell if isinstance(layer, keras.layers.RNN) else layer
    # `seed_generator` in dropout, `generator` in augmentation, any name in the user's.
    return any(
        isinstance(value, keras.random.SeedGenerator) for value in vars(source).values()
    )


def rematerialized(model):
    """Returns the ids of layers whose forward pass is run again in the gradient.

    What a hook catches inside them belongs to a trace that is closed when the step
    goes on.
    """
    found = set()

    def visit(layer, inside):
        inside = inside or getattr(layer, "_remat_mode", None) is not None
        if inside:
            found.add(id(layer))
        for child in _children(layer):
            visit(child, inside)

    visit(model, False)
    return found


def activation_name(layer):
    """Returns the name of the activation that a layer applies last, or None.

    Args:
        layer: A Keras layer.

    Returns:
        `"relu"`, `"softmax"`, … for fused and separate activations, `"linear"` for
        a layer that has an activation argument and no activation, None for layers
        that apply none.
    """
    if isinstance(layer, keras.layers.RNN):
        layer = layer.cell
    if isinstance(layer, keras.layers.ReLU):
        return "leaky_relu" if layer.negative_slope else "relu"
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if isinstance(layer, keras.layers.LeakyReLU | keras.layers.PReLU):
        return "leaky_relu"
    if isinstance(layer, keras.layers.ELU):
        return "elu"
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    return getattr(activation, "__name__", type(activation).__name__)
