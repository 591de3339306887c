import keras
import numpy as np
import pytest
import sklearn.decomposition
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_practices.data import Part
from keras_practices.data.whitening import Whitening
from keras_practices.errors import UsageError


def adapted(x, *args, **kwargs):
    layer = Whitening(*args, **kwargs)
    layer.adapt(Part(x, np.zeros(len(x)), role="train"))
    return layer


def correlated(rows, features, seed=0):
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(features, features)))
    scales = np.geomspace(3, 0.3, features)
    return (2 + (scales * rng.normal(size=(rows, features))) @ turned).astype("float32")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def assert_close(found, expected, rtol=1e-5):
    """Relative to the largest value: what a single entry near zero owes."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=rtol * np.abs(expected).max())


def of_the_notes(x, epsilon, method):
    """CS231n's lines of NumPy in float64, with the divisor of scikit-learn."""
    x = x.astype("float64")
    x = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(x.T @ x / (len(x) - 1))
    signs = np.sign(u[np.abs(u).argmax(axis=0), np.arange(len(u))])
    u = u * signs
    white = x @ u / np.sqrt(s + epsilon)
    return white if method == "pca" else white @ u.T


@given(
    epsilon=st.sampled_from([0.0, 1e-5, 0.1, 10.0]),
    method=st.sampled_from(["pca", "zca"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=12)
def test_equals_the_notes(epsilon, method, seed):
    x = correlated(60, 7, seed)
    layer = adapted(x, method, epsilon=epsilon)
    expected = of_the_notes(x, epsilon, method)
    outputs = layer(x)
    assert_close(numpy_of(outputs), expected)
    assert_close(numpy_of(layer.inverse(outputs)), x)


@pytest.mark.parametrize("n_components", [None, 3, 0.9])
def test_equals_scikit_learn(n_components):
    x = correlated(80, 6)
    layer = adapted(x, n_components=n_components, epsilon=0)
    expected = sklearn.decomposition.PCA(
        n_components, whiten=True, svd_solver="full"
    ).fit(x.astype("float64"))
    white = expected.transform(x.astype("float64"))
    assert_close(numpy_of(layer(x)), white)
    back = expected.inverse_transform(white)
    assert_close(numpy_of(layer.inverse(white)), back)
    zca = adapted(x, "zca", n_components=n_components, epsilon=0)
    assert_close(numpy_of(zca(x)), white @ expected.components_)
    assert_close(numpy_of(zca.inverse(zca(x))), back)


@pytest.mark.parametrize("method", ["pca", "zca"])
def test_the_covariance_is_the_identity(method):
    x = correlated(200, 5)
    white = numpy_of(adapted(x, method, epsilon=0)(x)).astype("float64")
    np.testing.assert_allclose(np.cov(white.T), np.eye(5), atol=1e-4)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-5)


def test_zca_is_symmetric_and_nearest_to_the_input():
    x = correlated(200, 4)
    zca, pca = adapted(x, "zca"), adapted(x, "pca")
    offset = np.zeros((1, 4), "float32")
    matrix = numpy_of(zca(np.eye(4, dtype="float32"))) - numpy_of(zca(offset))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    centred = x - x.mean(axis=0)
    distances = [np.square(numpy_of(one(x)) - centred).sum() for one in (zca, pca)]
    assert distances[0] < distances[1]


@pytest.mark.parametrize("epsilon", [0, 1e-5])
@pytest.mark.parametrize("method", ["pca", "zca"])
def test_constant_features_are_only_centred(method, epsilon):
    x = correlated(50, 4)
    x[:, 1] = 7.0
    layer = adapted(x, method, epsilon=epsilon)
    white = numpy_of(layer(x))
    assert np.isfinite(white).all()
    constant = 3 if method == "pca" else 1
    np.testing.assert_allclose(white[:, constant], 0, atol=1e-5)
    x[:, 1] = 7.5  # changed after training by half a unit: by half a unit here
    moved = numpy_of(layer(x))
    np.testing.assert_allclose(np.abs(moved[:, constant]), 0.5, rtol=1e-4)


def test_images_keep_their_shape():
    x = np.random.default_rng(1).integers(0, 256, size=(90, 3, 4, 2)).astype("uint8")
    layer = adapted(x, "zca", epsilon=1.0)
    inputs = keras.Input((3, 4, 2), dtype="uint8")
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 3, 4, 2)
    outputs = model.predict(x, verbose=0)
    expected = of_the_notes(x.reshape(90, -1), 1.0, "zca").reshape(x.shape)
    assert_close(outputs, expected)
    assert_close(numpy_of(layer.inverse(outputs)), x)
    assert layer.eigenpictures().shape == (24, 3, 4, 2)


@pytest.mark.parametrize("method", ["pca", "zca"])
def test_in_a_model_and_after_loading(tmp_path, method):
    x = correlated(40, 4)
    layer = Whitening(method, n_components=3)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    layer.adapt(Part(x, np.zeros(40), role="train"))
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is Whitening
    assert loaded.layers[0].get_config() == layer.get_config()
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )
    with pytest.raises(UsageError, match="second adapt"):
        loaded.layers[0].adapt(Part(x, x, role="train"))
    fresh = Whitening.from_config(layer.get_config())
    with pytest.raises(UsageError, match="no statistics yet"):
        fresh(x)
    fresh = Whitening.from_config(layer.get_config())
    fresh.build((None, 4))
    fresh.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy_of(fresh(x)), numpy_of(layer(x)))


@pytest.mark.parametrize("method", ["pca", "zca"])
@pytest.mark.parametrize("compiled", [True, False])
def test_compiled_and_in_mixed_precision(method, compiled, backend):
    if compiled and backend == "torch":
        pytest.skip("torch.compile warns about parts of PyTorch itself")
    x = correlated(30, 4)
    layer = adapted(x, method, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("sgd", "mse", jit_compile=compiled)
    outputs = model.predict(x, batch_size=7, verbose=0)
    assert outputs.dtype == np.float16
    assert_close(outputs, of_the_notes(x, 1e-5, method), 2.0**-10)


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"method": "cholesky"}, "method", ValueError),
        ({"method": None}, "method", ValueError),
        ({"epsilon": -1e-9}, "epsilon", ValueError),
        ({"epsilon": float("nan")}, "epsilon", ValueError),
        ({"epsilon": "small"}, "epsilon", TypeError),
        ({"n_components": 0}, "n_components", ValueError),
        ({"n_components": "all"}, "n_components", TypeError),
    ],
)
def test_bad_arguments_are_named(arguments, name, error):
    with pytest.raises(error, match=f"Whitening: argument `{name}`.*Received: {name}="):
        Whitening(**arguments)
