import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.data import Split
from keras_practices.data.balanced_sampler import BalancedSampler


def rows_and_classes(sampler):
    """Row numbers and classes of every batch (`x` holds the row numbers)."""
    return [(x.astype(int), y) for x, y in sampler]


@pytest.mark.once
@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    batch_size=st.integers(1, 13),
    seed=st.integers(0, 99),
)
def test_shares_and_coverage(counts, batch_size, seed):
    y = np.repeat(np.arange(len(counts)) * 3, counts)
    y = np.random.default_rng(seed).permutation(y)
    sampler = BalancedSampler(np.arange(len(y)), y, batch_size=batch_size, seed=seed)
    largest = max(counts)
    for _ in range(2):
        batches = rows_and_classes(sampler)
        assert len(batches) == len(sampler) == -(-largest * len(counts) // batch_size)
        for rows, classes in batches:
            np.testing.assert_array_equal(y[rows], classes)
            shares = [(classes == value).sum() for value in np.unique(y)]
            assert max(shares) - min(shares) <= 1
            if batch_size % len(counts) == 0:
                assert max(shares) == min(shares)
        seen = np.bincount(np.concatenate([rows for rows, _ in batches]))
        for value, count in zip(np.unique(y), np.bincount(y // 3), strict=True):
            times = seen[y == value]
            assert times.sum() == largest
            assert set(times) <= {largest // count, -(-largest // count)}
        sampler.on_epoch_end()


@pytest.mark.once
def test_repeatable_and_new_in_every_epoch():
    x, y = np.arange(60), np.arange(60) % 7 // 3
    first, again, other = (
        BalancedSampler(x, y, batch_size=8, seed=seed) for seed in (1, 1, 2)
    )

    def order(sampler):
        return np.concatenate([rows for rows, _ in rows_and_classes(sampler)])

    start = order(first)
    np.testing.assert_array_equal(start, order(first))
    np.testing.assert_array_equal(start, order(again))
    assert (start != order(other)).any()
    first.on_epoch_end()
    assert (start != order(first)).any()
    again.on_epoch_end()
    np.testing.assert_array_equal(order(first), order(again))


@pytest.mark.once
def test_classes_are_mixed_within_a_batch():
    y = np.repeat([0, 1], 500)
    _, classes = BalancedSampler(np.arange(1000), y, batch_size=1000)[0]
    # Changes between neighbours: 499.5 expected of a random order with equal shares,
    # standard deviation about 15.8.
    assert abs((classes[1:] != classes[:-1]).sum() - 499.5) < 5 * 15.8


@pytest.mark.once
def test_structures_and_labels():
    x = {"a": np.arange(6), "b": np.arange(12).reshape(6, 2)}
    y = [np.linspace(0, 1, 6), np.eye(6)]
    labels = np.array([4, 4, 4, 4, 9, 9])
    sampler = BalancedSampler(x, y, batch_size=4, labels=labels)
    assert sampler.classes == [4, 9]
    assert sampler.counts == {4: 4, 9: 2}
    given_x, given_y = sampler[1]
    assert sorted(labels[given_x["a"]]) == [4, 4, 9, 9]
    np.testing.assert_array_equal(given_x["b"][:, 0], 2 * given_x["a"])
    np.testing.assert_array_equal(given_y[1].argmax(axis=1), given_x["a"])
    one_hot = BalancedSampler(np.arange(6), np.eye(2)[[0, 0, 0, 0, 1, 1]])
    assert one_hot.counts == {0: 4, 1: 2}


@pytest.mark.parametrize("workers", [1, 2])
def test_in_fit(workers):
    rng = np.random.default_rng(0)
    y = (np.arange(200) < 10).astype("int32")
    x = rng.normal(size=(200, 2)).astype("float32")
    split = Split(x, y, validation=0.2, test=0.2)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    model.compile("sgd", "binary_crossentropy")
    sampler = BalancedSampler(*split.train, batch_size=16, workers=workers)
    before = [classes for _, classes in rows_and_classes(sampler)]
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    model.fit(sampler, epochs=2, verbose=0, callbacks=[count])
    assert len(steps) == 2 * len(sampler) == 2 * len(before)
    assert np.mean(np.concatenate(before)) == 0.5


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"batch_size": 0}, "batch_size", ValueError),
        ({"batch_size": 2.5}, "batch_size", TypeError),
        ({"seed": -1}, "seed", ValueError),
        ({"seed": None}, "seed", TypeError),
        ({"y": np.array([0, 1])}, "y", ValueError),
        ({"y": np.array([0.5, 0.1, 1])}, "y", ValueError),
        ({"y": np.array(["a", "b", "b"])}, "y", TypeError),
        ({"y": np.array([[1, 1], [0, 1], [0, 0]])}, "y", ValueError),
        ({"y": [np.zeros(3), np.ones(3)]}, "y", ValueError),
        ({"labels": np.zeros(2)}, "labels", ValueError),
        ({"labels": np.zeros((3, 4))}, "labels", ValueError),
    ],
)
def test_bad_arguments_are_named(arguments, name, error):
    arguments = {"x": np.zeros(3), "y": np.array([0, 1, 1]), **arguments}
    with pytest.raises(error, match=f"BalancedSampler: argument `{name}`"):
        BalancedSampler(**arguments)
