import types

import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.measures import trials as trials_module
from keras_practices.measures.sample import take_sample
from keras_practices.measures.side_state import snapshot
from keras_practices.measures.trials import measure_rates
from keras_practices.measures.trials import measure_tiny_subset

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int32")
SAMPLE = take_sample(X, Y)


def classifier(optimizer, kernel="glorot_uniform", head="glorot_uniform"):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation="tanh", kernel_initializer=kernel),
            layers.Dense(2, activation="softmax", kernel_initializer=head),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def test_a_healthy_model_learns_twenty_rows_by_heart():
    model = classifier(keras.optimizers.Adam(0.05))
    before = weights(model)
    found = measure_tiny_subset(model, SAMPLE, target=0.01)
    assert found["rows"] == 20
    assert found["losses"][-1] <= 0.01 < found["losses"][-2]
    assert found["steps"] == len(found["losses"]) < 200
    assert found["first_loss"] == found["losses"][0] > 0.3
    assert found["best_loss"] == min(found["losses"])
    tail = found["losses"][-(found["steps"] // 10) :]
    assert found["last_loss"] == pytest.approx(np.mean(tail))
    assert found["learning_rate"] == pytest.approx(0.05)
    assert found["equal_units"] == found["stuck_units"] == []
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_that_cannot_learn_keeps_its_loss():
    found = measure_tiny_subset(classifier(keras.optimizers.SGD(1e-9)), SAMPLE, steps=5)
    assert found["last_loss"] == pytest.approx(found["first_loss"], rel=1e-4)
    assert found["steps"] == 5


def test_a_loss_that_is_not_finite_ends_the_trial():
    sample = take_sample(np.full((32, 4), np.nan, "float32"), Y[:32])
    found = measure_tiny_subset(classifier("sgd"), sample)
    assert found["steps"] <= 2
    assert np.isnan(found["last_loss"])


def test_time_ends_the_trial():
    found = measure_tiny_subset(classifier("sgd"), SAMPLE, seconds=0.0)
    assert found["steps"] == 1


def test_equal_units_of_a_constant_start_are_found():
    constant = keras.initializers.Constant(0.1)
    model = classifier("sgd", kernel=constant, head=constant)
    found = measure_tiny_subset(model, SAMPLE, steps=10)
    hidden, head = [layer.kernel.path for layer in model.layers]
    assert found["equal_units"] == [hidden, head]
    # The classes tell the units of the head apart, nothing tells the hidden ones.
    assert found["stuck_units"] == [hidden]


def test_random_weights_behind_it_tell_equal_units_apart():
    model = classifier("sgd", kernel=keras.initializers.Constant(0.1))
    found = measure_tiny_subset(model, SAMPLE, steps=10)
    assert found["equal_units"] == [model.layers[0].kernel.path]
    assert found["stuck_units"] == []


def test_a_zero_model_stands_still():
    model = classifier("sgd", kernel="zeros", head="zeros")
    found = measure_tiny_subset(model, SAMPLE, steps=10)
    assert found["stuck_units"] == [layer.kernel.path for layer in model.layers]


def test_a_zero_output_layer_is_sound():
    model = classifier(keras.optimizers.SGD(0.5), head="zeros")
    found = measure_tiny_subset(model, SAMPLE, steps=10)
    assert found["equal_units"] == [model.layers[-1].kernel.path]
    assert found["stuck_units"] == []


def rates(model, rate, **options):
    initial = snapshot(model)
    settings = {"batch_size": 16, "steps": 20, "seconds": 60.0, **options}
    return measure_rates(model, SAMPLE, initial, learning_rate=rate, **settings)


def best(trials):
    ends = {
        one["factor"]: one["last_loss"]
        for one in trials
        if np.isfinite(one["last_loss"])
    }
    return min(ends, key=ends.get), ends


def test_a_rate_a_thousand_times_too_low():
    model = classifier(keras.optimizers.Adam(5e-5))
    before = weights(model)
    factor, ends = best(rates(model, 5e-5))
    assert factor >= 100
    assert ends[factor] < 0.4 * ends[1.0]
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_rate_a_thousand_times_too_high():
    trials = rates(classifier(keras.optimizers.Adam(50.0)), 50.0)
    factor, ends = best(trials)
    assert factor <= 0.01
    assert ends[factor] < 0.4 * trials[0]["first_loss"]
    assert ends.get(1.0, np.inf) > 2 * ends[factor]


def test_a_good_rate_is_not_driven_on():
    trials = rates(classifier(keras.optimizers.Adam(0.2)), 0.2)
    assert [one["factor"] for one in trials] == [0.1, 1.0, 10.0]
    first = [one["first_loss"] for one in trials]
    np.testing.assert_allclose(first, first[0], rtol=1e-5)
    np.testing.assert_allclose(
        [one["learning_rate"] for one in trials], [0.02, 0.2, 2.0], rtol=1e-5
    )


def test_time_is_kept_and_the_own_rate_is_always_tried():
    trials = rates(classifier(keras.optimizers.Adam(1e-6)), 1e-6, seconds=0.0)
    assert [(one["factor"], one["steps"]) for one in trials] == [(1.0, 1)]


@pytest.mark.parametrize(("rate", "factors"), [(1e-4, [1.0, 10.0]), (50.0, [0.1, 1.0])])
def test_in_haste_the_likelier_side_comes_first(monkeypatch, rate, factors):
    clock = types.SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(trials_module, "time", clock)
    step = trials_module.SideState.step

    def slow_step(side, *batch):
        clock.now += 0.1
        return step(side, *batch)

    monkeypatch.setattr(trials_module.SideState, "step", slow_step)
    # After two steps for the clock 43 are left: 19 for each of two rates, and the
    # third, cut short, would say nothing beside them.
    trials = rates(classifier(keras.optimizers.Adam(rate)), rate, seconds=4.5)
    assert [one["factor"] for one in trials] == factors
    assert [one["steps"] for one in trials] == [19, 19]
    assert clock.now < 4.7


def test_rows_that_were_not_seen_are_shown_beside_those_that_were():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    noise = random.normal(size=(60, 50)).astype("float32")
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    sample = take_sample(noise, random.integers(0, 3, 60))
    found = measure_tiny_subset(model, sample)
    # Random features are learned by heart, and tell nothing of other rows.
    assert found["last_loss"] < 0.1
    assert found["other_rows"] > np.log(3)
    assert measure_tiny_subset(model, sample, rows=40)["other_rows"] is None


def test_factors_that_begin_at_zero_and_never_move_are_stuck():
    users, items = (keras.Input((1,), dtype="int32") for _ in range(2))

    def factors(inputs, start):
        table = keras.layers.Embedding(9, 4, embeddings_initializer=start)
        return keras.layers.Flatten()(table(inputs))

    def stuck(first, second):
        product = factors(users, first) * factors(items, second)
        model = keras.Model([users, items], keras.ops.sum(product, -1, keepdims=True))
        model.compile(keras.optimizers.Adam(0.05), "mse")
        random = np.random.default_rng(0)
        pairs = [random.integers(0, 9, (40, 1)) for _ in range(2)]
        sample = take_sample(pairs, random.normal(size=(40, 1)).astype("float32"))
        return len(measure_tiny_subset(model, sample, steps=20)["stuck_units"])

    assert stuck("zeros", "zeros") == 2
    # One table of zeros is moved by the other.
    assert stuck("zeros", "uniform") == 0
