"""Backups: a training that was killed ends as the one that was not."""

import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_practices.callbacks import backup as backup_module
from keras_practices.callbacks import callback_state
from keras_practices.callbacks import disk
from keras_practices.callbacks.backup import BackupAndRestore
from keras_practices.callbacks.learning_rate import StepDecay
from keras_practices.errors import KerasPracticesWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype("float32")
Y = RNG.normal(size=(16, 1)).astype("float32")
BATCHES = 4


class Killed(BaseException):
    """Stands in for a kill: no handler of ours may answer it."""


class KillAt(keras.callbacks.Callback):
    """Raises before a batch of an epoch."""

    def __init__(self, epoch, batch=2):
        super().__init__()
        self.place = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise Killed


class Watch(keras.callbacks.Callback):
    """Notes the rate and the patience after each epoch."""

    def __init__(self, stopping):
        super().__init__()
        self.stopping = stopping
        self.seen = {}

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.seen[epoch] = (rate, self.stopping.wait, self.stopping.best, logs["loss"])


def make_model():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "relu"),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


@functools.cache
def compiled_model():
    """One model with what its variables begin with, as compiling takes the time."""
    model = make_model()
    # The first fit looks at a batch before it begins, and so shuffles once more.
    model.fit(X, Y, batch_size=len(X) // BATCHES, verbose=0)
    variables = [*model.variables, *model.optimizer.variables]
    return model, [(v, keras.ops.convert_to_numpy(v)) for v in variables]


def begun_model():
    """The model as another process would make it."""
    model, values = compiled_model()
    keras.utils.set_random_seed(1)
    for variable, value in values:
        variable.assign(value)
    return model


def train(folder, *others, epochs=10, **arguments):
    """One start of the same script; returns what it ends with."""
    model = begun_model()
    history = keras.callbacks.History()
    # No epoch is better than the first by so much: patience spans the kills.
    plateau = keras.callbacks.ReduceLROnPlateau(
        "loss", 0.5, patience=1, cooldown=2, min_delta=9.0
    )
    stopping = keras.callbacks.EarlyStopping(
        "loss", min_delta=9.0, patience=5, restore_best_weights=True
    )
    watch = Watch(stopping)
    stateful = [history, plateau, stopping]
    backup = BackupAndRestore(folder, callbacks=stateful, **arguments)
    model.fit(
        X,
        Y,
        batch_size=len(X) // BATCHES,
        epochs=epochs,
        verbose=0,
        callbacks=[*stateful, watch, *others, backup],
    )
    return {
        "weights": model.get_weights(),
        "optimizer": [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables],
        "history": history.history,
        "epochs": history.epoch,
        "stopped": (stopping.stopped_epoch, stopping.best_epoch, stopping.wait),
        "seen": watch.seen,
    }


def check_equal(result, whole):
    for kind in ("weights", "optimizer"):
        for value, expected in zip(result[kind], whole[kind], strict=True):
            np.testing.assert_array_equal(value, expected)
    for kind in ("history", "epochs", "stopped"):
        assert result[kind] == whole[kind]
    assert result["seen"].items() <= whole["seen"].items()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The training that nobody interrupts."""
    result = train(tmp_path_factory.mktemp("whole") / "backup")
    rates = [rate for rate, *_ in result["seen"].values()]
    # It stops early, for a reason that began before the kills in epochs 2 to 4.
    assert result["stopped"] == (5, 0, 5)
    assert rates == pytest.approx(0.05 * 0.5 ** np.array([0, 1, 1, 2, 2, 3]))
    return result


def kill_in_a_backup(folder):
    """A process of its own: ends while the backup after epoch 3 is made."""
    write = callback_state.write

    def write_and_die(partial, state):
        write(partial, state)
        if len(state["callbacks"]["History 1"]["attributes"]["epoch"]) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    callback_state.write = write_and_die
    train(folder)


@pytest.mark.once
def test_a_killed_process(tmp_path, whole):
    here = pathlib.Path(__file__)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import {here.stem}; {here.stem}.kill_in_a_backup('backup')",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(here.parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    names = sorted(path.name for path in (tmp_path / "backup").iterdir())
    assert names == ["backup-00000001", "backup-00000002.partial"]
    result = train(tmp_path / "backup")
    assert min(result["seen"]) == 2
    check_equal(result, whole)
    assert not (tmp_path / "backup").exists()


def test_two_kills_between_backups(tmp_path, whole):
    for epoch in (2, 4):
        with pytest.raises(Killed):
            train(tmp_path, KillAt(epoch))
    result = train(tmp_path)
    assert min(result["seen"]) == 4
    check_equal(result, whole)


def weights_half_written(monkeypatch):
    def save(model, filepath, **arguments):
        pathlib.Path(filepath).parent.mkdir(exist_ok=True)
        pathlib.Path(filepath).write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(keras.Model, "save_weights", save)


def before_the_state(monkeypatch):
    monkeypatch.setattr(callback_state, "write", kill)


def before_the_name(monkeypatch):
    monkeypatch.setattr(backup_module.os, "replace", kill)


def before_the_old_goes(monkeypatch):
    monkeypatch.setattr(backup_module.shutil, "rmtree", kill)


def kill(*args, **kwargs):
    raise Killed


@pytest.mark.parametrize(
    ("moment", "resumed"),
    [
        (weights_half_written, 3),
        (before_the_state, 3),
        (before_the_name, 3),
        (before_the_old_goes, 4),
    ],
)
def test_a_kill_at_any_moment_of_saving(tmp_path, whole, monkeypatch, moment, resumed):
    class Armed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                moment(monkeypatch)

    with pytest.raises(Killed):
        train(tmp_path, Armed())
    monkeypatch.undo()
    result = train(tmp_path)
    assert min(result["seen"]) == resumed
    check_equal(result, whole)


def test_keras_alone_forgets_the_patience(tmp_path, whole):
    """What this class is for; if it fails, Keras does the work itself."""
    with pytest.raises(Killed):
        train(tmp_path, KillAt(4))
    state = callback_state.read(tmp_path / "backup-00000003")
    assert state["callbacks"]["EarlyStopping 1"]["attributes"]["wait"] > 0
    for callback in ("EarlyStopping 1", "ReduceLROnPlateau 1"):
        state["callbacks"][callback]["attributes"] = {}
    callback_state.write(tmp_path / "backup-00000003", state)
    assert train(tmp_path)["stopped"] != whole["stopped"]


def test_the_rates_of_a_decay_go_on(tmp_path):
    def run(folder, *others):
        decay = StepDecay(0.5, every=2)
        model = begun_model()
        model.fit(
            X,
            Y,
            epochs=6,
            verbose=0,
            callbacks=[
                decay,
                *others,
                BackupAndRestore(folder, callbacks=[decay]),
            ],
        )
        return decay.history, model.get_weights()

    history, weights = run(tmp_path / "whole")
    assert len(set(history["learning_rate"])) == 3
    with pytest.raises(Killed):
        run(tmp_path / "parts", KillAt(3, batch=0))
    resumed_history, resumed_weights = run(tmp_path / "parts")
    assert resumed_history == history
    for value, expected in zip(resumed_weights, weights, strict=True):
        np.testing.assert_array_equal(value, expected)


class Begin(keras.callbacks.Callback):
    """Notes the first epoch of a training and its weights."""

    epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.epoch is None:
            self.epoch, self.weights = epoch, self.model.get_weights()


def test_backups_inside_an_epoch(tmp_path):
    noted = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                noted.append(self.model.get_weights())

    with pytest.raises(Killed):
        train(tmp_path, Note(), KillAt(2, batch=3), save_freq=2)
    # Twice: Keras's own forgets the epoch in the first epoch after it was restored.
    for place in ((2, 3), (2, 3), (3, 0)):
        begin = Begin()
        expected = noted[-1]
        with pytest.raises(Killed):
            train(tmp_path, begin, Note(), KillAt(*place), save_freq=2)
        assert begin.epoch == 2
        for value, reference in zip(begin.weights, expected, strict=True):
            np.testing.assert_array_equal(value, reference)


def test_a_finished_training_leaves_nothing_behind(tmp_path):
    """Keras's own begins each later fit of the model at the restored epoch."""
    model = begun_model()

    def fit(*others, epochs=3):
        backup = BackupAndRestore(tmp_path / "backup")
        return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[*others, backup])

    with pytest.raises(Killed):
        fit(KillAt(2, batch=0))
    assert fit().epoch == [2]
    assert not (tmp_path / "backup").exists()
    assert fit(epochs=2).epoch == [0, 1]
    assert model.fit(X, Y, epochs=1, verbose=0).epoch == [0]


