"""A small training that tests of the monitor share: three batches an epoch."""

import functools

import keras
import numpy as np

X = np.random.default_rng(3).normal(size=(40, 4)).astype("float32")
Y = (X[:, :1] - 2 * X[:, 1:2] + 0.5).astype("float32")


def linear_model(optimizer=None, **arguments):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **arguments)
    return model


@functools.cache
def _shared():
    return linear_model()


def shared_model():
    """A model that is compiled once for all tests, at its start again."""
    _shared().set_weights([np.full((4, 1), 0.3), np.zeros(1)])
    return _shared()


def fit(model, *callbacks, **arguments):
    """Three batches an epoch."""
    arguments = {"batch_size": 16, "shuffle": False, "verbose": 0} | arguments
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)
