import keras
import numpy as np
import pytest

from keras_practices.callbacks.momentum_schedule import MomentumSchedule
from keras_practices.callbacks.training_monitor import TrainingMonitor
from keras_practices.optimizers import Lookahead
from keras_practices.schedules import OneCycle

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 1).astype("float32")
DESIGN = np.column_stack([np.float64(X), np.ones(64)])
START = np.array([0.3, -0.2, 0.1])
CYCLE = OneCycle(0.5, 16, start_divisor=0.5 / 0.9, end_divisor=1.0)


def momentum(update):
    """Down and up again by cosines, as PyTorch cycles it."""
    begin, stop, low, high = (
        (0, 3.8, 0.9, 0.5) if update <= 3.8 else (3.8, 15, 0.5, 0.9)
    )
    place = (min(update, 15) - begin) / (stop - begin)
    return high + (low - high) / 2 * (1 + np.cos(np.pi * place))


def by_hand(kind, steps, rows=8):
    weights, first, second = np.append(START, 0.0), np.zeros(4), np.zeros(4)
    for step in range(steps):
        place = slice(rows * step % 64, rows * step % 64 + rows)
        error = DESIGN[place] @ weights - Y[place, 0]
        gradient = 2 * DESIGN[place].T @ error / rows
        now = momentum(step)
        if kind == "adam":
            first = now * first + (1 - now) * gradient
            second = 0.999 * second + 0.001 * gradient**2
            rate = 0.05 * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - now ** (step + 1))
            weights = weights - rate * first / (np.sqrt(second) + 1e-7)
            continue
        first = now * first - 0.02 * gradient
        if kind == "nesterov":
            weights = weights + now * first - 0.02 * gradient
        else:
            weights = weights + first
    return weights


OPTIMIZERS = {
    "plain": lambda **k: keras.optimizers.SGD(0.02, momentum=0.7, **k),
    "nesterov": lambda **k: keras.optimizers.SGD(0.02, 0.7, nesterov=True, **k),
    "adam": lambda **k: keras.optimizers.Adam(0.05, **k),
}


def linear(optimizer, **arguments):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **arguments)
    model.set_weights([START[:, None], np.zeros(1)])
    return model


def fit(model, callbacks=(), **arguments):
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0} | arguments
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)


def values(model):
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_equals_the_paper_over_two_epochs(kind):
    model = linear(OPTIMIZERS[kind]())
    history = fit(model, [MomentumSchedule(CYCLE)], epochs=2)
    np.testing.assert_allclose(values(model), by_hand(kind, 16), rtol=2e-4, atol=1e-5)
    expected = [momentum(7), momentum(15)]
    np.testing.assert_allclose(history.history["momentum"], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["nesterov", "adam"])
def test_accumulated_batches_are_one_update(kind):
    model = linear(OPTIMIZERS[kind](gradient_accumulation_steps=2))
    fit(model, [MomentumSchedule(CYCLE)], batch_size=4)
    np.testing.assert_allclose(values(model), by_hand(kind, 8), rtol=2e-4, atol=1e-5)


def test_two_fits_go_on_and_a_third_has_the_optimizers_own():
    model, callback = linear(OPTIMIZERS["plain"]()), MomentumSchedule(CYCLE)
    fit(model, [callback])
    fit(model, [callback])
    np.testing.assert_allclose(values(model), by_hand("plain", 16), rtol=2e-4)
    assert model.optimizer.get_config()["momentum"] == 0.7
    # The step without the schedule: velocity and weights by hand.
    velocity = model.optimizer.momentums[0].numpy()[:, 0]
    weights = values(model)
    gradient = 2 * DESIGN[:8].T @ (DESIGN[:8] @ weights - Y[:8, 0]) / 8
    model.fit(X[:8], Y[:8], batch_size=8, verbose=0)
    expected = weights[:3] + 0.7 * velocity - 0.02 * gradient[:3]
    np.testing.assert_allclose(values(model)[:3], expected, rtol=1e-4, atol=1e-6)


def test_inside_lookahead_and_saved_in_the_midst(tmp_path):
    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / "model.keras")

    model = linear(Lookahead(OPTIMIZERS["plain"](), 5, 1.0))
    fit(model, [MomentumSchedule(CYCLE), Save()])
    np.testing.assert_allclose(values(model), by_hand("plain", 8), rtol=2e-4)
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.inner_optimizer.momentum == pytest.approx(0.7)


@pytest.mark.parametrize("first", [False, True])
def test_beside_the_monitor(first, tmp_path):
    model, schedule = linear(OPTIMIZERS["plain"]()), MomentumSchedule(CYCLE)
    callbacks = [schedule, TrainingMonitor(tmp_path, every=4, overhead=1.0)]
    fit(model, callbacks if first else callbacks[::-1])
    np.testing.assert_allclose(values(model), by_hand("plain", 8), rtol=2e-4)
    assert model.train_function is None


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.RMSprop])
def test_an_optimizer_without_momentum_is_refused(optimizer):
    with pytest.raises(TypeError, match="SGD with a momentum"):
        fit(linear(optimizer()), [MomentumSchedule(CYCLE)])


@pytest.mark.parametrize("bad", [0.9, OneCycle(0.5, 10, accumulation_steps=2)])
def test_a_bad_schedule_is_named(bad):
    with pytest.raises(TypeError, match="schedule"):
        MomentumSchedule(bad)
