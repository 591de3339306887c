import copy
import pickle

import keras
import numpy as np
import pytest

from keras_practices.data import Part


def test_is_the_pair_that_keras_takes():
    x, y = np.ones((6, 2), "float32"), np.zeros((6, 1), "float32")
    part = Part(x, y, role="train")
    assert isinstance(part, tuple)
    assert len(part) == 2
    assert part.x is x
    assert part[1] is part.y
    assert part.y is y
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(
        *part, validation_data=Part(x, y, role="validation"), verbose=0
    ).history
    assert np.isfinite(history["val_loss"]).all()


def test_dicts_lists_and_tensors():
    x = {
        "image": keras.ops.ones((3, 2, 2)),
        "age": np.arange(3),
    }
    part = Part(x, [np.zeros(3), np.ones((3, 2))], role="test")
    assert list(part.x) == ["image", "age"]
    assert isinstance(part.x["image"], np.ndarray)
    assert len(part.y) == 2


def test_copies_keep_the_role():
    part = Part(np.ones((3, 2)), np.zeros(3), role="validation")
    for other in (
        copy.copy(part),
        copy.deepcopy(part),
        pickle.loads(pickle.dumps(part)),
    ):
        assert type(other) is Part
        assert other.role == "validation"
        np.testing.assert_array_equal(other.x, part.x)


def test_repr_is_short():
    part = Part(np.ones((1000, 10)), np.zeros(1000), role="train")
    assert repr(part) == "Part(role='train', rows=1000)"


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.ones((3, 2)), np.ones(4), ValueError, "argument `y`.*of 3 rows"),
        (
            {"a": np.ones(3), "b": np.ones(2)},
            np.ones(3),
            ValueError,
            r"argument `x\['b'\]`",
        ),
        (np.ones((0, 2)), np.ones(0), ValueError, "argument `x`.*at least one row"),
        ([], np.ones(0), ValueError, "argument `x`.*not empty"),
        ([[1, 2], [3, 4]], np.ones(2), TypeError, r"argument `x\[0\]`.*np.asarray"),
        (np.ones(2), [0, 1], TypeError, r"argument `y\[0\]`.*np.asarray"),
        (np.ones(2), None, TypeError, "argument `y`"),
        (np.ones(2), np.float64(3), TypeError, "argument `y`"),
        (np.array([[1], [1, 2]], object), np.ones(2), TypeError, "argument `x`"),
        (np.ones(2), np.array(["a", None], object), TypeError, "argument `y`"),
    ],
)
def test_bad_arrays(x, y, error, message):
    with pytest.raises(error, match=message):
        Part(x, y, role="train")


def test_bad_role():
    with pytest.raises(ValueError, match="argument `role`.*'training'"):
        Part(np.ones(2), np.ones(2), role="training")
