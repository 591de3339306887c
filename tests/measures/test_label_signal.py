import json

import keras
import numpy as np
import pytest

from keras_practices.measures import label_signal as module
from keras_practices.measures.before import figures_of_outputs
from keras_practices.measures.label_format import measure_label_format
from keras_practices.measures.label_signal import measure_label_signal
from keras_practices.measures.sample import take_sample

ROWS = 400


def network(width=2, *, names=False):
    first = [keras.layers.Embedding(50, 4), keras.layers.Flatten()] if names else []
    layers = [keras.Input((width,)), *first, keras.layers.Dense(3, "softmax")]
    model = keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def signal(x, y, model=None):
    model = network() if model is None else model
    found = measure_label_signal(model, take_sample(x, y))
    json.dumps(found)
    return found


def largest(found):
    return max(abs(probe["z"]) for probe in found["probes"].values())


def plane():
    return np.random.default_rng(1).uniform(-1, 1, (ROWS, 2)).astype("float32")


def crossed():
    x = plane()
    return x, (x[:, 0] > 0) ^ (x[:, 1] > 0)


def ring():
    x = plane()
    return x, ((x**2).sum(axis=1) > 0.6).astype("int32")[:, None]


def wave():
    x = plane()
    return x, 1000 * np.sin(9 * x[:, 0]) + 5000


def one_hot():
    x = plane()
    return x, np.eye(3)[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0)]


@pytest.mark.once
@pytest.mark.parametrize("make", [crossed, ring, wave, one_hot])
def test_what_depends_is_seen_and_what_was_shuffled_is_not(make):
    x, y = make()
    found = signal(x, y)
    assert largest(found) > 8
    assert found["explained"] > 0.3
    assert found["task"] == ("numbers" if make is wave else "classes")
    shuffled = np.random.default_rng(2).permutation(y)
    assert largest(signal(x, shuffled)) < 3


@pytest.mark.once
def test_noise_on_the_labels_does_not_hide_them():
    generator = np.random.default_rng(3)
    x = generator.normal(size=(250, 40)).astype("float32")
    y = (x[:, :6].sum(axis=1) > 0) ^ (generator.random(250) < 0.15)
    assert largest(signal(x, y.astype("float32")[:, None], network(40))) > 4


@pytest.mark.once
def test_a_rare_class_is_seen():
    x = plane()
    y = (x[:, 0] > 0.9).astype("int32")
    assert y.mean() < 0.08
    assert largest(signal(x, y)) > 5


@pytest.mark.once
def test_images_that_differ_in_roughness_only():
    generator = np.random.default_rng(4)
    y = generator.integers(0, 2, ROWS)
    coarse = generator.normal(size=(ROWS, 8, 8, 1)).repeat(4, 1).repeat(4, 2)
    fine = generator.normal(size=(ROWS, 32, 32, 1))
    x = np.where(y[:, None, None, None] == 1, coarse, fine).astype("float32")
    found = signal(x, y)
    assert found["probes"]["roughness"]["score"] > 0.9
    assert found["features"] <= 1024


@pytest.mark.once
def test_ridge_leaves_out_the_row_that_it_predicts():
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(30, 4)), generator.normal(size=(30, 2))
    penalty = 0.1 * np.trace(x @ x.T) / 4
    expected = []
    for row in range(30):
        kept = np.arange(30) != row
        system = x[kept].T @ x[kept] + penalty * np.eye(4)
        expected.append(x[row] @ np.linalg.solve(system, x[kept].T @ y[kept]))
    np.testing.assert_allclose(module._ridge(x)(y), expected, atol=1e-9)


@pytest.mark.once
def test_neighbours_do_not_hold_the_row_itself():
    x = np.arange(40.0)[:, None]
    (_, neighbours), *_ = module._probes(x, [], np.random.default_rng(0))
    marked = np.zeros((40, 1))
    marked[20] = 1
    predicted = neighbours(marked)[:, 0]
    assert predicted[20] == 0
    np.testing.assert_allclose(predicted[[16, 19, 21, 24]], 0.1)


