import numpy as np
import pytest
from keras import ops

from keras_practices.augmentation import LensDistortion

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(3, 9, 12, 2)).astype("float32")


def bent(layer, images):
    return ops.convert_to_numpy(layer(images, training=True))


def by_scipy(images, k1, mode, value=0.0):
    """Brown's first term in float64, sampled by SciPy."""
    ndimage = pytest.importorskip("scipy.ndimage")
    height, width = images.shape[1:3]
    y, x = np.mgrid[:height, :width].astype("float64")
    below, right = (height - 1) / 2, (width - 1) / 2
    factor = 1 + k1 * ((y - below) ** 2 + (x - right) ** 2) / (below**2 + right**2)
    places = [below + (y - below) * factor, right + (x - right) * factor]
    rows = [
        [
            ndimage.map_coordinates(
                np.float64(image[..., channel]), places, order=1, mode=mode, cval=value
            )
            for channel in range(images.shape[-1])
        ]
        for image in images
    ]
    return np.moveaxis(np.array(rows), 1, -1)


@pytest.mark.parametrize("k1", [-0.3, 0.0, 0.25])
def test_equals_scipy(k1):
    found = bent(LensDistortion(k1), IMAGES)
    np.testing.assert_allclose(found, by_scipy(IMAGES, k1, "nearest"), atol=1e-5)
    found = bent(LensDistortion(k1, "constant", fill_value=5.0), IMAGES)
    expected = by_scipy(IMAGES, k1, "grid-constant", 5.0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_each_image_has_its_own_bend_from_the_range():
    """On a ramp the bend can be read off: the value is the place it came from."""
    ramp = np.broadcast_to(np.arange(-20.0, 21)[:, None], (41, 41))
    images = np.repeat(ramp[None, ..., None], 300, axis=0).astype("float32")
    found = bent(LensDistortion((-0.3, 0.1), seed=1), images)
    # In the middle column, ten rows below the centre: r is 10 / sqrt(800).
    k1 = (found[:, 30, 20, 0] / 10 - 1) * 800 / 100
    assert k1.min() >= -0.3 - 1e-4
    assert k1.max() <= 0.1 + 1e-4
    assert abs(k1.mean() + 0.1) < 5 * 0.4 / np.sqrt(12 * 300)


def test_the_centre_stays_and_one_pixel_has_no_corner():
    image = np.zeros((1, 7, 7, 1), "float32")
    image[0, 3, 3] = 1
    assert bent(LensDistortion(0.5), image)[0, 3, 3, 0] == 1
    single = np.ones((2, 1, 1, 3), "float32")
    np.testing.assert_array_equal(bent(LensDistortion(0.5), single), single)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"k1": -0.4}, ValueError, "k1"),
        ({"k1": (0.1, 0.0)}, ValueError, "k1"),
        ({"k1": "barrel"}, TypeError, "k1"),
        ({"fill_mode": "reflect"}, ValueError, "fill_mode"),
        ({"fill_value": None}, TypeError, "fill_value"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"LensDistortion: argument `{name}`"):
        LensDistortion(**arguments)
