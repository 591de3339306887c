"""A fault of the monitor, of its disk or of the model is no fault of the training."""

import contextlib
import functools
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
from keras import ops
from linear_model import X
from linear_model import Y
from linear_model import fit
from linear_model import linear_model
from linear_model import shared_model

from keras_practices._core.train_function import WatchedFunction
from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks import training_monitor
from keras_practices.errors import KerasPracticesWarning
from keras_practices.measures.step_figures import StepFigures
from keras_practices.record import Record


@functools.cache
def weights_after(epochs):
    model = shared_model()
    fit(model, epochs=epochs)
    return model.get_weights()


def same(one, other):
    for old, new in zip(one, other, strict=True):
        np.testing.assert_array_equal(old, new)


def fit_as_alone(monitor, *callbacks, epochs, fresh=False):
    """Fits a model with the monitor; the weights are those without it."""
    expected = weights_after(epochs)
    model = linear_model() if fresh else shared_model()
    model.set_weights(shared_model().get_weights())
    fit(model, monitor, *callbacks, epochs=epochs)
    same(expected, model.get_weights())
    assert not isinstance(model.train_function, WatchedFunction)
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize("place", ["add_figures", "opened"])
def test_a_sampled_step_that_does_not_compile_is_taken_plainly(
    place, backend, monkeypatch
):
    if backend == "torch":
        pytest.skip("PyTorch compiles nothing: half a step cannot be taken back")

    def fails(*args, **kwargs):
        raise MemoryError("too large a graph")

    monkeypatch.setattr(StepFigures, place, fails)
    monitor = TrainingMonitor(every=1, overhead=1.0)
    with pytest.warns(KerasPracticesWarning, match="too large a graph") as caught:
        fit_as_alone(monitor, epochs=2, fresh=True)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert not monitor.broken
    assert len(monitor.record.curve("loss")[1]) == 6
    assert monitor.record.samples == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_hooks_that_fail_in_a_later_step(when, monkeypatch):
    hooked = StepFigures.hooked

    @contextlib.contextmanager
    def fails(self):
        # The sampler is there once the first step is taken.
        late = monitor._sampler is not None and monitor._sampler.steps == 3
        if late and when == "before":
            raise OSError("hooks are gone")
        with hooked(self):
            yield
        if late:
            raise OSError("hooks are gone")

    monkeypatch.setattr(StepFigures, "hooked", fails)
    monitor = TrainingMonitor(every=1, overhead=1.0)
    with pytest.warns(KerasPracticesWarning, match="hooks are gone"):
        fit_as_alone(monitor, epochs=3)
    assert not monitor.broken
    assert len(monitor.record.curve("loss")[1]) == 9
    steps = [line["step"] for line in monitor.record.samples]
    # A step that was run is not run again, and its figures are there.
    assert steps[:2] == [1, 2]
    assert (4 in steps) == (when == "after")


