import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from keras_practices.data import Part
from keras_practices.data import Split
from keras_practices.data.leaks import find_leaks

pytestmark = pytest.mark.once


def parts(train, other):
    rows = [len(x["a"] if isinstance(x, dict) else x) for x in (train, other)]
    return (
        Part(train, np.zeros(rows[0]), role="train"),
        Part(other, np.zeros(rows[1]), role="validation"),
    )


@pytest.mark.parametrize("features", [3, 200])
def test_equals_nearest_neighbours_of_scikit_learn(features):
    rng = np.random.default_rng(0)
    units = np.geomspace(1e-3, 1e3, features)
    train = rng.normal(size=(300, features)) * units + 5 * units
    other = rng.normal(size=(90, features)) * units + 5 * units
    copies = rng.integers(0, 300, 40)
    noise = np.geomspace(1e-4, 0.2, 40)[:, None]
    other[:40] = train[copies] + noise * units * rng.normal(size=(40, features))
    found = find_leaks(*parts(train, other), tolerance=0.05)
    scale = train.std(axis=0) * np.sqrt(features)
    search = NearestNeighbors(n_neighbors=1, algorithm="kd_tree").fit(train / scale)
    distances, nearest = (one[:, 0] for one in search.kneighbors(other / scale))
    expected = np.flatnonzero(distances <= 0.05)
    assert len(expected) >= 20
    np.testing.assert_array_equal(np.sort(found["rows"]), expected)
    np.testing.assert_array_equal(found["training_rows"], nearest[found["rows"]])
    np.testing.assert_allclose(found["distances"], distances[found["rows"]], rtol=1e-9)
    assert (np.diff(found["distances"]) >= 0).all()


def test_images_with_faint_changes():
    rng = np.random.default_rng(1)
    train = rng.integers(0, 256, size=(200, 8, 8, 3)).astype("uint8")
    other = rng.integers(0, 256, size=(50, 8, 8, 3)).astype("uint8")
    other[7] = train[30]
    changed = train[99].astype(int) + rng.integers(-3, 4, size=(8, 8, 3))
    other[3] = changed.clip(0, 255)
    found = find_leaks(*parts(train, other))
    assert found["rows"].tolist() == [7, 3]
    assert found["training_rows"].tolist() == [30, 99]
    assert found["distances"][0] == 0
    exact = find_leaks(*parts(train, other), tolerance=0)
    assert exact["rows"].tolist() == [7]


@pytest.mark.parametrize("kind", ["pixels", "frames"])
def test_an_exact_copy_is_found_among_rows_that_nearly_equal_it(kind):
    """Products of float32 cannot tell these rows apart; their bytes can."""
    rng = np.random.default_rng(6)
    if kind == "pixels":
        x = rng.integers(0, 256, size=(40, 16, 16, 3)).astype("uint8")
        near = x.copy()
        near[:, 0, 0, 0] ^= 1
    else:
        x = rng.normal(size=(40, 300)).astype("float32")
        near = x + np.float32(1e-5) * rng.normal(size=x.shape).astype("float32")
    train = np.concatenate([near, x, near])
    found = find_leaks(*parts(train, x), tolerance=0)
    np.testing.assert_array_equal(np.sort(found["rows"]), np.arange(40))
    np.testing.assert_array_equal(found["training_rows"], found["rows"] + 40)
    assert (found["distances"] == 0).all()


def test_equal_numbers_are_copies_whatever_their_dtype():
    train = np.array([[0.0, 1.0], [2.0, 7.0], [5.0, 3.0]], "float32")
    found = find_leaks(*parts(train, np.array([[-0.0, 1.0], [2, 7]])), tolerance=0)
    assert found["rows"].tolist() == found["training_rows"].tolist() == [0, 1]
    found = find_leaks(*parts(train, np.array([[5, 3]], "int64")), tolerance=0)
    assert found["training_rows"].tolist() == [2]


def test_clean_parts_are_quiet():
    x = np.random.default_rng(2).normal(size=(500, 30))
    split = Split(x, np.zeros(500))
    for other in (split.validation, split.test):
        assert all(len(array) == 0 for array in find_leaks(split.train, other).values())
    assert split.test.openings == []


def test_structures_and_constant_features():
    rng = np.random.default_rng(3)
    train = {"a": rng.normal(size=60), "b": rng.normal(size=(60, 4, 2))}
    train["c"] = np.ones((60, 2))
    other = {name: array[:5].copy() for name, array in train.items()}
    assert len(find_leaks(*parts(train, other))["rows"]) == 5
    other["c"][2] = 2.0  # a feature that training never saw change
    assert sorted(find_leaks(*parts(train, other))["rows"]) == [0, 1, 3, 4]


def test_bad_arguments_are_named():
    x = np.random.default_rng(4).normal(size=(10, 3))
    train, other = parts(x, x)
    with pytest.raises(TypeError, match="argument `train`"):
        find_leaks(x, other)
    with pytest.raises(ValueError, match="argument `train`.*role"):
        find_leaks(other, other)
    with pytest.raises(TypeError, match="argument `other`"):
        find_leaks(train, x)
    with pytest.raises(ValueError, match="argument `other`.*shapes"):
        find_leaks(train, parts(x, x[:, :2])[1])
    with pytest.raises(TypeError, match="argument `other`.*numbers"):
        find_leaks(train, parts(x, x.astype(str))[1])
    with pytest.raises(ValueError, match="argument `tolerance`"):
        find_leaks(train, other, tolerance=-1)
    bad = x.copy()
    bad[1, 1] = np.nan
    with pytest.raises(ValueError, match="argument `other`.*finite.*1 bad row"):
        find_leaks(train, parts(x, bad)[1])
