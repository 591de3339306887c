"""Images that a layer may learn from, and the range of their values."""

import numpy as np

from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.part import Part

# What image files and Keras's `Rescaling(1 / 255)`, `Rescaling(1 / 127.5, -1)` give.
USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
# A range is taken for granted when the images use more than half of it. One that the
# user has named is doubted only when they use less than a twentieth: pictures in
# [0, 1] use 1/255 of (0, 255).
_SURE, _DOUBTED = 0.5, 0.05


def training_images(owner, name, data):
    """Returns the images of a training `Part`, or the array itself.

    Raises:
        TypeError: no array of numbers.
        ValueError: another part than the training part; another rank than 4; no
            rows; numbers that are not finite.
    """
    if isinstance(data, Part):
        if data.role != "train":
            advice = "What is learnt from other data leaks it into the model."
            raise value_error(owner, name, "of role 'train'", data, advice)
        data = data.x
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiub":
        expected = "a training Part or an array, with images"
        raise type_error(owner, name, expected, getattr(data, "dtype", data))
    if data.ndim != 4 or data.size == 0:
        expected = "images of shape (rows, height, width, channels)"
        raise value_error(owner, name, expected, data.shape)
    # NaN and infinity pass on to the extremes: no mask as large as the images.
    if not (np.isfinite(data.min()) and np.isfinite(data.max())):
        raise value_error(owner, name, "images with finite values", data.shape)
    return data


def checked_value_range(owner, value, automatic):
    """Returns `(low, high)` as floats, or `automatic` if that is what was received.

    Raises:
        TypeError: neither a pair of numbers nor `automatic`.
        ValueError: the lower end is not the lower one.
    """
    if isinstance(value, str) and value == automatic:
        return value
    expected = f"{automatic!r} or a pair (low, high) with low < high"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise type_error(owner, "value_range", expected, value)
    low, high = (float(check_number(owner, "value_range", end)) for end in value)
    if not low < high:
        raise value_error(owner, "value_range", expected, value)
    return low, high


def infer_value_range(owner, images):
    """Returns which of the usual ranges the images are in.

    Raises:
        ValueError: none is plausible.
    """
    if images.dtype == np.uint8:
        return USUAL_RANGES[-1]
    for candidate in USUAL_RANGES:
        if _share(images, candidate) > _SURE:
            return candidate
    advice = "Augment images before they are standardised, or name their value_range."
    expected = "images in [0, 1], [-1, 1] or [0, 255] that use more than half of it"
    raise value_error(owner, "data", expected, _extremes(images), advice)


def refuse_misfit(owner, images, value_range):
    """Raises if images leave the range, or use next to nothing of it.

    Raises:
        ValueError: it does not fit.
    """
    if _share(images, value_range) < _DOUBTED:
        low, high = _extremes(images)
        expected = f"the range of the images, whose values go from {low} to {high},"
        advice = 'value_range="auto" finds it.'
        raise value_error(owner, "value_range", expected, value_range, advice)


def _extremes(images):
    return float(images.min()), float(images.max())


def _share(images, value_range):
    """Share of the range that the images use; 0 if they leave it."""
    low, high = _extremes(images)
    inside = value_range[0] <= low and high <= value_range[1]
    return (high - low) / (value_range[1] - value_range[0]) if inside else 0.0
