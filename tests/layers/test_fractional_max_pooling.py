import keras
import numpy as np
import pytest
from keras import ops

from keras_practices._core import backend as door
from keras_practices.layers.fractional_max_pooling import FractionalMaxPooling2D
from keras_practices.layers.fractional_max_pooling import pool_stretches

SIZES = [(10, 7), (12, 6), (9, 9), (25, 17), (7, 3), (11, 1), (36, 25)]


def by_hand(inputs, rows, columns, overlapping):
    """Maxima of all regions, in loops; the borders as TensorFlow names them."""
    outputs = np.empty((len(inputs), len(rows) - 1, len(columns) - 1, inputs.shape[3]))
    for i in range(len(rows) - 1):
        for j in range(len(columns) - 1):
            bottom = rows[i + 1] + overlapping
            right = columns[j + 1] + overlapping
            region = inputs[:, rows[i] : bottom, columns[j] : right]
            outputs[:, i, j] = region.max((1, 2))
    return outputs


def starts(layer, size, count, training=True):
    return ops.convert_to_numpy(layer._starts(size, count, training))


def pooled(inputs, rows, columns, overlapping):
    for axis, places in ((1, rows), (2, columns)):
        places = ops.convert_to_tensor(np.int32(places))
        inputs = pool_stretches(inputs, places, axis, overlapping)
    return ops.convert_to_numpy(inputs)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("pseudo_random", [False, True])
def test_equals_the_loop_for_the_cuts_it_draws(overlapping, pseudo_random):
    inputs = np.random.default_rng(0).normal(size=(2, 11, 14, 3)).astype("float32")
    for seed in range(5):
        layer, twin = (
            FractionalMaxPooling2D((1.5, 1.3), pseudo_random, overlapping, seed=seed)
            for _ in range(2)
        )
        rows, columns = starts(twin, 11, 7), starts(twin, 14, 10)
        found = ops.convert_to_numpy(layer(inputs, training=True))
        assert found.shape == (2, 7, 10, 3)
        expected = by_hand(inputs, rows, columns, overlapping)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("pseudo_random", [False, True])
@pytest.mark.parametrize("ratio", [1.0, 1.41, 1.73, 2.6])
def test_equals_tensorflow_for_its_cuts(overlapping, pseudo_random, ratio, backend):
    if backend != "tensorflow":
        pytest.skip("compares with an operation of TensorFlow")
    import tensorflow as tf

    inputs = np.random.default_rng(0).normal(size=(2, 13, 18, 3)).astype("float32")
    for seed in range(1, 6):
        expected, rows, columns = tf.nn.fractional_max_pool(
            inputs, (1, ratio, ratio, 1), pseudo_random, overlapping, seed=seed
        )
        found = pooled(ops.convert_to_tensor(inputs), rows, columns, overlapping)
        np.testing.assert_array_equal(found, expected)
        layer = FractionalMaxPooling2D(ratio)
        assert layer.compute_output_shape(inputs.shape) == tuple(expected.shape)


@pytest.mark.parametrize(("size", "count"), SIZES)
def test_random_cuts_have_the_right_stretches_in_any_order(size, count):
    layer, draws = FractionalMaxPooling2D(seed=1), 100
    cuts = np.stack([starts(layer, size, count) for _ in range(draws)])
    assert (cuts[:, 0] == 0).all()
    assert (cuts[:, -1] == size).all()
    short, long_ones = divmod(size, count)
    lengths = np.diff(cuts)
    assert set(np.unique(lengths)) <= {short, short + 1}
    # Every place is as likely to hold one of the long stretches.
    share = long_ones / count
    error = np.sqrt(share * (1 - share) / draws)
    assert (abs((lengths > short).mean(0) - share) <= 5 * error).all()


def cuts_of_the_paper(size, count):
    """All cuts ceil(alpha (i + u)) for u as far as stretches have length k or k + 1."""
    alpha, short = size / count, size // count
    cuts, shares = [], []
    # u in steps of a fraction of 1/size, at the middle of each: no rounding matters.
    for u in (np.arange(4 * size * 3) + 0.5) / (4 * size):
        inner = [int(np.ceil(alpha * (i + u))) - 1 for i in range(1, count)]
        cut = (0, *inner, size)
        if set(np.diff(cut)) <= {short, short + 1} and (count > 1 or u < 1):
            cuts.append(cut)
    for cut in sorted(set(cuts)):
        shares.append(cuts.count(cut) / len(cuts))
    return dict(zip(sorted(set(cuts)), shares, strict=True))


@pytest.mark.parametrize(("size", "count"), [(10, 7), (12, 6), (9, 9), (7, 3), (11, 1)])
def test_pseudo_random_cuts_are_those_of_the_paper(size, count):
    layer, draws = FractionalMaxPooling2D(pseudo_random=True, seed=1), 150
    expected = cuts_of_the_paper(size, count)
    found = [tuple(starts(layer, size, count).tolist()) for _ in range(draws)]
    assert set(found) == set(expected)
    for cut, share in expected.items():
        error = np.sqrt(share * (1 - share) / draws)
        assert abs(found.count(cut) / draws - share) <= 5 * error


