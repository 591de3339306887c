"""Statistics of BatchNorm, computed anew for weights that were not trained to."""

import contextlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.model_layers import all_layers
from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.measures.capture import without_noise

_OWNER = "update_batch_norm"


def update_batch_norm(
    model: keras.Model, data: Any, *, batch_size: int = 32, steps: int | None = None
) -> None:
    """Computes the moving statistics of BatchNorm anew, for the weights as they are.

    For weights that were averaged, loaded or edited. Mean and variance become the
    averages over the batches of `data`, weighted by rows; nothing of the old
    statistics stays. Noise layers are off, as they are when the statistics are used.
    Frozen layers keep theirs, and nothing else of the model is written.

    Args:
        model: Built Keras model.
        data: Inputs as an array or a dict of arrays; or `(x, y)` or `(x, y,
            sample_weight)`; or anything that yields such batches: `tf.data.Dataset`,
            `PyDataset`, `DataLoader`, generator. Use the training data, shuffled.
        batch_size: Integer of at least 1. Rows of a batch, for arrays. The same as in
            training is best.
        steps: Integer of at least 1: batches to take; None for all.

    Raises:
        UsageError: the model is not built, or a layer renormalises
            (`BatchNormalization(renorm=True)`).
        TypeError, ValueError: bad arguments, or no batch.

    Cost:
        A forward pass over the data, compiled.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    >>> update_batch_norm(model, np.array([[1.0], [3.0]]))
    >>> [float(v.numpy()[0]) for v in model.non_trainable_variables]
    [2.0, 1.0]

    References:
        Izmailov et al. (2018), arXiv:1803.05407, section 3.2; Ioffe and Szegedy, "Batch
        Normalization" (2015), algorithm 2.
    """
    check_integer(_OWNER, "batch_size", batch_size, low=1)
    if steps is not None:
        check_integer(_OWNER, "steps", steps, low=1)
    if not isinstance(model, keras.Model):
        raise type_error(_OWNER, "model", "a Keras model", model)
    if not model.built:
        raise UsageError(f"{_OWNER}: the model has no weights yet; call it once.")
    StatisticsPass(model).run(batches_of(data, batch_size, steps))


def batch_norms(model):
    """The layers whose statistics training moves."""
    kind = keras.layers.BatchNormalization
    found = [x for x in all_layers(model) if isinstance(x, kind) and x.trainable]
    for layer in found:
        if layer.renorm:
            raise UsageError(
                f"{_OWNER}: {layer.name} has renorm=True, whose statistics hang on the "
                "course of training."
            )
    return found


class StatisticsPass:
    """A forward pass that gives BatchNorm's statistics; compiled once for many runs.

    Args:
        model: Built Keras model.
        layers: Its BatchNorms that are meant; None: those that training moves.
    """

    def __init__(self, model, layers=None):
        self.model = model
        self.layers = batch_norms(model) if layers is None else layers
        pairs = [(x.moving_mean, x.moving_variance) for x in self.layers]
        self.statistics = [variable for pair in pairs for variable in pair]
        self._own = [*model.trainable_variables, *model.non_trainable_variables]
        self._compiled = backend.compiled(self._collect)

    def run(self, batches):
        """Writes the averages over the batches into the model."""
        if not self.layers:
            return
        for variable, value in zip(self.statistics, self.taken(batches), strict=True):
            variable.assign(value)

    def taken(self, batches):
        """Returns the averages over the batches, in the order of `statistics`."""
        # Not the old statistics: one that is NaN would stay so, and 0 times NaN is NaN.
        fresh = {id(variable) for variable in self.statistics}
        values = [
            ops.ones_like(v.value) if id(v) in fresh else ops.convert_to_tensor(v.value)
            for v in self._own
        ]
        total, rows = [0.0] * len(self.statistics), 0
        with restore_rng(), self._without_memory():
            for x in batches:
                count = keras.tree.flatten(x)[0].shape[0]
                found = self._compiled(values, keras.tree.map_structure(_tensor, x))
                arrays = [np.float64(ops.convert_to_numpy(value)) for value in found]
                pairs = zip(total, arrays, strict=True)
                total = [so_far + count * array for so_far, array in pairs]
                rows += count
        if not rows:
            raise value_error(_OWNER, "data", "of at least one row", "no rows")
        return [(so_far / rows).astype("float32") for so_far in total]

    def _collect(self, values, x):
        mapping = list(zip(self._own, values, strict=True))
        scope = keras.StatelessScope(state_mapping=mapping)
        with scope, without_noise(self.model):
            self.model(x, training=True)
        return [scope.get_current_value(variable) for variable in self.statistics]

    @contextlib.contextmanager
    def _without_memory(self):
        """What moves the statistics makes them those of the batch."""
        before = [layer.momentum for layer in self.layers]
        try:
            for layer in self.layers:
                layer.momentum = 0.0
            yield
        finally:
            for layer, momentum in zip(self.layers, before, strict=True):
                layer.momentum = momentum


def _tensor(value):
    if hasattr(value, "detach") and not ops.is_tensor(value):
        value = value.numpy()  # a PyTorch tensor on another backend
    if isinstance(value, np.ndarray) and value.dtype == "float64":
        value = value.astype(keras.config.floatx())
    return ops.convert_to_tensor(value)


def batches_of(data, batch_size, steps):
    """Yields inputs, batch by batch."""
    if isinstance(data, keras.utils.PyDataset):
        made = (data[place] for place in range(data.num_batches))
    elif isinstance(data, tuple | dict) or hasattr(data, "__array__"):
        x = _inputs(data)
        count = len(keras.tree.flatten(x)[0])
        made = (
            keras.tree.map_structure(lambda a, f=first: a[f : f + batch_size], x)
            for first in range(0, count, batch_size)
        )
    elif hasattr(data, "__iter__"):
        made = iter(data)
    else:
        raise type_error(_OWNER, "data", "arrays, or what yields batches", data)
    for place, batch in enumerate(made):
        if place == steps:
            return
        yield _inputs(batch)


def _inputs(batch):
    # A DataLoader collates a tuple into a list.
    return batch[0] if isinstance(batch, tuple | list) else batch
