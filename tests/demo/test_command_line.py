import sys

import keras
import pytest

from keras_practices import __version__
from keras_practices.__main__ import main
from keras_practices.demo.network import BROKEN


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in ("--dataset", "--backend", "--broken", "--epochs", "--out", "--seed"):
        assert name in text
    for name in BROKEN:
        assert name in text


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["demo", "--broken", "heart"],
        ["demo", "--backend", "numpy"],
        ["demo", "--epochs", "many"],
    ],
)
def test_a_bad_command_line_ends_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["--dataset", "cifar"], ["--epochs", "0"], ["--dataset", "no.npz"]]
)
def test_a_bad_argument_ends_with_2_and_one_message(argv, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), *argv]) == 2
    error = capsys.readouterr().err
    assert argv[0].strip("-") in error
    assert "Traceback" not in error


def other_backend():
    return "torch" if keras.backend.backend() == "jax" else "jax"


def test_a_backend_that_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["demo", "--backend", other_backend()]) == 2
    assert f"keras-practices[{other_backend()}]" in capsys.readouterr().err


def test_another_backend_is_a_process_of_its_own(monkeypatch):
    calls = []

    def call(command, env):
        calls.append((command, env["KERAS_BACKEND"]))
        return 7

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("subprocess.call", call)
    argv = ["demo", "--backend", other_backend(), "--epochs", "2"]
    assert main(argv) == 7
    expected = [sys.executable, "-m", "keras_practices", *argv]
    assert calls == [(expected, other_backend())]


def test_the_arguments_reach_the_demo(monkeypatch):
    given = {}

    def run(dataset, **arguments):
        given.update(dataset=dataset, **arguments)

    monkeypatch.setattr("keras_practices.demo.run.run", run)
    argv = ["demo", "--broken", "unscaled", "--epochs", "3", "--out", "o", "--seed=4"]
    assert main([*argv, "--backend", keras.backend.backend()]) == 0
    assert given == {
        "dataset": "digits",
        "broken": "unscaled",
        "epochs": 3,
        "out": "o",
        "seed": 4,
    }
