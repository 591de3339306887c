import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.class_weight import compute_sample_weight

from keras_practices.data import Part
from keras_practices.data.balance import class_weights
from keras_practices.data.balance import sample_weights

once = pytest.mark.once
ROWS = st.lists(st.integers(0, 5), min_size=1, max_size=60)


@once
@given(y=ROWS, form=st.sampled_from(["numbers", "column", "one-hot", "float"]))
def test_equals_scikit_learn(y, form):
    y = np.array(y)
    given_y = {
        "numbers": y,
        "column": y[:, None],
        "one-hot": np.eye(6)[y],
        "float": y.astype("float32"),
    }[form]
    present = np.unique(y)
    expected = compute_class_weight("balanced", classes=present, y=y)
    weights = class_weights(given_y)
    assert weights == pytest.approx(dict(zip(present, expected, strict=True)))
    rows = sample_weights(given_y)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, compute_sample_weight("balanced", y), rtol=1e-6)
    np.testing.assert_allclose(rows.mean(dtype="float64"), 1, rtol=1e-5)
    assert rows[y == present[0]].sum() == pytest.approx(len(y) / len(present))


@once
@given(y=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2))
def test_multi_label_rows_get_the_mean_over_their_labels(y):
    y = np.array(y, "float32")
    columns = [compute_sample_weight("balanced", y[:, label]) for label in range(3)]
    rows = sample_weights(y, kind="multi-label")
    assert rows.shape == (len(y),)
    np.testing.assert_allclose(rows, np.mean(columns, axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows.mean(dtype="float64"), 1, rtol=1e-5)


@once
def test_multi_label_class_weights():
    y = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    weights = class_weights(y)
    assert weights[0] == pytest.approx({0: 2.0, 1: 4 / 6})
    assert weights[1] == pytest.approx({0: 4 / 6, 1: 2.0})
    assert weights[2] == {0: 1.0}  # a label that no row has
    np.testing.assert_allclose(sample_weights(y[[3]]), [1.0])


@once
@pytest.mark.parametrize("form", ["numbers", "channel", "one-hot"])
def test_dense_targets(form):
    rng = np.random.default_rng(0)
    masks = rng.choice(3, p=[0.9, 0.08, 0.02], size=(5, 8, 6))
    y = {
        "numbers": masks.astype("uint8"),
        "channel": masks[..., None],
        "one-hot": np.eye(3, dtype="float32")[masks],
    }[form]
    weights = class_weights(y)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=masks.ravel())
    assert list(weights.values()) == pytest.approx(expected.tolist())
    pixels = sample_weights(y)
    assert pixels.shape == (5, 8, 6)
    np.testing.assert_allclose(pixels, expected[masks], rtol=1e-6)


@once
def test_sequences_of_two_classes_need_a_word():
    y = np.array([[0, 1, 1], [1, 1, 0]])
    assert sample_weights(y).shape == (2,)
    assert sample_weights(y, kind="classes").shape == (2, 3)


@once
def test_an_ignored_class_weighs_nothing():
    y = np.array([[0, 0, 255], [0, 7, 255]])
    assert class_weights(y, ignore_class=255) == pytest.approx({0: 4 / 6, 7: 2.0})
    weights = sample_weights(y, ignore_class=255)
    np.testing.assert_allclose(weights, [[4 / 6, 4 / 6, 0], [4 / 6, 2, 0]], rtol=1e-6)
    assert weights[y != 255].mean() == pytest.approx(1)
    # Absent, and above or between the others.
    for absent in (-1, 3, 900):
        np.testing.assert_array_equal(
            sample_weights(y, ignore_class=absent), sample_weights(y)
        )
    with pytest.raises(ValueError, match="argument `y`.*ignored class"):
        class_weights(np.array([3, 3]), ignore_class=3)
    with pytest.raises(TypeError, match="argument `ignore_class`"):
        class_weights(y, ignore_class=1.5)


@once
def test_structures():
    y = {"a": np.array([0, 0, 1]), "b": np.ones((3, 2, 2, 1), int)}
    weights = sample_weights(y)
    np.testing.assert_allclose(weights["a"], [0.75, 0.75, 1.5])
    assert weights["b"].shape == (3, 2, 2)
    assert class_weights([y["a"]]) == [{0: 0.75, 1: 1.5}]
    assert class_weights([0, 0, 1]) == {0: 0.75, 1: 1.5}


@once
@pytest.mark.parametrize("function", [class_weights, sample_weights])
@pytest.mark.parametrize(
    ("y", "kind", "error", "message"),
    [
        (np.array([0.1, 0.9]), "auto", ValueError, "`y` must be whole numbers"),
        (np.array([0, np.nan]), "auto", ValueError, "`y` must be whole numbers"),
        (np.array(["a", "b"]), "auto", TypeError, "`y` must be an array of whole"),
        (np.zeros((0,), int), "auto", ValueError, "`y`.*at least one row"),
        ({"a": np.array([0.5])}, "auto", ValueError, r"`y\['a'\]` must be whole"),
        (np.array([0, 1]), "dense", ValueError, "`kind`"),
        (np.array([[0, 1], [1, 1]]), "one-hot", ValueError, "of kind 'one-hot'"),
        (np.array([[0, 2]]), "multi-label", ValueError, "of kind 'multi-label'"),
        (Part(np.ones(2), np.ones(2), role="train"), "auto", TypeError, "part.y"),
    ],
)
def test_targets_that_have_no_classes(function, y, kind, error, message):
    with pytest.raises(error, match=message):
        function(y, kind=kind)


def test_several_outputs_and_pixels_in_fit():
    """Keras takes the weights, and each class has the same part in the loss."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 4, 4, 1)).astype("float32")
    y = {
        "mask": (rng.random((12, 4, 4, 1)) < 0.1).astype("float32"),
        "tags": (rng.random((12, 3)) < 0.3).astype("float32"),
        "kind": rng.integers(0, 3, 12),
    }
    inputs = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(inputs)
    zero = {"kernel_initializer": "zeros"}
    outputs = {
        "mask": keras.layers.Conv2D(1, 1, activation="sigmoid", **zero)(inputs),
        "tags": keras.layers.Dense(3, activation="sigmoid", **zero)(flat),
        "kind": keras.layers.Dense(3, activation="softmax", **zero)(flat),
    }
    model = keras.Model(inputs, outputs)
    losses = {
        "mask": "binary_crossentropy",
        "tags": "binary_crossentropy",
        "kind": "sparse_categorical_crossentropy",
    }
    model.compile(keras.optimizers.SGD(0.0), losses)
    fitted = model.fit(x, y, sample_weight=sample_weights(y), batch_size=12, verbose=0)
    # All predictions are even: the mean weight of 1 leaves the loss of guessing.
    expected = 2 * np.log(2) + np.log(3)
    assert fitted.history["loss"][0] == pytest.approx(expected, rel=1e-4)
