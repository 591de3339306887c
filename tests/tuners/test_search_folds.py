import numpy as np
import pytest
from sklearn.model_selection import GroupKFold
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from keras_practices.tuners.folds import Folds
from keras_practices.tuners.folds import check_splitter
from keras_practices.tuners.folds import fingerprint
from keras_practices.tuners.folds import fingerprint_of_fold

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2)) * [1.0, 50.0] + [0.0, 9.0]
LABELS = np.repeat([0, 1, 2], [15, 10, 5])


def fixed(splitter, *args, preprocess=None, seed=1, **kwargs):
    folds = Folds("test", splitter, preprocess, seed)
    folds.fix(args, kwargs)
    return folds


def test_every_row_is_held_out_once_and_classes_are_spread():
    weights = np.arange(30.0)
    folds = fixed(5, X, LABELS, sample_weight=weights, epochs=3)
    held = []
    for number, fit in folds.fits((X, LABELS), {"sample_weight": weights, "epochs": 3}):
        x, y, w = fit["validation_data"]
        assert fit["epochs"] == 3
        np.testing.assert_array_equal(X[w.astype(int)], x)
        np.testing.assert_array_equal(LABELS[w.astype(int)], y)
        np.testing.assert_array_equal(np.bincount(y), [3, 2, 1])
        assert set(fit["sample_weight"]) == set(weights) - set(w)
        held += list(w)
        assert number == len(held) // 6 - 1
    assert sorted(held) == list(range(30))
    # The same rows as scikit-learn's own, and for the same seed always.
    own = StratifiedKFold(5, shuffle=True, random_state=1).split(X, LABELS)
    assert held == [row for _, rows in own for row in rows]
    assert fixed(5, X, LABELS).fingerprint == fixed(5, X, LABELS).fingerprint
    assert fixed(5, X, LABELS).fingerprint != fixed(5, X, LABELS, seed=2).fingerprint
    assert fixed(5, X, LABELS).fingerprint != fixed(5, X + 1, LABELS).fingerprint


def test_preprocessing_sees_the_training_rows_of_its_fold_only():
    folds = fixed(3, X, preprocess=lambda x: StandardScaler().fit(x).transform)
    for _, fit in folds.fits((X,), {}):
        np.testing.assert_allclose(fit["x"].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(fit["x"].std(axis=0), 1, atol=1e-12)
        assert np.abs(fit["validation_data"][0].mean(axis=0)).min() > 1e-6


def test_groups_stay_together_and_inputs_may_be_nested():
    groups = np.arange(30) // 3
    pairs = list(GroupKFold(5).split(X, groups=groups))
    inputs = {"a": X, "b": X[:, :1]}
    folds = fixed(pairs, inputs, LABELS)
    assert folds.count == 5
    for (_, fit), (train, held) in zip(
        folds.fits((inputs, LABELS), {}), pairs, strict=True
    ):
        np.testing.assert_array_equal(fit["x"]["a"], X[train])
        np.testing.assert_array_equal(fit["validation_data"][0]["b"], X[held, :1])


@pytest.mark.parametrize(
    ("splitter", "kwargs", "error", "name"),
    [
        (31, {}, ValueError, "cross_validation"),
        (3, {"validation_data": (X, LABELS)}, ValueError, "validation_data"),
        (3, {"validation_split": 0.5}, ValueError, "validation_split"),
        (3, {"x": iter([1])}, TypeError, "x"),
        (3, {"y": LABELS[:5]}, TypeError, "x"),
        ([], {}, ValueError, "cross_validation"),
    ],
)
def test_bad_data(splitter, kwargs, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        fixed(splitter, **{"x": X, "y": LABELS, **kwargs})


@pytest.mark.parametrize(
    ("splitter", "error"), [(1, ValueError), (2.5, TypeError), ("kfold", TypeError)]
)
def test_bad_splitters(splitter, error):
    with pytest.raises(error, match="argument `cross_validation`"):
        check_splitter("test", splitter)


def test_the_fold_is_told_by_its_rows():
    given = fingerprint_of_fold((), {"validation_data": (X[20:], LABELS[20:])})
    split = fingerprint_of_fold((X, LABELS), {"validation_split": 1 / 3})
    assert given == split
    assert split == fingerprint_of_fold(
        (), {"x": X, "y": LABELS} | {"validation_split": 1 / 3}
    )
    moved = fingerprint_of_fold((), {"validation_data": (X[19:29], LABELS[20:])})
    assert moved not in (None, given)
    for nothing in ({}, {"validation_data": iter([X])}, {"validation_split": 0.0}):
        assert fingerprint_of_fold((X, LABELS), nothing) is None


def test_shape_kind_and_texts_count():
    zeros = np.zeros(6, "float32")
    others = [zeros.reshape(2, 3), zeros.astype("int32"), zeros + 1]
    assert len({fingerprint([one]) for one in (zeros, *others)}) == 4
    words = [np.array(text, object) for text in (["a", "b"], ["a", "c"])]
    assert fingerprint(words[:1]) != fingerprint(words[1:])
