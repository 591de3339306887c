"""The one door to what differs between backends."""

import functools
import importlib

import keras


@functools.cache
def _module():
    return importlib.import_module(
        f"keras_practices._core._backend_{keras.backend.backend()}"
    )


def compiled(function):
    """Returns `function` compiled by the backend (unchanged on PyTorch)."""
    return _module().compiled(function)


def value_and_gradients(function, values):
    """Returns `((loss, aux), gradients)` of `function(values) -> (loss, aux)`."""
    return _module().value_and_gradients(function, values)


def training_step(loss_at, optimizer, trainable, others):
    """Returns `step(batch) -> loss` that updates variables beside the model."""
    return _module().training_step(loss_at, optimizer, trainable, others)


def devices():
    """Returns the names of the devices that the backend can use."""
    return _module().devices()
