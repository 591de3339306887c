"""What a callback must remember from one process to the next, as files.

Keras's own callbacks keep it in attributes; others say it with two methods.
`get_state()` returns a dict of numbers, strings, None, arrays, and of lists and dicts
(with string keys) of these; tuples come back as lists. `set_state(state)` takes it
over before `on_train_begin`. Numbers are stored as JSON, arrays in an `.npz` without
pickle.
"""

import json
import os
import zipfile

import keras
import numpy as np

from keras_practices._core.validation import type_error

# What these collect while they run and begin afresh in each `fit`.
ATTRIBUTES = {
    keras.callbacks.EarlyStopping: (
        "wait",
        "best",
        "best_epoch",
        "stopped_epoch",
        "best_weights",
    ),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.History: ("epoch", "history"),
}
_JSON = "callbacks.json"
_ARRAYS = "callbacks.npz"
_ARRAY = "array in callbacks.npz"


def has_state(callback):
    """Whether it is known what the callback must remember."""
    return isinstance(callback, tuple(ATTRIBUTES)) or _has_methods(callback)


def get_state(callback):
    """Returns what the callback must remember."""
    state = {
        "attributes": {
            name: getattr(callback, name)
            for name in _attributes_of(callback)
            if hasattr(callback, name)
        }
    }
    if _has_methods(callback):
        state["state"] = callback.get_state()
    return state


def set_state(callback, state):
    """Puts back what `get_state` returned, after the callback's `on_train_begin`."""
    if "state" in state and _has_methods(callback):
        callback.set_state(state["state"])
        # It was called already, with the weights of a training that begins.
        callback.on_train_begin()
    for name, value in state["attributes"].items():
        setattr(callback, name, value)


def write(folder, state):
    """Writes nested plain values and arrays as two files."""
    text, arrays = encode(state)
    with open(os.path.join(folder, _JSON), "w", encoding="utf-8") as file:
        file.write(text)
    np.savez(os.path.join(folder, _ARRAYS), **arrays)


def read(folder):
    """Reads what `write` wrote; raises OSError where it is damaged."""
    try:
        # Opened here: np.load does not close a file that it cannot read.
        with (
            open(os.path.join(folder, _ARRAYS), "rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            loaded = dict(arrays)
        with open(os.path.join(folder, _JSON), encoding="utf-8") as file:
            return json.load(file, object_hook=lambda item: _decoded(item, loaded))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise OSError(f"The files in {folder!r} are damaged: {error}") from error


def encode(state):
    """Returns the JSON text and the arrays of nested values."""
    arrays: dict[str, np.ndarray] = {}
    return json.dumps(_plain(state, arrays)), arrays


def _attributes_of(callback):
    for kind, names in ATTRIBUTES.items():
        if isinstance(callback, kind):
            yield from names


def _has_methods(callback):
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _plain(value, arrays):
    # First what there is most of: a history has an entry for each step.
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise type_error("get_state", "state", "a dict with strings as keys", value)
        return {key: _plain(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, keras.Variable) or keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise type_error("get_state", "state", "plain values and arrays", value)
    if value.dtype.hasobject:
        raise type_error("get_state", "state", "made of arrays of numbers", value)
    if value.dtype.kind == "V":
        # bfloat16 and the like, which .npz does not know; float32 holds them exactly.
        value = value.astype("float32")
    key = f"array{len(arrays)}"
    arrays[key] = value
    return {_ARRAY: key}


def _decoded(item, arrays):
    return arrays[item[_ARRAY]] if item.keys() == {_ARRAY} else item
