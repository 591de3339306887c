"""Averages over several views of each test image."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

_OWNER = "predict_tta"


def predict_tta(
    model: Any,
    x: Any,
    *,
    crops: int | None = None,
    scales: Sequence[float] = (1.0,),
    flips: bool = False,
    crop_size: tuple[int, int] | None = None,
    batch_size: int = 32,
    data_format: str | None = None,
) -> Any:
    """Predicts each image from several views of it, and returns the mean.

    The views are fixed: nothing is drawn at random, and the model runs in inference
    mode. `crops=10` is AlexNet's test; several `scales` with `crops=1` or 5 are the
    multi-scale test of later papers. What is averaged is what the model puts out:
    the mean of probabilities is that of the papers, the mean of scores another one.

    Args:
        model: Model of one input, images.
        x: Array of images, `(rows, height, width, channels)`, at least as large as
            the model's input.
        crops: None, the whole image; 1, its centre; 5, the four corners too; 10,
            these five and their mirror images.
        scales: Factors that height and width are multiplied by before the crops are
            taken, bilinear, with antialiasing where they shrink. Sizes are rounded.
        flips: Bool. Adds the left-right mirror image of each view.
        crop_size: (height, width) of a crop, or None for the model's input.
        batch_size: Integer of at least 1. Images that are held in all their views at
            once; each of them passes the model as often as it has views.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's
            setting.

    Returns:
        What `model.predict` returns, averaged: an array, or a structure of arrays.

    Raises:
        TypeError, ValueError: a bad argument; an image, once scaled, that is smaller
            than a crop, or that is not of the model's size where `crops` is None.

    Example:

    >>> inputs = keras.Input((4, 4, 1))
    >>> model = keras.Model(inputs, keras.layers.Flatten()(inputs)[:, :1])
    >>> x = np.arange(36.0, dtype="float32").reshape(1, 6, 6, 1)
    >>> float(predict_tta(model, x, crops=5)[0, 0])  # first pixels: 0 2 12 14 and 7
    7.0

    References:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep
        convolutional neural networks", 2012, NeurIPS, section 4.1 (ten crops);
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale
        image recognition", 2015, ICLR, section 3.2 (scales).
    """
    check_integer(_OWNER, "batch_size", batch_size, low=1)
    first = _is_channels_first(data_format)
    x = _checked_images(x)
    plan = _plan(model, x, crops, scales, crop_size, first)
    flips = flips or crops == 10
    means = []
    for start in range(0, len(x), batch_size):
        total, count = None, 0
        for view in _views(x[start : start + batch_size], plan, crops, flips, first):
            output = keras.tree.map_structure(
                np.asarray, model.predict_on_batch(np.ascontiguousarray(view))
            )
            total = _added(total, output)
            count += 1
        means.append(_mean(total, count, output))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *means)


def _is_channels_first(data_format):
    data_format = data_format or keras.config.image_data_format()
    check_choice(
        _OWNER, "data_format", data_format, ("channels_last", "channels_first")
    )
    return data_format == "channels_first"


def _checked_images(x):
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        raise type_error(_OWNER, "x", "an array of images", getattr(x, "dtype", x))
    if x.ndim != 4 or len(x) == 0:
        expected = "of shape (rows, height, width, channels), or channels first,"
        raise value_error(_OWNER, "x", expected, x.shape)
    return x


def _plan(model, x, crops, scales, crop_size, first):
    """Returns the size of the scaled images and of their crops, for each scale."""
    if crops is not None:
        check_integer(_OWNER, "crops", crops)
    check_choice(_OWNER, "crops", crops, (None, 1, 5, 10))
    if not isinstance(scales, list | tuple) or not scales:
        raise type_error(_OWNER, "scales", "a list of numbers above 0", scales)
    crop = _crop_size(model, crop_size, first)
    if crops is not None and None in crop:
        advice = "The model takes images of any size; say how large the crops are."
        raise value_error(_OWNER, "crop_size", "(height, width)", crop_size, advice)
    image, plan = (x.shape[2:] if first else x.shape[1:3]), []
    for scale in scales:
        check_number(_OWNER, "scales", scale, low=0, closed="neither")
        size = tuple(max(1, round(side * scale)) for side in image)
        pairs = [(s, c) for s, c in zip(size, crop, strict=True) if c is not None]
        if crops is None and any(s != c for s, c in pairs):
            expected = f"1, 5 or 10 where the model takes {crop} and images are {size}"
            raise value_error(_OWNER, "crops", expected, crops)
        if any(s < c for s, c in pairs):
            expected = f"such that images ({size}) are not smaller than crops ({crop})"
            raise value_error(_OWNER, "scales", expected, scale)
        plan.append((size, size if crops is None else crop))
    return plan


def _crop_size(model, crop_size, first):
    if crop_size is None:
        shape = getattr(model, "input_shape", None)
        if not isinstance(shape, tuple) or len(shape) != 4:
            expected = "(height, width), as the model has no one input of images,"
            raise value_error(_OWNER, "crop_size", expected, crop_size)
        return shape[2:] if first else shape[1:3]
    if not isinstance(crop_size, list | tuple) or len(crop_size) != 2:
        raise type_error(_OWNER, "crop_size", "(height, width)", crop_size)
    return tuple(check_integer(_OWNER, "crop_size", n, low=1) for n in crop_size)


def _views(x: Any, plan: Any, crops: Any, flips: Any, first: bool) -> Iterator[Any]:
    """Yields each view of all images of a batch."""
    across = 3 if first else 2
    for (height, width), (rows, columns) in plan:
        scaled = _resized(x, (height, width), first)
        below, right = height - rows, width - columns
        places = [(below // 2, right // 2)]
        if crops in (5, 10):
            places += [(0, 0), (0, right), (below, 0), (below, right)]
        for top, left in places:
            box = (slice(top, top + rows), slice(left, left + columns))
            view = scaled[
                (slice(None), slice(None), *box) if first else (slice(None), *box)
            ]
            yield view
            if flips:
                yield np.flip(view, axis=across)


def _resized(x, size, first):
    if size == tuple(x.shape[2:] if first else x.shape[1:3]):
        return x
    resized = ops.image.resize(
        x.astype("float32"),
        size,
        interpolation="bilinear",
        antialias=True,
        data_format="channels_first" if first else "channels_last",
    )
    return ops.convert_to_numpy(resized)


def _added(total, output):
    output = keras.tree.map_structure(lambda leaf: leaf.astype("float64"), output)
    if total is None:
        return output
    return keras.tree.map_structure(np.add, total, output)


def _mean(total, count, output):
    def mean(leaf, like):
        return (leaf / count).astype(np.result_type(like.dtype, "float32"))

    return keras.tree.map_structure(mean, total, output)
