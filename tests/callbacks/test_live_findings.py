"""What the monitor says while training runs, and how it ends a hopeless run."""

import keras
import numpy as np
import pytest
from linear_model import X
from linear_model import Y
from linear_model import fit
from linear_model import linear_model

from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks.live_findings import LIVE
from keras_practices.callbacks.live_findings import LiveFindings
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.record import Record
from keras_practices.rules import CATALOGUE

NAN_AT = 2


class Spoils(keras.callbacks.Callback):
    """Makes the weights NaN before an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == NAN_AT:
            kernel = self.model.trainable_variables[0]
            kernel.assign(np.full(kernel.shape, np.nan, "float32"))


def test_a_finding_is_said_once_and_written_down(capsys):
    monitor = TrainingMonitor(probe=(X, Y))
    fit(linear_model(), Spoils(), monitor, epochs=5, verbose=2)
    said = capsys.readouterr().out
    assert said.count("TrainingMonitor, epoch 3: loss-not-finite") == 1
    assert said.count("TrainingMonitor") == 1
    (line,) = monitor.record.of_kind("finding")
    assert (line["epoch"], line["rule"]) == (NAN_AT + 1, "loss-not-finite")
    assert len(monitor.record.epochs) == 1 + 5


def test_a_hopeless_run_is_ended_and_a_silent_fit_stays_silent(capsys):
    monitor = TrainingMonitor(stop_on=["loss-not-finite"])
    history = fit(linear_model(), Spoils(), monitor, epochs=9)
    assert len(history.history["loss"]) == NAN_AT + 1
    assert capsys.readouterr().out == ""
    assert monitor.record.end["status"] == "completed"


def test_a_healthy_run_hears_nothing(capsys):
    monitor = TrainingMonitor(probe=(X, Y), stop_on=LIVE)
    history = fit(linear_model(), monitor, epochs=4, verbose=2)
    assert len(history.history["loss"]) == 4
    assert "TrainingMonitor" not in capsys.readouterr().out
    assert monitor.record.of_kind("finding") == []


@pytest.mark.parametrize("codes", [["overfitting", "class-imbalance"], ["no-such"]])
def test_only_rules_that_are_judged_live_can_stop(codes):
    with pytest.raises(ArgumentValueError, match="stop_on"):
        TrainingMonitor(stop_on=codes)


def steps(record, losses):
    count = sum(len(line["loss"]) for line in record.of_kind("steps"))
    places = [(count + i + 1) / 20 for i in range(len(losses))]
    rates = [0.1] * len(losses)
    record.add("steps", first=count, epoch=places, loss=losses, learning_rate=rates)


def test_what_is_seen_once_is_not_sure_yet():
    assert set(LIVE) <= set(CATALOGUE)
    record = Record()
    live = LiveFindings(record)
    assert live.look() == []
    steps(record, [1.0] * 20 + [9.0] * 20)
    assert live.look() == []
    steps(record, [20.0] * 20)
    (found,) = live.look()
    assert found.rule == "loss-diverging"
    assert live.look() == []
    steps(record, [float("nan")])
    assert [one.rule for one in live.look()] == ["loss-not-finite"]


def test_a_fault_in_the_look_is_one_warning_and_the_record_goes_on(monkeypatch):
    def broken(self):
        raise RuntimeError("broken look")

    monkeypatch.setattr(LiveFindings, "look", broken)
    monitor = TrainingMonitor(probe=(X, Y))
    with pytest.warns(KerasPracticesWarning, match="broken look") as caught:
        fit(linear_model(), monitor, epochs=3)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    assert not monitor.broken
    assert len(monitor.record.epochs) == 1 + 3
