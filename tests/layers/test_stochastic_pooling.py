import keras
import numpy as np
import pytest
from keras import ops

from keras_practices._core import backend as door
from keras_practices.layers.stochastic_pooling import StochasticPooling2D


def windows(inputs, pool, strides):
    """Yields `(row, column, window of shape (batch, places, channels))`."""
    for i in range((inputs.shape[1] - pool[0]) // strides[0] + 1):
        for j in range((inputs.shape[2] - pool[1]) // strides[1] + 1):
            top, left = i * strides[0], j * strides[1]
            window = inputs[:, top : top + pool[0], left : left + pool[1]]
            yield i, j, window.reshape(len(inputs), -1, inputs.shape[3])


def weighted(inputs, pool, strides):
    """The paper's pooling at test time: activations times their probabilities."""
    found = {}
    for i, j, window in windows(np.maximum(np.float64(inputs), 0), pool, strides):
        total = window.sum(1)
        with np.errstate(invalid="ignore"):
            found[i, j] = np.where(total > 0, (window**2).sum(1) / total, 0.0)
    rows, columns = max(found)
    table = [[found[i, j] for j in range(columns + 1)] for i in range(rows + 1)]
    return np.moveaxis(np.array(table), 2, 0)


@pytest.mark.parametrize(
    ("pool", "strides"), [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 3))]
)
def test_inference_weighs_by_probability(pool, strides):
    inputs = np.random.default_rng(0).normal(size=(2, 8, 9, 3)).astype("float32")
    inputs[0, :4, :4, 0] = 0
    found = ops.convert_to_numpy(StochasticPooling2D(pool, strides)(inputs))
    np.testing.assert_allclose(found, weighted(inputs, pool, strides), rtol=1e-5)


def test_training_draws_activations_by_their_share():
    values, rows = np.float32([3, 0, 1, 4, -2, 2]), 20_000
    inputs = np.broadcast_to(values.reshape(1, 2, 3, 1), (rows, 2, 3, 1))
    layer = StochasticPooling2D((2, 3), seed=1)
    found = ops.convert_to_numpy(layer(inputs, training=True)).reshape(-1)
    shares = np.maximum(values, 0) / np.maximum(values, 0).sum()
    for value, share in zip(values, shares, strict=True):
        error = np.sqrt(share * (1 - share) / rows)
        assert abs((found == value).mean() - share) <= 5 * error
    # What training gives on the mean is what inference gives.
    mean = ops.convert_to_numpy(layer(inputs[:1])).item()
    assert abs(found.mean() - mean) < 5 * found.std() / np.sqrt(rows)


@pytest.mark.parametrize(
    ("pool", "strides"), [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 3))]
)
def test_what_is_drawn_lies_in_its_window(pool, strides):
    inputs = np.random.default_rng(0).normal(size=(3, 8, 9, 4)).astype("float32")
    layer = StochasticPooling2D(pool, strides, seed=2)
    found = ops.convert_to_numpy(layer(inputs, training=True))
    for i, j, window in windows(inputs, pool, strides):
        inside = (window == found[:, i, j][:, None]).any(1)
        none = (window <= 0).all(1)
        np.testing.assert_array_equal(np.where(none, found[:, i, j] == 0, inside), True)
        assert (found[:, i, j][~none] > 0).all()


def test_zeros_give_zeros():
    inputs = np.zeros((2, 4, 4, 1), "float32")
    for training in (True, False):
        found = StochasticPooling2D(2)(inputs, training=training)
        np.testing.assert_array_equal(ops.convert_to_numpy(found), inputs[:, :2, :2])


@pytest.mark.once
@pytest.mark.parametrize("size", [5, 6, 7])
@pytest.mark.parametrize(("pool", "strides"), [(2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_shapes_are_those_of_max_pooling(size, pool, strides, padding):
    layer = StochasticPooling2D(pool, strides, padding, seed=1)
    inputs = np.ones((1, size, size + 1, 2), "float32")
    expected = keras.layers.MaxPooling2D(pool, strides, padding)(inputs)
    assert layer.compute_output_shape((None, *inputs.shape[1:]))[1:] == tuple(
        expected.shape[1:]
    )
    for training in (True, False):
        # Padding has no share: only the ones inside come out.
        found = ops.convert_to_numpy(layer(inputs, training=training))
        np.testing.assert_allclose(found, ops.convert_to_numpy(expected), rtol=1e-6)


def test_same_pads_as_keras_does():
    inputs = np.arange(1.0, 26.0, dtype="float32").reshape(1, 5, 5, 1)
    mean = keras.layers.AveragePooling2D(3, 2, "same")
    parts = [ops.convert_to_numpy(mean(inputs**power)) for power in (2, 1)]
    found = StochasticPooling2D(3, 2, "same")(inputs)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), parts[0] / parts[1], rtol=1e-5
    )


def test_gradient_goes_to_what_was_drawn():
    inputs = np.random.default_rng(0).permutation(np.arange(1.0, 25.0))
    inputs = inputs.reshape(1, 4, 6, 1).astype("float32")
    layer = StochasticPooling2D(2, seed=3)

    def total(values):
        outputs = layer(values[0], training=True)
        return ops.sum(outputs), outputs

    tensor = ops.convert_to_tensor(inputs)
    (_, drawn), (gradient,) = door.value_and_gradients(total, [tensor])
    gradient = ops.convert_to_numpy(gradient)
    assert set(np.unique(gradient)) == {0.0, 1.0}
    drawn = np.sort(ops.convert_to_numpy(drawn).reshape(-1))
    np.testing.assert_array_equal(np.sort(inputs[gradient == 1]), drawn)


def test_channels_first_is_the_same_with_other_axes():
    inputs = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype("float32")
    first = StochasticPooling2D(2, data_format="channels_first")
    found = ops.convert_to_numpy(first(inputs.transpose(0, 3, 1, 2)))
    expected = weighted(inputs, (2, 2), (2, 2)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_same_seed_same_draws_and_new_draws_at_every_call():
    inputs = np.random.default_rng(0).uniform(size=(1, 20, 20, 1)).astype("float32")
    made = [StochasticPooling2D(seed=seed) for seed in (7, 7, 8)]
    made.append(made[0])
    found = [ops.convert_to_numpy(layer(inputs, training=True)) for layer in made]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert (found[0] != found[3]).any()


def test_config_round_trip_and_mixed_precision():
    layer = StochasticPooling2D(2, seed=5, dtype="mixed_float16", name="pool")
    copy = StochasticPooling2D.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    # Sums and squares would overflow in float16.
    for training in (True, False):
        outputs = copy(np.full((1, 2, 2, 1), 6e4, "float32"), training=training)
        outputs = ops.convert_to_numpy(outputs)
        assert outputs.dtype == np.float16
        np.testing.assert_allclose(outputs.astype("float64"), 6e4, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"pool_size": 0}, ValueError, "pool_size"),
        ({"pool_size": 2.0}, TypeError, "pool_size"),
        ({"pool_size": (2, 2, 2)}, ValueError, "pool_size"),
        ({"strides": (1, 0)}, ValueError, "strides"),
        ({"padding": "full"}, ValueError, "padding"),
        ({"data_format": "NHWC"}, ValueError, "data_format"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        StochasticPooling2D(**arguments)


@pytest.mark.parametrize("shape", [(None, 8, 1), (8, 1, 1)])
def test_sizes_that_are_unknown_or_too_small_are_named(shape):
    with pytest.raises(ValueError, match="known size of at least 2"):
        StochasticPooling2D(2)(keras.Input(shape))
