"""Scripts that are diagnosed as they are, by the context and by the command line."""

import json
import sys
import textwrap

import keras
import numpy as np
import pytest

from keras_practices.__main__ import main
from keras_practices.record import Record
from keras_practices.scripts import diagnosed_fits

SCRIPT = """
    import sys

    import keras
    import numpy as np

    import beside

    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(float(sys.argv[1])), "mse")
    history = model.fit(x, x[:, :1] * beside.SCALE, 16, 20, verbose=0)
    print("epochs", len(history.epoch), "main", __name__ == "__main__")
    """


@pytest.fixture
def script(tmp_path):
    def write(text=SCRIPT):
        (tmp_path / "beside.py").write_text("SCALE = 1.0\n")
        path = tmp_path / "train.py"
        path.write_text(textwrap.dedent(text))
        return str(path)

    yield write
    sys.modules.pop("beside", None)


def run_of(*losses, folder=None):
    record = Record(folder)
    epochs = [(place + 1) / len(losses) for place in range(len(losses))]
    rates = [0.1] * len(losses)
    record.add("start", schema=1, variables={}, fit={"epochs": 1})
    record.add("steps", first=0, epoch=epochs, loss=list(losses), learning_rate=rates)
    record.close()
    return record


def test_a_healthy_script_ends_with_0_and_sees_what_it_would_see(script, capsys):
    assert main(["diagnose", script(), "0.1"]) == 0
    said = capsys.readouterr().out
    assert "epochs 20 main True" in said
    assert "Nothing found that needs action" in said
    assert "fit" not in keras.Model.__dict__


@pytest.mark.once
def test_a_script_with_an_error_ends_with_1_and_leaves_the_files(
    script, tmp_path, capsys
):
    page, values = tmp_path / "report.html", tmp_path / "report.json"
    options = ["--html", str(page), "--json", str(values), "--budget-seconds", "5"]
    assert main(["diagnose", *options, script(), "1e4"]) == 1
    found = json.loads(values.read_text())["findings"]
    assert found[0]["severity"] == "error"
    assert found[0]["rule"] in capsys.readouterr().out
    assert found[0]["message"][:20] in page.read_text()


@pytest.mark.once
def test_an_exception_of_fit_reaches_the_script(script, capsys):
    text = """
        import keras
        import numpy as np

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                raise KeyError("mine")

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
        try:
            model.fit(x, x[:, :1], callbacks=[Stop()], verbose=0)
        except KeyError:
            raise SystemExit(7)
        """
    assert main(["diagnose", script(text)]) == 7
    assert "training-raised" in capsys.readouterr().out


@pytest.mark.once
def test_a_script_that_raises_or_trains_nothing_is_told(script, tmp_path, capsys):
    assert main(["diagnose", script("raise ValueError('mine')")]) == 1
    error = capsys.readouterr().err
    assert "ValueError: mine" in error
    assert "trained nothing" in error
    assert main(["diagnose", str(tmp_path / "no.py")]) == 2
    assert main(["diagnose", str(tmp_path / "no")]) == 2
    assert main(["diagnose", "--html", str(tmp_path), script()]) == 2


@pytest.mark.once
def test_a_fit_that_cannot_be_diagnosed_is_a_plain_fit():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    refusals, reports = [], []
    x = np.ones((8, 2), "float32")
    with (
        diagnosed_fits(reports.append, refused=refusals.append),
        pytest.raises(ValueError, match="compile"),
    ):
        model.fit(x, x[:, :1])
    assert len(refusals) == 1
    assert reports == []


@pytest.mark.once
def test_a_record_is_explained_with_its_exit_status(tmp_path, capsys):
    run_of(1.0, 0.5, float("nan"), folder=tmp_path / "bad")
    assert main(["diagnose", str(tmp_path / "bad")]) == 1
    assert "loss-not-finite" in capsys.readouterr().out
    run_of(1.0, 0.5, 0.1, folder=tmp_path / "good")
    assert main(["diagnose", str(tmp_path / "good")]) == 0


@pytest.mark.once
def test_several_records_are_compared(tmp_path, capsys):
    run_of(1.0, 0.5, float("nan"), folder=tmp_path / "bad")
    run_of(1.0, 0.5, 0.1, folder=tmp_path / "good")
    assert main(["diagnose", str(tmp_path / "good"), str(tmp_path / "bad")]) == 1
    said = capsys.readouterr().out
    assert "Comparison of runs" in said
    assert "error: bad: " in said
