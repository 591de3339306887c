"""Light of another colour and strength, as the training images have it."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error
from keras_practices.augmentation.random_layer import RandomLayer
from keras_practices.augmentation.training_images import checked_value_range
from keras_practices.augmentation.training_images import infer_value_range
from keras_practices.augmentation.training_images import refuse_misfit
from keras_practices.augmentation.training_images import training_images
from keras_practices.errors import UsageError

# Rows that are held as float64 at a time while the covariance is summed.
_ROWS = 64


@register
class ColorPCA(RandomLayer):
    """Adds one colour to all pixels of an image, along the principal colours.

    AlexNet's colour augmentation: an image gets `P (a * lambda)`, where the columns of
    `P` and `lambda` are eigenvectors and eigenvalues of the covariance of the colours
    of all training pixels, and the three `a` are drawn from `N(0, sigma)`, once an
    image. `adapt` learns them, before `fit`; they stand in the configuration, so a
    model file and a copy of the layer hold them. Nothing is clipped, as in the paper.
    Outside training nothing happens.

    The paper's shift is a variance, so it depends on the unit of the pixels. It is
    computed here for values from 0 to 1, as the implementations that reproduced the
    paper did, and then brought to the range of the images.

    Args:
        sigma: Float of at least 0. Standard deviation of the three factors.
        value_range: `"auto"`, found by `adapt`, or the pair (low, high) that pixel
            values lie in.
        eigenvalues: Three numbers, of the covariance of pixels from 0 to 1, or None
            for those that `adapt` finds.
        eigenvectors: Three rows of three numbers; column i belongs to eigenvalue i.
        seed: Integer or None. Same seed, same colours.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Images, `(batch, height, width, 3)`.
        training: Bool. Colours are added only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: bad arguments; in `adapt`, something else than training
            images, or a range that does not fit them; inputs of another shape.
        RuntimeError: training without `adapt`; `adapt` a second time.

    Example:

    >>> images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), "uint8")
    >>> layer = ColorPCA(seed=1)
    >>> layer.adapt(images)
    >>> layer.value_range
    (0.0, 255.0)
    >>> added = keras.ops.convert_to_numpy(layer(images, training=True)) - images
    >>> bool(np.ptp(added, axis=(1, 2)).max() < 1e-3)  # the same for all pixels
    True

    References:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep
        convolutional neural networks", 2012, NeurIPS, section 4.1.
    """

    _expected = "RGB images of shape (batch, height, width, 3)"
    _ranks = (4,)

    def __init__(
        self,
        sigma: float = 0.1,
        value_range: str | tuple[float, float] = "auto",
        eigenvalues: Any = None,
        eigenvectors: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.sigma = check_number(self, "sigma", sigma, low=0)
        self.value_range = checked_value_range(self, value_range, "auto")
        self._eigenvalues: Any = None
        self._eigenvectors: Any = None
        if eigenvalues is not None or eigenvectors is not None:
            self._take(eigenvalues, eigenvectors)
            if self.value_range == "auto":
                advice = "Only adapt can find it, and it has nothing else to find."
                expected = "a pair (low, high) beside eigenvalues"
                raise value_error(self, "value_range", expected, "auto", advice)

    def build(self, input_shape):
        """Checks that the images have three colours."""
        super().build(input_shape)
        if input_shape[-1] != 3:
            raise value_error(self, "inputs", self._expected, tuple(input_shape))

    def adapt(self, data: Any) -> None:
        """Learns the principal colours of the training images.

        Args:
            data: Training `Part` or array, images `(rows, height, width, 3)`.

        Raises:
            TypeError, ValueError: no training images with three colours, or not of
                the range that was named.
            RuntimeError: the layer has its figures already.
        """
        if self._eigenvalues is not None:
            raise UsageError(
                "ColorPCA: it has its eigenvalues already; a second adapt would "
                "replace them without a word. Make a new layer for other data."
            )
        images = training_images(self, "data", data)
        if images.shape[-1] != 3:
            expected = "images of shape (rows, height, width, 3)"
            raise value_error(self, "data", expected, images.shape)
        if self.value_range == "auto":
            self.value_range = infer_value_range(self, images)
        else:
            refuse_misfit(self, images, self.value_range)
        low, high = self.value_range
        values, vectors = np.linalg.eigh(_covariance(images) / (high - low) ** 2)
        # A flat colour space has eigenvalues of 0, which rounding can make negative.
        self._eigenvalues = np.maximum(values, 0.0)[::-1]
        self._eigenvectors = vectors[:, ::-1]

    def _take(self, eigenvalues, eigenvectors):
        values = _numbers(self, "eigenvalues", eigenvalues, (3,), "3 numbers >= 0")
        if (values < 0).any():
            raise value_error(self, "eigenvalues", "3 numbers >= 0", eigenvalues)
        expected = "3 rows of 3 numbers, with columns of length 1 at right angles"
        vectors = _numbers(self, "eigenvectors", eigenvectors, (3, 3), expected)
        # Printed figures have four digits.
        if abs(vectors.T @ vectors - np.eye(3)).max() > 1e-2:
            raise value_error(self, "eigenvectors", expected, eigenvectors)
        self._eigenvalues, self._eigenvectors = values, vectors

    def _augment(self, x):
        if self._eigenvalues is None:
            raise UsageError(
                "ColorPCA: it has not seen the training images. Call "
                "adapt(split.train) before fit."
            )
        low, high = self.value_range
        colors = self._eigenvectors * self._eigenvalues * self.sigma * (high - low)
        factors = keras.random.normal(
            (ops.shape(x)[0], 3), dtype=x.dtype, seed=self.seed_generator
        )
        added = ops.matmul(factors, ops.convert_to_tensor(colors.T, dtype=x.dtype))
        return x + ops.reshape(added, (-1, 1, 1, 3))

    def get_config(self):
        """Returns the arguments that make this layer, with what `adapt` learned."""
        known = self._eigenvalues is not None
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "value_range": self.value_range,
            "eigenvalues": self._eigenvalues.tolist() if known else None,
            "eigenvectors": self._eigenvectors.tolist() if known else None,
        }


def _numbers(owner, name, value, shape, expected):
    try:
        array = np.asarray(value, "float64")
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise value_error(owner, name, expected, value)
    return array


def _covariance(images):
    """Returns the 3 × 3 covariance of the pixels, in float64."""
    chunks = range(0, len(images), _ROWS)
    pixels = [images[start : start + _ROWS].reshape(-1, 3) for start in chunks]
    count = sum(len(part) for part in pixels)
    mean = sum(part.sum(axis=0, dtype="float64") for part in pixels) / count
    return sum((part - mean).T @ (part - mean) for part in pixels) / count
