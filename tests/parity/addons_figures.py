"""The figures that Addons made, and how ours are compared with them."""

import json
import pathlib

import numpy as np
from keras import ops

FIGURES = json.loads(pathlib.Path(__file__).with_name("addons.json").read_text("utf-8"))
RATE = 0.1


def array(values):
    return np.asarray(values, "float32")


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def close(found, expected, rtol=2e-5, atol=2e-6):
    np.testing.assert_allclose(numbers(found), array(expected), rtol=rtol, atol=atol)
