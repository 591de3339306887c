"""The demo on real digits, and each mistake that it makes on purpose."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from keras_practices.demo import network
from keras_practices.demo import run as demo
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import OutputPathError
from keras_practices.record import Record


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100)


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch):
    monkeypatch.setattr(demo, "MAX_ROWS", 400)


# What the demo is made of is tested on each backend by itself.
@pytest.mark.once
def test_the_healthy_run_finds_nothing_and_writes_its_report(tmp_path, console):
    (tmp_path / "record.jsonl").write_text("of a former run")
    report, metrics = demo.run(epochs=8, out=tmp_path, console=console)
    assert report.ok, report.text()
    losses = report.history.history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    written = sorted(path.name for path in tmp_path.iterdir())
    names = ["record.jsonl", "report.html", "report.json", "test-set.jsonl"]
    assert written == names
    assert len(Record.load(tmp_path).curve("loss")[1]) == 64
    assert json.loads((tmp_path / "report.json").read_text())["findings"] == []
    text = console.file.getvalue()
    assert "240 training" in text
    assert f"test accuracy {metrics['accuracy']:.4f} (opened once)" in text


def split():
    x, y = demo.datasets.load("digits")
    return demo.Split(x[:300], y[:300], validation=0.2, test=0.2, seed=0)


@pytest.mark.once
@pytest.mark.parametrize("broken", sorted(set(network.BROKEN) - {"learning-rate"}))
def test_a_mistake_is_named_first_before_training(broken):
    data = split()
    report = demo.check(network.build(data, broken), *data.train, budget_seconds=60)
    assert report.first.rule == network.BROKEN[broken], report.text()


@pytest.mark.once
def test_a_wrong_rate_is_named_first_after_training():
    data = split()
    report = demo.diagnose(
        network.build(data, "learning-rate", steps=24),
        *data.train,
        validation_data=data.validation,
        epochs=4,
        batch_size=32,
        verbose=0,
        budget_seconds=60,
    )
    assert report.first.rule == network.BROKEN["learning-rate"], report.text()
    assert report.first.evidence["better_learning_rate"] < 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"dataset": "cifar"}, ArgumentValueError, "--dataset"),
        ({"dataset": "no/such.npz"}, ArgumentValueError, "--dataset"),
        ({"epochs": 0}, ArgumentValueError, "epochs"),
        ({"epochs": 1.5}, ArgumentTypeError, "epochs"),
        ({"broken": "heart"}, ArgumentValueError, "--broken"),
    ],
)
def test_bad_arguments(tmp_path, console, arguments, error, text):
    with pytest.raises(error, match=text):
        demo.run(**{"out": tmp_path, "console": console} | arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path, console):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputPathError, match="--out"):
        demo.run(out=tmp_path / "file" / "demo", console=console)


IMAGES = np.zeros((20, 8, 8), "uint8")
CLASSES = np.arange(20) % 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": IMAGES},
        {"x": IMAGES},
        {"x": IMAGES[:, :4, :4], "y": CLASSES},
        {"x": IMAGES, "y": CLASSES[:-1]},
        {"x": IMAGES, "y": CLASSES - 1},
        {"x": IMAGES, "y": CLASSES + 0.5},
        {"x": IMAGES.reshape(20, 64), "y": CLASSES},
        {"x": IMAGES[:0], "y": CLASSES[:0]},
        {"x": IMAGES.astype("U1"), "y": CLASSES},
    ],
)
def test_a_file_that_holds_no_images(tmp_path, arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(ArgumentValueError, match="--dataset"):
        demo.datasets.load(str(path))


def test_a_file_that_is_no_archive(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ArgumentValueError, match="--dataset"):
        demo.datasets.load(str(path))
    np.savez(path, x=np.array([None]), y=CLASSES)
    with pytest.raises(ArgumentValueError, match="--dataset"):
        demo.datasets.load(str(path))


@pytest.mark.parametrize("names", [("x", "y"), ("x_train", "y_train")])
def test_a_file_of_ones_own(tmp_path, names):
    images = np.linspace(0, 1, 20 * 64).reshape(20, 8, 8)
    np.savez(tmp_path / "data.npz", **dict(zip(names, (images, CLASSES), strict=True)))
    x, y = demo.datasets.load(str(tmp_path / "data.npz"))
    np.testing.assert_allclose(x[..., 0], 255 * images, rtol=1e-6)
    np.testing.assert_array_equal(y, CLASSES)
    assert (x.dtype, y.dtype) == ("float32", "int32")


def test_the_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    x, y = demo.datasets.load("digits")
    assert x.shape == (1797, 8, 8, 1)
    np.testing.assert_allclose(x[..., 0] * 16 / 255, load_digits().images, rtol=1e-5)
    np.testing.assert_array_equal(y, load_digits().target)
