"""Figures of sampled steps against a twin that is looked at from outside."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops
from step_models import MODELS
from step_models import WORDS
from step_models import Silent
from step_models import X
from step_models import Y
from step_models import compiled
from step_models import layers
from step_models import plain
from step_reference import array
from step_reference import check_record
from step_reference import check_same
from step_twin import Watcher

from keras_practices.callbacks import TrainingMonitor
from keras_practices.errors import KerasPracticesWarning

# Epochs of one step: all of them are sampled.
EPOCHS = 3


def fit(make, x, y, *callbacks, **options):
    """Trains a new model, always from the same seeds."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    model = make()
    settings = {"epochs": EPOCHS, "shuffle": False, "verbose": 0} | options
    model.fit(x, y, callbacks=list(callbacks), **settings)
    return model


def state(model):
    return [array(v.value) for v in model.variables]


def watched(make, x=X, y=Y, **options):
    """Trains with a monitor and, for the same weights, without."""
    monitor = TrainingMonitor(every=1, overhead=1.0)
    model = fit(make, x, y, monitor, **options)
    assert not monitor.broken
    check_same(state(model), state(fit(make, x, y, **options)))
    return model, monitor.record


def faults(record):
    return [line["what"] for line in record.of_kind("fault")]


@pytest.mark.parametrize("name", MODELS)
def test_every_figure_is_that_of_a_twin(name, backend):
    if name == "compiled" and backend == "torch":
        pytest.skip("needs a compiler of C++")
    make, x, y, activations = MODELS[name]
    watcher = Watcher((x, y, None), activations)
    twin = fit(make, x, y, watcher)
    monitor = TrainingMonitor(every=1, overhead=1.0)
    model = fit(make, x, y, monitor)
    check_record(monitor.record, watcher.steps.found)
    check_same(state(model), state(twin))


def test_every_layer_with_weights_has_a_gradient():
    make, x, y, _ = MODELS["own layers"]
    monitor = TrainingMonitor(every=1, overhead=1.0)
    fit(make, x, y, monitor)
    sample = monitor.record.samples[0]
    found = {n for n, f in sample["layers"].items() if "gradient_rms" in f}
    assert found == {"inside", "last"}
    # Weights of a layer that holds others, and of the model itself.
    assert {p.split("/")[-1] for p in sample["weights"]} >= {"scale", "shift"}


# --- several steps in one call ------------------------------------------------------


def test_figures_of_an_execution_are_those_of_its_last_step(backend):
    if backend == "torch":
        pytest.skip("Keras refuses steps_per_execution on PyTorch")
    options = {"x": np.tile(X, (6, 1)), "y": np.tile(Y, (6, 1))}
    options |= {"batch_size": len(X), "epochs": 1}
    _, single = watched(plain, **options)
    _, several = watched(lambda: plain(steps_per_execution=2), **options)
    assert len(several.samples) == 2
    for line, of_step in zip(several.samples, (2, 4), strict=True):
        expected = single.samples[of_step - 1]
        assert line["epoch"] == expected["epoch"]
        for table in ("weights", "layers"):
            assert line[table].keys() == expected[table].keys()
            for name, figures in expected[table].items():
                figures.pop("inactive", None)  # counted over all samples
                figures.pop("activation", None)
                found = {key: line[table][name][key] for key in figures}
                assert found == pytest.approx(figures, rel=1e-4, abs=1e-7)


# --- models that are not as others ---------------------------------------------------


def test_two_layers_of_one_name_and_a_call_that_knows_no_training():
    def make():
        model = Silent()
        model.build((None, 6))
        return compiled(model)

    model, record = watched(make)
    assert faults(record) == []
    sample = record.samples[0]
    start = fit(make, X, Y, epochs=0)
    first = np.maximum(X[:8] @ array(start.one.kernel), 0)
    second = np.tanh(first @ array(start.two.kernel))
    for name, outputs in (("same", first), ("same#2", second)):
        found = sample["layers"][name]
        assert found["mean"] == pytest.approx(outputs.mean(), rel=1e-4)
        assert found["std"] == pytest.approx(outputs.std(), rel=1e-4)
    kernels = [p for p in sample["weights"] if "kernel" in p]
    assert kernels == ["silent/same/kernel", "silent/same/kernel#2"]
    norms = [sample["weights"][path]["weight_norm"] for path in kernels]
    expected = [np.linalg.norm(array(one.kernel)) for one in (start.one, start.two)]
    np.testing.assert_allclose(norms, expected, rtol=1e-5)


