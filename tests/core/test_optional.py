import json

import pytest

from keras_practices._core.optional import require

pytestmark = pytest.mark.once


def test_an_installed_module_is_returned():
    assert require("json", "report", "Writing") is json


def test_a_missing_one_names_the_extra_and_the_purpose():
    with pytest.raises(ImportError) as caught:
        require("no_such_package.inner", "report", "Drawing pictures")
    text = str(caught.value)
    assert text.startswith("Drawing pictures needs the package `no_such_package`")
    assert "pip install keras-practices[report]" in text
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