def test_kept_backups_go_on_later(tmp_path, whole):
    arguments = {"delete_checkpoint": False, "double_checkpoint": True}
    train(tmp_path, epochs=4, **arguments)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["backup-00000002", "backup-00000003"]
    # The first call ended as a whole training does, with the best weights, but the
    # backup is that of the last epoch.
    check_equal(train(tmp_path, **arguments), whole)


@pytest.mark.parametrize(
    "damaged", ["latest.weights.h5", "callbacks.json", "callbacks.npz"]
)
def test_a_damaged_backup(tmp_path, whole, damaged):
    with pytest.raises(Killed):
        train(tmp_path, KillAt(3), double_checkpoint=True)
    file = tmp_path / "backup-00000002" / damaged
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.warns(KerasPracticesWarning, match="the one before it is used"):
        result = train(tmp_path, double_checkpoint=True, delete_checkpoint=False)
    assert min(result["seen"]) == 2
    check_equal(result, whole)
    for folder in tmp_path.iterdir():
        (folder / damaged).write_bytes(b"")
    with pytest.raises(OSError, match="damaged|signature"):
        train(tmp_path)


def test_a_backup_of_keras_is_taken_over(tmp_path):
    model = begun_model()
    keras_own = keras.callbacks.BackupAndRestore(str(tmp_path))
    with pytest.raises(Killed):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[KillAt(2, 0), keras_own])
    with pytest.warns(KerasPracticesWarning, match="callbacks begin afresh"):
        assert min(train(tmp_path, epochs=4)["seen"]) == 2


