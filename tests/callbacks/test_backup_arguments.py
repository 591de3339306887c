"""What BackupAndRestore refuses, and when it makes a backup."""

import keras
import numpy as np
import pytest

from keras_practices.callbacks.backup import BackupAndRestore
from keras_practices.errors import UsageError

X = Y = np.zeros((4, 1), "float32")


class Begin(keras.callbacks.Callback):
    """Notes that an epoch began."""

    epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


def make_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("together", [1, 2, 4])
def test_batches_are_counted_with_steps_per_execution(tmp_path, monkeypatch, together):
    saved = []
    backup = BackupAndRestore(tmp_path, save_freq=6)
    monkeypatch.setattr(backup, "_save", lambda epoch: saved.append((epoch, last)))
    backup.set_model(make_model())
    backup.on_train_begin()
    for epoch in range(6):
        backup.on_epoch_begin(epoch)
        for last in range(together - 1, 8, together):
            backup.on_train_batch_end(last)
    expected = {1: 8, 2: 8, 4: 6}[together]  # of 48 batches, each 6 or next after it
    assert len(saved) == expected
    assert saved[0] == (0, {1: 5, 2: 5, 4: 7}[together])


@pytest.mark.parametrize("place", ["after", "missing", "after in a second fit"])
def test_callbacks_must_stand_before(tmp_path, place):
    model, begin = make_model(), Begin()
    stopping = keras.callbacks.EarlyStopping("loss")
    backup = BackupAndRestore(tmp_path / "backup", callbacks=[stopping])
    if place == "after in a second fit":
        model.fit(X, Y, verbose=0, callbacks=[stopping, backup])
    wrong = [begin, backup] if place == "missing" else [begin, backup, stopping]
    with pytest.raises(UsageError, match="EarlyStopping.*Put BackupAndRestore last"):
        model.fit(X, Y, verbose=0, callbacks=wrong)
    assert begin.epoch is None


@pytest.mark.parametrize("save_freq", ["epoch", 10])
def test_keras_waits_for_each_step_only_where_it_must(save_freq):
    def waits(callback):
        return not keras.callbacks.CallbackList([callback])._async_train

    backup = BackupAndRestore("folder", save_freq)
    # Keras waits on some backends whatever the callbacks are.
    assert waits(backup) == (waits(keras.callbacks.Callback()) or save_freq == 10)


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"backup_dir": ""}, "backup_dir", ValueError),
        ({"backup_dir": "gs://bucket/run"}, "backup_dir", ValueError),
        ({"save_freq": 0}, "save_freq", ValueError),
        ({"save_freq": False}, "save_freq", TypeError),
        ({"save_freq": "batch"}, "save_freq", TypeError),
        ({"callbacks": [keras.callbacks.Callback()]}, "callbacks", TypeError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        BackupAndRestore(**{"backup_dir": "here", **arguments})
