"""On JAX layers are called inside a gradient; what they give is measured outside."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.callbacks import TrainingMonitor

RNG = np.random.default_rng(0)
only_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="the others have no such traces"
)


class Counted(layers.Layer):
    """Counts how often it is traced."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(2, activation="relu")
        self.calls = [0]

    def call(self, x):
        self.calls[0] += 1
        return self.inner(x)


class OwnStep(keras.Model):
    """Has a train step of its own, as guides to JAX show it."""

    def train_step(self, state, data):
        return super().train_step(state, data)


@only_jax
@pytest.mark.parametrize(("kind", "times"), [(keras.Model, 1), (OwnStep, 2)])
def test_the_forward_pass_is_run_again_only_for_a_train_step_of_the_users(kind, times):
    inputs = keras.Input((3,))
    counted = Counted()
    model = kind(inputs, layers.Dense(1)(counted(inputs)))
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(8, 3)), np.ones((8, 1))
    model.fit(x, y, verbose=0)
    counted.calls[0] = 0
    monitor = TrainingMonitor(every=1, overhead=1.0)
    model.fit(x, y, verbose=0, callbacks=[monitor])
    assert counted.calls[0] == times
    (sample,) = monitor.record.samples
    assert counted.inner.name in sample["layers"]


@only_jax
def test_a_function_that_mixes_rows_is_measured_as_it_ran():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Activation(lambda x: x - keras.ops.mean(x, axis=0))]
    )
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    x = RNG.normal(size=(32, 3)).astype("float32")
    monitor = TrainingMonitor(every=1, overhead=1.0)
    model.fit(x, x[:, :1], batch_size=32, shuffle=False, verbose=0, callbacks=[monitor])
    found = monitor.record.samples[0]["layers"][model.layers[0].name]["mean"]
    np.testing.assert_allclose(found, (x - x.mean(0))[:8].mean(), atol=1e-6)


def residual():
    """The end of a ResNet: a sum, a ReLU and a mean over places."""
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.Conv2D(64, 3, padding="same")(inputs))
    inner = layers.Conv2D(64, 3, padding="same", use_bias=False)(x)
    inner = layers.BatchNormalization()(inner)
    x = layers.ReLU()(layers.Add()([x, inner]))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


@only_jax
def test_no_sum_is_computed_in_another_order():
    x, y = RNG.random((192, 8, 8, 3)), RNG.integers(4, size=192)
    ends = []
    for callbacks in ([], [TrainingMonitor(every=1, overhead=1.0)]):
        keras.utils.set_random_seed(1)
        model = residual()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        model.fit(x, y, batch_size=64, verbose=0, callbacks=callbacks)
        ends.append([keras.ops.convert_to_numpy(v) for v in model.variables])
    for alone, watched in zip(*ends, strict=True):
        np.testing.assert_array_equal(alone, watched)
