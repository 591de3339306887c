import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.layers.mc_dropout import MCDropout


@pytest.mark.parametrize("training", [True, False, None])
def test_units_are_dropped_in_any_mode(training):
    rate, shape = 0.3, (200, 100)
    layer = MCDropout(rate, seed=3)
    outputs = layer(np.ones(shape, "float32"), training=training)
    outputs = ops.convert_to_numpy(outputs)
    np.testing.assert_allclose(np.unique(outputs), [0, 1 / 0.7], rtol=1e-6)
    error = np.sqrt(rate * (1 - rate) / outputs.size)
    assert abs((outputs == 0).mean() - rate) < 5 * error


@pytest.mark.parametrize("functional", [True, False])
def test_predictions_of_a_model_are_draws(tmp_path, functional):
    inputs = keras.Input((30,))
    if functional:
        model = keras.Model(inputs, MCDropout(0.5, seed=1)(inputs))
    else:
        model = keras.Sequential([inputs, MCDropout(0.5, seed=1)])
    x = np.ones((4, 30), "float32")
    first, second = (model.predict(x, verbose=0) for _ in range(2))
    assert set(np.unique(first)) == {0.0, 2.0}
    assert (first != second).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is MCDropout
    # Keras saves the seed, not how far the draws have come.
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), first)


def test_config_round_trip_noise_shape_and_mixed_precision():
    layer = MCDropout(0.5, (None, 1), seed=2, dtype="mixed_float16", name="draws")
    copy = MCDropout.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    outputs = ops.convert_to_numpy(copy(np.ones((40, 5), "float32")))
    assert outputs.dtype == np.float16
    np.testing.assert_array_equal(outputs, outputs[:, :1] + 0 * outputs)
    assert set(np.unique(outputs)) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("rate", "error"), [(1.5, ValueError), (-0.1, ValueError), ("0.5", TypeError)]
)
def test_a_bad_rate_is_named(rate, error):
    with pytest.raises(error, match="argument `rate`"):
        MCDropout(rate)
