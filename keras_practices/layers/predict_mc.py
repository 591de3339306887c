"""Monte-Carlo averaging: the noise of training, at test time."""

import contextlib
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.model_layers import all_layers
from keras_practices._core.randomness import derive_seeds
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.layers.drop_connect import DropConnect
from keras_practices.layers.fractional_max_pooling import FractionalMaxPooling2D
from keras_practices.layers.stochastic_depth import StochasticDepth
from keras_practices.layers.stochastic_pooling import StochasticPooling2D

# Layers that draw in training and do nothing else there. With a rate of 0 Keras's own
# have no seed generator.
_NOISE = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Attention,
    DropConnect,
    FractionalMaxPooling2D,
    StochasticDepth,
    StochasticPooling2D,
)


def predict_mc(
    model: keras.Model,
    x: Any,
    samples: int = 50,
    batch_size: int = 32,
    layers: Sequence[keras.layers.Layer] | None = None,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Returns mean and standard deviation of predictions under a model's noise.

    Only layers of noise run as in training: dropout of every kind (also inside
    attention and recurrent layers), Gaussian noise, and this package's layers of
    noise. BatchNormalization keeps to its moving statistics, and augmentation stays
    off. Nothing of the model changes, neither weights nor statistics nor the state
    of its random numbers, so the same call gives the same answer again.

    It takes `samples` predictions' time. On TensorFlow and JAX each call compiles
    the forward pass anew: give all of `x` at once.

    Args:
        model: A built `keras.Model`.
        x: Array, or a list, tuple or dict of arrays, as for `model.predict`; no
            dataset.
        samples: Integer of at least 1. Number of noisy passes.
        batch_size: Integer of at least 1. Rows of a pass.
        layers: Layers of the model that are to be noisy, for noise of your own or
            for some of the layers only; each has a `call` with `training`. None: all
            that are listed above.
        seed: Integer for other draws, or None: draws start where the seed generators
            of the model stand.

    Returns:
        `(mean, standard deviation)` over the passes, NumPy arrays in the structure
        and shape of the model's outputs. The deviation is that of `numpy.std`, with
        `samples` in the denominator.

    Raises:
        TypeError: `model` is no Keras model, or `x` no arrays.
        ValueError: bad `samples` or `batch_size`; no layer of noise in the model, or
            `layers` that are not in it.
        RuntimeError: the model is not built.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    ... )
    >>> mean, deviation = predict_mc(model, np.ones((3, 8)), samples=20, seed=1)
    >>> mean.shape, bool((deviation > 0).all())
    ((3, 1), True)

    References:
        Gal and Ghahramani (2016); CS231n, "Neural Networks Part 2": analytically or
        numerically marginalised noise.
    """
    if not isinstance(model, keras.Model):
        raise type_error("predict_mc", "model", "a keras.Model", model)
    if not model.built:
        raise UsageError(
            f"predict_mc: argument `model` must be built, so that it has weights. "
            f"Received: model={model.name!r}, not built. Give it a keras.Input, or "
            f"call it on a batch first."
        )
    check_integer("predict_mc", "samples", samples, low=1)
    check_integer("predict_mc", "batch_size", batch_size, low=1)
    if seed is not None:
        check_integer("predict_mc", "seed", seed)
    noisy = _noisy_layers(model, layers)
    x, rows = _arrays(x)
    run = backend.compiled(_forward(model))
    state = _State(model, seed)
    means, deviations = [], []
    with _training(noisy):
        for start in range(0, rows, batch_size):
            part = slice(start, start + batch_size)
            batch = keras.tree.map_structure(
                lambda leaf, part=part: ops.convert_to_tensor(leaf[part]), x
            )
            moments = _Moments()
            for _ in range(samples):
                outputs, after = run(state.trainable, state.others, batch)
                state.advance(after)
                moments.add(keras.tree.flatten(outputs))
            means.append(moments.means)
            deviations.append(moments.deviations())
    return _joined(outputs, means), _joined(outputs, deviations)


def _noisy_layers(model, layers):
    inside = all_layers(model)
    if layers is None:
        found = [layer for layer in inside if _is_noise(layer)]
        if not found:
            expected = "with a layer of noise, such as Dropout with a rate above 0"
            raise value_error("predict_mc", "model", expected, model.name)
        return found
    for layer in layers:
        if not any(layer is one for one in inside):
            expected = f"layers of the model {model.name!r}"
            raise value_error("predict_mc", "layers", expected, layer)
        if "training" not in inspect.signature(layer.call).parameters:
            expected = "layers whose `call` has `training`"
            raise value_error("predict_mc", "layers", expected, layer)
    return list(layers)


def _is_noise(layer):
    if isinstance(layer, keras.layers.RNN):
        cells = getattr(layer.cell, "cells", [layer.cell])
        rates = ("dropout", "recurrent_dropout")
        return any(getattr(cell, rate, 0) for cell in cells for rate in rates)
    generators = (
        isinstance(value, keras.random.SeedGenerator) for value in vars(layer).values()
    )
    return isinstance(layer, _NOISE) and any(generators)


@contextlib.contextmanager
def _training(layers):
    """Runs layers in training mode while the context is open."""

    def shadow(call):
        def noisy(*args, **kwargs):
            return call(*args, **{**kwargs, "training": True})

        return noisy

    before = [(layer, vars(layer).get("call")) for layer in layers]
    try:
        for layer in layers:
            # Past Keras's attribute tracking: this is no state of the layer.
            vars(layer)["call"] = shadow(layer.call)
        yield
    finally:
        for layer, own in before:
            if own is None:
                vars(layer).pop("call", None)
            else:
                vars(layer)["call"] = own


def _arrays(x):
    """Returns `x` with NumPy arrays for leaves, and their number of rows."""
    expected = "an array, or a list, tuple or dict of arrays with as many rows"

    def array(leaf):
        if not getattr(leaf, "shape", ()):
            raise type_error("predict_mc", "x", expected, leaf)
        tensor = keras.ops.is_tensor(leaf)
        leaf = ops.convert_to_numpy(leaf) if tensor else np.asarray(leaf)
        floats = np.issubdtype(leaf.dtype, np.floating)
        return leaf.astype(keras.config.floatx()) if floats else leaf

    x = keras.tree.map_structure(array, x)
    rows = {len(leaf) for leaf in keras.tree.flatten(x)}
    if len(rows) != 1 or 0 in rows:
        raise value_error("predict_mc", "x", expected, sorted(rows), "These are rows.")
    return x, rows.pop()


def _forward(model):
    takes = "training" in inspect.signature(model.call).parameters
    mode = {"training": False} if takes else {}

    def forward(trainable, others, batch):
        return model.stateless_call(trainable, others, batch, **mode)

    return forward


class _State:
    """The values that a pass starts with; of what it changes, only seeds are kept."""

    def __init__(self, model, seed):
        self.trainable = [ops.convert_to_tensor(v) for v in model.trainable_variables]
        variables = model.non_trainable_variables
        self.others = [ops.convert_to_tensor(v) for v in variables]
        # The name that every `keras.random.SeedGenerator` gives its variable.
        names = [variable.name for variable in variables]
        self._seeds = [i for i, n in enumerate(names) if n == "seed_generator_state"]
        if seed is not None:
            fresh = derive_seeds(seed, len(self._seeds))
            for i, value in zip(self._seeds, fresh, strict=True):
                dtype = variables[i].dtype
                self.others[i] = ops.convert_to_tensor([value, 0], dtype=dtype)

    def advance(self, after):
        for i in self._seeds:
            self.others[i] = after[i]


class _Moments:
    """Running mean and spread in float64, without a difference of large sums."""

    def __init__(self):
        self._count, self.means, self._squares = 0, None, None

    def add(self, outputs):
        values = [np.float64(ops.convert_to_numpy(one)) for one in outputs]
        if self._count == 0:
            self.means = [np.zeros_like(value) for value in values]
            self._squares = [np.zeros_like(value) for value in values]
        self._count += 1
        for value, mean, squares in zip(values, self.means, self._squares, strict=True):
            distance = value - mean
            mean += distance / self._count
            squares += distance * (value - mean)

    def deviations(self):
        return [np.sqrt(squares / self._count) for squares in self._squares]


def _joined(outputs, batches):
    """Returns the rows of all batches, in the structure of the model's outputs."""
    leaves = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    dtypes = [
        keras.backend.standardize_dtype(y.dtype) for y in keras.tree.flatten(outputs)
    ]
    leaves = [
        leaf if dtype == "float64" else leaf.astype("float32")
        for leaf, dtype in zip(leaves, dtypes, strict=True)
    ]
    return keras.tree.pack_sequence_as(outputs, leaves)
