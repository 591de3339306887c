"""Is there something to measure: a built, compiled model and data that fit it."""

import keras

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error


def check_model(owner, model, *, must_be_built=True):
    """Returns `model` if it is a compiled (and built) Keras model.

    Args:
        owner: Name that the message begins with.
        model: What was received.
        must_be_built: Bool. Whether weights have to be there already.

    Raises:
        TypeError: not a Keras model.
        ValueError: not compiled, or not built.
    """
    if not isinstance(model, keras.Model):
        raise type_error(owner, "model", "a keras.Model", model)
    if not getattr(model, "compiled", False):
        raise value_error(
            owner,
            "model",
            "compiled",
            model.name,
            "Call model.compile(optimizer, loss) first.",
        )
    if must_be_built and not model.built:
        raise value_error(
            owner,
            "model",
            "built, so that it has weights",
            model.name,
            "Begin the model with keras.Input(shape), or call "
            "model.build((None, features)) first.",
        )
    return model


def pair_outputs(outputs, y):
    """Joins each output with its targets.

    Args:
        outputs: From `measure_outputs`.
        y: Targets: array, list in the order of the outputs, dict by name, or None.

    Returns:
        List of `(output, array or None)`.
    """
    if isinstance(y, dict):
        return [(output, y.get(output["name"])) for output in outputs]
    if isinstance(y, list | tuple):
        arrays = [*y, *[None] * len(outputs)]
        return list(zip(outputs, arrays, strict=False))
    return [(output, y if place == 0 else None) for place, output in enumerate(outputs)]
