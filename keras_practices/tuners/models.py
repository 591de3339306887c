"""The models of trials: what `build` must return, and how they come back."""

import json
import math
import os
import warnings
from typing import Any

import keras

from keras_practices._core.optional import require
from keras_practices.errors import SearchFailedError
from keras_practices.search_record import read_json

keras_tuner = require("keras_tuner", "search", "keras_practices.tuners")
BUILD_FILE = "build_config.json"


class ModelTooLarge(Exception):
    """A model has more weights than `max_model_size`."""


def check_model(model: Any, must_be_compiled: bool, max_size: int | None) -> Any:
    """Returns what `build` returned, if it can be trained.

    Args:
        model: What it returned.
        must_be_compiled: Bool. Whether nobody else compiles it.
        max_size: Trainable weights that are allowed, or None.

    Raises:
        SearchFailedError: no Keras model, or one that is not compiled.
        ModelTooLarge: more weights than allowed.
    """
    if not isinstance(model, keras.Model):
        raise SearchFailedError(
            "The build function must return a compiled keras.Model. It returned "
            f"{type(model).__name__}: {model!r:.200}. Does it end with `return model`?"
        )
    if must_be_compiled and not model.compiled:
        raise SearchFailedError(
            f"The build function returned the model {model.name!r} without compiling "
            "it. Call model.compile(optimizer, loss) before `return model`."
        )
    if max_size is not None and model.built:
        size = sum(math.prod(v.shape) for v in model.trainable_weights)
        if size > max_size:
            raise ModelTooLarge(
                f"The model has {size:,} trainable weights, more than "
                f"max_model_size={max_size:,}. It was not trained."
            )
    return model


class CheckedBuild:
    """Stands for a hypermodel while the space is found, and checks its models.

    Args:
        hypermodel: The `keras_tuner.HyperModel`.
        must_be_compiled: Bool. Whether nobody else compiles them.
    """

    def __init__(self, hypermodel: Any, must_be_compiled: bool):
        self._hypermodel = hypermodel
        self._compiled = must_be_compiled

    def declare_hyperparameters(self, hp: Any) -> None:
        """Calls that of the hypermodel."""
        self._hypermodel.declare_hyperparameters(hp)

    def build(self, hp: Any) -> Any:
        """Calls that of the hypermodel."""
        return check_model(self._hypermodel.build(hp), self._compiled, None)


def uses_default_fit(hypermodel: Any) -> bool:
    """Whether training is `model.fit` itself, not a method of the user's."""
    own = getattr(type(hypermodel), "fit", None)
    return own is keras_tuner.HyperModel.fit


def save_build_config(folder: str | os.PathLike[str], model: Any) -> None:
    """Writes the shapes of a model that gets them from its first batch."""
    config = model.get_build_config()
    try:
        with open(os.path.join(folder, BUILD_FILE), "w", encoding="utf-8") as file:
            json.dump(config, file)
    except (OSError, TypeError):
        pass  # its weights cannot be loaded then, which `load_weights` says


def load_weights(model: Any, path: str) -> Any:
    """Reads weights into a model that may have no shapes yet."""
    if not model.built:
        config = read_json(os.path.join(os.path.dirname(path), BUILD_FILE))
        if config:
            model.build_from_config(config)
    with warnings.catch_warnings():
        # The file holds the optimizer's variables too; the new one has none yet.
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        model.load_weights(path)
    return model
