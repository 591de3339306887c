import keras
import numpy as np
import pytest
import sklearn.decomposition
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_practices.data import Part
from keras_practices.data import Split
from keras_practices.data.pca import PCA
from keras_practices.errors import UsageError


def training_part(x):
    return Part(x, np.zeros(len(x)), role="train")


def adapted(x, *args, **kwargs):
    layer = PCA(*args, **kwargs)
    layer.adapt(training_part(x))
    return layer


def correlated(rows, features, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    scales = np.geomspace(10, 0.1, features)
    turned, _ = np.linalg.qr(rng.normal(size=(features, features)))
    return (5 + (scales * rng.normal(size=(rows, features))) @ turned).astype(dtype)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def assert_close(found, expected, rtol=1e-5):
    """Relative to the largest value: what a single entry near zero owes."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=rtol * np.abs(expected).max())


@given(
    center=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
    n_components=st.sampled_from([None, 1, 4, 8, 0.5, 0.99]),
    seed=st.integers(0, 99),
)
@settings(max_examples=15)
def test_equals_scikit_learn(center, scale, n_components, seed):
    x = (center + scale * correlated(60, 8, seed)).astype("float32")
    layer = adapted(x, n_components)
    wide = x.astype("float64")
    expected = sklearn.decomposition.PCA(n_components, svd_solver="full").fit(wide)
    assert_close(layer.mean, expected.mean_)
    assert_close(layer.components, expected.components_)
    np.testing.assert_allclose(
        layer.explained_variance, expected.explained_variance_, rtol=1e-5
    )
    np.testing.assert_allclose(
        layer.explained_variance_ratio, expected.explained_variance_ratio_, rtol=1e-5
    )
    # The mean is rounded to float32 once: half a unit of its last place.
    rounding = np.finfo("float32").eps * np.abs(wide).max() * np.sqrt(8)
    turned = expected.transform(wide)
    atol = 1e-5 * np.abs(turned).max() + rounding
    np.testing.assert_allclose(numpy_of(layer(x)), turned, atol=atol)
    back = numpy_of(layer.inverse(turned))
    np.testing.assert_allclose(
        back, expected.inverse_transform(turned), atol=atol + rounding
    )


def test_equals_the_singular_value_decomposition():
    x = correlated(200, 12)
    layer = adapted(x)
    centred = x.astype("float64") - x.astype("float64").mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(layer.explained_variance, singular**2 / 199, rtol=1e-5)
    signs = np.sign(axes[np.arange(12), np.abs(axes).argmax(axis=1)])
    assert_close(layer.components, axes * signs[:, None])
    assert_close(numpy_of(layer(x)), centred @ (axes * signs[:, None]).T)


def test_float64(backend):
    if backend == "jax":
        pytest.skip("JAX has no 64-bit numbers unless it is told at its start")
    x = correlated(100, 6, dtype="float64")
    layer = adapted(x, dtype="float64")
    expected = sklearn.decomposition.PCA(svd_solver="full").fit(x)
    assert layer.components.dtype == np.float64
    assert_close(layer.components, expected.components_, 1e-11)
    assert_close(layer.explained_variance, expected.explained_variance_, 1e-12)
    outputs = layer(keras.ops.convert_to_tensor(x, dtype="float64"))
    # Keras rounds the results of operations to 32 bit on PyTorch.
    rtol = 1e-12 if backend == "tensorflow" else 1e-5
    assert_close(numpy_of(outputs), expected.transform(x), rtol)


def test_fewer_rows_than_features():
    x = correlated(5, 9)
    layer = adapted(x)
    expected = sklearn.decomposition.PCA().fit(x.astype("float64"))
    assert layer.components.shape == (5, 9)
    assert_close(layer.explained_variance, expected.explained_variance_)
    assert_close(layer.components[:4], expected.components_[:4])
    assert_close(numpy_of(layer.inverse(layer(x))), x)
    with pytest.raises(ValueError, match="argument `data`.*n_components.*5 rows"):
        adapted(x, 6)


def test_constant_features_are_finite():
    x = correlated(50, 4)
    x[:, 2] = 7.0
    layer = adapted(x)
    assert layer.explained_variance[-1] == 0
    np.testing.assert_allclose(np.abs(layer.components[-1]), [0, 0, 1, 0], atol=1e-6)
    constant = adapted(np.full((5, 3), 0.1, "float32"))
    assert (constant.explained_variance_ratio == 0).all()
    assert np.isfinite(numpy_of(constant(np.ones((2, 3), "float32")))).all()


def test_images_and_eigenpictures():
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, size=(60, 4, 3, 2)).astype("uint8")
    layer = adapted(x, 5)
    flat = x.reshape(60, -1).astype("float64")
    expected = sklearn.decomposition.PCA(5, svd_solver="full").fit(flat)
    assert layer.eigenpictures().shape == (5, 4, 3, 2)
    assert_close(layer.eigenpictures().reshape(5, -1), expected.components_)
    outputs = layer(x)
    assert_close(numpy_of(outputs), expected.transform(flat))
    back = numpy_of(layer.inverse(outputs))
    assert_close(back.reshape(60, -1), expected.inverse_transform(outputs))
    with pytest.raises(ValueError, match="argument `outputs`"):
        layer.inverse(np.zeros((2, 6)))


class Batches(keras.utils.PyDataset):
    def __init__(self, x, size, endless=False):
        super().__init__()
        self.x, self.size, self.endless = x, size, endless
        self.read = []

    @property
    def num_batches(self):
        return None if self.endless else -(-len(self.x) // self.size)

    def __getitem__(self, index):
        self.read.append(index)
        x = self.x[index * self.size : (index + 1) * self.size]
        return x, np.zeros(len(x))


def test_streams_give_the_same_as_arrays(backend):
    x = correlated(70, 5)
    whole = adapted(x)
    dataset = Batches(x, 16)
    streams = [dataset, iter([x[:1], x[1:50], x[50:]])]
    streams.append((x[at : at + 9], None, np.ones(9)) for at in range(0, 70, 9))
    if backend == "tensorflow":
        import tensorflow

        streams.append(tensorflow.data.Dataset.from_tensor_slices((x, x)).batch(32))
    if backend == "torch":
        import torch

        tensors = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(x))
        streams.append(torch.utils.data.DataLoader(tensors, batch_size=32))
    for stream in streams:
        layer = PCA()
        layer.adapt(stream, role="train")
        np.testing.assert_allclose(layer.components, whole.components, atol=1e-6)
        np.testing.assert_allclose(
            layer.explained_variance, whole.explained_variance, rtol=1e-6
        )
    assert dataset.read == [0, 1, 2, 3, 4]  # one pass


def test_learns_from_training_data_only():
    x = correlated(60, 3)
    split = Split(x, np.zeros(60), shuffle=False)
    layer = PCA()
    layer.adapt(split.train)
    assert_close(layer.mean, x[:36].astype("float64").mean(axis=0))
    for wrong in (x, (x, x), {"a": x}, split.test, split, None, "x"):
        with pytest.raises(TypeError, match=r'argument `data`.*role="train"'):
            PCA().adapt(wrong)
    with pytest.raises(ValueError, match="argument `data`.*role='validation'"):
        PCA().adapt(split.validation)
    with pytest.raises(ValueError, match="argument `data`.*role='validation'"):
        PCA().adapt(split.validation, role="train")
    for role in (None, "validation"):
        with pytest.raises(ValueError, match="argument `role`.*'train'"):
            PCA().adapt(Batches(x, 8), role=role)


def test_data_that_cannot_be_learned_from(backend):
    x = correlated(20, 3)
    for endless in (Batches(x, 8, endless=True),):
        with pytest.raises(ValueError, match="argument `data`.*with an end"):
            PCA().adapt(endless, role="train")
    if backend == "tensorflow":
        import tensorflow

        endless = tensorflow.data.Dataset.from_tensors(x).repeat()
        with pytest.raises(ValueError, match="argument `data`.*with an end"):
            PCA().adapt(endless, role="train")
    for empty in (iter([]), iter([x[:0]]), iter([x[:1]])):
        with pytest.raises(ValueError, match="argument `data`.*two rows"):
            PCA().adapt(empty, role="train")
    with pytest.raises(ValueError, match="argument `data`.*one shape"):
        PCA().adapt(iter([x, x[:, :2]]), role="train")
    for wrong in ([{"a": x}], [x.astype(str)], [x[:, 0]]):
        with pytest.raises(TypeError, match="one array of numbers"):
            PCA().adapt(iter([tuple(wrong)]), role="train")
    bad = x.copy()
    bad[3, 1] = np.nan
    layer = PCA()
    with pytest.raises(ValueError, match="argument `data`.*finite"):
        layer.adapt(training_part(bad))
    assert not layer.built
    layer.adapt(training_part(x))  # nothing of the failure is left


def test_adapt_once_and_first():
    x = correlated(20, 3)
    layer = adapted(x)
    with pytest.raises(UsageError, match="second adapt"):
        layer.adapt(training_part(2 * x))
    fresh = PCA(2)
    for use in (
        lambda: fresh(x),
        lambda: fresh.inverse(np.zeros((1, 2))),
        lambda: fresh.components,
    ):
        with pytest.raises(UsageError, match="no statistics yet"):
            use()
    model = keras.Sequential([keras.Input((3,)), PCA(2), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    # Keras may wrap it in a RuntimeError of its own.
    with pytest.raises(RuntimeError, match="no statistics yet"):
        model.fit(x, x[:, :1], verbose=0)


@pytest.mark.parametrize("n_components", [None, 2, 0.9])
@pytest.mark.parametrize("before", [True, False])
def test_in_a_model_and_after_loading(tmp_path, n_components, before):
    x = correlated(40, 4)
    layer = PCA(n_components)
    if before:
        layer.adapt(training_part(x))
    inputs = keras.Input((4,))
    if not before and n_components == 0.9:
        with pytest.raises(UsageError, match="after adapt only"):
            layer(inputs)
        return
    turned = layer(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(turned))
    if not before:
        layer.adapt(training_part(x))
    assert turned.shape == (None, *layer(x).shape[1:])
    weights = [array.copy() for array in layer.get_weights()]
    model.compile("sgd", "mse")
    model.fit(x / 10, x[:, :1], verbose=0)
    for array, kept in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(array, kept)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[1]) is PCA
    assert loaded.layers[1].get_config() == layer.get_config()
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )
    np.testing.assert_array_equal(loaded.layers[1].components, layer.components)
    with pytest.raises(UsageError, match="second adapt"):
        loaded.layers[1].adapt(training_part(x))


@pytest.mark.parametrize("compiled", [True, False])
def test_compiled_and_in_mixed_precision(compiled, backend):
    if compiled and backend == "torch":
        pytest.skip("torch.compile warns about parts of PyTorch itself")
    x = 1000 + correlated(30, 4)
    layer = adapted(x, 3, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("sgd", "mse", jit_compile=compiled)
    outputs = model.predict(x, batch_size=7, verbose=0)
    assert outputs.dtype == np.float16
    expected = sklearn.decomposition.PCA(3).fit_transform(x.astype("float64"))
    # Rounded to float16 at the end only; 1000 in float16 has steps of 0.5.
    assert_close(outputs, expected, 2.0**-10)


def test_config():
    config = PCA(np.int64(3), name="turn").get_config()
    assert type(config["n_components"]) is int
    assert PCA.from_config(config).get_config() == config
    assert set(config) == {"name", "trainable", "dtype", "n_components"}


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (1.0, ValueError),
        (0.0, ValueError),
        (float("nan"), ValueError),
        (True, TypeError),
        ("mle", TypeError),
    ],
)
def test_bad_n_components_names_it(value, error):
    with pytest.raises(error, match="argument `n_components`.*Received: n_components="):
        PCA(value)


def test_more_components_than_features():
    x = correlated(20, 3)
    with pytest.raises(ValueError, match="argument `n_components`.*at most 3"):
        adapted(x, 4)
    with pytest.raises(ValueError, match="argument `n_components`.*at most 3"):
        PCA(4)(keras.Input((3,)))
    with pytest.raises(ValueError, match="argument `input_shape`"):
        PCA(2)(keras.Input((None, 3)))


def test_eigen_images_are_the_components_in_the_layout_of_a_picture():
    x = correlated(80, 16)
    expected = sklearn.decomposition.PCA(5, svd_solver="full").fit(x.astype("float64"))
    images = adapted(x).eigen_images((4, 4), count=5)
    assert images.arrays.shape == (5, 4, 4, 1)
    found = images.arrays.reshape(5, 16)
    signs = np.sign(np.sum(found * expected.components_, axis=1, keepdims=True))
    assert_close(found * signs, expected.components_)
    shares = [float(caption.split()[0]) / 100 for caption in images.captions]
    np.testing.assert_allclose(shares, expected.explained_variance_ratio_, rtol=5e-3)


def test_eigen_images_take_the_shape_of_what_was_learned():
    x = correlated(40, 27).reshape(40, 3, 3, 3)
    assert adapted(x, 4).eigen_images().arrays.shape == (4, 3, 3, 3)


def test_eigen_images_of_large_pictures_are_thinned_out():
    x = np.random.default_rng(0).normal(size=(4, 2, 130)).astype("float32")
    layer = adapted(x, 2)
    images = layer.eigen_images()
    assert images.arrays.shape == (2, 1, 44, 1)
    expected = layer.components.reshape(2, 2, 130)[:, ::3, ::3]
    np.testing.assert_array_equal(images.arrays[..., 0], expected)


@pytest.mark.parametrize("shape", [(4, 5), (16,), (2, 2, 4), (2, 2, 2, 2)])
def test_eigen_images_of_no_picture_are_refused(shape):
    with pytest.raises(ValueError, match="`shape` must be .*height, width.*16"):
        adapted(correlated(40, 16)).eigen_images(shape)


def test_eigen_images_need_statistics():
    with pytest.raises(UsageError, match="adapt"):
        PCA().eigen_images((4, 4))