def test_an_error_of_the_model_is_raised_as_without_the_monitor():
    class Wrong(keras.layers.Layer):
        wrong = False

        def call(self, inputs, training=None):
            if training and self.wrong:
                raise LookupError("a mistake in the model")
            return inputs

    class MakesItWrong(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.layers[0].wrong = True

    monitor = TrainingMonitor(every=1, overhead=1.0)
    texts = []
    for callbacks in ([], [monitor]):
        keras.utils.clear_session(free_memory=False)
        layers = [keras.Input((4,)), Wrong(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        with pytest.raises(LookupError, match="a mistake in the model") as caught:
            fit(model, *callbacks, MakesItWrong())
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    # It is no fault of ours, so nothing is said to be lost.
    assert monitor.record.of_kind("fault") == []
    assert monitor.record.end == {}


class Odd(keras.layers.Layer):
    """Gives back what `shape` makes of its input; says that it has an activation."""

    def __init__(self, shape):
        super().__init__()
        self.shape_output, self.activation = shape, keras.activations.relu

    def call(self, inputs):
        return self.shape_output(inputs)


class OddModel(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = [
            Odd(lambda x: {"b": (ops.sum(x), None), "a": x}),
            Odd(lambda x: (ops.shape(x)[0], [x])),
            Odd(lambda x: []),
            Odd(lambda x: ops.sum(x)),
            Odd(lambda x: ops.cast(x, "int32")),
            Odd(lambda x: "text"),
        ]
        self.line = keras.layers.Dense(1, activation="relu")

    def call(self, inputs):
        for part in self.parts:
            part(inputs)
        return self.line(inputs)


def test_layers_that_return_odd_structures():
    models = [OddModel(), OddModel()]
    monitor = TrainingMonitor(every=1, overhead=1.0)
    for model, callbacks in zip(models, ([], [monitor]), strict=True):
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model(X[:1])
        model.set_weights([np.ones((4, 1)), np.ones(1)])
        fit(model, *callbacks, epochs=2)
    same(*(model.get_weights() for model in models))
    assert not monitor.broken
    assert len(monitor.record.samples) == 4
    layers = monitor.record.samples[0]["layers"]
    assert layers[models[1].line.name]["activation"] == "relu"


def test_nan_everywhere(tmp_path):
    model = linear_model(metrics=["mae"])
    model.set_weights([np.full((4, 1), np.nan), np.full(1, np.inf)])
    x = np.full_like(X, np.nan)
    monitor = TrainingMonitor(tmp_path, probe=(x, Y), every=1, overhead=1.0)
    arguments = {"batch_size": 16, "epochs": 2, "verbose": 0}
    model.fit(x, Y, validation_data=(x, Y), callbacks=[monitor], **arguments)
    assert not monitor.broken
    record = Record.load(tmp_path)
    assert np.isnan(record.curve("loss")[1]).all()
    assert len(record.samples) == 4
    for line in record.samples:
        assert {f["finite"] for f in line["weights"].values()} == {0.0}
        assert {f["gradient_finite"] for f in line["weights"].values()} == {0.0}
    assert record.end["status"] == "completed"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_warning(tmp_path):
    (tmp_path / "record.jsonl").symlink_to("/dev/full")
    monitor = TrainingMonitor(tmp_path, probe=(X, Y), every=1, overhead=1.0)
    with pytest.warns(KerasPracticesWarning, match="No space left") as caught:
        fit_as_alone(monitor, epochs=2)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert monitor.broken


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_fills_up_during_the_training(tmp_path):
    monitor = TrainingMonitor(tmp_path, every=1, overhead=1.0)

    class Fills(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                monitor.record._file.close()
                monitor.record._file = pathlib.Path("/dev/full").open("w")

    with pytest.warns(KerasPracticesWarning, match="No space left") as caught:
        fit_as_alone(monitor, Fills(), epochs=3)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert len(Record.load(tmp_path).curve("loss")[1]) == 3


def test_a_folder_that_is_removed_during_the_training(tmp_path):
    monitor = TrainingMonitor(tmp_path / "run", every=1, overhead=1.0)

    class Removes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                shutil.rmtree(tmp_path / "run")

    fit_as_alone(monitor, Removes(), epochs=3)
    assert len(monitor.record.curve("loss")[1]) == 9
    assert monitor.record.end["status"] == "completed"


def test_events_that_cannot_be_written_are_one_warning(tmp_path, monkeypatch):
    class Writer:
        def __init__(self, folder):
            self.lines = 0

        def add(self, line):
            self.lines += 1
            if self.lines == 5:
                raise OSError("no space for events")

        def flush(self):
            pass

    monkeypatch.setattr(training_monitor, "EventWriter", Writer)
    monitor = TrainingMonitor(
        tmp_path, tensorboard=tmp_path / "events", every=1, overhead=1.0
    )
    with pytest.warns(KerasPracticesWarning, match="without the TensorBoard") as caught:
        fit_as_alone(monitor, epochs=3)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert not monitor.broken
    record = Record.load(tmp_path)
    assert len(record.curve("loss")[1]) == 9
    assert [line["epoch"] for line in record.epochs] == [0, 1, 2, 3]
    (fault,) = record.of_kind("fault")
    assert "no space for events" in fault["why"]
    assert record.end["status"] == "completed"


@pytest.mark.filterwarnings("ignore::keras_practices.errors.KerasPracticesWarning")
def test_a_monitor_that_broke_between_epochs_leaves_the_model(monkeypatch):
    def broken(self, epoch, *rest):
        if epoch:
            raise OSError("broken")
        return {}

    model, monitor = shared_model(), TrainingMonitor()
    monkeypatch.setattr(training_monitor.EpochWriter, "write_epoch", broken)
    fit(model, monitor)
    assert monitor.broken
    assert not isinstance(model.train_function, WatchedFunction)
    assert "reset_metrics" not in vars(model)
