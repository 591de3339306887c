import itertools
import types

import keras
import numpy as np
import pytest

from keras_practices.measures.sample import take_sample

X = np.arange(60, dtype="float32").reshape(20, 3)
Y = np.arange(20)


def batches(size=4, count=5):
    for begin in range(0, size * count, size):
        yield X[begin : begin + size], Y[begin : begin + size]


class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


def test_small_arrays_are_taken_whole():
    weights = np.linspace(0, 1, 20)
    sample = take_sample(X, Y, weights)
    np.testing.assert_array_equal(np.sort(sample.y), Y)
    np.testing.assert_array_equal(sample.x, X[sample.y])
    np.testing.assert_array_equal(sample.sample_weight, weights[sample.y])
    assert (sample.rows, sample.total_rows, sample.batch_size) == (20, 20, None)
    assert not sample.data_is_one_pass
    assert all(a is b for a, b in zip(sample.data, (X, Y, weights), strict=True))


def test_rows_of_large_arrays_are_spread_over_the_set():
    sample = take_sample(np.arange(1000.0), np.arange(1000), max_rows=10)
    np.testing.assert_array_equal(sample.x, sample.y)
    rows = np.sort(sample.x)
    assert rows[0] == 0
    assert rows[-1] == 999
    assert np.diff(rows).min() >= 110
    assert (sample.rows, sample.total_rows) == (10, 1000)


def test_the_first_rows_of_a_sorted_set_are_not_of_one_class():
    y = np.repeat(np.arange(10), 100)
    sample = take_sample(np.arange(1000.0), y)
    assert len(set(sample.head(20)[1])) >= 5
    again = take_sample(np.arange(1000.0), y)
    np.testing.assert_array_equal(sample.x, again.x)


def test_structures_keep_their_form():
    x = {"a": X, "b": [X[:, 0], X[:, 1]]}
    sample = take_sample(x, (Y, 2 * Y), max_rows=7)
    np.testing.assert_array_equal(sample.x["a"][:, 1], sample.x["b"][1])
    np.testing.assert_array_equal(2 * sample.y[0], sample.y[1])
    head = sample.head(3)
    assert head[0]["a"].shape == (3, 3)
    assert head[1][1].shape == (3,)
    assert head[2] is None


def test_tensors_and_plain_lists():
    sample = take_sample(keras.ops.convert_to_tensor(X), Y.tolist())
    np.testing.assert_array_equal(np.sort(sample.y), Y)
    np.testing.assert_array_equal(sample.x, X[sample.y])
    assert isinstance(sample.x, np.ndarray)


def test_a_py_dataset_can_be_read_again():
    source = Rows()
    sample = take_sample(source)
    np.testing.assert_array_equal(sample.x, X)
    assert (sample.batch_size, sample.batches, sample.total_rows) == (4, 5, 20)
    assert sample.exhausted
    assert sample.data is source
    part = take_sample(source, max_rows=6)
    np.testing.assert_array_equal(part.y, Y[:6])
    assert (part.rows, part.batches, part.total_rows) == (6, 2, None)


@pytest.mark.parametrize("max_rows", [6, 20, 100])
def test_no_row_of_a_generator_is_lost(max_rows):
    sample = take_sample(batches(), max_rows=max_rows)
    assert sample.data_is_one_pass
    # Keras asks a generator for its type.
    assert isinstance(sample.data, types.GeneratorType)
    np.testing.assert_array_equal(sample.x, X[:max_rows])
    again = list(sample.data)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in again]), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in again]), Y)


def test_an_endless_generator_is_read_only_as_far_as_needed():
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield X[:4], Y[:4], np.ones(4)

    sample = take_sample(endless(), max_rows=10)
    assert read == [0, 1, 2]
    assert (sample.rows, sample.total_rows, sample.exhausted) == (10, None, False)
    assert sample.sample_weight.shape == (10,)


def test_batches_padded_to_their_own_length_stay_in_step():
    wide = [(np.zeros((4, 7)), Y[:4]), (np.ones((4, 9)), Y[4:8])]
    sample = take_sample(iter([*wide, (np.full((4, 7), 2.0), Y[8:12])]))
    assert sample.rows == len(sample.x) == len(sample.y) == 8
    np.testing.assert_array_equal(sample.x[:, 0], [0] * 4 + [2] * 4)
    np.testing.assert_array_equal(sample.y, [0, 1, 2, 3, 8, 9, 10, 11])


def test_a_tf_dataset():
    tf = pytest.importorskip("tensorflow")
    source = tf.data.Dataset.from_tensor_slices(({"a": X}, Y)).batch(8).repeat()
    sample = take_sample(source, max_rows=12)
    np.testing.assert_array_equal(sample.x["a"], X[:12])
    assert (sample.batch_size, sample.data_is_one_pass) == (8, False)
    assert sample.data is source


@pytest.mark.once
def test_a_data_loader():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    rows = data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    source = data.DataLoader(rows, batch_size=8)
    sample = take_sample(source)
    np.testing.assert_array_equal(sample.x, X)
    np.testing.assert_array_equal(sample.y, Y)
    assert (sample.total_rows, sample.batches) == (20, 3)
    assert sample.data is source


@pytest.mark.parametrize(
    ("x", "y", "kind", "words"),
    [
        (None, None, TypeError, "`x`"),
        (X, Y[:19], ValueError, r"`y` .*20 rows.*19 rows"),
        (X[:0], Y[:0], ValueError, "at least one row"),
        ([X, X[:5]], Y, ValueError, r"one length.*\[20, 5\]"),
        (np.array([[1], [1, 2]], dtype=object), Y[:2], TypeError, "dtype object"),
        (3.0, None, TypeError, "PyDataset"),
        (np.float32(3.0), None, ValueError, "scalar"),
    ],
)
def test_what_is_no_data_says_why(x, y, kind, words):
    with pytest.raises(kind, match=f"verb: argument .*{words}"):
        take_sample(x, y, owner="verb")


def test_bad_batches_say_why():
    with pytest.raises(TypeError, match="argument `y`"):
        take_sample(batches(), Y)
    with pytest.raises(ValueError, match="fresh one for each call"):
        take_sample(iter(()))
    with pytest.raises(ValueError, match="4 and 3 rows"):
        take_sample(iter([(X[:4], Y[:3])]))
