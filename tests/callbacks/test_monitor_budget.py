"""What a monitor leaves out to stay within its share of the time."""

import contextlib

import keras
import numpy as np
import pytest

from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks import budget
from keras_practices.measures import probe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 1)).astype("float32")
EPOCHS = 60


@pytest.fixture(autouse=True)
def nothing_is_free(monkeypatch):
    monkeypatch.setattr(budget, "GRACE_OF_SAMPLES", 0.0)
    monkeypatch.setattr(budget, "GRACE_OF_EPOCHS", 0.0)


def monitored(overhead):
    """Record of a training of 300 steps; every second one is to be sampled."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = TrainingMonitor(probe=(X, Y), every=2, overhead=overhead)
    model.fit(X, Y, batch_size=8, epochs=EPOCHS, verbose=0, callbacks=[monitor])
    assert not monitor.broken
    return monitor.record


@pytest.mark.once
def test_without_a_limit_nothing_is_left_out():
    record = monitored(1.0)
    assert len(record.samples) > 100
    assert len(record.probes) == EPOCHS + 1


def test_what_cannot_be_paid_for_is_left_out_and_the_last_epoch_is_not():
    record = monitored(1e-6)
    # Until the cost of a sample is known there is one in twenty steps.
    assert 1 <= len(record.samples) <= 16
    # Before training and at its end.
    assert [line["epoch"] for line in record.probes] == [0, EPOCHS]
    last = record.epochs[-1]
    assert (last["epoch"], last["probe_loss"] > 0) == (EPOCHS, True)
    # Losses are there of each step.
    assert len(record.curve("loss")[1]) == 5 * EPOCHS


@pytest.mark.once
def test_a_probe_that_is_dear_is_run_less_often(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(budget.time, "perf_counter", clock)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = TrainingMonitor(probe=(X, Y), overhead=0.1)
    monkeypatch.setattr(probe, "restore_rng", lambda: dear(clock, 1.2))
    tick = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: clock.tick(5.0))
    model.fit(X, Y, epochs=40, verbose=0, callbacks=[monitor, tick])
    # Four percent of the time are planned: 1.2 s in each 30 s, its own included.
    places = [line["epoch"] for line in monitor.record.probes]
    assert places[:3] == [0, 1, 12]
    assert set(np.diff(places[2:-1])) <= {5, 6}


@pytest.mark.once
@pytest.mark.parametrize(("seconds", "places"), [(0.0, [0, 1]), (0.3, [1])])
def test_a_dear_probe_is_not_run_at_the_begin_of_a_later_fit(
    monkeypatch, seconds, places
):
    monkeypatch.undo()  # what is free is part of this
    clock = Clock()
    monkeypatch.setattr(budget.time, "perf_counter", clock)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = TrainingMonitor(probe=(X, Y))
    monkeypatch.setattr(probe, "restore_rng", lambda: dear(clock, seconds))
    for _ in range(2):
        model.fit(X, Y, verbose=0, callbacks=[monitor])
    assert [line["epoch"] for line in monitor.record.probes] == places
    # The line is there all the same.
    first = monitor.record.epochs[0]
    assert (first["epoch"], first["probe_loss"] is None) == (0, len(places) == 1)


@contextlib.contextmanager
def dear(clock, seconds):
    clock.tick(seconds)
    yield


class Clock:
    """Goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += seconds
