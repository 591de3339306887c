import sys

import keras
import numpy as np
import pytest

import keras_practices as kp
from keras_practices.checks.progress import progress

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


def checked(**options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return kp.check(model, X, X[:, :1], **options)


def test_without_a_terminal_auto_says_nothing(capsys):
    checked()
    assert capsys.readouterr().err == ""


def test_each_measure_is_a_line_where_that_is_asked_for(capsys):
    report = checked(verbose=1)
    said = capsys.readouterr().err.splitlines()
    assert [line.removeprefix("check: ") for line in said] == list(report.timings)


def test_in_a_terminal_one_line_changes_and_goes(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress("check", "auto") as say:
        say("the layers")
    shown = capsys.readouterr()
    assert "check: the layers" in shown.err
    assert shown.out == ""


def test_another_verbose_is_refused_before_any_work():
    with pytest.raises(ValueError, match="verbose"):
        checked(verbose=3)
