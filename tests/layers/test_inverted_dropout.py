import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.layers import InvertedDropout

ROWS, UNITS = 400, 100


def dropped(layer, value=1.0, shape=(ROWS, UNITS)):
    inputs = np.full(shape, value, "float32")
    return ops.convert_to_numpy(layer(inputs, training=True))


@pytest.mark.parametrize("keep_prob", [0.25, 0.5, 0.9])
def test_expectation_is_the_input(keep_prob):
    outputs = dropped(InvertedDropout(keep_prob, seed=3), value=2.0)
    # One unit is 2/p with chance p, else 0: standard deviation 2 sqrt((1 - p) / p).
    standard_error = 2 * np.sqrt((1 - keep_prob) / keep_prob / outputs.size)
    assert abs(outputs.mean() - 2.0) < 5 * standard_error
    share_error = np.sqrt(keep_prob * (1 - keep_prob) / outputs.size)
    assert abs((outputs > 0).mean() - keep_prob) < 5 * share_error


def test_kept_units_are_scaled_and_the_others_are_zero():
    outputs = dropped(InvertedDropout(0.8, seed=3), value=4.0)
    np.testing.assert_allclose(np.unique(outputs), [0.0, 5.0], rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_keep_prob_one_is_the_identity(training):
    inputs = np.linspace(-1, 1, 12).reshape(3, 4).astype("float32")
    outputs = InvertedDropout(1.0)(inputs, training=training)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), inputs)


def test_inference_is_the_identity():
    inputs = np.linspace(-1, 1, 12).reshape(3, 4).astype("float32")
    outputs = InvertedDropout(0.3)(inputs)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), inputs)


def test_noise_shape_drops_whole_features():
    layer = InvertedDropout(0.5, noise_shape=(None, 1, None), seed=1)
    outputs = dropped(layer, shape=(20, 5, 8))
    assert set(np.unique(outputs)) == {0.0, 2.0}
    np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], 5, axis=1))


def test_same_seed_same_masks_and_new_masks_at_every_call():
    first, second, other = (InvertedDropout(0.5, seed=seed) for seed in (7, 7, 8))
    masks = [dropped(layer) for layer in (first, second, other, first)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()
    assert (masks[0] != masks[3]).any()


def test_config_holds_keep_prob_only():
    config = InvertedDropout(
        0.7, seed=5, noise_shape=(None, 1), name="drop"
    ).get_config()
    assert config["keep_prob"] == 0.7
    assert "rate" not in config
    copy = InvertedDropout.from_config(config)
    assert copy.get_config() == config
    assert copy.rate == pytest.approx(0.3)


@pytest.mark.parametrize("compiled", [True, False])
def test_fits_and_survives_saving(tmp_path, compiled, backend):
    if compiled and backend == "torch":
        pytest.skip("torch.compile warns about parts of PyTorch itself")
    model = keras.Sequential(
        [keras.Input((4,)), InvertedDropout(0.6, seed=2), keras.layers.Dense(2)]
    )
    model.compile("sgd", "mse", jit_compile=compiled)
    x, y = np.ones((8, 4), "float32"), np.zeros((8, 2), "float32")
    losses = model.fit(x, y, epochs=1, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is InvertedDropout
    assert loaded.layers[0].keep_prob == 0.6
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )


def test_mixed_precision_keeps_the_expectation():
    outputs = dropped(InvertedDropout(0.75, seed=4, dtype="mixed_float16"))
    assert outputs.dtype == np.float16
    # 1/0.75 in float16 is off by up to 2**-11.
    bound = 5 * np.sqrt(0.25 / 0.75 / outputs.size) + 2.0**-11
    assert abs(outputs.astype("float64").mean() - 1.0) < bound


@pytest.mark.parametrize(
    ("keep_prob", "error"),
    [
        (0.0, ValueError),
        (1.5, ValueError),
        (-0.1, ValueError),
        (float("nan"), ValueError),
        (True, TypeError),
        ("0.5", TypeError),
        (None, TypeError),
    ],
)
def test_bad_keep_prob_names_it(keep_prob, error):
    with pytest.raises(error, match="argument `keep_prob`.*Received: keep_prob="):
        InvertedDropout(keep_prob)
