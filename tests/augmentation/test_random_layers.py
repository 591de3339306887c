"""What every random layer of the room owes, whatever it changes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.augmentation import AddNoise
from keras_practices.augmentation import ColorPCA
from keras_practices.augmentation import Gain
from keras_practices.augmentation import LensDistortion
from keras_practices.augmentation import PitchShift
from keras_practices.augmentation import SafeAugmentation
from keras_practices.augmentation import SpecAugment
from keras_practices.augmentation import TimeShift
from keras_practices.augmentation import TimeStretch

ROWS = 6
WAVE, STEREO, IMAGE = (400,), (400, 2), (8, 8, 3)


def color_pca(seed):
    layer = ColorPCA(sigma=1.0, seed=seed)
    layer.adapt(np.random.default_rng(1).uniform(size=(5, 4, 4, 3)))
    return layer


def safe_augmentation(seed):
    inner = keras.layers.RandomBrightness(0.3, seed=seed)
    return SafeAugmentation([inner], value_range=(0, 1))


# Made anew by each test: name -> (layer of a seed, shape of a row).
LAYERS = {
    "AddNoise": (lambda seed: AddNoise((5.0, 20.0), seed=seed), STEREO),
    "Gain": (lambda seed: Gain((-12.0, 12.0), seed=seed), STEREO),
    "TimeShift": (lambda seed: TimeShift(0.5, seed=seed), WAVE),
    "SpecAugment": (
        lambda seed: SpecAugment(2, 1, time_width=6, freq_width=4, seed=seed),
        (20, 8),
    ),
    "ColorPCA": (color_pca, IMAGE),
    "LensDistortion": (lambda seed: LensDistortion((-0.3, 0.3), seed=seed), IMAGE),
    "TimeStretch": (lambda seed: TimeStretch((0.5, 2.0), 64, seed=seed), WAVE),
    "PitchShift": (lambda seed: PitchShift((-7.0, 7.0), 64, seed=seed), STEREO),
    "SafeAugmentation": (safe_augmentation, IMAGE),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def made(name, seed=3):
    return LAYERS[name][0](seed)


def inputs_of(name, rows=ROWS):
    """Noise between 0.2 and 1 that all rows share, so that only draws differ."""
    shape = LAYERS[name][1]
    row = np.random.default_rng(0).uniform(0.2, 1.0, shape).astype("float32")
    return np.repeat(row[None], rows, axis=0)


def changed(layer, x):
    return ops.convert_to_numpy(layer(x, training=True))


@every_layer
def test_outside_training_nothing_happens(name):
    x = inputs_of(name)
    for outputs in (made(name)(x), made(name)(x, training=False)):
        np.testing.assert_array_equal(ops.convert_to_numpy(outputs), x)


@every_layer
def test_each_row_has_its_own_draw_and_each_call_new_ones(name):
    layer, x = made(name), inputs_of(name)
    first, second = changed(layer, x), changed(layer, x)
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert len(np.unique(first.reshape(ROWS, -1), axis=0)) > 1
    assert (first != second).any()
    assert (first != x).any()


@every_layer
def test_same_seed_same_draws(name):
    x = inputs_of(name)
    first, second, other = (changed(made(name, seed), x) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@every_layer
def test_symbolic_shape_is_the_shape_of_the_rows(name):
    inputs = keras.Input(LAYERS[name][1])
    outputs = made(name)(inputs)
    assert outputs.shape == (None, *LAYERS[name][1])
    assert outputs.dtype == "float32"


@every_layer
def test_config_makes_the_layer_again(name):
    layer = made(name)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    x = inputs_of(name)
    np.testing.assert_array_equal(changed(copy, x), changed(layer, x))


@every_layer
def test_mixed_precision(name):
    layer = made(name)
    half = type(layer).from_config({**layer.get_config(), "dtype": "mixed_float16"})
    # The sum of squares of a waveform this loud is past the end of float16.
    x = inputs_of(name) * (1.0 if LAYERS[name][1] == IMAGE else 100.0)
    outputs = changed(half, x)
    assert outputs.dtype == np.float16
    assert np.isfinite(outputs).all()
    assert ops.convert_to_numpy(half(x)).dtype == np.float16


@every_layer
@pytest.mark.once
def test_whole_numbers_become_floats(name):
    x = np.ones((2, *LAYERS[name][1]), "int32")
    for training in (True, False):
        outputs = ops.convert_to_numpy(made(name)(x, training=training))
        assert outputs.dtype == np.float32


@every_layer
def test_another_rank_is_named(name):
    layer = made(name)
    with pytest.raises(ValueError, match=f"{type(layer).__name__}: argument `inputs`"):
        layer(np.ones((2, 3, 4, 5, 6), "float32"))


@pytest.mark.parametrize("name", [name for name in LAYERS if "Safe" not in name])
@pytest.mark.parametrize("seed", ["1", 1.5])
def test_a_bad_seed_is_named(name, seed):
    with pytest.raises(TypeError, match="argument `seed`"):
        made(name, seed)
