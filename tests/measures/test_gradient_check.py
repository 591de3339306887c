import json
import random

import keras
import numpy as np
import pytest
from gradient_models import HEALTHY
from gradient_models import X
from gradient_models import Y
from gradient_models import compiled
from gradient_models import planted
from gradient_models import stacked
from keras import layers
from keras import ops

from keras_practices._core import float64
from keras_practices.measures import gradient_check
from keras_practices.measures.gradient_check import measure_gradients
from keras_practices.measures.sample import take_sample
from keras_practices.rules.gradient_check import gradient_check_failed
from keras_practices.rules.gradient_check import gradient_disconnected


def measure(model, x=X, y=Y, **options):
    return measure_gradients(model, take_sample(x, y), **{"seconds": 60.0, **options})


def found_by_rules(figures):
    given = {"gradient_check": figures}
    return [*gradient_check_failed(given), *gradient_disconnected(given)]


# What cells of Keras note at their first call.
NOTED = {"_dropout_mask", "_recurrent_dropout_mask"}


def state(model):
    return (
        [(v.path, v.dtype, v.trainable, v.numpy().tobytes()) for v in model.variables],
        [v.numpy().tobytes() for v in model.optimizer.variables],
        [layer.dtype_policy.name for layer in float64._layers(model)],
        [sorted({*vars(layer)} - NOTED) for layer in float64._layers(model)],
        keras.config.floatx(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),
    )


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_healthy_models_pass(name):
    model, x, y = HEALTHY[name]()
    before = state(model)
    figures = measure(model, x, y)
    assert "skipped" not in figures
    assert found_by_rules(figures) == []
    assert figures["worst"]["relative_error"] < 1e-5
    assert figures["kinks"] <= 1
    assert figures["disconnected"] == []
    assert list(figures["variables"]) == [v.path for v in model.trainable_variables]
    assert all(one["checked"] for one in figures["variables"].values())
    assert not any(one["zero"] for one in figures["variables"].values())
    json.dumps(figures, allow_nan=False)
    assert state(model) == before


@pytest.mark.parametrize("share", [0.01, -1.0])
def test_a_planted_error_is_found(share):
    figures = measure(*planted(share))
    errors = [one["relative_error"] for one in figures["variables"].values()]
    expected = abs(share) / max(1.0, 1.0 + share)
    assert errors[:2] == pytest.approx([expected] * 2, rel=1e-3, abs=1e-6)
    assert max(errors[2:]) < 1e-6
    (found,) = found_by_rules(figures)
    assert found.rule == "gradient-check-failed"
    # The last variable in front of what is wrong.
    assert found.subject.endswith("early/bias")


def test_gradients_are_those_of_the_formula(monkeypatch):
    # Where the weights stay, so that the formula can be written down.
    monkeypatch.setattr(gradient_check, "_moved", lambda weight, rng: weight)
    model = compiled(stacked((6,), layers.Dense(3, kernel_regularizer="l2")))
    kernel, bias = model.get_weights()
    figures = measure(model, coordinates=3)
    x, y = X.astype("float64"), Y.astype("float64")
    slope = 2 * x.T @ (x @ kernel + bias - y) / y.size
    worst = figures["worst"]
    expected = {"kernel": slope, "bias": 2 * (x @ kernel + bias - y).sum(0) / y.size}
    name = worst["variable"].split("/")[-1]
    assert worst["analytic"] == pytest.approx(
        expected[name].flat[worst["index"]], rel=1e-9
    )
    penalty = figures["regularization"]["worst"]
    weight = kernel.astype("float64").flat[penalty["index"]]
    # Keras keeps the strength in 32 bit on some backends.
    assert penalty["analytic"] == pytest.approx(2 * 0.01 * weight, rel=1e-7)
    assert penalty["numeric"] == pytest.approx(2 * 0.01 * weight, rel=1e-6)


def test_a_wrong_penalty_is_found_apart():
    def wrong(weights):
        @ops.custom_gradient
        def squares(x):
            def grad(*args, upstream=None, variables=None):
                if upstream is None:
                    (upstream,) = args
                return upstream * x  # forgets the factor 2

            return ops.sum(ops.square(x)), grad

        return squares(ops.abs(weights))

    model = compiled(stacked((6,), layers.Dense(3, kernel_regularizer=wrong)))
    figures = measure(model)
    assert figures["worst"]["relative_error"] < 1e-6
    assert figures["regularization"]["worst"]["relative_error"] == pytest.approx(0.5)
    (found,) = found_by_rules(figures)
    assert "weight penalty" in found.message


