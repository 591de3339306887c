import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from keras_practices.data import Part
from keras_practices.data import Split
from keras_practices.data import Standardization
from keras_practices.errors import UsageError


def training_part(x):
    return Part(x, np.zeros(len(x)), role="train")


def standardized(layer, x):
    return keras.ops.convert_to_numpy(layer(x))


@given(center=st.floats(-1e3, 1e3), scale=st.floats(1e-2, 1e3), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_equals_the_standard_scaler(center, scale, seed):
    rng = np.random.default_rng(seed)
    x = (center + scale * rng.normal(size=(50, 3))).astype("float32")
    layer = Standardization()
    layer.adapt(training_part(x))
    expected = StandardScaler().fit_transform(x.astype("float64"))
    # The layer subtracts in float32: one rounding of x and of the mean, in sigmas.
    atol = 4 * np.finfo("float32").eps * (abs(center) / scale + 10)
    np.testing.assert_allclose(standardized(layer, x), expected, atol=atol)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", "float64"])
def test_number_types(dtype):
    x = np.random.default_rng(0).integers(0, 2, size=(40, 3)).astype(dtype)
    layer = Standardization()
    layer.adapt(training_part(x))
    expected = StandardScaler().fit_transform(x.astype("float64"))
    np.testing.assert_allclose(
        standardized(layer, x.astype("float32")), expected, rtol=1e-5
    )


def test_float32_statistics_do_not_drift():
    # Summed in float32, 2e6 values near 1000 miss the mean in the third digit.
    x = np.full((200_000, 1), 1000.1, "float32")
    x[::2] += 1
    layer = Standardization()
    layer.adapt(training_part(x))
    mean = x.astype("float64").mean()
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.adapt_mean), mean, rtol=1e-7
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.adapt_variance), 0.25, rtol=1e-4
    )


def test_constant_features_are_centred_only():
    x = np.array([[1.0, 0.1], [1.0, 0.3], [1.0, 0.2]], "float32")
    layer = Standardization()
    layer.adapt(training_part(x))
    np.testing.assert_allclose(standardized(layer, x)[:, 0], 0.0)
    moved = standardized(layer, np.array([[1.01, 0.2]], "float32"))
    np.testing.assert_allclose(moved, [[0.01, 0.0]], atol=1e-6)
    keras_layer = keras.layers.Normalization()
    keras_layer.adapt(x)
    assert abs(standardized(keras_layer, x + 0.01)[0, 0]) > 1e4  # what is corrected


@pytest.mark.parametrize(
    ("axis", "reduced"),
    [(-1, (0, 1, 2)), ((1, 2, 3), (0,)), (None, (0, 1, 2, 3))],
    ids=["channel", "mean image", "one number"],
)
def test_axes_of_images(axis, reduced):
    x = np.random.default_rng(1).normal(2, 3, size=(20, 4, 5, 3)).astype("float32")
    layer = Standardization(axis=axis)
    layer.adapt(training_part(x))
    wide = x.astype("float64")
    mean, std = (f(axis=reduced, keepdims=True) for f in (wide.mean, wide.std))
    np.testing.assert_allclose(
        standardized(layer, x), (wide - mean) / std, rtol=1e-4, atol=1e-5
    )


def test_rows_by_themselves():
    # What the table of practices names for it is Keras's own: no statistics to learn.
    x = np.random.default_rng(5).normal(3, 2, size=(4, 6, 5, 1)).astype("float32")
    x[0] = 7.0  # one grey picture
    layer = keras.layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False)
    rows = x.reshape(4, -1).astype("float64")
    expected = StandardScaler().fit_transform(rows.T).T.reshape(x.shape)
    # Its epsilon of 1e-3 stands beside a variance of 4.
    np.testing.assert_allclose(standardized(layer, x), expected, rtol=2e-3, atol=1e-4)


def test_learns_from_the_training_part_only():
    x = np.random.default_rng(2).normal(size=(100, 2)).astype("float32")
    x[50:] += 10
    split = Split(x, np.zeros(100), shuffle=False)
    layer = Standardization()
    layer.adapt(split.train)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.adapt_mean), x[:60].mean(axis=0), rtol=1e-5
    )
    for wrong in (x, (x, x), split.test, split, None):
        with pytest.raises(TypeError, match=r'argument `part`.*role="train"'):
            Standardization().adapt(wrong)
    with pytest.raises(ValueError, match="argument `part`.*role='validation'"):
        Standardization().adapt(split.validation)


def test_a_second_adapt_is_refused():
    x = np.random.default_rng(3).normal(size=(10, 2)).astype("float32")
    layer = Standardization()
    layer.adapt(training_part(x))
    with pytest.raises(UsageError, match="second adapt"):
        layer.adapt(training_part(2 * x))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.adapt_mean), x.mean(axis=0), rtol=1e-5
    )
    given_statistics = Standardization(mean=[0.0, 1.0], variance=[1.0, 2.0])
    with pytest.raises(UsageError, match="second adapt"):
        given_statistics.adapt(training_part(x))


def test_in_a_model_and_after_loading(tmp_path):
    x = np.random.default_rng(4).normal(5, 2, size=(32, 3)).astype("float32")
    layer = Standardization()
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    layer.adapt(training_part(x))
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is Standardization
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )
    np.testing.assert_allclose(standardized(loaded.layers[0], x).std(), 1.0, rtol=0.1)
    with pytest.raises(UsageError, match="second adapt"):
        loaded.layers[0].adapt(training_part(x))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(bad):
    x = np.ones((4, 2), "float32")
    x[1, 0] = bad
    layer = Standardization()
    with pytest.raises(ValueError, match="argument `part`.*1 of 8 values"):
        layer.adapt(training_part(x))
    assert not layer.built


@pytest.mark.parametrize("x", [{"a": np.ones((3, 1))}, np.array(["a", "b", "c"])])
def test_inputs_that_are_not_one_array_of_numbers(x):
    with pytest.raises(TypeError, match="one array of numbers"):
        Standardization().adapt(Part(x, np.zeros(3), role="train"))
