import keras
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from keras_practices.data import MinMaxScaling
from keras_practices.data import Part
from keras_practices.errors import UsageError


def adapted(x, **arguments):
    layer = MinMaxScaling(**arguments)
    layer.adapt(Part(x, np.zeros(len(x)), role="train"))
    return layer


def scaled(layer, x):
    return keras.ops.convert_to_numpy(layer(x))


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (2.0, 5.0)])
def test_equals_the_min_max_scaler(ends):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(60, 4)) * [1e-3, 1, 50, 0] + [0, 3, -200, 7]).astype("f")
    new = (x + rng.normal(size=x.shape) * [1e-3, 1, 50, 0]).astype("f")
    reference = MinMaxScaler(feature_range=ends).fit(x.astype("float64"))
    layer = adapted(x, low=ends[0], high=ends[1])
    for rows in (x, new):
        expected = reference.transform(rows.astype("float64"))
        # One rounding of x and of the location, in units of the scale.
        np.testing.assert_allclose(scaled(layer, rows), expected, atol=2e-5)
    # A feature that was constant in training stays finite.
    assert np.isfinite(scaled(layer, x + 1)).all()


@pytest.mark.parametrize("axis", [-1, (1, 2, 3), None])
def test_axes_of_images(axis):
    x = np.random.default_rng(1).integers(3, 200, size=(20, 4, 5, 3)).astype("uint8")
    got = scaled(adapted(x, axis=axis), x.astype("float32"))
    reduced = {-1: (0, 1, 2), (1, 2, 3): (0,), None: None}[axis]
    low, high = (f(axis=reduced, keepdims=True) for f in (x.min, x.max))
    expected = (x.astype("float64") - low) / (high.astype("float64") - low)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_one_data_set_once():
    x = np.random.default_rng(2).normal(size=(10, 2)).astype("float32")
    layer = adapted(x)
    with pytest.raises(UsageError, match="MinMaxScaling: .*second adapt"):
        layer.adapt(Part(x, np.zeros(10), role="train"))
    with pytest.raises(ValueError, match="argument `part`.*role='validation'"):
        MinMaxScaling().adapt(Part(x, np.zeros(10), role="validation"))
    with pytest.raises(TypeError, match="argument `part`"):
        MinMaxScaling().adapt(x)


def test_after_loading(tmp_path):
    x = np.random.default_rng(3).normal(5, 2, size=(32, 3)).astype("float32")
    layer = adapted(x, low=-1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    assert (loaded.layers[0].low, loaded.layers[0].high) == (-1, 1.0)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"low": "0"}, "low"), ({"low": 1.0}, "high"), ({"mean": [1.0]}, "mean")],
)
def test_bad_arguments(arguments, name):
    with pytest.raises((TypeError, ValueError), match=f"argument `{name}`"):
        MinMaxScaling(**arguments)