@pytest.mark.parametrize(("size", "count"), [(10, 7), (12, 6), (25, 17), (7, 3)])
def test_pseudo_random_cuts_are_those_of_tensorflow(size, count, backend):
    if backend != "tensorflow":
        pytest.skip("compares with an operation of TensorFlow")
    import tensorflow as tf

    inputs = np.zeros((1, size, 2, 1), "float32")
    theirs = set()
    for seed in range(1, 200):
        ratio = size / (count + 0.01)
        _, rows, _ = tf.nn.fractional_max_pool(
            inputs, (1, ratio, 1, 1), True, seed=seed
        )
        theirs.add(tuple(rows.numpy().tolist()))
    layer = FractionalMaxPooling2D(pseudo_random=True, seed=1)
    ours = {tuple(starts(layer, size, count).tolist()) for _ in range(200)}
    assert ours == theirs


@pytest.mark.parametrize("pseudo_random", [False, True])
def test_inference_takes_the_even_cut_always(pseudo_random):
    layer = FractionalMaxPooling2D(pseudo_random=pseudo_random, seed=1)
    for size, count in SIZES:
        cut = starts(layer, size, count, training=False)
        np.testing.assert_array_equal(cut, starts(layer, size, count, training=False))
        assert tuple(cut) in cuts_of_the_paper(size, count)
    inputs = np.random.default_rng(0).normal(size=(1, 9, 9, 1)).astype("float32")
    once, again = (ops.convert_to_numpy(layer(inputs)) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_a_ratio_of_two_is_max_pooling_and_one_the_identity():
    inputs = np.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype("float32")
    found = FractionalMaxPooling2D(2)(inputs, training=True)
    expected = inputs.reshape(2, 4, 2, 3, 2, 3).max((2, 4))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)
    found = FractionalMaxPooling2D(1.0, pseudo_random=True)(inputs, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), inputs)


def test_channels_first_is_the_same_with_other_axes():
    inputs = np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype("float32")
    last = FractionalMaxPooling2D(1.4, seed=3)(inputs, training=True)
    first = FractionalMaxPooling2D(1.4, seed=3, data_format="channels_first")
    found = ops.convert_to_numpy(first(inputs.transpose(0, 3, 1, 2), training=True))
    expected = ops.convert_to_numpy(last).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found, expected)
    assert first.compute_output_shape((None, 3, 9, 7)) == (None, 3, 6, 5)


def test_gradient_goes_to_the_maxima():
    inputs = np.random.default_rng(0).permutation(35.0 * np.arange(35))
    tensor = ops.convert_to_tensor(inputs.reshape(1, 7, 5, 1).astype("float32"))
    layer = FractionalMaxPooling2D(1.5)

    def total(values):
        return ops.sum(layer(values[0])), ()

    loss, (gradient,) = door.value_and_gradients(total, [tensor])
    gradient = ops.convert_to_numpy(gradient)[0, :, :, 0]
    maxima = ops.convert_to_numpy(layer(tensor)).reshape(-1)
    assert set(np.unique(gradient)) == {0.0, 1.0}
    np.testing.assert_array_equal(
        np.sort(inputs.reshape(7, 5)[gradient == 1]), np.sort(maxima)
    )


def test_same_seed_same_cuts_and_new_cuts_at_every_call():
    inputs = np.random.default_rng(0).normal(size=(1, 20, 20, 1)).astype("float32")
    made = [FractionalMaxPooling2D(seed=seed) for seed in (7, 7, 8)]
    made.append(made[0])
    found = [ops.convert_to_numpy(layer(inputs, training=True)) for layer in made]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert (found[0] != found[3]).any()


def test_config_round_trip_and_mixed_precision():
    layer = FractionalMaxPooling2D(
        (1.5, 1.2), True, True, seed=5, dtype="mixed_float16", name="pool"
    )
    copy = FractionalMaxPooling2D.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    outputs = copy(np.ones((1, 4, 4, 1), "float32"), training=True)
    assert ops.convert_to_numpy(outputs).dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"pooling_ratio": 0.9}, ValueError, "pooling_ratio"),
        ({"pooling_ratio": "2"}, TypeError, "pooling_ratio"),
        ({"pooling_ratio": (1, 2, 2, 1)}, ValueError, "pooling_ratio"),
        ({"pseudo_random": 1}, TypeError, "pseudo_random"),
        ({"overlapping": None}, TypeError, "overlapping"),
        ({"data_format": "NHWC"}, ValueError, "data_format"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        FractionalMaxPooling2D(**arguments)


@pytest.mark.parametrize("shape", [(None, 8, 1), (8, 1, 1)])
def test_sizes_that_are_unknown_or_too_small_are_named(shape):
    with pytest.raises(ValueError, match="known size of at least 1.4"):
        FractionalMaxPooling2D(1.4)(keras.Input(shape))