@pytest.mark.once
@pytest.mark.parametrize(
    ("x", "y", "model", "reason"),
    [
        (np.ones((99, 4), "int32"), np.arange(99) % 2, None, "names"),
        (np.ones((99, 4)), np.arange(99) % 2, True, "names"),
        (np.ones((99, 4)), np.arange(99) % 2, None, "inputs do not vary"),
        (np.full((99, 4), np.nan), np.arange(99) % 2, None, "NaN"),
        (np.ones((99, 4)), np.full(99, np.nan), None, "NaN"),
        (np.ones((99, 4)), np.zeros(99), None, "targets do not vary"),
        (np.ones((99, 4)), np.arange(99) % 9, None, "too few rows of each class"),
        (np.ones((99, 4)), np.eye(9)[np.arange(99) % 9], None, "each class"),
        (np.ones((50, 4)), np.arange(50) % 2, None, "too few"),
        (np.ones((99, 4)), np.ones((99, 8, 8)), None, "no targets"),
    ],
)
def test_what_is_not_judged_says_why(x, y, model, reason):
    model = network(4, names=bool(model))
    assert reason in signal(x, y, model)["skipped"]


def coding(loss, y, activation="softmax", units=3):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(units, activation)(inputs))
    model.compile("sgd", loss)
    sample = take_sample(np.ones((len(y), 2), "float32"), y)
    outputs = figures_of_outputs(model, sample)["outputs"]
    (found,) = measure_label_format(model, sample, outputs)
    json.dumps(found)
    return found


def test_the_coding_of_class_numbers():
    found = coding("sparse_categorical_crossentropy", np.arange(100) % 3 / 255)
    assert (found["whole"], found["distinct"], found["rows"]) == (False, 3, 100)
    assert found["values"] == pytest.approx([0, 1 / 255, 2 / 255])
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    found = coding(loss, np.arange(100) % 4 - 1)
    assert (found["ignore_class"], found["negative"]) == (-1, 0.25)


def test_the_coding_of_one_hot_rows():
    rows = np.eye(3)[np.arange(100) % 3]
    found = coding("categorical_crossentropy", rows)
    assert (found["zero_rows"], found["several_rows"]) == (0, 0)
    assert found["one_value"] == 1
    assert coding("categorical_crossentropy", rows / 255)["one_value"] == 1 / 255
    rows[:10], rows[10:30, 0] = 0, 1
    found = coding("categorical_crossentropy", rows)
    assert found["zero_rows"] == pytest.approx(0.1)
    assert found["several_rows"] == pytest.approx((rows.sum(axis=1) > 1).mean())
    smooth = coding("categorical_crossentropy", 0.9 * np.eye(3)[[0, 1, 2] * 30] + 0.03)
    assert (smooth["zero_rows"], smooth["one_value"]) == (0, None)


def test_the_range_of_numbers_is_that_of_nearly_all():
    y = np.linspace(0, 1, 1001)
    y[-1] = 50
    found = coding("mse", y, "sigmoid", 1)
    assert (found["low"], found["high"]) == pytest.approx((0.01, 0.99))


def test_several_outputs_in_their_order():
    inputs = keras.Input((2,))
    heads = [keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")]
    model = keras.Model(inputs, dict(zip("ab", heads, strict=True)))
    model.compile("sgd", {"a": "mse", "b": "mse"})
    targets = {"b": np.full(9, 7.0), "a": np.full(9, 3.0)}
    sample = take_sample(np.ones((9, 2), "float32"), targets)
    outputs = figures_of_outputs(model, sample)["outputs"]
    found = measure_label_format(model, sample, outputs)
    assert [one["high"] for one in found] == [3.0, 7.0]
    alone = take_sample(np.ones((9, 2), "float32"))
    assert measure_label_format(model, alone, outputs) == [None, None]


@pytest.mark.once
def test_a_rare_class_is_not_drowned():
    random = np.random.default_rng(0)
    y = (np.arange(2000) % 20 == 0).astype("int32")
    x = random.normal(size=(2000, 4)).astype("float32") + y[:, None]
    found = signal(x, y, network(4))
    # All 100 rows of the rare class, and an equal share at most of the other.
    assert (found["rows"], found["outside_largest"]) == (500, 100)
    assert largest(found) > 5


@pytest.mark.once
def test_rows_of_numbers_are_all_outside():
    x = plane()
    assert signal(x, x[:, 0] + 0.5)["outside_largest"] == ROWS


@pytest.mark.once
def test_a_few_numbers_a_row():
    x = plane()
    both = np.column_stack([1e6 * x[:, 0], x[:, 1] ** 2])
    assert largest(signal(x, both)) > 10
    assert "skipped" in signal(x, np.repeat(both, 6, axis=1))
