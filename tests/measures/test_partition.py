import json

import keras
import numpy as np
import pytest

from keras_practices.measures.partition import class_labels
from keras_practices.measures.partition import figures_of_partition
from keras_practices.measures.partition import measure_class_counts
from keras_practices.measures.partition import measure_order
from keras_practices.measures.partition import measure_overlap
from keras_practices.measures.partition import validation_sample
from keras_practices.measures.sample import take_sample

SORTED = np.repeat([0, 1, 2], 50)
X = np.random.default_rng(0).normal(size=(150, 4)).astype("float32")


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size=10):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return len(self.x) // self.size

    def __getitem__(self, place):
        rows = slice(place * self.size, (place + 1) * self.size)
        return self.x[rows], self.y[rows]


@pytest.mark.once
def test_class_labels_of_numbers_and_of_one_hot_rows():
    for y in (SORTED, SORTED[:, None], np.eye(3)[SORTED], {"a": SORTED}):
        np.testing.assert_array_equal(class_labels(y), SORTED)
    np.testing.assert_array_equal(class_labels(SORTED > 0), SORTED > 0)
    for y in (X, X[:, 0], X[:, None], None, {"a": SORTED, "b": SORTED}):
        assert class_labels(y) is None


@pytest.mark.once
def test_classes_are_counted():
    found = measure_class_counts(SORTED[:120])
    assert found == {
        "rows": 120,
        "counts": {"0": 50, "1": 50, "2": 20},
        "complete": True,
    }
    assert measure_class_counts(X) is None


@pytest.mark.once
def test_changes_of_sorted_and_of_mixed_rows():
    found = measure_order(SORTED)
    assert (found["changes"], found["classes"], found["tail"]) == (2, 3, None)
    # Chance that two rows differ: 1 - 3 / 9, over 149 neighbours.
    assert found["expected_changes"] == pytest.approx(149 * 2 / 3)
    mixed = np.random.default_rng(0).permutation(SORTED)
    assert measure_order(mixed)["changes"] == pytest.approx(149 * 2 / 3, rel=0.15)
    assert measure_order(X) is None


@pytest.mark.once
@pytest.mark.parametrize(
    ("split", "rows", "unseen", "distance"),
    [(0.2, 30, [], 1 - 20 / 120), (0.5, 75, [2], 2 / 3)],
)
def test_what_a_split_cuts_off(split, rows, unseen, distance):
    tail = measure_order(SORTED, validation_split=split)["tail"]
    assert (tail["rows"], tail["unseen"]) == (rows, unseen)
    # Head of the half: 50 + 25 rows of classes 0, 1; tail: 25 + 50 of classes 1, 2.
    assert tail["distance"] == pytest.approx(distance)
    assert tail["unseen_share"] == pytest.approx(2 / 3 if unseen else 0)


