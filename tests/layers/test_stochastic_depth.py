import numpy as np
import pytest
from keras import ops

from keras_practices.layers.stochastic_depth import StochasticDepth

ROWS = 4000


def added(layer, residual=1.0, rows=ROWS, training=True):
    shape = (rows, 2, 3)
    inputs = [np.zeros(shape, "float32"), np.full(shape, residual, "float32")]
    return ops.convert_to_numpy(layer(inputs, training=training))


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.9])
def test_samples_keep_the_branch_by_the_probability(probability):
    outputs = added(StochasticDepth(probability, seed=3), residual=2.0)
    # A sample is kept or dropped as a whole.
    np.testing.assert_array_equal(outputs, outputs[:, :1, :1] + 0 * outputs)
    kept = outputs[:, 0, 0] > 0
    np.testing.assert_allclose(outputs[kept], 2.0 / probability, rtol=1e-6)
    error = np.sqrt(probability * (1 - probability) / ROWS)
    assert abs(kept.mean() - probability) < 5 * error
    # So the mean is the branch: that is what inference adds.
    assert abs(outputs.mean() - 2.0) < 5 * 2.0 * error / probability


@pytest.mark.parametrize(("probability", "training"), [(0.3, False), (1.0, True)])
def test_inference_and_probability_one_are_the_sum(probability, training):
    rng = np.random.default_rng(0)
    shortcut, residual = rng.normal(size=(2, 3, 4)).astype("float32")
    layer = StochasticDepth(probability)
    outputs = layer([shortcut, residual], training=training)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), shortcut + residual)
    outputs = layer((shortcut, residual), training=training)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), shortcut + residual)


def test_a_branch_that_is_left_out_may_be_infinite():
    outputs = added(StochasticDepth(0.5, seed=1), residual=np.inf, rows=50)
    assert set(np.unique(outputs)) == {0.0, np.inf}


def test_same_seed_same_draws_and_new_draws_at_every_call():
    first, second, other = (StochasticDepth(0.5, seed=seed) for seed in (7, 7, 8))
    draws = [added(layer, rows=100) for layer in (first, second, other, first)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    assert (draws[0] != draws[3]).any()


def test_config_round_trip_and_mixed_precision():
    layer = StochasticDepth(0.75, seed=4, dtype="mixed_float16", name="depth")
    copy = StochasticDepth.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    outputs = added(copy)
    assert outputs.dtype == np.float16
    error = np.sqrt(0.25 / 0.75 / ROWS)
    # 1/0.75 in float16 is off by up to 2**-11.
    assert abs(outputs.astype("float64").mean() - 1.0) < 5 * error + 2.0**-11


@pytest.mark.parametrize(
    ("probability", "error"),
    [(0.0, ValueError), (1.1, ValueError), (True, TypeError), ("0.5", TypeError)],
)
def test_a_bad_probability_is_named(probability, error):
    with pytest.raises(error, match="argument `survival_probability`"):
        StochasticDepth(probability)


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3)] * 3, [(2, 3), (2, 4)], (2, 3)])
def test_bad_inputs_are_named(shapes):
    if isinstance(shapes, list):
        inputs = [np.ones(shape, "float32") for shape in shapes]
    else:
        inputs = np.ones(shapes, "float32")
    with pytest.raises(ValueError, match=r"`inputs` must be \[shortcut, residual\]"):
        StochasticDepth()(inputs)