@pytest.mark.parametrize("how", ["begun", "not begun", "no folder"])
def test_a_full_disk_is_one_warning(tmp_path, monkeypatch, how):
    class Fill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and how == "begun":
                monkeypatch.setattr(callback_state, "write", no_space)
            elif epoch == 1 and how == "no folder":
                shutil.rmtree(tmp_path)
            elif epoch == 1:
                usage = type("Usage", (), {"free": 100})
                monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage)

    def no_space(folder, state):
        raise OSError(28, "No space left on device")

    with (
        pytest.warns(KerasPracticesWarning, match="could not be written") as record,
        pytest.raises(Killed),
    ):
        train(tmp_path, Fill(), KillAt(4))
    assert [item.category for item in record].count(KerasPracticesWarning) == 1
    if how != "no folder":
        assert [path.name for path in tmp_path.iterdir()] == ["backup-00000000"]


def test_other_callbacks_than_in_the_backup(tmp_path):
    x, model = X, begun_model()
    first = keras.callbacks.EarlyStopping("loss", patience=9)
    kept = BackupAndRestore(tmp_path, callbacks=[first], delete_checkpoint=False)
    model.fit(x, Y, epochs=1, verbose=0, callbacks=[first, kept])
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "loss")
    again = keras.callbacks.EarlyStopping("loss", patience=9)
    backup = BackupAndRestore(tmp_path, callbacks=[checkpoint, again])
    callbacks = [checkpoint, again, backup]
    with pytest.warns(KerasPracticesWarning, match="no state of ModelCheckpoint 1"):
        model.fit(x, Y, epochs=1, verbose=0, callbacks=callbacks)
    assert again.best == first.best
