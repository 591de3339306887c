import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.measures.side_state import SideState
from keras_practices.measures.side_state import fresh_optimizer
from keras_practices.measures.side_state import measure_losses
from keras_practices.measures.side_state import snapshot

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, 3)).astype("float32")
Y = RANDOM.normal(size=(8, 1)).astype("float32")
W = np.array([[0.5], [-0.25], [1.0]])


def linear(optimizer, **options):
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(1, use_bias=False, **options)]
    )
    model.set_weights([W.astype("float32")])
    model.compile(optimizer, "mse")
    return model


def gradient(w):
    x, y = X.astype("float64"), Y.astype("float64")
    return 2 * x.T @ (x @ w - y) / len(x)


def loss_at(w):
    return np.mean((X.astype("float64") @ w - Y) ** 2)


def values(model):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in model.variables]


def assert_same(before, after):
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def steps(model, count):
    side = SideState(model, fresh_optimizer(model.optimizer))
    losses = [side.step(X, Y) for _ in range(count)]
    (kernel,) = side.trainable_values().values()
    return losses, kernel


def test_sgd_steps_equal_the_formula():
    model = linear(keras.optimizers.SGD(0.1))
    losses, kernel = steps(model, 2)
    first = W - 0.1 * gradient(W)
    np.testing.assert_allclose(losses, [loss_at(W), loss_at(first)], rtol=1e-5)
    np.testing.assert_allclose(kernel, first - 0.1 * gradient(first), rtol=1e-4)
    np.testing.assert_array_equal(model.get_weights()[0], W)


def test_an_adam_step_equals_the_formula():
    model = linear(keras.optimizers.Adam(0.01, beta_1=0.8, epsilon=1e-4))
    _, kernel = steps(model, 1)
    g = gradient(W)
    # Kingma & Ba 2015, at t = 1; Keras adds epsilon before the bias correction.
    m, v = (1 - 0.8) * g, (1 - 0.999) * g**2
    step = 0.01 * np.sqrt(1 - 0.999) / (1 - 0.8)
    np.testing.assert_allclose(kernel, W - step * m / (np.sqrt(v) + 1e-4), rtol=1e-4)
    assert model.optimizer.iterations == 0


def test_data_loss_and_penalty_apart():
    model = linear("sgd", kernel_regularizer=keras.regularizers.L2(0.3))
    data, penalty = measure_losses(model, X, Y)
    assert data == pytest.approx(loss_at(W), rel=1e-5)
    assert penalty == pytest.approx(0.3 * np.sum(W**2), rel=1e-5)


def test_a_penalised_model_steps_on_its_data_loss():
    penalty = keras.regularizers.L2(0.3)
    losses, kernel = steps(
        linear(keras.optimizers.SGD(0.1), kernel_regularizer=penalty), 1
    )
    assert losses[0] == pytest.approx(loss_at(W), rel=1e-5)
    np.testing.assert_allclose(kernel, W - 0.1 * gradient(W), rtol=1e-4)


def test_a_huge_penalty_hides_no_digit_of_the_data_loss():
    model = linear("sgd", kernel_regularizer=keras.regularizers.L2(1e12))
    data, penalty = measure_losses(model, X, Y)
    assert data == pytest.approx(loss_at(W), rel=1e-5)
    assert penalty == pytest.approx(1e12 * np.sum(W**2), rel=1e-5)
    # Training afterwards feels the penalty as before.
    assert len(model.losses) == 1
    assert float(keras.ops.convert_to_numpy(model.losses[0])) > 1e11


def test_sample_weights_are_heard():
    weights = np.array([1.0, 0, 0, 0, 0, 0, 0, 0], "float32")
    data, _ = measure_losses(linear("sgd"), X, Y, weights)
    row = (X[:1].astype("float64") @ W - Y[:1]) ** 2
    assert data == pytest.approx(row.item() / 8, rel=1e-5)


def noisy():
    return [
        layers.Dense(4, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Dense(1),
    ]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = noisy()

    def call(self, x, training=None):
        for part in self.parts:
            x = part(x, training=training)
        return x


@pytest.mark.parametrize("kind", ["sequential", "subclassed"])
def test_the_model_is_untouched_bit_for_bit(kind):
    if kind == "sequential":
        model = keras.Sequential([keras.Input((3,)), *noisy()])
    else:
        model = Subclassed()
        model(keras.ops.ones((1, 3)))
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    before, state = values(model), np.random.get_state()[1].copy()
    side = SideState(model, fresh_optimizer(model.optimizer))
    losses = [side.step(X, Y) for _ in range(30)]
    measure_losses(model, X, Y, training=True)
    # Dropout is off, so the loss falls and repeats exactly.
    assert losses[-1] < 0.5 * losses[0]
    assert_same(before, values(model)[: len(before)])
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    side.reset(0.05)
    again = [side.step(X, Y) for _ in range(3)]
    np.testing.assert_allclose(again, losses[:3], rtol=1e-5)


def test_it_begins_with_the_weights_it_is_given():
    model = linear(keras.optimizers.SGD(0.1))
    initial = snapshot(model)
    model.set_weights([np.zeros((3, 1), "float32")])
    side = SideState(model, fresh_optimizer(model.optimizer), initial)
    assert side.step(X, Y) == pytest.approx(loss_at(W), rel=1e-5)
    assert not np.any(model.get_weights()[0])


def test_values_read_before_a_step_do_not_change_with_it():
    model = linear(keras.optimizers.SGD(0.1))
    side = SideState(model, fresh_optimizer(model.optimizer))
    (before,) = side.trainable_values().values()
    side.step(X, Y)
    np.testing.assert_array_equal(before, W)


def test_a_fresh_optimizer_keeps_the_settings():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    own = keras.optimizers.SGD(schedule, momentum=0.7, nesterov=True, use_ema=True)
    fresh = fresh_optimizer(own)
    assert (fresh.momentum, fresh.nesterov, fresh.use_ema) == (0.7, True, False)
    assert float(keras.ops.convert_to_numpy(fresh.learning_rate)) == pytest.approx(0.5)
    fixed = fresh_optimizer(keras.optimizers.LossScaleOptimizer(own), 0.25)
    assert type(fixed) is type(own)
    assert float(keras.ops.convert_to_numpy(fixed.learning_rate)) == 0.25
