import json

import keras
import numpy as np
import pytest

from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks.budget import Budget
from keras_practices.data import Split
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import OutputPathError
from keras_practices.errors import UsageError
from keras_practices.record import Record

# 40 rows in batches of 16: the last batch of an epoch has 8 rows.
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = (X[:, :1] - 2 * X[:, 1:2] + 0.5).astype("float32")
STARTS = (0, 16, 32)


def linear_model(optimizer=None, **compile_arguments):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="line")])
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **compile_arguments)
    return model


def fit(model, *callbacks, epochs=1, **arguments):
    arguments = {"batch_size": 16, "shuffle": False, "verbose": 0} | arguments
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **arguments)


def descent(model, rate_of, epochs=1):
    """The same training in NumPy float64: losses and norms of each update."""
    kernel, bias = (w.astype("float64") for w in model.get_weights())
    losses, updates = [], []
    for step in range(epochs * len(STARTS)):
        start = STARTS[step % len(STARTS)]
        x, y = X[start : start + 16].astype("float64"), Y[start : start + 16]
        error = x @ kernel + bias - y
        losses.append(np.mean(error**2))
        gradient = 2 * x.T @ error / len(x)
        updates.append(np.linalg.norm(rate_of(step) * gradient))
        kernel = kernel - rate_of(step) * gradient
        bias = bias - rate_of(step) * 2 * error.mean()
    return losses, updates


# --- figures ---------------------------------------------------------------------


def test_losses_and_updates_are_those_of_numpy():
    model, monitor = linear_model(), TrainingMonitor(every=1, overhead=1.0)
    losses, updates = descent(model, lambda step: 0.1, epochs=2)
    fit(model, monitor, epochs=2)
    epochs, found = monitor.record.curve("loss")
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    np.testing.assert_allclose(epochs, np.arange(1, 7) / 3)
    # Not the last batch of an epoch: of 8 rows, it would be compiled anew.
    assert [line["step"] for line in monitor.record.samples] == [1, 2, 4, 5]
    (path,) = monitor.record.kernels
    figures = [line["weights"][path] for line in monitor.record.samples]
    updates = [updates[step] for step in (0, 1, 3, 4)]
    np.testing.assert_allclose([f["update_norm"] for f in figures], updates, rtol=1e-4)
    for one in figures:
        ratio = one["update_norm"] / one["weight_norm"]
        assert one["update_ratio"] == pytest.approx(ratio, rel=1e-6)


def test_samples_are_dense_first_and_then_regular():
    model, monitor = linear_model(), TrainingMonitor(every=5, overhead=1.0)
    fit(model, monitor, epochs=8)
    steps = [line["step"] for line in monitor.record.samples]
    # Each third step is the last of its epoch and is passed over.
    assert steps == [1, 2, 4, 8, 13, 19]


def test_dear_samples_wait_for_the_steps_that_pay_for_them(monkeypatch):
    monkeypatch.setattr(Budget, "steps_a_sample", 8)
    model, monitor = linear_model(), TrainingMonitor(every=2, overhead=1.0)
    fit(model, monitor, epochs=8)
    steps = [line["step"] for line in monitor.record.samples]
    assert steps == [1, 2, 10, 19]  # 18 is the last one of its epoch


def test_without_a_probe_the_probe_is_left_out():
    monitor = TrainingMonitor()
    fit(linear_model(), monitor)
    assert [line["probe_loss"] for line in monitor.record.epochs] == [None, None]
    assert monitor.record.histograms == []


def test_the_rate_of_each_step_is_that_of_the_schedule():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model, monitor = linear_model(keras.optimizers.SGD(schedule)), TrainingMonitor()
    losses, _ = descent(model, lambda step: 0.1 * 0.5 ** (step / 2), epochs=2)
    fit(model, monitor, epochs=2)
    np.testing.assert_allclose(monitor.record.curve("loss")[1], losses, rtol=1e-4)
    expected = 0.1 * 0.5 ** (np.arange(6) / 2)
    found = monitor.record.curve("learning_rate")[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_probe_is_measured_in_inference_mode_at_each_epoch():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    monitor = TrainingMonitor(probe=(X, Y))
    expected = []

    def measure(*_):
        error = keras.ops.convert_to_numpy(model(X, training=False)) - Y
        expected.append(np.mean(error.astype("float64") ** 2))

    class Twin(keras.callbacks.Callback):
        on_train_begin = on_epoch_end = measure

    fit(model, Twin(), monitor, epochs=2)
    found = [line["probe_loss"] for line in monitor.record.epochs]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    kernel = model.layers[0].get_weights()[0].astype("float64")
    penalty = monitor.record.epochs[-1]["regularization_loss"]
    assert penalty == pytest.approx(0.01 * np.sum(kernel**2), rel=1e-5)
    counts = monitor.record.histograms[-1]["counts"]
    assert sum(counts) == 40  # one output for each row
    assert {line["layer"] for line in monitor.record.histograms} == {
        layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)
    }
    filters = monitor.record.of_kind("filters")[-1]
    np.testing.assert_allclose(filters["values"], kernel, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_a_generator_without_a_known_length():
    def batches():
        for start in STARTS:
            yield X[start : start + 16], Y[start : start + 16]

    model, monitor = linear_model(), TrainingMonitor()
    losses, _ = descent(model, lambda step: 0.1)
    model.fit(batches(), shuffle=False, verbose=0, callbacks=[monitor])
    epochs, found = monitor.record.curve("loss")
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    np.testing.assert_allclose(epochs, [1 / 3, 2 / 3, 1])


class OwnStep(keras.Sequential):
    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)


