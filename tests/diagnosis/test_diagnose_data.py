"""`diagnose` takes what `fit` takes and hands it on, row for row."""

import keras
import numpy as np
import pytest

import keras_practices as kp
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError

RNG = np.random.default_rng(0)
Y = np.arange(96) % 3
X = (RNG.normal(size=(96, 4)) + 2 * np.eye(4)[Y]).astype("float32")
SPARSE = "sparse_categorical_crossentropy"
# Whether the data arrives is seen without any trial.
QUICK = {"budget_seconds": 0, "verbose": 0}


def compiled_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.SGD(0.05), SPARSE)
    return model


def twins():
    one, two = compiled_model(), compiled_model()
    two.set_weights(one.get_weights())
    return one, two


def assert_same_weights(one, two):
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


class Batches(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"validation_split": 0.25},
        {"sample_weight": np.linspace(0.0, 1.0, 96)},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
        {"steps_per_epoch": 3},
    ],
    ids=str,
)
def test_arrays_train_as_fit_trains(arguments):
    ours, theirs = twins()
    arguments = {"shuffle": False, "epochs": 2, "batch_size": 16} | arguments
    expected = theirs.fit(X, Y, verbose=0, **arguments).history
    found = kp.diagnose(ours, X, Y, **arguments, **QUICK).history.history
    assert_same_weights(ours, theirs)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)


@pytest.mark.once
def test_callbacks_are_passed_through():
    mine = Batches()
    for callbacks in ([mine], (mine,), mine):
        mine.seen = 0
        report = kp.diagnose(
            compiled_model(), X, Y, batch_size=32, callbacks=callbacks, **QUICK
        )
        assert mine.seen == 3
        assert report.history is not None
    whole = keras.callbacks.CallbackList([mine], model=compiled_model())
    with pytest.raises(ArgumentTypeError, match="a list of callbacks"):
        kp.diagnose(compiled_model(), X, Y, callbacks=whole, **QUICK)


class Rows(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(16 * index, 16 * (index + 1))
        return X[rows], Y[rows]


def test_a_py_dataset():
    ours, theirs = twins()
    theirs.fit(X, Y, batch_size=16, shuffle=False, epochs=2, verbose=0)
    report = kp.diagnose(ours, Rows(), epochs=2, shuffle=False, **QUICK)
    assert_same_weights(ours, theirs)
    assert len(report.record.curve("loss")[1]) == 12


def test_a_tf_dataset():
    tensorflow = pytest.importorskip("tensorflow")
    ours, theirs = twins()
    theirs.fit(X, Y, batch_size=16, shuffle=False, epochs=2, verbose=0)
    data = tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    report = kp.diagnose(
        ours, data, epochs=2, shuffle=False, validation_data=data, **QUICK
    )
    assert "val_loss" in report.history.history
    assert_same_weights(ours, theirs)


def test_a_generator_loses_no_rows():
    given = []

    def batches():
        while True:
            for start in range(0, 96, 16):
                given.append(start)
                yield X[start : start + 16], Y[start : start + 16]

    ours, theirs = twins()
    theirs.fit(
        X, Y, batch_size=16, shuffle=False, epochs=3, steps_per_epoch=6, verbose=0
    )
    report = kp.diagnose(
        ours, batches(), epochs=3, steps_per_epoch=6, shuffle=False, **QUICK
    )
    assert report.history is not None, report.text()
    # The same weights: the same rows in the same order.
    assert_same_weights(ours, theirs)
    assert given[:6] == [0, 16, 32, 48, 64, 80]


@pytest.mark.once
def test_a_generator_that_ends_early_is_an_error_before_training():
    def batches():
        for start in range(0, 96, 16):
            yield X[start : start + 16], Y[start : start + 16]

    model = compiled_model()
    with pytest.raises(ArgumentValueError, match="last for 12 batches") as caught:
        kp.diagnose(model, batches(), epochs=2, steps_per_epoch=6, **QUICK)
    assert "6 batches" in str(caught.value)
    assert "while True" in str(caught.value)
    assert int(model.optimizer.iterations) == 0


@pytest.mark.once
def test_several_inputs_and_outputs():
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    classes = keras.layers.Dense(3, activation="softmax", name="classes")(joined)
    size = keras.layers.Dense(1, name="size")(joined)
    model = keras.Model({"a": a, "b": b}, {"classes": classes, "size": size})
    adam = keras.optimizers.Adam(0.1)
    model.compile(adam, {"classes": SPARSE, "size": "mse"})
    report = kp.diagnose(
        model,
        {"a": X, "b": X[:, :2]},
        {"classes": Y, "size": X[:, :1]},
        batch_size=16,
        epochs=4,
        budget_seconds=60.0,
        verbose=0,
    )
    assert report.ok, report.text()
    assert report.not_measured == []
    assert report.history is not None
    assert report.record.epochs[-1]["probe_loss"] > 0


@pytest.mark.once
def test_a_model_without_weights_is_built():
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.1), SPARSE)
    report = kp.diagnose(
        model, X, Y, epochs=4, batch_size=16, budget_seconds=30.0, verbose=0
    )
    assert model.built
    assert report.history is not None
    assert report.ok, report.text()


def test_a_model_that_does_not_fit_the_rows_cannot_be_built():
    model = keras.Sequential([keras.layers.Conv2D(3, 3)])
    model.compile("adam", SPARSE)
    with pytest.raises(ArgumentValueError, match="Building it raised"):
        kp.diagnose(model, X, Y, verbose=0)