def test_the_tail_is_the_one_that_keras_cuts():
    seen = []

    class Rows(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            seen.append(batch)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    y = np.arange(50) % 2
    model.fit(
        X[:50],
        y.astype("float32")[:, None],
        batch_size=1,
        validation_split=0.33,
        callbacks=[Rows()],
        verbose=0,
    )
    tail = measure_order(y, validation_split=0.33)["tail"]
    assert tail["rows"] == len(seen) == 17


@pytest.mark.once
def test_classes_in_each_batch():
    found = measure_order(SORTED, batch_size=10)
    assert (found["batches"], found["batch_classes"]) == (15, 1.0)
    assert found["expected_batch_classes"] == pytest.approx(3 * (1 - (2 / 3) ** 10))
    assert measure_order(SORTED, batch_size=20)["batch_classes"] == pytest.approx(8 / 7)


@pytest.mark.once
def test_rows_of_both_parts_are_found():
    found = measure_overlap(X[:100], X[90:120])
    assert (found["shared"], found["validation_rows"], found["rows"]) == (10, 30, 100)
    assert found["share"] == pytest.approx(1 / 3)
    assert found["twins"] == 0
    wider = X[90:120].astype("float64")
    assert measure_overlap(X[:100], wider)["shared"] == 10
    pair = {"a": X, "b": SORTED[:, None]}
    other = {"a": X[:10], "b": 1 + SORTED[:10, None]}
    assert measure_overlap(pair, other)["shared"] == 0
    assert measure_overlap(pair, pair)["share"] == 1


@pytest.mark.once
def test_rows_that_were_copied_before_a_split():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype("float32")[rng.integers(0, 60, 200)]
    sample = take_sample(x, np.zeros(200))
    found = figures_of_partition(sample, x, None, None, 0.2)["overlap"]
    assert (found["rows"], found["validation_rows"]) == (160, 40)
    assert found["share"] > 0.8
    assert found["twins"] > 0.8
    # 56 different rows, each with numbers of its own…
    assert found["continuous"] is True
    # …and 64 different rows of few values.
    grid = rng.integers(0, 4, (400, 3)).astype("float32")
    assert measure_overlap(grid, grid[:10])["continuous"] is False
    assert figures_of_partition(sample, x, None, None)["overlap"] is None


@pytest.mark.once
def test_rows_too_wide_to_be_equal_by_chance():
    rng = np.random.default_rng(0)
    texts = np.repeat(rng.integers(0, 50, (300, 24)), 4, axis=0)
    found = measure_overlap(texts, texts[:10])
    assert (found["wide"], found["continuous"], found["twins"]) == (True, False, 1)
    few = rng.integers(0, 3, (300, 4))
    assert measure_overlap(few, few[:10])["wide"] is False


@pytest.mark.once
def test_rows_that_repeat_by_nature():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]])[[0, 1, 2, 3] * 5 + [4]]
    found = measure_overlap(x, x[:8])
    assert found["share"] == 1
    assert found["twins"] == pytest.approx(20 / 21)
    signed = np.array([[0.0], [-0.0]], "float32")
    assert measure_overlap(signed[:1], signed[1:])["shared"] == 1
    assert measure_overlap(X, X[:, :2]) is None
    assert measure_overlap(np.array(["a"]), np.array(["a"])) is None


def parted(x, y, validation, split=0.0):
    found = figures_of_partition(take_sample(x, y), x, y, validation, split)
    json.dumps(found)
    return found


def test_arrays_are_read_in_full():
    found = parted(X, SORTED, (X[:40], SORTED[:40]), 0.2)
    assert found["class_counts"]["rows"] == 150
    assert found["validation_class_counts"]["counts"] == {"0": 40}
    assert found["order"]["tail"]["rows"] == 30
    assert found["overlap"]["share"] == 1
    assert found["input_shift"]["inputs"]["other_rows"] == 40
    tensor = keras.ops.convert_to_tensor(X)
    assert parted(tensor, SORTED, (tensor, SORTED))["overlap"]["share"] == 1


def test_a_part_of_one_class_counts_as_classes():
    found = parted(X[:100], SORTED[:100], (X[100:], SORTED[100:]))
    assert found["class_counts"]["counts"] == {"0": 50, "1": 50}
    assert found["validation_class_counts"]["counts"] == {"2": 50}
    prices = parted(X, X[:, 0], (X, SORTED))
    assert prices["validation_class_counts"] is not None
    assert prices["class_counts"] is None


def test_datasets_are_read_in_their_batches():
    data, held = Batches(X, SORTED), Batches(X[:60] + 1, SORTED[:60])
    found = parted(data, None, held)
    assert found["order"]["batch_classes"] == 1
    assert found["class_counts"]["complete"]
    assert found["validation_class_counts"]["counts"] == {"0": 50, "1": 10}
    assert found["overlap"]["shared"] == 0
    many = Batches(np.ones((3000, 1)), np.zeros(3000))
    assert not parted(many, None, None)["class_counts"]["complete"]


def test_an_iterator_is_left_to_fit():
    rows = iter([(X[:5], SORTED[:5])])
    assert validation_sample(rows) is None
    assert parted(X, SORTED, rows)["overlap"] is None
    assert len(list(rows)) == 1
    assert validation_sample(None) is None
    weighted = (X[:9], SORTED[:9], np.ones(9))
    assert validation_sample(weighted).rows == 9


def test_without_targets():
    found = parted(X, None, (X[:30],))
    assert found["class_counts"] is None
    assert found["order"] is None
    assert found["overlap"]["share"] == 1
