"""The loss of a model on all rows as a function of one flat vector of weights."""

import contextlib
import math

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core import float64
from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError

# Reductions under which the loss of all rows is the mean of the chunks, by rows.
_MEANS = ("sum_over_batch_size", "mean")


class Objective:
    """Loss and gradient of a compiled model, in inference mode, over all rows.

    It is what `model.evaluate(x, y)` calls the loss: weight penalties included, noise
    layers off, BatchNorm with its moving statistics. So it is the same at each call.
    Nothing of the model is written but by `write`.

    Args:
        owner: Name that messages begin with.
        model: Compiled Keras model.
        x: Array, or dict or list of arrays.
        y: The same, or None.
        sample_weight: The same, or None.
        batch_size: Rows that are run at once; None for all.
        allow_noise: Whether a model with noise layers is taken, without its noise.
        double: Whether the model computes in float64.
    """

    def __init__(
        self, owner, model, x, y, sample_weight, *, batch_size, allow_noise, double
    ):
        self.owner = owner
        self.model = model
        parts = {"x": _arrays(x), "y": _arrays(y), "w": _arrays(sample_weight)}
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self.rows = _check_rows(owner, self._parts)
        _check_model(owner, model, self._head(1), allow_noise)
        if double and (reason := float64.why_not(model)) is not None:
            raise UsageError(f"{owner}: no float64 here: {reason}. Pass float64=False.")
        self._double = double
        self.batch_size = self._check_batch_size(batch_size)
        self._trainable = model.trainable_variables
        self._others = model.non_trainable_variables
        self._shapes = [tuple(v.shape) for v in self._trainable]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._compiled = backend.compiled(self._traced)
        self._chunks = None
        self._fixed = None
        self.evaluations = 0

    def start(self):
        """Returns the model's present trainable weights as one float64 vector."""
        return _flat([ops.convert_to_numpy(v.value) for v in self._trainable])

    def bounds(self):
        """Returns `(low, high)` of each weight, or None where nothing is bounded."""
        found = []
        for variable, size in zip(self._trainable, self._sizes, strict=True):
            constraint = variable.constraint
            if constraint is not None and not isinstance(
                constraint, keras.constraints.NonNeg
            ):
                raise UsageError(
                    f"{self.owner}: {variable.path} has the constraint "
                    f"{type(constraint).__name__}, and only NonNeg can be kept here. "
                    "Train this model with `fit`."
                )
            found += [(None if constraint is None else 0.0, None)] * size
        return found if any(low is not None for low, _ in found) else None

    def __call__(self, vector):
        """Returns `(loss, gradient)` at a vector of weights, float and float64."""
        self.evaluations += 1
        with self._precision():
            values = self._tensors_of(vector)
            if self._chunks is None:
                self._chunks = list(self._make_chunks())
            if self._fixed is None:
                self._fixed = [self._tensor(v) for v in self._others]
            total, gradient = 0.0, np.zeros(vector.size)
            # Sums in float64 on the host: many chunks lose no digits.
            for share, chunk in self._chunks:
                loss, gradients = self._compiled(values, self._fixed, chunk)
                total += share * float(ops.convert_to_numpy(loss))
                gradient += share * _flat([ops.convert_to_numpy(g) for g in gradients])
        return total, gradient

    def write(self, vector):
        """Writes a vector of weights into the model."""
        for variable, value in zip(self._trainable, self._split(vector), strict=True):
            variable.assign(value.astype(variable.dtype))

    def _traced(self, values, fixed, chunk):
        def loss_at(values):
            mapping = [
                *zip(self._trainable, values, strict=True),
                *zip(self._others, fixed, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping):
                outputs = self.model(chunk["x"], training=False)
                loss = self.model.compute_loss(
                    x=chunk["x"],
                    y=chunk.get("y"),
                    y_pred=outputs,
                    sample_weight=chunk.get("w"),
                    training=False,
                )
            return loss, ()

        (loss, _), gradients = backend.value_and_gradients(loss_at, values)
        # A weight that the loss does not depend on has none.
        filled = [
            ops.zeros_like(value) if gradient is None else gradient
            for value, gradient in zip(values, gradients, strict=True)
        ]
        return loss, filled

    def _precision(self):
        if self._double:
            return float64.in_float64(self.model)
        return contextlib.nullcontext()

    def _tensor(self, variable):
        value = ops.convert_to_numpy(variable.value)
        return ops.convert_to_tensor(self._cast(value), dtype=self._dtype_of(variable))

    def _tensors_of(self, vector):
        return [
            ops.convert_to_tensor(value, dtype=self._dtype_of(variable))
            for variable, value in zip(
                self._trainable, self._split(vector), strict=True
            )
        ]

    def _dtype_of(self, variable):
        is_float = keras.backend.is_float_dtype(variable.dtype)
        return "float64" if self._double and is_float else variable.dtype

    def _cast(self, array):
        is_float = array.dtype.kind == "f"
        return array.astype("float64") if self._double and is_float else array

    def _split(self, vector):
        pieces = np.split(vector, np.cumsum(self._sizes)[:-1])
        shaped = zip(pieces, self._shapes, strict=True)
        return [piece.reshape(shape) for piece, shape in shaped]

    def _head(self, rows):
        return keras.tree.map_structure(lambda a: a[:rows], self._parts)

    def _make_chunks(self):
        for first in range(0, self.rows, self.batch_size):
            chunk = keras.tree.map_structure(
                lambda a, first=first: self._as_tensor(
                    a[first : first + self.batch_size]
                ),
                self._parts,
            )
            count = min(self.batch_size, self.rows - first)
            yield count / self.rows, chunk

    def _as_tensor(self, array):
        if array.dtype == "float64" and not self._double:
            array = array.astype(keras.config.floatx())
        # Otherwise Keras would make 32 bit of what it is given.
        dtype = "float64" if self._double and array.dtype.kind == "f" else None
        return ops.convert_to_tensor(self._cast(array), dtype=dtype)

    def _check_batch_size(self, batch_size):
        if batch_size is None:
            return self.rows
        check_integer(self.owner, "batch_size", batch_size, low=1)
        for loss in keras.tree.flatten(self.model.loss):
            reduction = getattr(loss, "reduction", "sum_over_batch_size")
            if reduction not in _MEANS and batch_size < self.rows:
                raise value_error(
                    self.owner,
                    "batch_size",
                    f"None with a loss of reduction {reduction!r}",
                    batch_size,
                    "The mean of the parts would not be the loss of all rows.",
                )
        return min(batch_size, self.rows)


def noise_layers(model):
    """Returns the layers of a model that draw random numbers when it is trained."""
    found = []
    for layer in all_layers(model):
        draws = any(
            isinstance(value, keras.random.SeedGenerator)
            for value in vars(layer).values()
        )
        # Recurrent cells hold a generator also where they drop nothing.
        rates = [
            getattr(layer, name)
            for name in ("rate", "dropout", "recurrent_dropout", "stddev")
            if isinstance(getattr(layer, name, None), int | float)
        ]
        if draws and not (rates and not any(rates)):
            found.append(layer)
    return found


def _check_model(owner, model, head, allow_noise):
    if not isinstance(model, keras.Model):
        raise type_error(owner, "model", "a Keras model", model)
    if not model.compiled or model.loss is None:
        raise UsageError(f"{owner}: compile the model with a loss first.")
    if not model.built:
        model(keras.tree.map_structure(ops.convert_to_tensor, head["x"]))
    if not model.trainable_variables:
        raise UsageError(f"{owner}: the model has no trainable weights.")
    noisy = noise_layers(model)
    if noisy and not allow_noise:
        names = ", ".join(layer.name for layer in noisy[:5])
        raise UsageError(
            f"{owner}: layers {names} draw random numbers, and a line search needs the "
            "same loss at each call. Take them out, or pass allow_noise_layers=True to "
            "train without their noise."
        )
    # A compiled loss makes what it holds at its first call, and in the usual dtype.
    model.test_on_batch(head["x"], head.get("y"), head.get("w"))
    model.reset_metrics()


def _check_rows(owner, parts):
    if "x" not in parts:
        raise type_error(owner, "x", "an array, or a dict or list of arrays", None)
    shapes = {
        name: [np.shape(leaf) for leaf in keras.tree.flatten(part)]
        for name, part in parts.items()
    }
    if any(shape == () for found in shapes.values() for shape in found):
        raise type_error(
            owner,
            "x",
            "arrays with one row for each example",
            shapes["x"],
            "A dataset is not taken: all rows are needed at once.",
        )
    lengths = {name: {shape[0] for shape in found} for name, found in shapes.items()}
    counts = set().union(*lengths.values())
    if len(counts) != 1 or counts == {0}:
        raise value_error(owner, "x", "of as many rows as the targets", lengths)
    return counts.pop()


def _arrays(part):
    def convert(value):
        if ops.is_tensor(value):
            value = ops.convert_to_numpy(value)
        array = np.asarray(value)
        # An object that is no array, such as a dataset, comes out as one without rows.
        return np.zeros(()) if array.dtype == object else array

    return None if part is None else keras.tree.map_structure(convert, part)


def _flat(arrays):
    return np.concatenate([np.asarray(a, "float64").reshape(-1) for a in arrays])
