"""The main path, small; also run against the installed wheel.

There `KERAS_PRACTICES_INSTALLED_IN` names the environment that the package has to
come from, and the source tree cannot be imported.
"""

import importlib.metadata
import importlib.resources
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_practices as kp

pytestmark = pytest.mark.smoke

INSTALLED_IN = os.environ.get("KERAS_PRACTICES_INSTALLED_IN")


def digits():
    """Two classes of points that a line can tell apart."""
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    x = rng.normal(size=(64, 4)) + 2.0 * y[:, None]
    return ((x - x.mean(0)) / x.std(0)).astype("float32"), y


def compiled_model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            kp.layers.InvertedDropout(keep_prob=0.9),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


@pytest.mark.skipif(INSTALLED_IN is None, reason="runs on the installed wheel only")
def test_the_package_is_the_installed_one():
    root = pathlib.Path(INSTALLED_IN).resolve()
    assert root in pathlib.Path(kp.__file__).resolve().parents
    assert "keras_practices" not in os.listdir(".")


def test_the_installed_version_is_the_one_in_the_source():
    assert importlib.metadata.version("keras-practices") == kp.__version__


def test_the_data_files_came_along():
    files = importlib.resources.files("keras_practices")
    assert (files / "py.typed").is_file()
    templates = [item.name for item in (files / "report" / "templates").iterdir()]
    assert [name for name in templates if name.endswith((".html", ".j2"))] != []


def test_a_layer_survives_a_file(tmp_path):
    model = compiled_model()
    x, _ = digits()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )


@pytest.mark.once
def test_check_finds_a_planted_mistake():
    x, y = digits()
    report = kp.check(compiled_model(), 255 * x, y)
    assert "inputs-not-scaled" in [finding.rule for finding in report.findings]


@pytest.mark.once
def test_diagnose_trains_and_writes_a_report(tmp_path):
    x, y = digits()
    model = compiled_model()
    before = model.get_weights()
    report = kp.diagnose(model, x, y, validation_split=0.25, epochs=2, verbose=0)
    after = model.get_weights()
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    path = tmp_path / "report.html"
    report.save_html(path)
    html = path.read_text(encoding="utf-8")
    assert "<html" in html
    assert "data:image" in html or "<svg" in html


@pytest.mark.once
def test_the_command_line_helps(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "keras_practices", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
