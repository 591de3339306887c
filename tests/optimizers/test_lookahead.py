import keras
import numpy as np
import pytest

from keras_practices.optimizers import Lookahead

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 1).astype("float32")
START = RNG.normal(size=(3, 1)).astype("float32")


def linear(optimizer, **arguments):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **arguments)
    model.set_weights([START, np.zeros(1)])
    return model


def fit(model, epochs=1, batch_size=8):
    return model.fit(
        X, Y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0
    )


def weights_of(model):
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


def by_hand(steps, period, share, momentum=0.9, rate=0.05, group=1):
    """SGD with momentum and Lookahead, in float64, from the paper."""
    design = np.column_stack([np.float64(X), np.ones(80)])
    fast = np.append(np.float64(START[:, 0]), 0.0)
    slow, velocity = fast.copy(), np.zeros(4)
    for step in range(steps):
        rows = [
            slice(8 * place, 8 * place + 8)
            for place in range(group * step, group * step + group)
        ]
        gradient = np.mean(
            [2 * design[r].T @ (design[r] @ fast - Y[r, 0]) / 8 for r in rows], axis=0
        )
        velocity = momentum * velocity - rate * gradient
        fast = fast + velocity
        if (step + 1) % period == 0:
            slow = slow + share * (fast - slow)
            fast = slow.copy()
    return fast


def inner(**arguments):
    return keras.optimizers.SGD(0.05, momentum=0.9, **arguments)


@pytest.mark.parametrize(
    ("period", "share", "jit_compile"),
    [(6, 0.5, True), (2, 0.8, False), (1, 0.3, True)],
)
def test_equals_the_paper_for_ten_steps(period, share, jit_compile):
    jit_compile = jit_compile and keras.backend.backend() != "torch"
    model = linear(Lookahead(inner(), period, share), jit_compile=jit_compile)
    fit(model)
    np.testing.assert_allclose(
        weights_of(model), by_hand(10, period, share), rtol=1e-4, atol=1e-6
    )
    assert int(model.optimizer.iterations) == 10


def test_a_group_of_accumulated_batches_is_one_update():
    model = linear(Lookahead(inner(gradient_accumulation_steps=2), 2, 0.5))
    fit(model)
    np.testing.assert_allclose(
        weights_of(model), by_hand(5, 2, 0.5, group=2), rtol=1e-4, atol=1e-6
    )


def test_a_step_size_of_one_changes_nothing():
    plain, wrapped = linear(inner()), linear(Lookahead(inner(), 3, 1.0))
    fit(plain)
    fit(wrapped)
    np.testing.assert_allclose(weights_of(wrapped), weights_of(plain), rtol=1e-5)


def test_weights_loaded_before_the_first_step_are_the_start():
    model = linear(Lookahead(inner(), 6, 0.5))
    model.optimizer.build(model.trainable_variables)
    model.set_weights([START + 1, np.ones(1)])
    model.set_weights([START, np.zeros(1)])
    fit(model)
    np.testing.assert_allclose(weights_of(model), by_hand(10, 6, 0.5), rtol=1e-4)


def test_goes_on_after_a_save_in_the_midst_of_a_period(tmp_path):
    whole, half = (linear(Lookahead(inner(), 7, 0.5)) for _ in range(2))
    fit(whole, epochs=2)
    fit(half)
    half.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.sync_period == 7
    fit(again)
    np.testing.assert_allclose(weights_of(again), weights_of(whole), rtol=1e-5)


def test_rate_and_schedule_are_those_of_the_optimizer():
    optimizer = Lookahead("adam")
    optimizer.learning_rate = 0.25
    assert float(optimizer.inner_optimizer.learning_rate) == 0.25
    assert float(optimizer.learning_rate) == 0.25
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model = linear(Lookahead(keras.optimizers.SGD(schedule)))
    fit(model)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


def test_mixed_precision_scales_around_it(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = linear(Lookahead(inner(), 2, 0.5))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # With Keras's first scale some gradients overflow, and these steps are left out.
    scaled = keras.optimizers.LossScaleOptimizer
    model = linear(scaled(Lookahead(inner(), 2, 0.5), initial_scale=8.0))
    fit(model)
    np.testing.assert_allclose(weights_of(model), by_hand(10, 2, 0.5), atol=0.02)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer.inner_optimizer, Lookahead)


def test_averages_of_the_optimizer_are_put_in_at_the_end():
    model = linear(Lookahead(inner(use_ema=True, ema_momentum=0.5), 2, 0.5))
    fit(model)
    average = model.optimizer.inner_optimizer._model_variables_moving_average[0]
    np.testing.assert_allclose(
        model.get_weights()[0], keras.ops.convert_to_numpy(average)
    )


def test_config_round_trip():
    optimizer = Lookahead(inner(), sync_period=3, slow_step_size=0.25, name="slow")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.inner_optimizer.momentum == 0.9


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"sync_period": 0}, ValueError, "sync_period"),
        ({"sync_period": 2.5}, TypeError, "sync_period"),
        ({"slow_step_size": 0}, ValueError, "slow_step_size"),
        ({"slow_step_size": 1.5}, ValueError, "slow_step_size"),
    ],
)
def test_bad_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=text):
        Lookahead("sgd", **arguments)


def test_an_optimizer_that_scales_the_loss_is_refused():
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    with pytest.raises(TypeError, match="optimizer"):
        Lookahead(scaled)
