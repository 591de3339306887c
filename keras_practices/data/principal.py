"""What PCA and whitening share: directions of variance, learned in one pass."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error
from keras_practices.charts import Images
from keras_practices.data.moments import Moments
from keras_practices.data.principal_axes import principal_axes
from keras_practices.data.streams import training_inputs
from keras_practices.errors import UsageError

# Larger images show no more, and make a report large.
IMAGE_SIDE = 64


class PrincipalLayer(keras.layers.Layer):
    """Base of layers that turn rows into directions of largest variance."""

    def __init__(self, n_components, **kwargs):
        # Statistics keep their own dtype: float16 has three digits for a mean.
        super().__init__(autocast=False, **kwargs)
        self.n_components = _checked_count(self, n_components)
        self._kept = None
        self._adapted = False

    def adapt(self, data: Any, *, role: str | None = None) -> None:
        """Learns mean and directions of the training data, in one pass.

        The covariance is kept in float64, `8 * features ** 2` bytes, however many the
        rows; no copy of the rows is made.

        Args:
            data: `Part` of role `"train"` whose `x` is one array of shape `(rows,
                ...)`; or a `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch
                `DataLoader` or generator that gives batches `x`, `(x, y)` or `(x, y,
                weights)` and ends. Each batch is read once; `weights` are not used.
            role: `"train"` beside anything but a `Part`: says that it is training
                data, because a dataset cannot.

        Raises:
            TypeError: a plain array, which may be any part; several inputs.
            ValueError: another part than training; rows of several shapes, or not
                finite; fewer than two rows, or fewer than components asked for.
            RuntimeError: `adapt` called a second time.
        """
        if self._has_statistics():
            raise UsageError(
                f"{type(self).__name__}: it has its statistics already; a second adapt "
                "would replace them without a word. Make a new layer for other data."
            )
        shape, moments = self._read(training_inputs(self, data, role))
        features, rows = math.prod(shape), moments.rows
        wanted = self._kept if self.built else self._count(features, rows)
        if rows < 2 or (self.n_components or 0) > rows:
            expected = "of at least two rows and as many as n_components"
            raise value_error(self, "data", expected, f"{rows} rows")
        mean, covariance = moments.finish()
        total = float(np.trace(covariance))
        holder = [covariance]
        del covariance
        variances, axes = principal_axes(holder, wanted)
        if wanted is None:
            shares = np.cumsum(variances) / (total or 1.0)
            wanted = int(np.searchsorted(shares, self.n_components, side="right")) + 1
            wanted = min(wanted, features, rows)
        # Before the variables are made: with all of them this would be the peak.
        axes = axes[:wanted].astype(self._statistics_dtype())
        if not self.built:
            self._kept = wanted
            self.build((None, *shape))
        for variable, value in (
            (self._mean, mean),
            (self._axes, axes),
            (self._variance, variances[:wanted]),
            (self._total, total),
            (self._rows, min(rows, 2**31 - 1)),
        ):
            variable.assign(np.asarray(value, variable.dtype))
        self._adapted = True

    def _read(self, batches):
        """Returns the shape of a row and the moments of all rows."""
        shape = tuple(self.input_spec.shape[1:]) if self.built else None
        moments = None
        for batch in batches:
            shape = batch.shape[1:] if shape is None else shape
            if batch.shape[1:] != shape or 0 in shape:
                expected = f"of rows of one shape, {shape}"
                raise value_error(self, "data", expected, f"rows of {batch.shape[1:]}")
            if moments is None:
                moments = Moments(self, math.prod(shape))
            moments.update(batch.reshape(len(batch), math.prod(shape)))
        if moments is None or not moments.rows:
            raise value_error(self, "data", "of at least two rows", "no rows")
        return shape, moments

    def _count(self, features, rows=None):
        """Returns how many directions to keep; None where variances decide it."""
        if isinstance(self.n_components, float):
            return None
        if self.n_components is None:
            return features if rows is None else min(features, rows)
        if self.n_components > features:
            expected = f"at most {features}, the features of a row"
            raise value_error(self, "n_components", expected, self.n_components)
        return self.n_components

    def build(self, input_shape):
        """Makes the variables; the number of directions must be known."""
        shape = tuple(input_shape[1:])
        if not shape or None in shape:
            expected = "(rows, ...) with every axis but the first known"
            raise value_error(self, "input_shape", expected, tuple(input_shape))
        features = math.prod(shape)
        if self._kept is None:
            self._kept = self._count(features)
        if self._kept is None:
            raise UsageError(
                f"{type(self).__name__}: how many components make up a share of "
                f"{self.n_components:g} of the variance is known after adapt only. "
                "Adapt the layer before a model is made with it."
            )
        self.input_spec = keras.layers.InputSpec(shape=(None, *shape))
        dtype = self._statistics_dtype()
        for name, weight_shape, weight_dtype in (
            ("mean", (features,), dtype),
            ("axes", (self._kept, features), dtype),
            ("variance", (self._kept,), dtype),
            ("total", (), dtype),
            ("rows", (), "int32"),
        ):
            weight = self.add_weight(
                name=name,
                shape=weight_shape,
                dtype=weight_dtype,
                initializer="zeros",
                trainable=False,
                # Keras 3.15 casts the variables of a layer with autocast=False all
                # the same where it is the outermost one that is called.
                autocast=False,
            )
            setattr(self, f"_{name}", weight)

    def _statistics_dtype(self):
        return "float64" if self.variable_dtype == "float64" else "float32"

    def get_build_config(self):
        """Returns the shape of the input and how many directions are kept."""
        config = super().get_build_config()
        return config and {**config, "kept": self._kept}

    def build_from_config(self, config):
        """Builds the layer as it was when it was saved."""
        self._kept = config["kept"]
        self.build(config["input_shape"])

    def call(self, inputs):
        """Returns the rows in the new coordinates."""
        self._need_statistics()
        rows = ops.cast(inputs, self._mean.dtype)
        rows = ops.reshape(rows, (-1, self._mean.shape[0])) - self._mean
        return ops.cast(self._from_centred(rows), self.compute_dtype)

    def inverse(self, outputs: Any) -> Any:
        """Returns the inputs that give these outputs, as far as they tell.

        Args:
            outputs: Array or tensor, what the layer gave.

        Returns:
            Float tensor of the shape of the inputs: the inputs themselves where all
            components are kept, else the nearest point that the components reach.
        """
        self._need_statistics()
        outputs = ops.cast(ops.convert_to_tensor(outputs), self._mean.dtype)
        shape = tuple(self.compute_output_shape(self.input_spec.shape)[1:])
        if tuple(outputs.shape[1:]) != shape:
            expected = f"of shape (rows, {', '.join(map(str, shape))})"
            raise value_error(self, "outputs", expected, tuple(outputs.shape))
        rows = ops.reshape(outputs, (-1, math.prod(shape)))
        rows = self._to_centred(rows) + self._mean
        rows = ops.reshape(rows, (-1, *self.input_spec.shape[1:]))
        return ops.cast(rows, self.compute_dtype)

    def eigenpictures(self) -> np.ndarray:
        """Returns the components in the shape of a row, to look at.

        Returns:
            Array `(components, ...)` of unit vectors, largest variance first.
        """
        return self.components.reshape(-1, *self.input_spec.shape[1:])

    def eigen_images(
        self, shape: Sequence[int] | None = None, count: int = 16
    ) -> Images:
        """Returns the first components as images for a report.

        Args:
            shape: `(height, width)`, `(height, width, 1)` or, in colour, `(height,
                width, 3)`: how a row is laid out; None takes the shape of the rows
                that it learned from.
            count: Integer of at least 1. How many; fewer where it keeps fewer.

        Returns:
            `keras_practices.charts.Images`, largest variance first, each with its
            share of the variance; larger images are thinned out to 64 pixels a side.

        Raises:
            ValueError: a shape that is no image or has another number of features.
            RuntimeError: called before `adapt`.

        Example:

        >>> from keras_practices.data import PCA, Part
        >>> x = np.random.default_rng(0).normal(size=(50, 16)).astype("float32")
        >>> layer = PCA()
        >>> layer.adapt(Part(x, np.zeros(50), role="train"))
        >>> kp.Report(charts=[layer.eigen_images((4, 4), count=8)]).charts[0].title
        'Eigen-images'
        """
        check_integer(self, "count", count, low=1)
        axes = self.components[:count]
        if shape is None:
            shape = self.input_spec.shape[1:]
        shape = tuple(shape)
        fits = len(shape) in (2, 3) and math.prod(shape) == axes.shape[1]
        if not fits or (len(shape) == 3 and shape[2] not in (1, 3)):
            expected = (
                "(height, width), or with 1 or 3 channels, of as many numbers as a "
                f"row has, {axes.shape[1]}"
            )
            raise value_error(self, "shape", expected, shape)
        step = math.ceil(max(shape[:2]) / IMAGE_SIDE)
        shares = self.explained_variance_ratio[:count]
        return Images(
            title="Eigen-images",
            arrays=axes.reshape(-1, *shape)[:, ::step, ::step],
            captions=[f"{100 * share:.3g} %" for share in shares],
            reading="The directions in which the training rows differ most, largest "
            "first, each with its share of the variance; grey between is no change. "
            "Which end is black and which is white has no meaning.",
            bad="The first ones look like noise: neighbouring pixels say nothing about "
            "one another, or the rows are not laid out as images.",
            fact=f"{len(axes)} of {axes.shape[1]} directions hold "
            f"{100 * shares.sum():.3g} % of the variance.",
        )

    @property
    def mean(self) -> np.ndarray:
        """Mean of the training rows, of shape `(features,)`."""
        return self._value("_mean")

    @property
    def components(self) -> np.ndarray:
        """Directions of largest variance, `(components, features)`, unit vectors."""
        return self._value("_axes")

    @property
    def explained_variance(self) -> np.ndarray:
        """Variance of the training rows along each component, divisor `rows - 1`."""
        return self._value("_variance")

    @property
    def explained_variance_ratio(self) -> np.ndarray:
        """Share of each component in the variance of all features."""
        variance, total = self.explained_variance, self._value("_total")
        return variance / total if total > 0 else np.zeros_like(variance)

    def _value(self, name):
        self._need_statistics()
        return ops.convert_to_numpy(getattr(self, name))

    def _need_statistics(self):
        if not self._has_statistics():
            raise UsageError(
                f"{type(self).__name__}: it has no statistics yet. Call "
                "layer.adapt(split.train) first. (Where they came by `set_weights`: "
                "read layer.components once, before a compiled function is made.)"
            )

    def _has_statistics(self):
        """Whether it was adapted, also in the process that saved it."""
        if self.built and not self._adapted:
            # In a compiled step no value can be read: the flag was set before, or
            # there is nothing to use.
            try:
                self._adapted = int(ops.convert_to_numpy(self._rows)) > 0
            except (TypeError, NotImplementedError):
                return False
        return self._adapted

    def load_own_variables(self, store):
        """Loads the variables, and knows thereby whether it was adapted."""
        super().load_own_variables(store)
        self._has_statistics()

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "n_components": self.n_components}


def _checked_count(owner, count):
    if count is None:
        return None
    if isinstance(count, numbers.Integral) and not isinstance(count, bool):
        return int(check_integer(owner, "n_components", count, low=1))
    advice = "An integer counts components, a fraction is their share of the variance."
    check_number(owner, "n_components", count, 0, 1, closed="neither", advice=advice)
    return float(count)
