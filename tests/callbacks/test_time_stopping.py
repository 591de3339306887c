import functools
import re

import keras
import numpy as np
import pytest

from keras_practices.callbacks import time_stopping
from keras_practices.callbacks.time_stopping import TimeStopping

BATCHES = 4


class Clock(keras.callbacks.Callback):
    """Goes on by `step` seconds with each batch; stands in for the real one."""

    def __init__(self, step=1.0):
        super().__init__()
        self.now = 0.0
        self.step = step
        self.batches = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.now += self.step
        self.batches += 1


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time_stopping, "monotonic", lambda: clock.now)
    return clock


@functools.cache
def model():
    """One for all tests: the time goes into compiling."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def train(*callbacks, epochs=5):
    ones = np.ones((BATCHES, 1), "float32")
    history = model().fit(
        ones,
        ones,
        batch_size=1,
        epochs=epochs,
        verbose=0,
        validation_data=(ones, ones),
        callbacks=list(callbacks),
    )
    return history.history


@pytest.mark.parametrize(
    ("seconds", "epochs"), [(0, 1), (3, 1), (4, 1), (4.5, 2), (8, 2), (20.5, 5)]
)
def test_stops_after_the_epoch_in_which_the_time_is_up(clock, seconds, epochs):
    stopping = TimeStopping(seconds)
    assert len(train(clock, stopping)["loss"]) == epochs
    assert clock.batches == epochs * BATCHES
    assert stopping.stopped_epoch == (None if seconds > 20 else epochs - 1)


def test_stops_after_a_step_and_still_validates(clock):
    stopping = TimeStopping(6, unit="steps")
    history = train(clock, stopping)
    assert clock.batches == 6
    assert stopping.stopped_epoch == 1
    assert len(history["val_loss"]) == 2


@pytest.mark.parametrize(("seconds", "epochs"), [(8, 1), (8.5, 2), (15, 3), (1, 1)])
def test_avoids_an_epoch_that_would_end_too_late(clock, seconds, epochs):
    stopping = TimeStopping(seconds, avoid_overrun=True)
    assert len(train(clock, stopping)["loss"]) == epochs
    assert stopping.stopped_epoch == epochs - 1


def test_a_second_fit_has_its_own_time(clock):
    stopping = TimeStopping(6)
    train(clock, stopping)
    clock.step = 0.1
    assert len(train(clock, stopping)["loss"]) == 5
    assert stopping.stopped_epoch is None


def test_says_so_when_verbose(clock, capsys):
    train(clock, TimeStopping(5, verbose=1))
    text = capsys.readouterr().out
    assert text == "Timed stopping at epoch 2 after training for 0:00:05\n"
    train(clock, TimeStopping(5))
    train(clock, TimeStopping(1e6, verbose=1))
    assert capsys.readouterr().out == ""


def test_only_steps_have_a_hook_after_each_step():
    """Keras trains on JAX without waiting where the hook is its own, marked one."""
    base = keras.callbacks.Callback.on_train_batch_end
    assert TimeStopping.on_train_batch_end is base
    assert TimeStopping().on_train_batch_end.__func__ is base
    stopping = TimeStopping(unit="steps")
    assert stopping.on_train_batch_end.__func__ is not base
    assert TimeStopping().on_train_batch_end.__func__ is base


def test_arguments_of_tensorflow_addons():
    stopping = TimeStopping()
    assert (stopping.seconds, stopping.verbose) == (86400, 0)
    stopping = TimeStopping(10, 1)
    assert (stopping.seconds, stopping.verbose) == (10, 1)


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"seconds": -1}, "seconds", ValueError),
        ({"seconds": float("nan")}, "seconds", ValueError),
        ({"seconds": "10"}, "seconds", TypeError),
        ({"unit": "batches"}, "unit", ValueError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=re.escape(f"argument `{name}`")):
        TimeStopping(**arguments)
