import numpy as np
import pytest

from keras_practices.measures.features import measure_features
from keras_practices.measures.features import measure_input_shift

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
# Blots of light on a dark ground, as drawings have.
ROWS = np.clip(RNG.normal(-0.5, 0.6, (240, 16, 16, 1)), 0, 1).astype("float32")
IMAGES, HELD = ROWS[:160], ROWS[160:]


def test_constant_features_are_counted_and_named():
    x = RNG.normal(size=(50, 6))
    x[:, [1, 4]] = 3.0
    (found,) = measure_features(x).values()
    assert (found["features"], found["constant"], found["columns"]) == (6, 2, [1, 4])
    assert found["share"] == pytest.approx(2 / 6)
    assert (found["table"], found["integer"]) == (True, False)


def test_each_input_is_counted_by_itself():
    x = {"a": np.zeros((9, 2, 2)), "b": np.arange(9)[:, None]}
    found = measure_features(x)
    assert found["inputs['a']"]["constant"] == 4
    assert not found["inputs['a']"]["table"]
    assert found["inputs['b']"]["constant"] == 0
    assert found["inputs['b']"]["integer"]
    assert measure_features(np.zeros((7, 3))) == {}
    assert measure_features(np.array([["a"]] * 9)) == {}


def shift(first, second):
    return measure_input_shift(first, second)["inputs"]


def test_two_parts_of_one_set_look_alike():
    found = shift(IMAGES, HELD)
    assert found["rms"] == pytest.approx(np.sqrt((IMAGES**2).mean()), rel=1e-5)
    assert found["off_scale"] == 0
    assert max(s["distance"] for s in found["statistics"].values()) < 0.3


def test_distance_is_that_of_the_distribution_functions():
    stats = pytest.importorskip("scipy.stats")
    found = shift(IMAGES, HELD**2)["statistics"]["mean"]
    rows = [part.mean(axis=(1, 2, 3), dtype="float64") for part in (IMAGES, HELD**2)]
    expected = stats.ks_2samp(*rows).statistic
    assert found["distance"] == pytest.approx(expected)
    medians = [np.median(row) for row in rows]
    assert found["median"] == pytest.approx(medians[0])
    spread = min(IMAGES.std(), (HELD**2).std())
    assert found["effect"] == pytest.approx(abs(np.subtract(*medians)) / spread)


def test_a_part_that_was_not_scaled():
    found = shift(IMAGES, 255 * HELD)
    assert found["other_rms"] / found["rms"] == pytest.approx(255, rel=0.1)
    assert found["off_scale"] == 1
    table = RNG.normal(size=(100, 3)) * [1, 1, 40]
    assert shift(table, table / [1, 1, 40])["off_scale"] == pytest.approx(1 / 3)


def test_noise_is_rough():
    noisy = IMAGES + RNG.uniform(-3, 3, IMAGES.shape)
    found = shift(noisy, HELD)["statistics"]
    assert found["roughness"]["effect"] > 5
    assert found["roughness"]["distance"] == 1
    steps = np.abs(np.diff(noisy, axis=2)).mean(axis=(1, 2, 3))
    assert found["roughness"]["median"] == pytest.approx(np.median(steps))


def test_channels_have_means_of_their_own():
    colour = np.repeat(IMAGES, 3, axis=-1)
    other = np.repeat(HELD, 3, axis=-1)
    other[..., 2] += 1
    found = shift(colour, other)["statistics"]
    assert found["mean of channel 2"]["distance"] == 1
    assert found["mean of channel 1"]["distance"] < 0.3


def test_what_cannot_be_compared_is_left_out():
    names = RNG.integers(0, 9, (50, 4))
    assert measure_input_shift(names, names) == {}
    assert measure_input_shift(IMAGES, HELD[:19]) == {}
    assert measure_input_shift(IMAGES, HELD[:, :8]) == {}
    assert measure_input_shift({"a": IMAGES}, {"b": HELD}) == {}
    broken = np.full((30, 2), np.nan)
    assert measure_input_shift(broken, broken) == {}
    pixels = (255 * IMAGES).astype("uint8")
    assert measure_input_shift(pixels, pixels)["inputs"]["off_scale"] == 0
    series = RNG.normal(size=(60, 24, 3))
    assert measure_input_shift(series, series)["inputs"]["statistics"] == {}


def test_rows_that_are_the_same():
    scaled = np.random.default_rng(0).uniform(size=(200, 30))
    scaled[:4, 0] = 1.0
    (found,) = measure_features(scaled).values()
    assert found["same_rows"] == 1 / 200
    (found,) = measure_features(scaled.astype("int32").astype("float32")).values()
    assert found["same_rows"] == 196 / 200
