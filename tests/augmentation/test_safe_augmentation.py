import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.augmentation import SafeAugmentation
from keras_practices.data import Part
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
UNIT = RNG.uniform(size=(4, 8, 8, 3)).astype("float32")
# Layers that take `value_range`, some with others inside.
RANGED = {
    "RandomBrightness": lambda **r: layers.RandomBrightness(0.5, seed=1, **r),
    "RandomContrast": lambda **r: layers.RandomContrast(0.5, seed=1, **r),
    "RandomSaturation": lambda **r: layers.RandomSaturation(0.5, seed=1, **r),
    "RandomInvert": lambda **r: layers.RandomInvert(1.0, seed=1, **r),
    "RandomErasing": lambda **r: layers.RandomErasing(1.0, seed=1, **r),
    "RandomColorJitter": lambda **r: layers.RandomColorJitter(
        brightness_factor=0.3, contrast_factor=0.3, saturation_factor=0.3, seed=1, **r
    ),
}


def augmented(layer, images):
    return ops.convert_to_numpy(layer(images, training=True))


@pytest.mark.parametrize("name", RANGED)
def test_each_layer_is_told_the_range(name):
    safe = SafeAugmentation([RANGED[name]()])
    safe.adapt(UNIT)
    found = augmented(safe, UNIT)
    expected = augmented(RANGED[name](value_range=(0.0, 1.0)), UNIT)
    np.testing.assert_array_equal(found, expected)
    assert found.max() <= 1


@pytest.mark.parametrize("name", ["RandomBrightness", "RandomColorJitter"])
def test_the_range_may_be_found_late_or_named(name):
    late = SafeAugmentation([RANGED[name]()])
    late(UNIT)
    late.adapt(UNIT)
    named = SafeAugmentation([RANGED[name]()], value_range=(0, 1))
    np.testing.assert_array_equal(augmented(late, UNIT), augmented(named, UNIT))


def test_without_it_the_same_layer_leaves_the_range():
    # The trap that the layer is for.
    assert augmented(layers.RandomBrightness((0.5, 0.5)), UNIT).max() > 100


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (UNIT, (0, 1)),
        (UNIT * 2 - 1, (-1, 1)),
        (UNIT * 255, (0, 255)),
        ((UNIT * 100).astype("uint8"), (0, 255)),
        ((UNIT > 0.5).astype("int64"), (0, 1)),
        (UNIT.astype("float16"), (0, 1)),
    ],
)
def test_the_range_is_found(images, expected):
    safe = SafeAugmentation([layers.RandomFlip()])
    safe.adapt(Part(images, np.zeros(len(images)), role="train"))
    assert safe.value_range == expected
    safe.adapt(images)


@pytest.mark.parametrize(
    "images",
    [
        RNG.normal(size=(4, 8, 8, 3)),
        UNIT - 0.5,
        UNIT * 16,
        UNIT * 300,
        UNIT / 255,
        np.ones((2, 8, 8, 3)),
    ],
)
def test_no_range_is_guessed(images):
    with pytest.raises(ValueError, match="argument `data`.*value_range"):
        SafeAugmentation([layers.RandomFlip()]).adapt(images)


@pytest.mark.parametrize("value_range", [(0, 255), (0, 0.5), (-1, 0)])
def test_a_range_that_does_not_fit_is_refused(value_range):
    safe = SafeAugmentation([layers.RandomFlip()], value_range)
    with pytest.raises(ValueError, match="argument `value_range`"):
        safe.adapt(UNIT)


def test_other_parts_are_refused():
    for role in ("validation", "test"):
        with pytest.raises(ValueError, match="of role 'train'"):
            SafeAugmentation([layers.RandomFlip()]).adapt(
                Part(UNIT, np.zeros(4), role=role)
            )


def test_validation_is_judged_by_plain_images():
    safe = SafeAugmentation([layers.RandomBrightness((0.5, 0.5))], (0, 1))
    model = keras.Sequential([keras.Input((8, 8, 3)), safe])
    model.compile("sgd", "mse")
    assert model.evaluate(UNIT, UNIT, verbose=0) == 0.0


def test_the_user_s_layer_is_not_changed():
    brightness = layers.RandomBrightness(0.5)
    SafeAugmentation([brightness], (0, 1))
    assert list(brightness.value_range) == [0, 255]


def test_a_range_that_was_found_is_saved(tmp_path):
    safe = SafeAugmentation(
        [RANGED["RandomBrightness"](), RANGED["RandomColorJitter"]()]
    )
    safe.adapt(UNIT)
    model = keras.Sequential([keras.Input((8, 8, 3)), safe])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[0]
    assert tuple(loaded.value_range) == (0, 1)
    assert [type(layer) for layer in loaded.layers] == [
        layers.RandomBrightness,
        layers.RandomColorJitter,
    ]
    np.testing.assert_array_equal(augmented(loaded, UNIT), augmented(safe, UNIT))


def test_training_before_adapt_says_so():
    safe = SafeAugmentation([layers.RandomFlip()])
    head = [layers.Flatten(), layers.Dense(1)]
    model = keras.Sequential([keras.Input((8, 8, 3)), safe, *head])
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match="adapt"):
        model.fit(UNIT, np.zeros((4, 1)), verbose=0)


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ([], TypeError),
        (layers.RandomFlip(), TypeError),
        ([np.flip], TypeError),
        ([layers.MixUp()], ValueError),
        ([layers.CutMix()], ValueError),
        ([layers.Rescaling(1 / 255)], ValueError),
        ([layers.Normalization()], ValueError),
    ],
)
def test_other_layers_are_named(found, error):
    with pytest.raises(error, match="SafeAugmentation: argument `layers`"):
        SafeAugmentation(found)


def test_a_layer_that_changes_the_shape_is_named():
    safe = SafeAugmentation([layers.RandomCrop(4, 4)], (0, 1))
    with pytest.raises(ValueError, match="argument `layers`.*RandomCrop in front"):
        safe(UNIT)


@pytest.mark.parametrize(
    ("value_range", "error"),
    [("guess", TypeError), (1, TypeError), ((1, 1), ValueError), ((2, 1), ValueError)],
)
def test_a_bad_range_is_named(value_range, error):
    with pytest.raises(error, match="SafeAugmentation: argument `value_range`"):
        SafeAugmentation([layers.RandomFlip()], value_range)
