"""What `fit` would be given, checked before any time is spent on it."""

import math

import keras

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import first_line
from keras_practices.measures.sample import take_sample


def check_batches_last(sample, fit_kwargs):
    """A generator must last as long as `fit` will read it."""
    if not sample.exhausted or sample.batch_size is None:
        return
    epochs = fit_kwargs.get("epochs", 1)
    steps = fit_kwargs.get("steps_per_epoch")
    once = sample.data_is_one_pass
    wanted = (steps or sample.batches) * (epochs if once else 1)
    if sample.batches < wanted:
        raise value_error(
            "diagnose",
            "x",
            f"data that last for {wanted} batches (epochs={epochs}, "
            f"steps_per_epoch={steps})",
            f"{sample.batches} batches",
            "Let the generator go on for ever (while True), lower steps_per_epoch, or "
            "give arrays, a tf.data.Dataset or a PyDataset, which can be read again.",
        )


def check_validation_data(owner, data):
    """Refuses validation data whose parts do not belong together."""
    if not isinstance(data, tuple | list) or len(data) < 2:
        return
    x, y = data[0], data[1]
    take_sample(x, y, owner=f"{owner}: validation_data", max_rows=1)


def build_from_rows(model, sample):
    """Builds a model that has no weights yet, as `fit` would."""
    if model.built:
        return
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, sample.head(1)[0])
    try:
        model(inputs)
    except Exception as error:
        raise value_error(
            "diagnose",
            "model",
            "built, or buildable from the rows of `x`",
            model.name,
            f"Building it raised {first_line(error)}",
        ) from error


def callback_list(callbacks):
    """Returns what `fit` takes as `callbacks` as a list."""
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        raise type_error("diagnose", "callbacks", "a list of callbacks", callbacks)
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def _plain(class_weight):
    """Class weights as a dict of text and floats, None where there are none."""
    if not isinstance(class_weight, dict):
        return None
    try:
        return {str(int(label)): float(w) for label, w in class_weight.items()}
    except (TypeError, ValueError):
        return None  # `fit` says what is wrong with them


def fit_facts(sample, validation_split, fit_kwargs):
    """What the arguments of `fit` say of the steps to come, for the rules.

    Args:
        sample: From `take_sample`.
        validation_split: As for `fit`.
        fit_kwargs: Other arguments of `fit`.

    Returns:
        Dict with `fit` (`batch_size`, `epochs`, `steps` planned in all; None where
        not known), `class_weighted`, `class_weight`, `validation_split`, `shuffled`
        (None where the data bring their own order).
    """
    epochs = fit_kwargs.get("epochs", 1)
    arrays = sample.batch_size is None
    size = sample.batch_size or fit_kwargs.get("batch_size") or 32
    steps = fit_kwargs.get("steps_per_epoch")
    if steps is None and sample.total_rows is not None:
        rows = sample.total_rows * (1 - (validation_split or 0.0))
        steps = max(1, math.ceil(rows / size))
    class_weight = fit_kwargs.get("class_weight")
    weighted = class_weight or sample.sample_weight is not None
    return {
        "fit": {
            "batch_size": size,
            "epochs": epochs,
            "steps": None if steps is None else steps * epochs,
        },
        "class_weighted": bool(weighted),
        "class_weight": _plain(class_weight),
        "validation_split": float(validation_split or 0.0),
        "shuffled": bool(fit_kwargs.get("shuffle", True)) if arrays else None,
    }
