import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.data import Part
from keras_practices.data import Split
from keras_practices.data import Vault
from keras_practices.errors import UsageError

pytestmark = pytest.mark.once


def rows(count, classes=4):
    """Inputs that show the row they come from."""
    return np.arange(count, dtype="float32")[:, None], np.arange(count) % classes


def parts_of(split):
    """Rows of each part; of the test set only as the split's own list."""
    return (
        split.train.x[:, 0].astype(int),
        split.validation.x[:, 0].astype(int),
        split.indices["test"],
    )


@given(
    count=st.integers(10, 200),
    validation=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 2**31),
    shuffle=st.booleans(),
)
def test_parts_are_disjoint_and_complete(count, validation, test, seed, shuffle):
    x, y = rows(count)
    split = Split(x, y, validation=validation, test=test, seed=seed, shuffle=shuffle)
    train, held, tested = parts_of(split)
    assert sorted([*train, *held, *tested]) == list(range(count))
    assert len(held) == round(validation * count)
    assert len(tested) == round(test * count)
    np.testing.assert_array_equal(split.train.y, y[train])
    np.testing.assert_array_equal(split.indices["train"], train)
    np.testing.assert_array_equal(split.indices["validation"], held)


def test_roles_and_types():
    split = Split(*rows(50))
    assert isinstance(split.train, Part)
    assert (split.train.role, split.validation.role) == ("train", "validation")
    assert isinstance(split.test, Vault)
    assert repr(split) == "Split(train=30, validation=10, test=10)"


def test_the_vault_holds_the_test_rows():
    x, y = rows(50)
    split = Split(x, y)
    found = split.indices["test"]
    assert split.test.fingerprint == Vault(x[found], y[found]).fingerprint


def test_seed():
    x, y = rows(60)
    first, same, other = (Split(x, y, seed=seed) for seed in (3, 3, 4))
    for one, two in zip(parts_of(first), parts_of(same), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (parts_of(first)[0] != parts_of(other)[0]).any()


def test_without_shuffling_time_goes_forward():
    split = Split(*rows(10), shuffle=False)
    train, held, tested = parts_of(split)
    assert [*train] == [0, 1, 2, 3, 4, 5]
    assert [*held] == [6, 7]
    assert [*tested] == [8, 9]


@pytest.mark.parametrize("kind", ["integers", "column", "bool", "one-hot"])
def test_classes_keep_their_shares(kind):
    # Sorted and unbalanced: 80 % against 20 %.
    labels = np.repeat([0, 1], [80, 20])
    y = {
        "integers": labels.astype("uint8"),
        "column": labels[:, None],
        "bool": labels.astype(bool),
        "one-hot": np.eye(2, dtype="float32")[labels],
    }[kind]
    split = Split(np.ones((100, 1)), y)
    for found in split.indices.values():
        assert labels[found].mean() == pytest.approx(0.2)


def test_auto_shuffles_plainly_where_classes_cannot_be_kept():
    x = np.ones((20, 1))
    for y in (
        np.linspace(0, 1, 20),  # a regression
        np.arange(20),  # every row its own class
        np.eye(3)[np.arange(20) % 3] + np.eye(3)[0],  # not one-hot
        {"a": np.arange(20) % 2},
    ):
        assert len(Split(x, y).train.x) == 12


def test_stratify_false_is_plain():
    labels = np.repeat([0, 1], [80, 20])
    shares = [
        labels[Split(labels, labels, stratify=False, seed=seed).indices["test"]].mean()
        for seed in range(10)
    ]
    assert len(set(shares)) > 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.linspace(0, 1, 20), "not one array of integer"),
        (np.array([0] * 19 + [1]), "class 1 has 1"),
    ],
)
def test_stratify_true_must_be_possible(y, message):
    with pytest.raises(ValueError, match=f"argument `stratify`.*{message}"):
        Split(np.ones((20, 1)), y, stratify=True)


def test_groups_stay_together():
    count = 120
    x, y = rows(count)
    groups = np.array([f"patient {row // 6}" for row in range(count)])
    split = Split(x, y, groups=groups, seed=1)
    members = [set(groups[found]) for found in split.indices.values()]
    assert [len(names) for names in members] == [12, 4, 4]
    assert set.union(*members) == set(groups)
    assert sum(len(names) for names in members) == 20
    assert sorted(np.concatenate(parts_of(split))) == list(range(count))


def test_structures_are_cut_alike():
    x, y = rows(30)
    split = Split({"a": x, "b": 2 * x}, [y, y[:, None]])
    np.testing.assert_array_equal(2 * split.train.x["a"], split.train.x["b"])
    np.testing.assert_array_equal(split.train.y[0], split.train.y[1][:, 0])


def test_no_test_part_where_one_is_there_already():
    split = Split(*rows(10), test=0)
    assert len(split.train.x) == 8
    with pytest.raises(UsageError, match="test=0"):
        _ = split.test


def test_nan_is_not_an_error_here():
    x, y = rows(20)
    x[3] = np.nan
    assert len(Split(x, y).train.x) == 12


def test_ledger_goes_to_the_vault(tmp_path):
    split = Split(*rows(10), ledger=tmp_path / "ledger.jsonl")
    assert split.test.ledger == tmp_path / "ledger.jsonl"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"validation": 0.0}, ValueError, "argument `validation`"),
        ({"validation": 1.0}, ValueError, "argument `validation`"),
        ({"test": -0.1}, ValueError, "argument `test`"),
        ({"test": float("nan")}, ValueError, "argument `test`"),
        ({"test": True}, TypeError, "argument `test`"),
        ({"validation": 0.5, "test": 0.5}, ValueError, "argument `test`.*below"),
        ({"validation": 0.01}, ValueError, "argument `validation`.*rows.*20 rows"),
        ({"test": 0.01}, ValueError, "argument `test`.*rows.*20 rows"),
        ({"validation": 0.49, "test": 0.49}, ValueError, "training rows"),
        ({"seed": 1.5}, TypeError, "argument `seed`"),
        ({"seed": -1}, ValueError, "argument `seed`"),
        ({"stratify": "yes"}, ValueError, "argument `stratify`"),
        ({"stratify": np.arange(20)}, TypeError, "argument `stratify`"),
        ({"stratify": True, "shuffle": False}, ValueError, "`shuffle=False`"),
        ({"stratify": True, "groups": np.arange(20)}, ValueError, "`groups`"),
        ({"groups": np.arange(20), "shuffle": False}, ValueError, "`shuffle`"),
        ({"groups": np.arange(19)}, ValueError, "argument `groups`"),
        ({"groups": 3}, TypeError, "argument `groups`"),
        ({"groups": np.repeat([0, 1], 10)}, ValueError, "2 groups"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Split(*rows(20), **arguments)


def test_bad_data():
    with pytest.raises(ValueError, match="Split: argument `y`"):
        Split(np.ones((5, 2)), np.ones(6))
    with pytest.raises(TypeError, match="Split: argument `x`"):
        Split(np.array([[1], [1, 2]], object), np.ones(2))
