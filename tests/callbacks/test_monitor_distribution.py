"""One record of a step that is spread over devices, and of a process that is killed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_practices.record import Record

ROOT = pathlib.Path(__file__).parents[2]

# --- several devices ---------------------------------------------------------------

# Each of these runs in a process of its own: the number of devices is set once.
TRAINING = """
import contextlib
import json
import numpy as np
import keras
from keras_practices.callbacks import TrainingMonitor

rng = np.random.default_rng(0)
inputs = rng.normal(size=(40, 4)).astype("float32")
targets = (inputs[:, :1] - 2 * inputs[:, 1:2] + 0.5).astype("float32")

def train(watched, rows=40, scope=contextlib.nullcontext):
    x, y = inputs[:rows], targets[:rows]
    keras.utils.set_random_seed(0)
    with scope():
        layers = keras.layers.Dense(6, activation="relu"), keras.layers.Dense(1)
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    monitor = TrainingMonitor(every=1, overhead=1.0, probe=(x, y))
    callbacks = [monitor] if watched else []
    arguments = {"batch_size": 16, "shuffle": False, "epochs": 2, "verbose": 0}
    with scope():  # where Keras gives each replica its share of a loss
        history = model.fit(x, y, callbacks=callbacks, **arguments).history
    weights = [w.tolist() for w in model.get_weights()]
    samples = [
        [list(table.values()) for table in (line["weights"], line["layers"])]
        for line in monitor.record.samples
    ]
    return {
        "weights": weights, "history": history, "samples": samples,
        "loss": monitor.record.curve("loss")[1] if watched else None,
        "rate": monitor.record.curve("learning_rate")[1] if watched else None,
        "steps": [line["step"] for line in monitor.record.samples],
        "kinds": [line["kind"] for line in monitor.record.lines],
        "broken": monitor.broken,
        "probe": [line["probe_loss"] for line in monitor.record.epochs],
    }
"""
MIRRORED = """
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [one, one])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
spread = [train(w, n, strategy.scope) for n in (40, 39) for w in (False, True)]
assert strategy.num_replicas_in_sync == 2
print(json.dumps([*spread, train(True), train(True, 39)]))
"""
PARALLEL = """
import jax
assert len(jax.devices()) == 2
alone = train(True)
keras.distribution.set_distribution(keras.distribution.DataParallel())
print(json.dumps([train(False), train(True), alone]))
"""


def spread(code, **environment):
    """Runs trainings in a process of their own and returns what they print."""
    found = subprocess.run(
        [sys.executable, "-c", TRAINING + code],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert "KerasPracticesWarning" not in found.stderr, found.stderr[-3000:]
    return json.loads(found.stdout.strip().split("\n")[-1])


def check(bare, watched, alone):
    """Weights as without the monitor, figures as on one device."""
    assert bare["weights"] == watched["weights"]
    assert bare["history"] == watched["history"]
    for found in (watched, alone):
        assert not found["broken"]
        assert found["kinds"].count("start") == found["kinds"].count("end") == 1
        assert "fault" not in found["kinds"]
        assert found["steps"] == [1, 2, 4, 5]
        np.testing.assert_allclose(found["rate"], [0.05] * 6, rtol=1e-6)
    np.testing.assert_allclose(watched["loss"], alone["loss"], rtol=1e-5)
    np.testing.assert_allclose(watched["probe"], alone["probe"], rtol=1e-5)
    for (weights, _), (expected, _) in zip(
        watched["samples"], alone["samples"], strict=True
    ):
        for figures, others in zip(weights, expected, strict=True):
            for name in ("gradient_norm", "update_norm", "weight_norm"):
                assert figures[name] == pytest.approx(others[name], rel=1e-4)
            assert figures["finite"] == figures["gradient_finite"] == 1.0


def test_mirrored_replicas_on_two_devices(backend):
    if backend != "tensorflow":
        pytest.skip("tf.distribute needs TensorFlow")
    even, watched_even, uneven, watched, alone, other = spread(MIRRORED)
    check(even, watched_even, alone)
    # Seven rows do not halve: Keras gives each replica's mean the same weight, so
    # training differs from that on one device. The losses are those of the batch.
    assert uneven["weights"] == watched["weights"]
    np.testing.assert_allclose(watched["loss"][:3], other["loss"][:3], rtol=1e-5)


def test_data_parallel_on_two_devices(backend):
    if backend != "jax":
        pytest.skip("keras.distribution needs JAX")
    flags = "--xla_force_host_platform_device_count=2"
    bare, watched, alone = spread(PARALLEL, XLA_FLAGS=flags)
    check(bare, watched, alone)
    # Rows are spread over the devices, and the first of them are seen as they are.
    for (_, layers), (_, expected) in zip(
        watched["samples"], alone["samples"], strict=True
    ):
        for figures, others in zip(layers, expected, strict=True):
            assert figures["mean"] == pytest.approx(others["mean"], rel=1e-4)


# --- a process that is killed ------------------------------------------------------

KILLED = """
import sys
import time
import numpy as np
import keras
from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks import step_sampler

def train(folder, epochs, pause):
    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(pause)

    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4)).astype("float32")
    y = (x[:, :1] - 2 * x[:, 1:2] + 0.5).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.set_weights([np.ones((4, 1)), np.ones(1)])
    callbacks = [TrainingMonitor(folder, every=2, overhead=1.0), Slow()]
    arguments = {"shuffle": False, "epochs": epochs, "verbose": 0}
    model.fit(x, y, batch_size=4, callbacks=callbacks, **arguments)
"""
RUN = "step_sampler.STEPS_A_LINE = 3; train(sys.argv[1], 100_000, 0.002)"


def kill_after(process, file, count):
    """Kills a process once its record has `count` lines of steps."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        text = file.read_text() if file.exists() else ""
        if text.count('"kind": "steps"') >= count:
            break
        time.sleep(0.003)
    assert process.poll() is None, "it ended by itself"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="the file is written in the same way"
)
def test_a_killed_process_leaves_all_that_it_wrote(tmp_path):
    counts = (1, 8)
    folders = [tmp_path / str(count) for count in counts]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED + RUN, str(folder)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for folder in folders
    ]
    try:
        for count, folder, process in zip(counts, folders, processes, strict=True):
            kill_after(process, folder / "record.jsonl", count)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    scope = {}
    exec(KILLED, scope)
    scope["train"](tmp_path / "whole", 20, 0)
    expected = Record.load(tmp_path / "whole")
    assert expected.end["status"] == "completed"
    for count, folder in zip(counts, folders, strict=True):
        whole_lines = (folder / "record.jsonl").read_text().count("\n")
        record = Record.load(folder)
        assert len(record.lines) in (whole_lines, whole_lines + 1)
        assert len(record.of_kind("steps")) >= count
        assert record.end == {}
        numbers, losses = record.step_numbers, record.curve("loss")[1]
        assert numbers == list(range(len(numbers)))
        known = min(len(losses), 200)
        assert known >= 3 * count - 2
        assert losses[:known] == expected.curve("loss")[1][:known]
