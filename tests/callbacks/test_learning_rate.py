import copy
import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_practices.callbacks.learning_rate import ExponentialDecay
from keras_practices.callbacks.learning_rate import InverseTimeDecay
from keras_practices.callbacks.learning_rate import StepDecay

# The formulas of CS231n, "annealing the learning rate", in float64.
DECAYS = {
    "step": (
        lambda **arguments: StepDecay(rate=0.5, every=2, **arguments),
        lambda start, t: start * 0.5 ** np.floor(np.asarray(t) / 2),
    ),
    "exponential": (
        lambda **arguments: ExponentialDecay(rate=0.3, **arguments),
        lambda start, t: start * np.exp(-0.3 * np.asarray(t)),
    ),
    "inverse": (
        lambda **arguments: InverseTimeDecay(rate=0.4, **arguments),
        lambda start, t: start / (1 + 0.4 * np.asarray(t)),
    ),
}
BATCHES = 4


class Weight(keras.callbacks.Callback):
    """Notes the one weight before the first batch and after every batch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_epoch_begin(self, epoch, logs=None):
        if not self.values:
            self.on_train_batch_end(0)

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(self.model.get_weights()[0][0, 0]))

    @property
    def rates(self):
        """The rate of each step: the gradient of `falling` is 1."""
        return -np.diff(self.values)


def falling(y_true, y_pred):
    return y_pred


def make_model(optimizer=0.1, **arguments):
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    if isinstance(optimizer, float):
        optimizer = keras.optimizers.SGD(optimizer)
    model.compile(optimizer, falling, **arguments)
    return model


def train(model, *callbacks, epochs=3, **arguments):
    ones = np.ones((BATCHES, 1), "float32")
    return model.fit(
        ones,
        ones,
        batch_size=1,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    )


@pytest.mark.parametrize("unit", ["epochs", "steps"])
@pytest.mark.parametrize("name", DECAYS)
def test_rate_follows_the_formula_and_is_the_one_used(name, unit):
    make, formula = DECAYS[name]
    decay, weight = make(unit=unit), Weight()
    history = train(make_model(0.1), decay, weight).history

    steps = np.arange(3 * BATCHES)
    expected = formula(0.1, steps if unit == "steps" else steps // BATCHES)
    np.testing.assert_allclose(decay.history["learning_rate"], expected, rtol=1e-5)
    np.testing.assert_allclose(weight.rates, expected, rtol=1e-4)
    assert decay.history["step"] == steps.tolist()
    np.testing.assert_allclose(decay.history["epoch"], (steps + 1) / BATCHES)
    np.testing.assert_allclose(
        history["learning_rate"], expected[BATCHES - 1 :: BATCHES], rtol=1e-5
    )
    assert {len(values) for values in history.values()} == {3}


@given(
    rate=st.floats(1e-5, 2.0), start=st.floats(1e-6, 10.0), time=st.integers(0, 100_000)
)
@settings(max_examples=15)
def test_float32_keeps_to_the_formula_far_out(rate, start, time):
    for decay, expected in (
        (ExponentialDecay(rate), start * np.exp(-min(rate * time, 80.0))),
        (InverseTimeDecay(rate), start / (1 + rate * time)),
    ):
        value = float(keras.ops.convert_to_numpy(decay._make_schedule(start)(time)))
        if rate * time < 80:  # below, float32 underflows
            # exp(-k t) has the relative error of its exponent, k t eps.
            np.testing.assert_allclose(value, expected, rtol=1e-5 + 1e-6 * rate * time)


def test_second_fit_neither_compounds_nor_forgets():
    model, decay = make_model(0.1), StepDecay(0.5, every=1)
    expected = [0.1, 0.05, 0.025]
    for callback in (decay, decay, StepDecay(0.5, every=1)):
        rates = train(model, callback).history["learning_rate"]
        np.testing.assert_allclose(rates, expected, rtol=1e-6)
    # The history goes on by step: two fits with the first callback.
    assert decay.history["step"] == list(range(6 * BATCHES))


def test_initial_epoch_goes_on():
    model, decay = make_model(0.1), ExponentialDecay(0.3)
    train(model, decay, epochs=2)
    rates = train(model, decay, epochs=4, initial_epoch=2).history["learning_rate"]
    np.testing.assert_allclose(rates, 0.1 * np.exp([-0.6, -0.9]), rtol=1e-5)
    np.testing.assert_allclose(
        decay.history["epoch"], np.arange(1, 4 * BATCHES + 1) / BATCHES
    )


def test_steps_go_on_in_a_second_fit():
    model, decay = make_model(0.1), InverseTimeDecay(0.4, unit="steps")
    train(model, decay, epochs=1)
    train(model, decay, epochs=1)
    np.testing.assert_allclose(
        decay.history["learning_rate"], 0.1 / (1 + 0.4 * np.arange(8)), rtol=1e-5
    )


def test_a_rate_given_in_between_is_the_new_start():
    model, decay = make_model(0.1), StepDecay(0.5, every=1)
    train(model, decay)
    model.optimizer.learning_rate = 0.4
    rates = train(model, decay, epochs=2).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.4, 0.2], rtol=1e-6)


def test_a_new_optimizer_starts_afresh():
    decay = StepDecay(0.5, every=1)
    train(make_model(0.1), decay)
    rates = train(make_model(0.8), decay, epochs=2).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.8, 0.4], rtol=1e-6)
    assert decay.history["step"] == list(range(2 * BATCHES))


def test_initial_learning_rate_replaces_that_of_the_optimizer():
    decay = StepDecay(0.5, every=1, initial_learning_rate=0.2)
    rates = train(make_model(0.1), decay, epochs=2).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.2, 0.1], rtol=1e-6)


def test_steps_per_execution(backend):
    if backend == "torch":
        pytest.skip("Keras has no steps_per_execution on PyTorch")
    decay, weight = InverseTimeDecay(0.4, unit="steps"), Weight()
    train(make_model(0.1, steps_per_execution=2), decay, weight, epochs=2)
    expected = 0.1 / (1 + 0.4 * np.array([0, 0, 2, 2, 4, 4, 6, 6]))
    np.testing.assert_allclose(decay.history["learning_rate"], expected, rtol=1e-5)
    np.testing.assert_allclose(
        weight.rates, expected.reshape(-1, 2).sum(axis=1), rtol=1e-4
    )


def test_gradient_accumulation_counts_updates():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    decay, weight = InverseTimeDecay(0.4, unit="steps"), Weight()
    train(make_model(optimizer), decay, weight, epochs=2)
    expected = 0.1 / (1 + 0.4 * np.arange(4))
    np.testing.assert_allclose(decay.history["learning_rate"], expected, rtol=1e-5)
    np.testing.assert_allclose(weight.rates[1::2], expected, rtol=1e-4)
    np.testing.assert_array_equal(weight.rates[::2], 0.0)
    assert decay.history["step"] == [0, 1, 2, 3]


def test_loss_scaling_is_looked_through():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    decay, weight = StepDecay(0.5, every=1), Weight()
    train(make_model(optimizer), decay, weight, epochs=2)
    expected = np.repeat([0.1, 0.05], BATCHES)
    np.testing.assert_allclose(decay.history["learning_rate"], expected, rtol=1e-6)
    np.testing.assert_allclose(weight.rates, expected, rtol=1e-4)


def refused_optimizers():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    sgd = keras.optimizers.SGD
    return {
        "schedule": sgd(schedule),
        "scaled": keras.optimizers.LossScaleOptimizer(sgd(schedule)),
        "function": sgd(lambda: 0.1),
        "several": keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(sgd(0.1), {"kernel": sgd(0.2)})
        ),
    }


@pytest.mark.parametrize("kind", ["schedule", "scaled", "function", "several"])
@pytest.mark.parametrize("name", DECAYS)
def test_other_optimizers_are_refused_before_a_weight_moves(name, kind):
    model, weight = make_model(refused_optimizers()[kind]), Weight()
    with pytest.raises(TypeError, match="argument `optimizer`.*float as learning_rate"):
        train(model, weight, DECAYS[name][0]())
    assert weight.values == []
    assert model.get_weights()[0][0, 0] == 0.0


def test_resumption_equals_an_uninterrupted_run(tmp_path):
    whole = StepDecay(0.5, every=1)
    train(make_model(0.1), whole, epochs=4)

    first, model = StepDecay(0.5, every=1), make_model(0.1)
    train(model, first, epochs=2)
    model.save(tmp_path / "model.keras")
    state = json.loads(json.dumps(first.get_state()))
    loaded = keras.models.load_model(
        tmp_path / "model.keras", custom_objects={"falling": falling}
    )
    second = StepDecay(0.5, every=1)
    second.set_state(state)
    train(loaded, second, epochs=4, initial_epoch=2)
    assert second.history == whole.history


def test_state_of_a_fresh_callback():
    decay = StepDecay()
    other = StepDecay()
    other.set_state(decay.get_state())
    assert other.history == {"epoch": [], "step": [], "learning_rate": []}


@pytest.mark.parametrize("name", DECAYS)
def test_serialization_and_copies(name):
    decay = DECAYS[name][0](unit="steps", initial_learning_rate=0.3)
    wire = json.loads(json.dumps(keras.saving.serialize_keras_object(decay)))
    assert wire["registered_name"] == f"keras_practices>{type(decay).__name__}"
    loaded = keras.saving.deserialize_keras_object(wire)
    assert type(loaded) is type(decay)
    for other in (loaded, copy.deepcopy(decay)):
        assert other.get_config() == decay.get_config()


@pytest.mark.parametrize(
    ("make", "name", "error"),
    [
        (lambda: StepDecay(rate=1.0), "rate", ValueError),
        (lambda: StepDecay(rate=True), "rate", TypeError),
        (lambda: StepDecay(every=0), "every", ValueError),
        (lambda: StepDecay(every=2.5), "every", TypeError),
        (lambda: ExponentialDecay(0.0), "rate", ValueError),
        (lambda: ExponentialDecay(float("nan")), "rate", ValueError),
        (lambda: InverseTimeDecay("0.1"), "rate", TypeError),
        (lambda: InverseTimeDecay(0.1, unit="batches"), "unit", ValueError),
        (
            lambda: StepDecay(initial_learning_rate=0.0),
            "initial_learning_rate",
            ValueError,
        ),
    ],
)
def test_bad_argument_names_it(make, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        make()
