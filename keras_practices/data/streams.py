"""Training inputs as arrays, out of a part or out of a stream that is one."""

import keras
import numpy as np

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.part import Part

_ADVICE = (
    'Pass split.train, Part(x, y, role="train") of data that was split before, or a '
    'dataset of training rows with role="train".'
)


def training_inputs(owner, data, role):
    """Returns an iterator over arrays of training inputs, rows first.

    Args:
        owner: Object or name that a message begins with.
        data: A training `Part`; or a `tf.data.Dataset`, PyDataset, PyTorch
            `DataLoader` or generator of batches `x`, `(x, y)` or `(x, y, weights)`.
        role: What a stream is: `"train"`. A `Part` knows its own.

    Raises:
        TypeError: plain arrays, which may be anything; no single array of numbers.
        ValueError: another part than the training part, a stream whose role was not
            named or that has no end.
    """
    if isinstance(data, Part):
        if data.role != "train" or role not in (None, "train"):
            raise value_error(owner, "data", "of role 'train'", data, _ADVICE)
        return iter([_checked(owner, data.x)])
    if not _is_stream(data):
        kind = type(data).__name__
        raise type_error(owner, "data", "a training Part or a dataset", kind, _ADVICE)
    if role != "train":
        advice = "A dataset cannot say which part it is: name it, if it is this one."
        raise value_error(owner, "role", "'train' beside a dataset", role, advice)
    return _batches(owner, _opened(owner, data))


def _is_stream(data):
    if isinstance(data, keras.utils.PyDataset):
        return True
    known = isinstance(data, dict | list | tuple | str | bytes)
    return hasattr(data, "__iter__") and not known and not hasattr(data, "__array__")


def _opened(owner, data):
    """Returns an iterator that reads the stream once, if it has an end."""
    count = None
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        endless = count is None
    else:
        # tf.data: -1 is what it calls infinite; other streams cannot say.
        cardinality = getattr(data, "cardinality", None)
        endless = cardinality is not None and int(cardinality()) == -1
    if endless:
        advice = "Take as many batches as make up the training part."
        raise value_error(owner, "data", "a dataset with an end", data, advice)
    if count is None:
        return iter(data)
    return (data[number] for number in range(count))


def _batches(owner, stream):
    for batch in stream:
        if isinstance(batch, list):  # a DataLoader gives lists
            batch = tuple(batch)
        yield _checked(owner, keras.utils.unpack_x_y_sample_weight(batch)[0])


def _checked(owner, x):
    if keras.ops.is_tensor(x):
        x = keras.ops.convert_to_numpy(x)
    elif hasattr(x, "detach"):  # a PyTorch tensor on another backend
        x = x.detach().cpu().numpy()
    elif hasattr(x, "__array__"):
        x = np.asarray(x)
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub" or x.ndim < 2:
        kind = f"{x.dtype}, shape {x.shape}" if hasattr(x, "shape") else type(x)
        advice = "Give every input of a dict or list its own layer."
        expected = "one array of numbers, shape (rows, ...),"
        raise type_error(owner, "data", expected, kind, advice)
    return x
