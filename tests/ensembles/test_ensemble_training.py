import os
import random

import keras
import numpy as np
import pytest

from keras_practices.ensembles import train
from keras_practices.ensembles.members import largest_difference

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
QUICK = {"epochs": 1, "verbose": 0, "batch_size": 16}


def build(hidden=4, initializer="glorot_uniform", rate=0.1):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(
                hidden, activation="relu", kernel_initializer=initializer
            ),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1, activation="sigmoid", kernel_initializer=initializer),
        ]
    )
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    return model


def weights(ensemble):
    return [member.get_weights() for member in ensemble.members]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_distinct_members_again_by_the_same_seed_and_no_random_state_moved():
    keras.utils.set_random_seed(5)
    before = random.getstate(), np.random.get_state()[1].copy()
    first = train(build, X, Y, n=3, seed=1, **QUICK)
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    np.random.seed(77)
    again = train(build, X, Y, n=3, seed=1, **QUICK)
    for one, other in zip(weights(first), weights(again), strict=True):
        assert equal(one, other)
    assert len({member[0].tobytes() for member in weights(first)}) == 3
    assert first.output_kinds == ["sigmoid"]
    other = train(build, X, Y, n=1, seed=2, **QUICK)
    assert not equal(weights(other)[0], weights(first)[0])
    assert first.members[0].history.epoch == [0]


@pytest.mark.once
def test_other_architectures_bagging_and_callbacks_of_each_member():
    rows, asked = [], []

    class Rows(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            rows.append(self.params["steps"])

    def callbacks(place):
        asked.append(place)
        return [Rows()]

    sizes = [lambda: build(4), lambda: build(6)]
    ensemble = train(
        sizes,
        X,
        Y,
        n=3,
        bagging=0.5,
        callbacks=callbacks,
        ensemble={"combine": "votes"},
        epochs=1,
        verbose=0,
        batch_size=4,
        sample_weight=np.ones(len(X)),
    )
    assert [member.layers[0].units for member in ensemble.members] == [4, 6, 4]
    assert asked == [0, 1, 2]
    assert rows == [4, 4, 4]  # 16 of 32 rows
    assert ensemble.ways == ["votes"]


@pytest.mark.once
def test_bagged_rows_are_drawn_with_replacement_and_stay_together():
    seen = []

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(1)
            self.head.build((None, 1))
            self.built = True

        def call(self, x):
            return self.head(x)

        def fit(self, x, y, **others):
            seen.append((x, y, others["sample_weight"]))

    def make():
        model = Recorder()
        model.compile("sgd", "mse")
        return model

    x = np.arange(200.0)[:, None]
    train(make, x, 2 * x, n=2, bagging=1.0, sample_weight=3 * x[:, 0])
    for rows, targets, shares in seen:
        assert np.array_equal(2 * rows, targets)
        assert np.array_equal(3 * rows[:, 0], shares)
        distinct = len(np.unique(rows))
        # Of n rows drawn n times 1 - 1/e = 0.632 are seen; the variance of their
        # number is below n (1/e - 2/e²) = 0.097 n, so five errors are 22 rows.
        assert len(rows) == 200
        assert abs(distinct - 0.632 * 200) < 22
    assert not np.array_equal(seen[0][0], seen[1][0])


@pytest.mark.once
def test_equal_starts_are_refused_before_anything_more_is_trained():
    shared = keras.initializers.GlorotUniform()
    fits = []
    count = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: fits.append(1))

    def same():
        return build(initializer=shared)

    with pytest.raises(RuntimeError, match=r"ensemble-members-identical.*before train"):
        train(same, X, Y, n=3, callbacks=[count], **QUICK)
    assert fits == [1]
    ensemble = train(same, X, Y, n=2, same_start=True, **QUICK)
    assert len(ensemble.members) == 2
    # No shuffling and no noise: then they stay the same.
    with pytest.raises(RuntimeError, match=r"The weights of member 0 and member 1 are"):
        train(
            lambda: build(initializer=keras.initializers.Zeros()),
            X,
            Y,
            n=2,
            same_start=True,
            shuffle=False,
            **QUICK,
        )


@pytest.mark.once
def test_difference_is_relative():
    assert largest_difference([0.0, 2.0], [0.5, 2.0]) == 0.25
    assert largest_difference([0.0], [0.0]) == 0.0


@pytest.mark.once
def test_finished_members_are_kept_and_read_back(tmp_path):
    fits = []
    count = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: fits.append(1))
    options = {"n": 3, "directory": tmp_path, **QUICK}

    def stops(place):
        if place == 2:
            raise KeyboardInterrupt
        return [count]

    with pytest.raises(KeyboardInterrupt):
        train(build, X, Y, callbacks=stops, **options)
    assert len(os.listdir(tmp_path)) == len(fits) == 2
    ensemble = train(build, X, Y, callbacks=[count], **options)
    assert len(fits) == 3
    whole = train(build, X, Y, n=3, **QUICK)
    for one, other in zip(weights(ensemble), weights(whole), strict=True):
        assert equal(one, other)
    with pytest.raises(RuntimeError, match="holds another model"):
        train(lambda: build(5), X, Y, **options)


@pytest.mark.once
def test_weights_that_are_not_finite_are_refused():
    def wild():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(float("inf")), "mse")
        return model

    with pytest.raises(RuntimeError, match=r"member 0 \(seed \d+\).*not finite"):
        train(wild, X, Y, n=2, **QUICK)


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"build": build()}, "no model"),
        ({"build": []}, "a function that returns"),
        ({"build": lambda: 3}, "keras.Model"),
        ({"build": lambda: keras.Sequential([keras.Input((3,))])}, "compiled"),
        ({"n": 0}, "argument `n`"),
        ({"seed": -1}, "argument `seed`"),
        ({"bagging": 0}, "argument `bagging`"),
        ({"bagging": 0.5, "validation_split": 0.2}, "drawn twice"),
        ({"bagging": 0.5, "x": iter([X]), "y": None}, "arrays, to draw rows from"),
        ({"bagging": 0.5, "y": Y[:5]}, "as many rows"),
        ({"directory": 5}, "argument `directory`"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        train(**{"build": build, "x": X, "y": Y, **QUICK, **options})