class Forgetful(keras.Model):
    """A layer that is never called, a branch behind argmax, a stopped one."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.main = layers.Dense(3, activation="relu")
        self.side = layers.Dense(3)
        self.main.build((None, 6))
        self.side.build((None, 6))
        self.built = True

    def call(self, x):
        if self.kind == "argmax":
            side = ops.cast(ops.argmax(self.side(x), -1, keepdims=True), "float32")
            return self.main(x) + ops.cast(side, self.compute_dtype)
        if self.kind == "stopped":
            return self.main(x) + ops.stop_gradient(self.side(x))
        return self.main(x)


@pytest.mark.parametrize("kind", ["unused", "argmax", "stopped"])
def test_variables_that_no_gradient_reaches(kind):
    model = compiled(Forgetful(kind))
    figures = measure(model)
    assert figures["disconnected"] == [v.path for v in model.side.trainable_variables]
    assert (figures["stopped"] > 0) == (kind == "stopped")
    (found,) = found_by_rules(figures)
    assert found.rule == "gradient-disconnected"


def zero_head():
    hidden = layers.Dense(5, activation="relu")
    return stacked((6,), hidden, layers.Dense(3, kernel_initializer="zeros"))


def dead():
    bias = keras.initializers.Constant(-1e3)
    hidden = layers.Dense(5, activation="relu", bias_initializer=bias)
    return stacked((6,), hidden, layers.Dense(3))


def weightless():
    return stacked((6,), layers.Dense(5), layers.Rescaling(0.0), layers.Dense(3))


@pytest.mark.parametrize("make", [zero_head, dead, weightless])
def test_a_gradient_that_happens_to_be_zero_is_not_disconnected(make):
    figures = measure(compiled(make()))
    assert figures["disconnected"] == []
    assert found_by_rules(figures) == []
    zeros = [one["zero"] for one in figures["variables"].values()]
    assert zeros[0] == (make is not zero_head)


class Rounding(layers.Layer):
    """Rounds, and lets the gradient through as if it had not."""

    def call(self, x):
        return x + ops.stop_gradient(ops.round(x) - x)


def test_gradients_that_are_stopped_on_purpose_are_not_compared():
    model = compiled(stacked((6,), layers.Dense(4), Rounding(), layers.Dense(3)))
    figures = measure(model)
    assert figures["stopped"] > 0
    assert (figures["checked"], figures["worst"]) == (0, None)
    assert found_by_rules(figures) == []


class Narrow(layers.Layer):
    """Computes in 32 bit whatever it is told."""

    def call(self, x):
        return ops.cast(ops.cast(x, "float32"), x.dtype)


def test_rounding_to_32_bit_is_not_taken_for_an_error():
    parts = [layers.Dense(4, activation="tanh"), Narrow(), layers.Dense(3)]
    figures = measure(compiled(stacked((6,), *parts)))
    assert figures["kinks"] > 0
    assert found_by_rules(figures) == []


class Stubborn(layers.Layer):
    """Looks at the numbers: can be neither compiled nor vectorised."""

    def call(self, x):
        if np.abs(ops.convert_to_numpy(x)).max() > 1e9:
            raise AssertionError
        return x * 2


def test_what_cannot_be_compiled_is_checked_one_by_one(backend):
    class Eager(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)
            self.stubborn = Stubborn()
            self.dense.build((None, 6))
            self.built = True

        def call(self, x):
            return self.stubborn(self.dense(x))

    figures = measure(compiled(Eager(), run_eagerly=True))
    if backend == "jax":  # has no gradient of what cannot be traced
        assert "does not run in float64" in figures["skipped"]
        return
    assert figures["checked"] == 9
    assert figures["worst"]["relative_error"] < 1e-6


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_nothing_is_written_when_it_is_interrupted(error, monkeypatch):
    model, x, y = HEALTHY["hinged"]()
    before = state(model)

    def interrupted(*_):
        raise error

    monkeypatch.setattr(gradient_check, "check_coordinates", interrupted)
    with pytest.raises(error):
        measure(model, x, y)
    assert state(model) == before


def test_reasons_not_to_measure(monkeypatch):
    model, x, y = HEALTHY["hinged"]()
    assert "take longer" in measure(model, x, y, seconds=0.0)["skipped"]
    broken = np.full_like(x, np.nan)
    assert measure(model, broken, y)["skipped"] == "the loss is not finite"
    monkeypatch.setattr(gradient_check, "LARGEST", 10)
    assert "too many" in measure(model, x, y)["skipped"]
    monkeypatch.setattr(keras, "__version__", "3.99.0")
    assert "3.99.0" in measure(model, x, y)["skipped"]
    model.trainable = False
    monkeypatch.undo()
    assert measure(model, x, y)["skipped"] == "nothing is trainable"


def test_a_layer_that_float64_breaks_is_a_reason():
    class Fixed(layers.Layer):
        def call(self, x):
            if keras.backend.standardize_dtype(x.dtype) == "float64":
                raise ValueError("only 32 bit here")
            return x

    figures = measure(compiled(stacked((6,), Fixed(), layers.Dense(3))))
    assert "only 32 bit here" in figures["skipped"]


def test_burn_in_trains_at_the_side_only():
    model, x, y = HEALTHY["hinged"]()
    cold = measure(model, x, y)
    before = state(model)
    warm = measure(model, x, y, burn_in=3)
    assert state(model) == before
    assert warm["worst"]["relative_error"] < 1e-6
    names = list(cold["variables"])
    assert [cold["variables"][n]["analytic"] for n in names] != [
        warm["variables"][n]["analytic"] for n in names
    ]


def test_the_same_every_time():
    model, x, y = HEALTHY["hinged"]()
    one, two = measure(model, x, y), measure(model, x, y)
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    fewer = measure(model, x, y, coordinates=1, rows=3)
    assert fewer["checked"] == len(model.trainable_variables)
