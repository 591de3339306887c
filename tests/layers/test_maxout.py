import keras
import numpy as np
import pytest
from keras import ops

from keras_practices._core import backend as door
from keras_practices.layers.maxout import Maxout

RNG = np.random.default_rng(0)


def by_hand(inputs, num_units, axis):
    """Unit j is the largest of the features j, j + num_units, j + 2 num_units, …"""
    last = np.moveaxis(np.float64(inputs), axis, -1)
    units = [last[..., j::num_units].max(-1) for j in range(num_units)]
    return np.moveaxis(np.stack(units, -1), -1, axis)


def by_addons(inputs, num_units, axis):
    """The reshape of tensorflow-addons 0.23, line by line in NumPy."""
    shape = list(inputs.shape)
    axis = axis + len(shape) if axis < 0 else axis
    pieces = shape[axis] // num_units
    shape[axis] = num_units
    shape.insert(axis, pieces)
    return inputs.reshape(shape).max(axis)


@pytest.mark.parametrize("axis", [-1, 3, 1, -2])
@pytest.mark.parametrize("num_units", [1, 3, 6])
def test_equals_the_loop_and_tensorflow_addons(num_units, axis):
    inputs = RNG.normal(size=(2, 6, 12, 6)).astype("float32")
    layer = Maxout(num_units, axis=axis)
    found = ops.convert_to_numpy(layer(inputs))
    np.testing.assert_allclose(found, by_hand(inputs, num_units, axis), rtol=1e-6)
    np.testing.assert_array_equal(found, by_addons(inputs, num_units, axis))
    assert layer.compute_output_shape(inputs.shape) == found.shape


def test_symbolic_shape_with_unknown_batch_and_steps():
    outputs = Maxout(2)(keras.Input((None, 8)))
    assert tuple(outputs.shape) == (None, None, 2)


def test_gradient_goes_to_the_largest_piece():
    inputs = np.float32([[1, 7, 5, 2, 3, 4]])

    def total(values):
        return ops.sum(Maxout(2)(values[0])), ()

    tensor = ops.convert_to_tensor(inputs)
    _, (gradient,) = door.value_and_gradients(total, [tensor])
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient), [[0, 1, 1, 0, 0, 0]])


def test_config_round_trip_and_mixed_precision():
    layer = Maxout(2, axis=1, dtype="mixed_float16", name="pieces")
    copy = Maxout.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert ops.convert_to_numpy(copy(np.ones((1, 4), "float32"))).dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"num_units": 0}, ValueError, "num_units"),
        ({"num_units": 2.0}, TypeError, "num_units"),
        ({"num_units": 2, "axis": 0}, ValueError, "axis"),
        ({"num_units": 2, "axis": None}, TypeError, "axis"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        Maxout(**arguments)


def test_features_that_do_not_divide_and_axes_that_are_not_there():
    with pytest.raises(ValueError, match="num_units.*5 features"):
        Maxout(2)(np.ones((1, 5), "float32"))
    with pytest.raises(ValueError, match="num_units.*None features"):
        Maxout(2, axis=1)(keras.Input((None, 8)))
    for axis in (2, -2):
        with pytest.raises(ValueError, match="argument `axis`"):
            Maxout(2, axis=axis)(np.ones((4, 4), "float32"))
