"""Which layers learn: written down, changed, put back."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.fit_internals import compile_arguments
from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.transfer.slots import put_slots
from keras_practices.transfer.slots import take_slots

_OWNER = "transfer.refreeze"


def refreeze(
    model: keras.Model,
    trainable: Sequence[Any] | None = None,
    *,
    batch_norm: bool = False,
    optimizer: Any = None,
) -> None:
    """Changes which layers of a compiled model learn, and keeps the optimizer's state.

    Keras takes a change of `trainable` up in `compile` only, and each backend answers
    a forgotten one in its own way; `compile` on the other hand begins the optimizer
    anew. This sets the flags, compiles with the same arguments, and hands slots
    (momenta and the like) and the count of steps on, for the variables that go on
    learning. Call it between two `fit`, not in a callback.

    Variables that are new to an optimizer that has taken steps begin with slots of
    zero and without Adam's correction for that: their first steps are up to three times
    as long. `kp.optimizers.layer_groups` gives them an optimizer of their own.

    Args:
        model: Built and compiled Keras model.
        trainable: Layers of the model, or their names, that learn, with all that is in
            them; every other layer is frozen. None: the flags as they are now.
        batch_norm: Bool. False freezes every BatchNormalization among `trainable` too:
            a frozen one runs in inference mode. No effect where `trainable` is None.
        optimizer: Keras optimizer in the place of the model's; it is not built yet.
            None: one with the same settings.

    Raises:
        UsageError: the model is not compiled.
        TypeError, ValueError: layers that the model has not, nothing left that learns,
            an optimizer that was used before.

    Example:

    >>> layers = [keras.layers.Dense(4), keras.layers.Dense(1)]
    >>> model = keras.Sequential([keras.Input((2,)), *layers])
    >>> model.compile("adam", "mse")
    >>> refreeze(model, [layers[1]])
    >>> len(model.trainable_variables)
    2
    """
    if not isinstance(model, keras.Model):
        raise type_error(_OWNER, "model", "a Keras model", model)
    arguments = compile_arguments(model)
    if not model.built or not model.compiled or arguments is None:
        raise UsageError(f"{_OWNER}: build and compile the model first.")
    if optimizer is not None:
        optimizer = keras.optimizers.get(optimizer)
        if optimizer.built:
            advice = "An optimizer is tied to the variables it was built for."
            raise value_error(_OWNER, "optimizer", "a new one", optimizer, advice)
    mask = take_mask(model)
    if trainable is not None:
        set_trainable(model, _layers(model, trainable), batch_norm)
    if not model.trainable_variables:
        put_mask(mask)
        raise value_error(_OWNER, "trainable", "layers with weights", trainable)
    recompile(model, optimizer or copy_of(model.optimizer), arguments, model.optimizer)


def recompile(model, optimizer, arguments, before):
    """Compiles with another optimizer and hands on what the old one knows.

    Args:
        model: Built Keras model.
        optimizer: Keras optimizer that is not built.
        arguments: Dict of the other arguments of `compile`.
        before: The old optimizer, or None for a fresh start.
    """
    taken = take_slots(before)
    model.compile(**{**arguments, "optimizer": optimizer})
    model.optimizer.build(model.trainable_variables)
    put_slots(taken, model.optimizer)


def set_trainable(model, layers, batch_norm):
    """Lets the given layers learn, with all that is in them, and no other."""
    wanted = {id(inner) for layer in layers for inner in all_layers(layer, itself=True)}
    model.trainable = True
    # Parents come first: setting the flag of one sets it on all that is in it.
    for layer in all_layers(model, itself=True):
        inside = [x for x in all_layers(layer, itself=True) if x is not layer]
        own = id(layer) in wanted
        if isinstance(layer, keras.layers.BatchNormalization):
            own = own and batch_norm
        layer.trainable = own or any(id(x) in wanted for x in inside)
        if not own:
            for variable in layer._trainable_variables:
                variable.trainable = False


def take_mask(model):
    """Returns the flags of all layers and variables, parents first."""
    return [
        (layer, layer.trainable, [(v, v.trainable) for v in layer._trainable_variables])
        for layer in all_layers(model, itself=True)
    ]


def put_mask(mask):
    """Puts the flags back. A parent writes into its layers, so they come after it."""
    for layer, flag, _ in mask:
        layer.trainable = flag
    for _, _, variables in mask:
        for variable, flag in variables:
            variable.trainable = flag


def copy_of(optimizer):
    """Returns a new optimizer with the same settings."""
    return type(optimizer).from_config(optimizer.get_config())


def _layers(model, members):
    if isinstance(members, str) or not isinstance(members, list | tuple):
        expected = "a list of layers or of their names, or None"
        raise type_error(_OWNER, "trainable", expected, members)
    family, found = all_layers(model, itself=True), []
    for member in members:
        fitting = [x for x in family if x is member or x.name == member]
        if not fitting:
            expected = f"of layers of {model.name!r}, or their names"
            raise value_error(_OWNER, "trainable", expected, member)
        if len(fitting) > 1:
            advice = "Pass the layer itself."
            expected = "of names that one layer has"
            raise value_error(_OWNER, "trainable", expected, member, advice)
        found += fitting
    return found