def test_a_train_step_of_its_own():
    model = OwnStep([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    monitor = TrainingMonitor(probe=(X, Y))
    losses, _ = descent(model, lambda step: 0.1)
    fit(model, monitor)
    assert not monitor.broken
    np.testing.assert_allclose(monitor.record.curve("loss")[1], losses, rtol=1e-4)
    assert monitor.record.end["status"] == "completed"


def test_several_steps_in_one_execution(backend):
    if backend == "torch":
        pytest.skip("Keras refuses steps_per_execution on PyTorch")
    model, monitor = linear_model(steps_per_execution=2), TrainingMonitor()
    losses, _ = descent(model, lambda step: 0.1, epochs=2)
    fit(model, monitor, epochs=2)
    assert not monitor.broken
    epochs, found = monitor.record.curve("loss")
    # One figure an execution: the mean over its rows.
    pairs = [(16 * a + 16 * b) / 32 for a, b in (losses[0:2], losses[3:5])]
    np.testing.assert_allclose(found, [pairs[0], losses[2], pairs[1], losses[5]], 1e-4)
    np.testing.assert_allclose(epochs, [2 / 3, 1, 5 / 3, 2])


def test_a_loss_of_nan_is_recorded(tmp_path):
    model, monitor = (
        linear_model(),
        TrainingMonitor(tmp_path, every=1, overhead=1.0, probe=(X, Y)),
    )
    model.layers[0].kernel.assign([[np.nan]] * 4)
    fit(model, monitor)
    assert not monitor.broken
    record = Record.load(tmp_path)
    assert np.isnan(record.curve("loss")[1]).all()
    weights = next(iter(record.samples[-2]["weights"].values()))
    assert weights["finite"] == 0.0
    assert record.end["status"] == "completed"


# --- record ----------------------------------------------------------------------


def test_the_record_is_read_while_training_runs(tmp_path):
    monitor, seen = TrainingMonitor(tmp_path), []

    class Reader(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            record = Record.load(tmp_path)
            seen.append((len(record.curve("loss")[1]), record.epochs[-1]["epoch"]))

    fit(linear_model(), monitor, Reader(), epochs=3)
    assert seen == [(3, 1), (6, 2), (9, 3)]
    assert Record.load(tmp_path).lines == json.loads(json.dumps(monitor.record.lines))


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_run_that_breaks_off_leaves_its_record(tmp_path, error):
    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise error

    monitor = TrainingMonitor(tmp_path)
    with pytest.raises(error):
        fit(linear_model(), monitor, Breaks(), epochs=4)
    path = tmp_path / "record.jsonl"
    path.write_text(path.read_text() + '{"kind": "ep')  # the process was killed
    record = Record.load(tmp_path)
    assert len(record.curve("loss")[1]) == 6
    assert record.end == {}
    assert [line["epoch"] for line in record.epochs] == [0, 1, 2]


def test_a_second_fit_is_a_second_record(tmp_path):
    model, monitor = linear_model(), TrainingMonitor(tmp_path)
    fit(model, monitor, epochs=2)
    first = monitor.record
    fit(model, monitor)
    assert monitor.record is not first
    assert len(first.curve("loss")[1]) == 6
    assert len(Record.load(tmp_path).curve("loss")[1]) == 3
    assert len(monitor.record.of_kind("start")) == 1


def test_two_monitors_do_not_meet(tmp_path):
    one = TrainingMonitor(tmp_path / "one", probe=(X, Y))
    two = TrainingMonitor(tmp_path / "two", every=1, overhead=1.0)
    fit(linear_model(), one, two)
    assert one.record.curve("loss") == two.record.curve("loss")
    assert Record.load(tmp_path / "one").end["status"] == "completed"
    assert Record.load(tmp_path / "two").end["status"] == "completed"


# --- faults ----------------------------------------------------------------------


def full(*args, **kwargs):
    raise OSError(28, "No space left on device")


MONITOR = "keras_practices.callbacks.training_monitor."
SAMPLER = "keras_practices.callbacks.step_sampler."
FIGURES = "keras_practices.measures.step_figures.StepFigures."
CATCH = "keras_practices.measures.step_catch.StepCatch."
only_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX alone")


@pytest.mark.parametrize(
    "place",
    [
        MONITOR + "measure_environment",
        MONITOR + "EpochWriter.write_epoch",
        "keras_practices.callbacks.epoch_writer.measure_filters",
        "keras_practices.callbacks.epoch_writer.histogram",
        SAMPLER + "StepSampler.took_step",
        SAMPLER + "StepSampler.steps_to_sample",
        SAMPLER + "StepSampler.flush",
        SAMPLER + "StepLog.take",
        FIGURES + "read",
        "keras_practices.record.Record.add",
        "keras_practices.record.Record.close",
    ],
)
def test_a_fault_is_one_warning_and_training_goes_on(monkeypatch, place):
    keras.utils.set_random_seed(3)
    model = linear_model()
    start = model.get_weights()
    fit(model, epochs=2)
    expected = model.get_weights()
    model = linear_model()
    model.set_weights(start)
    monitor = TrainingMonitor(probe=(X, Y))
    monkeypatch.setattr(place, full)
    with pytest.warns(KerasPracticesWarning, match="No space left") as caught:
        fit(model, monitor, epochs=2)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert monitor.broken
    for old, new in zip(expected, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("keras_practices.measures.probe.Probe.measure", "figures on the probe"),
        (SAMPLER + "WatchedFunction.join", "figures of the steps"),
        (FIGURES + "hooked", "figures of the steps"),
        ("keras_practices.measures.step_figures.weight_parts", "weights"),
        (FIGURES + "_layer_parts", "activations"),
        pytest.param(CATCH + "measured_first", "gradients", marks=only_jax),
    ],
)
def test_what_can_be_measured_still_is(monkeypatch, place, what):
    model, twin = linear_model(), linear_model()
    twin.set_weights(model.get_weights())
    fit(twin, epochs=2)
    monitor = TrainingMonitor(probe=(X, Y))
    monkeypatch.setattr(place, full)
    with pytest.warns(KerasPracticesWarning, match=f"without the {what}") as caught:
        fit(model, monitor, epochs=2)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert not monitor.broken
    (fault,) = monitor.record.of_kind("fault")
    assert fault["what"] == what
    assert "No space left" in fault["why"]
    assert [line["epoch"] for line in monitor.record.epochs] == [0, 1, 2]
    assert monitor.record.end["status"] == "completed"
    for old, new in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_broken_monitor_begins_afresh_at_the_next_fit(monkeypatch):
    model, monitor = linear_model(), TrainingMonitor()
    with monkeypatch.context() as patch:
        patch.setattr("keras_practices.record.Record.add", full)
        with pytest.warns(KerasPracticesWarning):
            fit(model, monitor)
    fit(model, monitor)
    assert not monitor.broken
    assert monitor.record.end["status"] == "completed"


def test_a_probe_that_does_not_fit_the_loss_is_noted():
    model = linear_model()
    monitor = TrainingMonitor(probe=(X, np.zeros((40, 3, 2), "float32")))
    fit(model, monitor)
    assert not monitor.broken
    (fault,) = monitor.record.of_kind("fault")
    assert fault["what"] == "loss on the probe"
    assert len(monitor.record.curve("loss")[1]) == 3


def test_the_saved_model_holds_nothing_of_the_monitor(tmp_path):
    model, monitor = linear_model(), TrainingMonitor(tmp_path, probe=(X, Y))
    fit(model, monitor)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is keras.Sequential
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert "keras_practices" not in json.dumps(model.get_config())
    assert all("call" not in layer.__dict__ for layer in model.layers)


# --- arguments -------------------------------------------------------------------


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputPathError, match="must be a folder that can be written"):
        TrainingMonitor(tmp_path / "file" / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"every": 0}, ArgumentValueError),
        ({"every": 1.5}, ArgumentTypeError),
        ({"overhead": 0}, ArgumentValueError),
        ({"overhead": 1.1}, ArgumentValueError),
        ({"overhead": "1"}, ArgumentTypeError),
        ({"probe": (X, Y[:-1])}, ArgumentValueError),
        ({"probe": (X[:0], Y[:0])}, ArgumentValueError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error, match="TrainingMonitor"):
        TrainingMonitor(**arguments)


def test_a_part_is_a_probe_and_a_vault_is_not():
    split = Split(X, Y, validation=0.2, test=0.2, seed=0)
    monitor = TrainingMonitor(probe=split.train)
    fit(linear_model(), monitor)
    assert monitor.record.epochs[-1]["probe_loss"] > 0
    with pytest.raises(UsageError, match="Vault: the test set is not handed out"):
        TrainingMonitor(probe=split.test)
