import keras
import pytest

from keras_practices.measures.optimizer_behaviour import measure_optimizer_behaviour
from keras_practices.rules.behaviour import uphill_optimizer


class Uphill(keras.optimizers.SGD):
    """A hand-written update with a lost minus sign."""

    def apply(self, grads, trainable_variables=None):
        return super().apply([-g for g in grads], trainable_variables)


class UphillStep(keras.optimizers.Optimizer):
    def update_step(self, gradient, variable, learning_rate):
        self.assign_add(variable, learning_rate * gradient)


class NeedsMore(keras.optimizers.SGD):
    def __init__(self, secret, **options):
        super().__init__(**options)
        self.secret = secret


DOWNHILL = [
    "SGD",
    "RMSprop",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Adagrad",
    "Adadelta",
    "Adafactor",
    "Ftrl",
    "Lion",
    "Lamb",
    "Muon",
]


@pytest.mark.parametrize("name", DOWNHILL)
def test_optimizers_of_keras_go_downhill(name):
    found = measure_optimizer_behaviour(getattr(keras.optimizers, name)())
    assert found["uphill"] is False
    assert found["moved"] < 0
    assert found["rate_negative"] is False


def test_sgd_moves_by_the_rate():
    found = measure_optimizer_behaviour(keras.optimizers.SGD(0.1))
    assert found["moved"] == pytest.approx(-0.3, rel=1e-5)
    assert found["steps"] == 3
    momentum = keras.optimizers.SGD(0.1, momentum=0.9)
    found = measure_optimizer_behaviour(momentum)
    # 0.1 · (1 + 1.9 + 2.71)
    assert found["moved"] == pytest.approx(-0.561, rel=1e-5)
    assert not momentum.built


@pytest.mark.parametrize("optimizer", [Uphill(0.1), UphillStep(0.1)])
def test_an_update_uphill_is_found(optimizer):
    found = measure_optimizer_behaviour(optimizer)
    assert found["uphill"] is True
    assert found["moved"] == pytest.approx(0.3, rel=1e-5)
    figures = {"optimizer_behaviour": found}
    figures["model"] = {"optimizer": {"class": "Uphill"}}
    finding = uphill_optimizer(figures)
    assert finding["severity"] == "error"
    assert finding["subject"] == "Uphill"


def test_a_negative_rate_is_told_apart():
    found = measure_optimizer_behaviour(keras.optimizers.Adam(-1e-3))
    assert (found["uphill"], found["rate_negative"]) == (True, True)
    assert uphill_optimizer({"optimizer_behaviour": found}) is None


def test_wrapped_scheduled_and_accumulating_optimizers():
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    assert measure_optimizer_behaviour(scaled)["moved"] == pytest.approx(-0.3)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    found = measure_optimizer_behaviour(keras.optimizers.SGD(schedule))
    assert found["moved"] == pytest.approx(-0.175)
    slow = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4, use_ema=True)
    assert measure_optimizer_behaviour(slow)["moved"] == pytest.approx(-0.3)


def test_what_cannot_be_tried_is_not_known():
    assert measure_optimizer_behaviour(None) is None
    assert measure_optimizer_behaviour(NeedsMore(3)) is None
    assert measure_optimizer_behaviour(keras.optimizers.SGD(float("inf"))) is None
    assert uphill_optimizer({}) is None
