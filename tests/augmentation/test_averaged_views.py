import keras
import numpy as np
import pytest

from keras_practices.augmentation import predict_tta

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(7, 9, 8, 3)).astype("float32")


@pytest.fixture
def model():
    """Takes 6 × 5 and answers differently to every view."""
    inputs = keras.Input((6, 5, 3))
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(4, "softmax")(x))


def five(x, rows=6, columns=5):
    """The crops by hand: centre, then the corners."""
    height, width = x.shape[1:3]
    top, left = (height - rows) // 2, (width - columns) // 2
    return [
        x[:, top : top + rows, left : left + columns],
        x[:, :rows, :columns],
        x[:, :rows, -columns:],
        x[:, -rows:, :columns],
        x[:, -rows:, -columns:],
    ]


def mirrored(views):
    return views + [view[:, :, ::-1] for view in views]


def mean_over(model, views):
    predictions = [model.predict(view, verbose=0) for view in views]
    return np.mean(np.float64(predictions), axis=0)


def triangle(size, new):
    """Matrix of bilinear resizing with antialiasing, in float64."""
    stretch = size / new
    centres = (np.arange(new) + 0.5) * stretch
    distance = abs(np.arange(size) + 0.5 - centres[:, None]) / max(stretch, 1)
    weights = np.maximum(0, 1 - distance)
    return weights / weights.sum(axis=1, keepdims=True)


def resized(x, height, width):
    rows, columns = triangle(x.shape[1], height), triangle(x.shape[2], width)
    return np.einsum("ih,bhwc,jw->bijc", rows, x, columns).astype("float32")


@pytest.mark.parametrize("batch_size", [3, 32])
@pytest.mark.parametrize(
    ("crops", "flips", "views"),
    [
        (1, False, lambda: five(X)[:1]),
        (5, False, lambda: five(X)),
        (5, True, lambda: mirrored(five(X))),
        (10, False, lambda: mirrored(five(X))),
        (10, True, lambda: mirrored(five(X))),
        (1, True, lambda: mirrored(five(X)[:1])),
    ],
)
def test_crops_are_the_mean_over_views_by_hand(model, crops, flips, views, batch_size):
    found = predict_tta(model, X, crops=crops, flips=flips, batch_size=batch_size)
    assert found.shape == (7, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean_over(model, views()), rtol=1e-5)


def test_scales_are_resized_before_they_are_cropped(model):
    found = predict_tta(model, X, crops=5, scales=(0.75, 1.0, 1.5), flips=True)
    # Sizes 6.75 and 6, 9 and 8, 13.5 and 12; Python rounds halves to even.
    views = five(resized(X, 7, 6)) + five(X) + five(resized(X, 14, 12))
    np.testing.assert_allclose(found, mean_over(model, mirrored(views)), rtol=1e-4)


def test_whole_images_of_the_model_s_size(model):
    x = X[:, :6, :5]
    plain = predict_tta(model, x)
    np.testing.assert_allclose(plain, model.predict(x, verbose=0), rtol=1e-6)
    flipped = predict_tta(model, x, flips=True)
    np.testing.assert_allclose(flipped, mean_over(model, mirrored([x])), rtol=1e-5)


def test_a_model_of_any_size_takes_scaled_images_and_crops_of_a_named_size():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(x))
    found = predict_tta(model, X, scales=(1.0, 2.0))
    expected = mean_over(model, [X, resized(X, 18, 16)])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    found = predict_tta(model, X, crops=5, crop_size=(6, 5))
    np.testing.assert_allclose(found, mean_over(model, five(X)), rtol=1e-5)


def test_several_outputs_keep_their_structure():
    inputs = keras.Input((6, 5, 3))
    flat = keras.layers.Flatten()(inputs)
    outputs = {"a": keras.layers.Dense(2)(flat), "b": keras.layers.Dense(3)(flat)}
    model = keras.Model(inputs, outputs)
    found = predict_tta(model, X, crops=5, batch_size=4)
    predictions = [model.predict(view, verbose=0) for view in five(X)]
    for name, rows in found.items():
        expected = np.mean([np.float64(p[name]) for p in predictions], axis=0)
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-6)


def test_channels_first():
    inputs = keras.Input((3, 6, 5))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    x = np.ascontiguousarray(np.moveaxis(X, 3, 1))
    found = predict_tta(model, x, crops=10, data_format="channels_first")
    views = [np.moveaxis(view, 3, 1) for view in mirrored(five(X))]
    np.testing.assert_allclose(found, mean_over(model, views), rtol=1e-4, atol=1e-6)


def test_half_precision_is_averaged_in_full():
    inputs = keras.Input((6, 5, 3), dtype="float16")
    model = keras.Model(inputs, inputs[:, 0, 0])
    found = predict_tta(model, X.astype("float16"), crops=10)
    assert found.dtype == np.float32
    views = mirrored(five(X.astype("float16")))
    expected = np.mean([np.float64(view[:, 0, 0]) for view in views], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_model_is_left_as_it_was(model):
    before = [np.array(weight) for weight in model.get_weights()]
    predict_tta(model, X, crops=5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"crops": 4}, ValueError, "crops"),
        ({"crops": 1.0}, TypeError, "crops"),
        ({"crops": None}, ValueError, "crops"),
        ({"crops": 5, "scales": 1.0}, TypeError, "scales"),
        ({"crops": 5, "scales": ()}, TypeError, "scales"),
        ({"crops": 5, "scales": (0.0,)}, ValueError, "scales"),
        ({"crops": 5, "scales": (0.5,)}, ValueError, "scales"),
        ({"crops": 5, "crop_size": 6}, TypeError, "crop_size"),
        ({"crops": 5, "crop_size": (0, 5)}, ValueError, "crop_size"),
        ({"crops": 5, "batch_size": 0}, ValueError, "batch_size"),
        ({"crops": 5, "data_format": "last"}, ValueError, "data_format"),
        ({"crops": 5, "x": [1]}, TypeError, "x"),
        ({"crops": 5, "x": X[0]}, ValueError, "x"),
        ({"crops": 5, "x": X[:0]}, ValueError, "x"),
    ],
)
def test_bad_arguments_are_named(model, arguments, error, name):
    with pytest.raises(error, match=f"predict_tta: argument `{name}`"):
        predict_tta(model, **{"x": X, **arguments})


def test_a_model_of_any_size_needs_the_size_of_its_crops():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(inputs))
    with pytest.raises(ValueError, match="argument `crop_size`"):
        predict_tta(model, X, crops=5)
    two = keras.Model([inputs, keras.Input((2,))], inputs)
    with pytest.raises(ValueError, match="argument `crop_size`"):
        predict_tta(two, X, crops=5)
