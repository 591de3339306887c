import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.augmentation import ColorPCA
from keras_practices.data import Part
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
MIX = np.array([[0.20, 0.05, 0.01], [0.18, -0.02, -0.03], [0.15, -0.06, 0.02]])


def photos(rows=70, scale=255.0, offset=0.0, dtype="float32"):
    """Images of three correlated colours, values from `offset` up by `scale`."""
    colors = 0.5 + RNG.normal(size=(rows, 6, 5, 3)) @ MIX.T
    colors = np.clip(colors, 0, 1)
    colors[0, 0, 0], colors[0, 0, 1] = 0, 1
    return (colors * scale + offset).astype(dtype)


def adapted(images, **arguments):
    layer = ColorPCA(seed=1, **arguments)
    layer.adapt(images)
    return layer


def added(layer, images):
    return np.float64(ops.convert_to_numpy(layer(images, training=True))) - images


def test_eigenvectors_are_those_of_the_covariance_of_the_pixels():
    images = photos()
    config = adapted(images).get_config()
    covariance = np.cov(np.float64(images).reshape(-1, 3) / 255, rowvar=False, ddof=0)
    values, vectors = np.float64(config["eigenvalues"]), config["eigenvectors"]
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-8)
    product = np.float64(vectors) @ np.diag(values) @ np.float64(vectors).T
    np.testing.assert_allclose(product, covariance, rtol=1e-8)


@pytest.mark.parametrize(
    ("scale", "offset", "dtype"),
    [
        (255.0, 0, "uint8"),
        (255.0, 0, "float32"),
        (1.0, 0, "float32"),
        (2.0, -1.0, "f8"),
    ],
)
def test_colours_have_the_spread_of_the_paper_at_every_scale(scale, offset, dtype):
    images = photos(scale=scale, offset=offset, dtype=dtype)
    layer = adapted(images, sigma=0.1)
    assert layer.value_range == (offset, offset + scale)
    count = 4000
    colors = added(layer, np.zeros((count, 1, 1, 3), "float32")).reshape(-1, 3)
    pixels = (np.float64(images).reshape(-1, 3) - offset) / scale
    values, vectors = np.linalg.eigh(np.cov(pixels, rowvar=False, ddof=0))
    factors = colors / scale @ vectors / values
    # Each factor is N(0, 0.1), and they know nothing of each other.
    assert abs(factors.mean(axis=0)).max() < 5 * 0.1 / np.sqrt(count)
    assert abs(factors.std(axis=0) / 0.1 - 1).max() < 5 / np.sqrt(2 * count)
    correlation = np.corrcoef(factors, rowvar=False)[np.triu_indices(3, 1)]
    assert abs(correlation).max() < 5 / np.sqrt(count)


def test_all_pixels_of_an_image_get_the_same_colour():
    images = photos(scale=1.0)
    colors = added(adapted(images), images)
    assert np.ptp(colors, axis=(1, 2)).max() < 1e-6
    assert len(np.unique(colors[:, 0, 0, 0])) > 60


def test_sigma_zero_changes_nothing():
    images = photos(scale=1.0)
    assert (added(adapted(images, sigma=0.0), images) == 0).all()


def test_published_eigenvalues_need_no_adapt():
    values = [0.2175, 0.0188, 0.0045]
    vectors = [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ]
    layer = ColorPCA(0.1, (0, 1), values, vectors, seed=1)
    colors = added(layer, np.zeros((5000, 1, 1, 3), "float32")).reshape(-1, 3)
    expected = 0.1 * np.sqrt(np.square(np.float64(vectors) * values).sum(axis=1))
    assert abs(colors.std(axis=0) / expected - 1).max() < 5 / np.sqrt(2 * 5000)
    with pytest.raises(UsageError, match="already"):
        layer.adapt(photos())


def test_only_the_training_part_is_learnt_from():
    images = photos()
    layer = adapted(Part(images, np.zeros(len(images)), role="train"))
    assert (
        layer.get_config()["eigenvalues"] == adapted(images).get_config()["eigenvalues"]
    )
    for role in ("validation", "test"):
        with pytest.raises(ValueError, match="of role 'train'"):
            ColorPCA().adapt(Part(images, np.zeros(len(images)), role=role))


def test_training_before_adapt_says_so():
    images = photos(8, scale=1.0)
    head = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((6, 5, 3)), ColorPCA(), head])
    model.compile("sgd", "mse")
    model.predict(images, verbose=0)
    with pytest.raises(UsageError, match="adapt"):
        model.fit(images, images, verbose=0)


def test_a_second_adapt_is_refused():
    layer = adapted(photos(8))
    with pytest.raises(UsageError, match="second adapt"):
        layer.adapt(photos(8))


def test_grey_images_have_one_colour():
    grey = np.repeat(photos(scale=1.0)[..., :1], 3, axis=-1)
    colors = added(adapted(grey), grey)
    assert np.ptp(colors, axis=-1).max() < 1e-6


@pytest.mark.parametrize(
    ("data", "error", "name"),
    [
        ([1, 2], TypeError, "data"),
        (np.zeros((2, 3, 3), "float32"), ValueError, "data"),
        (np.zeros((2, 3, 3, 1), "float32"), ValueError, "data"),
        (np.zeros((0, 3, 3, 3), "float32"), ValueError, "data"),
        (np.full((2, 3, 3, 3), np.nan), ValueError, "data"),
        (RNG.normal(size=(9, 3, 3, 3)), ValueError, "data"),
    ],
)
def test_other_data_are_named(data, error, name):
    with pytest.raises(error, match=f"ColorPCA: argument `{name}`"):
        ColorPCA().adapt(data)


def test_a_range_that_does_not_fit_is_refused():
    for value_range, scale in (((0, 255), 1.0), ((0, 1), 255.0)):
        with pytest.raises(ValueError, match="argument `value_range`"):
            adapted(photos(scale=scale), value_range=value_range)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"sigma": -0.1}, ValueError, "sigma"),
        ({"sigma": "a"}, TypeError, "sigma"),
        ({"value_range": "none"}, TypeError, "value_range"),
        ({"value_range": (1, 0)}, ValueError, "value_range"),
        ({"eigenvalues": [1, 2, 3]}, ValueError, "eigenvectors"),
        ({"eigenvectors": np.eye(3)}, ValueError, "eigenvalues"),
        (
            {"eigenvalues": [1, 1, -1], "eigenvectors": np.eye(3)},
            ValueError,
            "eigenvalues",
        ),
        (
            {"eigenvalues": [1, 1, 1], "eigenvectors": np.ones((3, 3))},
            ValueError,
            "eigenvectors",
        ),
        (
            {"eigenvalues": [1, 1, 1], "eigenvectors": np.eye(3)},
            ValueError,
            "value_range",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"ColorPCA: argument `{name}`"):
        ColorPCA(**arguments)


def test_inputs_need_three_colours():
    with pytest.raises(ValueError, match="argument `inputs`"):
        ColorPCA()(np.zeros((2, 4, 4, 1), "float32"))
