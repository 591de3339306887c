"""Files that are written whole or not at all, for the callbacks that save models."""

import errno
import math
import os
import shutil

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import OutputPathError

# What HDF5 writes for a variable besides its values, with a good margin.
_BYTES_PER_VARIABLE = 8192


def check_folder(owner, name, path):
    """Returns the path of a local folder as a string."""
    if not isinstance(path, str | os.PathLike):
        raise type_error(owner, name, "the path of a folder", path)
    text = os.fspath(path)
    # What is renamed on a remote store is not renamed in one go.
    if not text or "://" in text:
        raise value_error(owner, name, "the path of a local folder", path)
    return text


def make_folder(path):
    """Makes a folder, before any work could be lost for want of it."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputPathError(f"Cannot make the folder {path!r}: {error}") from error


def check_room(folder, model):
    """Raises OSError if the disk cannot hold the model.

    HDF5 does not survive a full disk: a `.weights.h5` that could not be written to
    its end crashes the process later, so writing must not begin.
    """
    variables = list(model.variables)
    variables += getattr(model.optimizer, "variables", [])
    needed = sum(4 * math.prod(v.shape) + _BYTES_PER_VARIABLE for v in variables)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"about {needed} bytes needed, {free} free", str(folder)
        )


def flush(path):
    """Waits until a file has reached the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
