"""What `fit` would be given, checked before any time is spent on it."""

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
