"""The only place that names the serialisation package (a file format)."""

import keras

PACKAGE = "keras_practices"


def register(cls):
    """Registers a class so that Keras can load it from a saved file.

    The registered name `keras_practices>ClassName` stands in users' files:
    moving a module is free, renaming a class breaks them.
    """
    return keras.saving.register_keras_serializable(package=PACKAGE)(cls)
