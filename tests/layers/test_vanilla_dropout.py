import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.layers import InvertedDropout
from keras_practices.layers import VanillaDropout
from keras_practices.layers import predict_mc

ROWS, UNITS = 400, 100


def outputs_of(layer, value=1.0, training=True):
    inputs = np.full((ROWS, UNITS), value, "float32")
    return ops.convert_to_numpy(layer(inputs, training=training))


@pytest.mark.parametrize("keep_prob", [0.25, 0.5, 0.9])
def test_training_drops_and_does_not_scale(keep_prob):
    outputs = outputs_of(VanillaDropout(keep_prob, seed=3), value=4.0)
    np.testing.assert_allclose(np.unique(outputs), [0.0, 4.0], rtol=1e-6)
    error = np.sqrt(keep_prob * (1 - keep_prob) / outputs.size)
    assert abs((outputs > 0).mean() - keep_prob) < 5 * error


@pytest.mark.parametrize("keep_prob", [0.3, 1.0])
def test_inference_scales_by_the_chance_to_keep(keep_prob):
    inputs = np.linspace(-1, 1, 12).reshape(3, 4).astype("float32")
    outputs = ops.convert_to_numpy(VanillaDropout(keep_prob)(inputs))
    np.testing.assert_allclose(outputs, keep_prob * inputs, rtol=1e-6)


def test_the_mean_in_training_is_what_inference_gives():
    rate = 0.4
    layer = VanillaDropout(1 - rate, seed=5)
    drawn, plain = (outputs_of(layer, 2.0, training) for training in (True, False))
    # A unit is 2 with chance p, else 0: standard deviation 2 sqrt(p (1 - p)).
    bound = 5 * 2 * np.sqrt(rate * (1 - rate) / drawn.size)
    assert abs(drawn.mean(dtype="float64") - plain[0, 0]) < bound


def test_it_is_the_inverted_form_times_the_chance_to_keep():
    for training in (True, False):
        vanilla = outputs_of(VanillaDropout(0.8, seed=7), training=training)
        inverted = outputs_of(InvertedDropout(0.8, seed=7), training=training)
        np.testing.assert_allclose(vanilla, 0.8 * inverted, rtol=1e-6)


def test_monte_carlo_averaging_finds_its_noise():
    layer = VanillaDropout(0.5, seed=1)
    model = keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(1)])
    x = np.repeat(np.ones((1, 6), "float32"), 100, axis=0)
    mean, deviation = predict_mc(model, x, samples=50)
    kernel = ops.convert_to_numpy(model.layers[-1].kernel).astype("float64")[:, 0]
    # Sums of w m with m of Bernoulli(1/2): variance sum of w² / 4.
    bound = 5 * np.sqrt((kernel**2).sum() / 4 / 5000)
    assert abs(mean.mean(dtype="float64") - kernel.sum() / 2) < bound
    assert deviation.min() > 0


def test_config_holds_keep_prob_only():
    config = VanillaDropout(0.7, (None, 1), seed=5, name="drop").get_config()
    assert config["keep_prob"] == 0.7
    assert "rate" not in config
    assert VanillaDropout.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("keep_prob", "error"), [(0.0, ValueError), (1.5, ValueError), ("0.5", TypeError)]
)
def test_bad_keep_prob_names_it(keep_prob, error):
    with pytest.raises(error, match="VanillaDropout: argument `keep_prob`"):
        VanillaDropout(keep_prob)
