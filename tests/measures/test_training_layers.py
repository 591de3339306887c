import json
import math

import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.callbacks import TrainingMonitor
from keras_practices.measures.training import measure_training
from keras_practices.measures.training_layers import measure_filters
from keras_practices.measures.training_layers import measure_gradients
from keras_practices.measures.training_layers import measure_saturation
from keras_practices.measures.training_layers import measure_weights
from keras_practices.record import Record

SHAPES = {"a/kernel": [3, 4], "a/bias": [4], "b/kernel": [4, 4], "c/kernel": [4, 1]}


def record(samples, shapes=SHAPES):
    """Samples are dicts path → (gradient norm, weight norm)."""
    made = Record()
    made.add("start", schema=1, variables=shapes)
    for step, sample in enumerate(samples, 1):
        weights = {
            path: {"gradient_norm": gradient, "weight_norm": weight}
            for path, (gradient, weight) in sample.items()
        }
        made.add("sample", step=step, epoch=0.1, weights=weights, layers={})
    return made


def test_gradients_per_weight_in_the_order_of_the_network():
    sample = {
        "a/kernel": (0.012, 1.0),
        "a/bias": (9.0, 0.0),
        "b/kernel": (0.4, 2.0),
        "c/kernel": (2.0, 1.0),
    }
    found = measure_gradients(record([sample] * 3))
    assert list(found["kernel_gradients"]) == ["a/kernel", "b/kernel", "c/kernel"]
    rms = found["kernel_gradients"]["a/kernel"]
    assert rms == pytest.approx(0.012 / math.sqrt(12))
    assert found["gradient_ratio"] == pytest.approx(rms / 1.0)
    # The largest of 0.012, 0.2 and 2; a bias of zeros has no ratio.
    assert found["gradient_to_weight"] == pytest.approx(2.0)
    norm = math.hypot(0.012, 9.0, 0.4, 2.0)
    assert found["first_gradient"] == pytest.approx(norm)
    assert found["gradient_growth"] == pytest.approx(1.0)


def test_the_median_of_the_first_samples_counts():
    ends = [1e-5, 1.0, 1e-5, 1e-5, *[1.0] * 30]
    samples = [
        {"a/kernel": (end, 1.0), "b/kernel": (1.0, 1.0), "c/kernel": (1.0, 1.0)}
        for end in ends
    ]
    flow = measure_gradients(record(samples[:4]))["kernel_gradients"]
    assert flow["a/kernel"] == pytest.approx(1e-5 / math.sqrt(12))
    flow = measure_gradients(record(samples))["kernel_gradients"]
    assert flow["a/kernel"] == pytest.approx(1.0 / math.sqrt(12))


def test_a_gradient_that_grows_and_breaks():
    samples = [{"a/kernel": (norm, 2.0)} for norm in (0.5, 3.0, 400.0, math.nan)]
    found = measure_gradients(record(samples))
    assert (found["first_gradient"], found["largest_gradient"]) == (0.5, 400.0)
    assert (found["gradient_growth"], found["largest_gradient_step"]) == (800.0, 3)
    assert found["gradient_to_weight"] == 200.0
    assert found["gradient_not_finite_step"] == 4
    assert found["gradient_ratio"] is None


def test_weights_that_grow():
    norms = [2.0, 4.0, 7.9, 16.0, math.inf]
    samples = [{"a/kernel": (1.0, n), "b/kernel": (1.0, 0.0)} for n in norms]
    (path, found), *others = measure_weights(record(samples))["weight_growth"].items()
    assert (path, others) == ("a/kernel", [])
    assert (found["first"], found["last"], found["growth"]) == (2.0, 16.0, 8.0)
    assert found["doublings"] == 2
    # 12 weights of Glorot's variance 2 / 7 have a norm of √(24 / 7).
    assert found["to_glorot"] == pytest.approx(16 / math.sqrt(24 / 7))


def test_glorot_scale_of_a_convolution():
    shape = [5, 5, 3, 8]
    weights = keras.initializers.GlorotNormal(seed=1)(shape)
    norm = float(np.linalg.norm(keras.ops.convert_to_numpy(weights).ravel()))
    samples = [{"conv/kernel": (1.0, norm)}] * 2
    growth = measure_weights(record(samples, {"conv/kernel": shape}))["weight_growth"]
    assert growth["conv/kernel"]["to_glorot"] == pytest.approx(1, rel=0.1)


def test_a_record_without_shapes_knows_kernels_by_their_names():
    sample = {"a/kernel": (1.0, 2.0), "a/bias": (5.0, 1.0), "e/embeddings": (1.0, 1.0)}
    made = record([sample], {})
    assert list(measure_gradients(made)["kernel_gradients"]) == ["a/kernel"]
    assert measure_weights(made)["weight_growth"] == {}


def saturations(kind, *tables):
    made = Record()
    for step, table in enumerate(tables):
        found = {
            name: {"activation": "tanh", "saturated": share}
            for name, share in table.items()
        }
        found["free"] = {"activation": "relu"}
        made.add(kind, step=step, epoch=0.0, layers=found)
    return made