class TwoNetworks(keras.Model):
    """Two networks with an optimizer each, as in the guide on adversarial ones."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(3, name="one")
        self.two = layers.Dense(3, name="two")
        self.one_optimizer = keras.optimizers.SGD(0.1)
        self.two_optimizer = keras.optimizers.SGD(0.01)

    def build(self, shape):
        self.one.build(shape)
        self.two.build(shape)
        self.built = True

    def call(self, x):
        return self.one(x)

    def train_step(self, data):
        x, y = data
        for layer in (self.one, self.two):
            optimizer = getattr(self, f"{layer.name}_optimizer")
            optimizer.apply(self.gradients(layer, x, y), layer.trainable_weights)
        return {"loss": ops.mean((self(x) - y) ** 2)}

    def gradients(self, layer, x, y):
        weights = layer.trainable_weights
        if keras.backend.backend() == "torch":
            import torch

            with torch.enable_grad():
                loss = ops.mean((layer(x) - y) ** 2)
                return torch.autograd.grad(loss, [v.value for v in weights])
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = ops.mean((layer(x) - y) ** 2)
        return tape.gradient(loss, weights)


def test_two_networks_with_an_optimizer_each(backend):
    if backend == "jax":
        pytest.skip("the state of a JAX step holds one optimizer")

    def make():
        model = TwoNetworks()
        model.build((None, 6))
        return compiled(model)

    _, record = watched(make)
    for line in record.samples:
        for path, figures in line["weights"].items():
            rate = 0.1 if "/one/" in path else 0.01
            expected = rate * figures["gradient_norm"]
            assert figures["update_norm"] == pytest.approx(expected, rel=1e-4)
            assert figures["gradient_norm"] > 0


def test_a_model_that_is_built_in_its_first_step():
    def make():
        hidden = layers.Dense(5, activation="relu", name="one")
        return compiled(keras.Sequential([hidden, layers.Dense(3, name="two")]))

    def built():
        model = make()
        model.build((None, 6))
        return model

    _, late = watched(make)
    _, early = watched(built)
    assert faults(late) == []
    assert len(late.samples) == len(early.samples) == EPOCHS
    for line, expected in zip(late.samples, early.samples, strict=True):
        assert line == expected


def test_an_optimizer_that_begins_with_the_weights():
    """What TensorFlow does while an optimizer is built must not depend on us."""
    watched(lambda: plain(optimizer=keras.optimizers.ScheduleFreeAdamW(0.01)))


# --- what cannot be had -----------------------------------------------------------


class Again(layers.Layer):
    """Rematerialises a function of its own."""

    def __init__(self):
        super().__init__(name="again")
        self.dense = layers.Dense(5, activation="relu", name="inside")

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return keras.remat(lambda inputs: self.dense(inputs))(x)


def test_a_rematerialized_function(backend):
    def make():
        inputs = keras.Input((6,))
        hidden = layers.Dense(3, activation="tanh", name="last")(Again()(inputs))
        return compiled(keras.Model(inputs, hidden))

    if backend == "jax":
        with pytest.warns(KerasPracticesWarning, match="activations of layer 'inside'"):
            _, record = watched(make)
        assert faults(record) == ["activations of layer 'inside'"]
    else:
        _, record = watched(make)
        assert faults(record) == []
    layers_seen = record.samples[-1]["layers"]
    assert ("mean" in layers_seen["inside"]) == (backend != "jax")
    assert "mean" in layers_seen["last"]
    check_gradient_descent(record)


def test_rematerialized_layers(backend):
    if backend == "tensorflow":
        pytest.skip("Keras cannot train such a model on TensorFlow")

    def make():
        with keras.RematScope("full"):
            hidden = layers.Dense(5, activation="relu", name="hidden")
        last = layers.Dense(3, name="last")
        return compiled(keras.Sequential([keras.Input((6,)), hidden, last]))

    _, record = watched(make)
    assert faults(record) == ["activations of the layers hidden"]
    found = record.samples[-1]["layers"]
    assert found["hidden"].keys() == {"gradient_rms"}
    assert "mean" in found["last"]
    check_gradient_descent(record)


def check_gradient_descent(record, rate=0.1):
    """The update of gradient descent is the rate times the gradient."""
    assert len(record.samples) == EPOCHS
    for line in record.samples:
        for figures in line["weights"].values():
            expected = rate * figures["gradient_norm"]
            assert expected > 0
            assert figures["update_norm"] == pytest.approx(expected, rel=1e-3)


# --- numbers that are none ---------------------------------------------------------


def test_shares_of_finite_entries_are_exact():
    """One word of five is poisoned; the second batch holds it."""

    def make():
        model = keras.Sequential(
            [
                keras.Input((6,), dtype="int32"),
                layers.Embedding(5, 4, name="words"),
                layers.Flatten(),
                layers.Dense(3, name="last"),
            ]
        )
        table = model.layers[0].embeddings
        poisoned = array(table)
        poisoned[4, :3] = [np.nan, np.inf, -np.inf]
        table.assign(poisoned)
        return compiled(model)

    words, y = np.tile(WORDS % 4, (3, 1)), np.tile(Y, (3, 1))
    batch = slice(len(WORDS), 2 * len(WORDS))
    words[batch, 0] = 4
    monitor = TrainingMonitor(every=1, overhead=1.0)
    fit(make, words, y, monitor, batch_size=len(WORDS), epochs=1)
    first, second = (line["weights"] for line in monitor.record.samples)
    table, kernel, bias = first.values()
    assert table["finite"] == pytest.approx(1 - 3 / 20)
    assert (
        table["gradient_finite"] == kernel["finite"] == kernel["gradient_finite"] == 1
    )
    assert table["weight_norm"] in ("inf", "nan")
    assert np.isfinite(table["gradient_norm"])
    table, kernel, bias = second.values()
    # NaN times anything: the rows of the words of the batch, all biases, and of the
    # kernel the rows that the poisoned entries meet.
    used = len(np.unique(words[batch]))
    assert table["gradient_finite"] == pytest.approx(1 - used / 5)
    assert bias["gradient_finite"] == bias["finite"] == 0
    assert kernel["gradient_finite"] == kernel["finite"] == 0
    assert table["finite"] == pytest.approx(1 - used / 5)


# --- datasets of TensorFlow --------------------------------------------------------


def test_batches_of_unknown_size_give_what_arrays_give(backend):
    """Of a dense layer on sequences TensorFlow does not know the gradient's shape."""
    if backend != "tensorflow":
        pytest.skip("tf.data needs TensorFlow")
    import tensorflow as tf

    def make():
        return compiled(
            keras.Sequential(
                [
                    keras.Input((6,), dtype="int32"),
                    layers.Embedding(7, 4, name="words"),
                    layers.Dense(5, activation="relu", name="each_word"),
                    layers.GlobalAveragePooling1D(),
                    layers.Dense(3, name="last"),
                ]
            )
        )

    data = tf.data.Dataset.from_tensor_slices((WORDS, Y)).batch(len(WORDS))
    assert data.element_spec[0].shape[0] is None
    records = []
    for x, y, size in ((WORDS, Y, len(WORDS)), (data, None, None)):
        monitor = TrainingMonitor(every=1, overhead=1.0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`shuffle=True` was passed")
            fit(make, x, y, monitor, batch_size=size)
        records.append(monitor.record)
    arrays, streamed = (record.samples for record in records)
    assert len(arrays) == len(streamed) == EPOCHS
    assert len(arrays[0]["weights"]) == 5
    for one, other in zip(arrays, streamed, strict=True):
        for name, figures in one["weights"].items():
            known = {k: v for k, v in figures.items() if v is not None}
            again = {k: other["weights"][name][k] for k in known}
            assert again == pytest.approx(known, rel=1e-4)
        assert one["layers"].keys() == other["layers"].keys()


# --- large models --------------------------------------------------------------------


@pytest.mark.parametrize("large", [10_000, 2**18])
def test_the_update_of_a_large_model(large, monkeypatch):
    """Weights are kept in part, small variables as a whole."""
    measures = "keras_practices.measures."
    monkeypatch.setattr(measures + "weight_figures.KEPT_WEIGHTS", 20_000)
    for module in ("weight_figures", "step_catch"):
        monkeypatch.setattr(f"{measures}{module}.LARGE", large)

    def make():
        wide = layers.Dense(6000, name="wide")
        return compiled(keras.Sequential([keras.Input((6,)), wide, layers.Dense(3)]))

    monitor = TrainingMonitor(every=1, overhead=1.0)
    model = fit(make, X, Y, monitor)
    # Large sums may be made in another order, where the gradient is needed twice.
    for one, other in zip(state(model), state(fit(make, X, Y)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
    for line in monitor.record.samples:
        for path, found in line["weights"].items():
            whole = "bias" in path and "wide" not in path
            # One entry of thirteen is kept; without the factor of that it would be less
            # than half.
            rel = 1e-4 if whole else 0.2
            expected = 0.1 * found["gradient_norm"]
            assert found["update_norm"] == pytest.approx(expected, rel=rel)
