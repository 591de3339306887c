"""Images with class numbers: digits (no network), MNIST, or a file of one's own."""

import pathlib
import zipfile

import numpy as np

from keras_practices._core.validation import value_error
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import first_line


def load(name):
    """Loads a data set of images.

    Args:
        name: `"digits"` (scikit-learn, 1,797 images of 8 × 8, ships with it),
            `"mnist"` (`keras.datasets`, downloaded at the first use), or the path of
            an `.npz` file with arrays `x` and `y`, or `x_train` and `y_train`.

    Returns:
        `(x, y)`: float32 pixels in 0…255, shape `(rows, height, width, channels)`, and
        int class numbers from 0, shape `(rows,)`.

    Raises:
        ValueError: no such data, or arrays that are not images with class numbers.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return _checked(name, digits.images * (255 / 16), digits.target)
    if name == "mnist":
        return _checked(name, *_mnist())
    path = pathlib.Path(name)
    if path.suffix != ".npz" or not path.is_file():
        raise value_error(
            "demo", "--dataset", "digits, mnist, or the path of an .npz file", name
        )
    arrays = _read(path)
    for x, y in (("x", "y"), ("x_train", "y_train")):
        if x in arrays and y in arrays:
            return _checked(name, arrays[x], arrays[y])
    raise value_error(
        "demo",
        "--dataset",
        "an .npz file with arrays x and y, or x_train and y_train",
        f"{name} with {', '.join(arrays) or 'no arrays'}",
    )


def _read(path):
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise value_error(
            "demo",
            "--dataset",
            "an .npz file with arrays of numbers",
            str(path),
            f"Reading it raised {first_line(error)}.",
        ) from error


def _mnist():
    import keras

    try:
        return keras.datasets.mnist.load_data()[0]
    except Exception as error:
        raise ArgumentValueError(
            f"demo: MNIST could not be downloaded ({error}). Without a network use "
            f"--dataset digits, or --dataset PATH.npz with a copy of your own."
        ) from error


def _checked(name, x, y):
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 3:
        x = x[..., None]
    images = x.ndim == 4 and x.dtype.kind in "uif" and min(x.shape) > 0
    classes = y.shape == x.shape[:1] and y.dtype.kind in "ui" and y.min(initial=0) >= 0
    if not images or not classes or min(x.shape[1:3]) < 8:
        raise value_error(
            "demo",
            "--dataset",
            "images (rows, height, width[, channels]) of at least 8 × 8 with one whole "
            "class number from 0 for each",
            f"{name} with x {x.dtype} {x.shape} and y {y.dtype} {y.shape}",
        )
    pixels = x.astype("float32")
    return (pixels * 255 if pixels.max() <= 1 else pixels), y.astype("int32")