def test_saturation_on_the_first_and_the_last_probe():
    made = saturations("probe", {"a": 0.1, "b": 0.0}, {"a": 0.5, "b": 0.2}, {"a": 0.9})
    found = measure_saturation(made)
    assert found == {"a": {"activation": "tanh", "first": 0.1, "last": 0.9}}


def test_saturation_in_the_samples_where_there_is_no_probe():
    tables = [{"a": share} for share in (0.1, 0.2, 0.9, 0.9, 0.3, 0.4, 0.5)]
    found = measure_saturation(saturations("sample", *tables))
    assert (found["a"]["first"], found["a"]["last"]) == (0.2, 0.4)
    assert measure_saturation(saturations("sample")) == {}
    assert measure_saturation(saturations("probe", {"a": math.nan})) == {}


def test_smoothness_of_the_first_and_the_last_filters():
    made = Record()
    for epoch, value in enumerate([0.01, 0.2, 0.5]):
        made.add(
            "filters", epoch=epoch, layer="c", shape=[5, 5, 1, 2], smoothness=value
        )
    found = measure_filters(made)
    assert found == {"layer": "c", "shape": [5, 5, 1, 2], "first": 0.01, "last": 0.5}
    made = Record()
    made.add("filters", epoch=1, layer="dense", shape=[5, 5], smoothness=None)
    assert measure_filters(made) is None


def test_an_empty_record():
    made = Record()
    assert measure_gradients(made)["gradient_ratio"] is None
    assert measure_weights(made) == {"update_ratios": {}, "weight_growth": {}}
    assert measure_saturation(made) == {}


# --- real models ------------------------------------------------------------------

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 4)).astype("float32")
Y = X[:, :1] + X[:, 1:2]


def sequential(depth, activation, kernel="glorot_uniform"):
    model = keras.Sequential([keras.Input((4,))])
    for _ in range(depth):
        model.add(layers.Dense(8, activation=activation, kernel_initializer=kernel))
    model.add(layers.Dense(1))
    return model


def functional():
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, activation="tanh", name="one")(inputs)
    hidden = layers.Dense(8, activation="tanh", name="two")(hidden)
    return keras.Model(inputs, layers.Dense(1, name="answer")(hidden))


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential(
            [layers.Dense(8, activation="tanh"), layers.Dense(8, activation="relu")]
        )
        self.answer = layers.Dense(1)

    def call(self, x):
        return self.answer(self.inner(x))


def trained(model, rate=0.05, **fit):
    model.compile(keras.optimizers.SGD(rate), "mse")
    model(X[:2])
    monitor = TrainingMonitor(probe=(X, Y), every=1, overhead=1.0)
    options = {"epochs": 3, "batch_size": 16, "verbose": 0, **fit}
    model.fit(X, Y, callbacks=[monitor], **options)
    found = measure_training(monitor.record, floor=0.0)
    json.dumps(found, allow_nan=False)
    return found


@pytest.mark.parametrize("make", [lambda: sequential(2, "tanh"), functional, Own])
def test_figures_of_a_training(make):
    model = make()
    found = trained(model)
    kernels = [v.path for v in model.trainable_variables if len(v.shape) > 1]
    assert list(found["kernel_gradients"]) == kernels
    assert list(found["update_ratios"]) == kernels
    assert 0.01 < found["gradient_ratio"] < 100
    assert found["gradient_growth"] < 100 > found["gradient_to_weight"]
    growth = found["weight_growth"]
    assert list(growth) == kernels
    assert all(0.5 < kernel["growth"] < 2 for kernel in growth.values())
    assert found["saturation"]
    assert all(layer["last"] < 0.5 for layer in found["saturation"].values())
    assert len(found["epoch_means"]) == found["epochs"] == 3
    assert len(found["probe_losses"]) == 4


def test_the_gradient_of_many_sigmoid_layers_fades():
    found = trained(sequential(10, "sigmoid"), epochs=1)
    assert found["gradient_ratio"] < 1e-3
    rising = list(found["kernel_gradients"].values())
    assert rising[0] < 1e-4 * rising[-1]


def test_large_weights_saturate():
    kernel = keras.initializers.RandomNormal(stddev=20.0, seed=1)
    found = trained(sequential(1, "tanh", kernel))
    (layer,) = found["saturation"].values()
    assert layer["activation"] == "tanh"
    assert layer["first"] > 0.8 < layer["last"]


@pytest.mark.filterwarnings("ignore:overflow")
def test_long_steps_drive_weights_and_gradients_off():
    found = trained(sequential(1, "relu"), rate=2.0, epochs=1)
    assert found["gradient_growth"] > 10 or found["first_not_finite"] is not None
    assert max(kernel["growth"] for kernel in found["weight_growth"].values()) > 3


def test_a_training_of_one_step():
    found = trained(sequential(1, "relu"), epochs=1, batch_size=64)
    assert found["steps"] == 1
    assert found["noise"] is found["late_share"] is None
    assert len(found["curve"]) == 1
