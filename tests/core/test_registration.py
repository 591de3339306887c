import keras
import pytest

from keras_practices._core.registration import register

pytestmark = pytest.mark.once


def test_the_registered_name_is_the_file_format():
    @register
    class Unnamed(keras.layers.Layer):
        pass

    assert keras.saving.get_registered_name(Unnamed) == "keras_practices>Unnamed"
    assert keras.saving.get_registered_object("keras_practices>Unnamed") is Unnamed
    keras.saving.get_custom_objects().pop("keras_practices>Unnamed")
