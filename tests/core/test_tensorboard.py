"""What is in the event files, read with TensorBoard's own reader."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.plugins.histogram import metadata as histograms
from tensorboard.plugins.scalar import metadata as scalars
from tensorboard.util.tensor_util import make_ndarray

from keras_practices import tensorboard
from keras_practices.errors import MissingExtraError
from keras_practices.errors import OutputPathError
from keras_practices.record import Record
from keras_practices.tensorboard import EventWriter
from keras_practices.tensorboard import write_events

pytestmark = pytest.mark.once


def reader(logdir):
    """The reader of TensorBoard's server, for one folder and every point of it."""
    return plugin_event_accumulator.EventAccumulator(
        str(logdir), size_guidance={plugin_event_accumulator.TENSORS: 0}
    )


def read(logdir, plugin=scalars.PLUGIN_NAME):
    """Tag → list of `(step, value)` of the figures that one plugin shows."""
    events = reader(logdir).Reload()
    return {
        tag: [
            (event.step, make_ndarray(event.tensor_proto)[()])
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
        if events.SummaryMetadata(tag).plugin_data.plugin_name == plugin
    }


def written(tmp_path, *lines):
    """What TensorBoard shows of these lines."""
    writer = EventWriter(tmp_path)
    for line in lines:
        writer.add(line)
    writer.close()
    return read(tmp_path)


def run_record(steps=4, scale=1.0):
    """A record with every kind of line, in the order in which a monitor writes."""
    rng = np.random.default_rng(0)
    record = Record()
    record.add("start", schema=1, environment={}, fit={}, probe_rows=8)
    record.add("epoch", epoch=0, step=0, seconds=0.0, logs={}, probe_loss=scale)
    for epoch in range(2):
        first = epoch * steps
        record.add(
            "sample",
            step=first + 1,
            epoch=epoch + 1 / steps,
            weights={"net/dense/kernel": {"update_ratio": scale * 1e-3, "finite": 1.0}},
            layers={"dense": {"activation": "relu", "units": 8, "mean": scale * 0.25}},
        )
        record.add(
            "steps",
            first=first,
            epoch=[epoch + (step + 1) / steps for step in range(steps)],
            loss=scale * rng.random(steps),
            learning_rate=[0.1 * 0.5**epoch] * steps,
        )
        record.add(
            "epoch",
            epoch=epoch + 1,
            step=first + steps,
            seconds=1.0,
            logs={"loss": scale * 0.5, "val_accuracy": 0.75},
            probe_loss=scale * 2.0,
            regularization_loss=0.125,
            validation_loss=scale * 1.5,
            gap=0.0625,
        )
        record.add(
            "probe",
            step=first + steps,
            epoch=epoch + 1,
            layers={"dense": {"zeros": scale * 0.5}},
        )
        edges, counts = np.linspace(-scale, scale, 41), rng.integers(0, 99, 40)
        line = {"epoch": epoch + 1, "layer": "dense", "edges": edges, "counts": counts}
        record.add("histogram", **line)
        record.add("histogram", of="gradients", step=first + steps, **line)
    record.add("filters", epoch=2, layer="dense", shape=[1, 1, 1, 1], values=[[[[1]]]])
    record.add("fault", what="a figure", why="it could not be had")
    record.add("end", status="completed", steps=2 * steps, seconds=2.0)
    return record


def test_every_scalar_of_a_record_is_there(tmp_path):
    record = run_record()
    assert write_events(record, tmp_path / "run") == tmp_path / "run"
    shown = read(tmp_path / "run")
    both = [(4, 0.5), (8, 0.5)]
    expected = {
        "batch/loss": list(enumerate(record.curve("loss")[1], 1)),
        "batch/learning_rate": list(enumerate([0.1] * 4 + [0.05] * 4, 1)),
        "weights/net/dense/kernel/update_ratio": [(1, 1e-3), (5, 1e-3)],
        "weights/net/dense/kernel/finite": [(1, 1.0), (5, 1.0)],
        "layers/dense/mean": [(1, 0.25), (5, 0.25)],
        "probe/dense/zeros": both,
        "epoch/loss": both,
        "epoch/val_accuracy": [(4, 0.75), (8, 0.75)],
        "epoch/probe_loss": [(0, 1.0), (4, 2.0), (8, 2.0)],
        "epoch/regularization_loss": [(4, 0.125), (8, 0.125)],
        "epoch/validation_loss": [(4, 1.5), (8, 1.5)],
        "epoch/gap": [(4, 0.0625), (8, 0.0625)],
    }
    assert sorted(shown) == sorted(expected)
    for tag, points in expected.items():
        assert [step for step, _ in shown[tag]] == [step for step, _ in points], tag
        values = [value for _, value in shown[tag]]
        # float32 is what TensorBoard keeps.
        np.testing.assert_allclose(values, [value for _, value in points], rtol=1e-7)


def test_every_histogram_is_there_with_all_its_bins(tmp_path):
    record = run_record()
    write_events(record, tmp_path)
    shown = read(tmp_path, histograms.PLUGIN_NAME)
    assert sorted(shown) == ["activations/dense", "gradients/dense"]
    for tag, points in shown.items():
        lines = record.of_kind("histogram")[tag == "gradients/dense" :: 2]
        assert [step for step, _ in points] == [4, 8]
        for line, (_, rows) in zip(lines, points, strict=True):
            assert rows.shape == (40, 3)
            np.testing.assert_array_equal(rows[:, 0], line["edges"][:-1])
            np.testing.assert_array_equal(rows[:, 1], line["edges"][1:])
            np.testing.assert_array_equal(rows[:, 2], line["counts"])


def test_a_record_on_disk_shows_the_same(tmp_path):
    record = run_record()
    on_disk = Record(tmp_path / "record")
    for line in record.lines:
        on_disk.add(**line)
    on_disk.close()
    write_events(record, tmp_path / "from-memory")
    write_events(tmp_path / "record", tmp_path / "from-folder")
    write_events(str(on_disk.path), str(tmp_path / "from-file"))
    shown = read(tmp_path / "from-memory")
    assert shown["batch/loss"]
    assert read(tmp_path / "from-folder") == shown == read(tmp_path / "from-file")


@pytest.mark.parametrize("text", [str, json.dumps], ids=["python", "json"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_survives(tmp_path, number, text):
    """As a float and as either of the words that stand for it in a record."""
    shown = written(
        tmp_path,
        {"kind": "steps", "first": 0, "loss": [1.0, number, text(number)]},
        {"kind": "epoch", "step": 3, "logs": {"loss": text(number)}},
    )
    points = {"batch/loss": [1.0, number, number], "epoch/loss": [number]}
    values = {tag: [value for _, value in shown[tag]] for tag in shown}
    np.testing.assert_equal(values, points)


def test_what_is_no_number_is_left_out_and_the_rest_keeps_its_place(tmp_path):
    shown = written(
        tmp_path,
        {"kind": "steps", "first": 2, "loss": [None, 2.0], "learning_rate": [0.5]},
        {
            "kind": "sample",
            "step": 4,
            "weights": {"kernel": {"update_ratio": None, "gradient_finite": True}},
            "layers": {"dense": None, "relu": {"activation": "relu", "mean": [1.0]}},
            "news": {"a": {"b": 1.0}},
        },
        {"kind": "epoch", "step": 4, "logs": {"units": 7}, "gap": None, "news": 1.0},
    )
    assert shown == {
        "batch/loss": [(4, 2.0)],
        "batch/learning_rate": [(3, 0.5)],
        "weights/kernel/gradient_finite": [(4, 1.0)],
        "epoch/units": [(4, 7.0)],
    }


@pytest.mark.parametrize(
    "line",
    [
        *({"kind": kind} for kind in ("steps", "sample", "probe", "epoch")),
        {"kind": "steps", "first": None, "loss": None, "learning_rate": None},
        {"kind": "sample", "step": None, "weights": None, "layers": None},
        {"kind": "epoch", "epoch": None, "step": None, "logs": None},
        {"kind": "histogram"},
        {"kind": "histogram", "layer": "a", "edges": [], "counts": []},
        {"kind": "histogram", "layer": "a", "edges": [0, 1], "counts": [1, 2]},
        {"kind": "histogram", "layer": "a", "edges": [0, "inf"], "counts": [1]},
        {"kind": "histogram", "layer": "a", "edges": [0, 1], "counts": [None]},
        {"kind": "news", "step": 1, "layers": {"a": {"mean": 1.0}}},
        {},
    ],
)
def test_a_line_with_nothing_to_show_begins_no_file(tmp_path, line):
    writer = EventWriter(tmp_path)
    writer.add(line)
    writer.flush()
    writer.close()
    assert writer.path is None
    assert os.listdir(tmp_path) == []


def test_lines_without_a_step_stand_where_the_run_was(tmp_path):
    histogram = {"kind": "histogram", "layer": "a", "edges": [0, 1], "counts": [1]}
    shown = written(
        tmp_path,
        {"kind": "steps", "first": 0, "loss": [1.0, 2.0]},
        {"kind": "steps", "loss": [3.0]},
        {"kind": "probe", "layers": {"a": {"mean": 0.5}}},
        {"kind": "epoch", "epoch": 1, "step": 3, "logs": {"loss": 2.0}},
        {"kind": "epoch", "epoch": 2, "step": 6, "logs": {"loss": 1.0}},
        histogram | {"epoch": 1},
        histogram | {"epoch": 9, "layer": "b"},
    )
    assert shown["batch/loss"] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert shown["probe/a/mean"] == [(3, 0.5)]
    placed = read(tmp_path, histograms.PLUGIN_NAME)
    steps = {tag: [step for step, _ in placed[tag]] for tag in placed}
    assert steps == {"activations/a": [3], "activations/b": [6]}


def test_steps_that_were_dropped_leave_the_others_in_place(tmp_path):
    shown = written(
        tmp_path,
        {"kind": "steps", "first": 0, "steps": [0, 2, 5], "loss": [1.0, 3.0, 6.0]},
        {"kind": "steps", "loss": [7.0]},
    )
    assert shown["batch/loss"] == [(1, 1.0), (3, 3.0), (6, 6.0), (7, 7.0)]


def test_another_reader_sees_what_was_flushed(tmp_path):
    writer = EventWriter(tmp_path)
    live = reader(tmp_path)

    def seen():
        live.Reload()
        return [event.step for event in live.Tensors("batch/loss")]

    writer.add({"kind": "steps", "first": 0, "loss": [1.0, 2.0]})
    writer.flush()
    assert seen() == [1, 2]
    # So many that the last of them is cut off in the file before the flush.
    writer.add({"kind": "steps", "first": 2, "loss": [0.5] * 500})
    assert seen() == list(range(1, len(seen()) + 1))
    writer.flush()
    assert seen() == list(range(1, 503))
    writer.close()


def test_a_line_after_close_goes_on_in_another_file(tmp_path):
    writer = EventWriter(tmp_path)
    writer.add({"kind": "steps", "first": 0, "loss": [1.0, 2.0]})
    first = writer.path
    writer.close()
    writer.add({"kind": "steps", "first": 2, "loss": [3.0]})
    writer.close()
    assert sorted(tmp_path.iterdir()) == [first, writer.path]
    assert read(tmp_path)["batch/loss"] == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_run_written_again_replaces_the_one_before(tmp_path):
    write_events(run_record(steps=8, scale=2.0), tmp_path / "again")
    write_events(run_record(), tmp_path / "again")
    write_events(run_record(), tmp_path / "once")
    assert len(os.listdir(tmp_path / "again")) == 2
    assert read(tmp_path / "again") == read(tmp_path / "once")


def test_a_missing_extra_is_named_and_nothing_is_made(tmp_path, monkeypatch):
    real = tensorboard.require

    def require(module, extra, purpose):
        return real("package_that_is_not_installed", extra, purpose)

    monkeypatch.setattr(tensorboard, "require", require)
    with pytest.raises(MissingExtraError, match=r"keras-practices\[tensorboard\]"):
        EventWriter(tmp_path / "run")
    with pytest.raises(MissingExtraError, match="Writing TensorBoard event files"):
        write_events(run_record(), tmp_path / "run")
    assert os.listdir(tmp_path) == []


def test_an_unwritable_folder_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("taken")
    for write in (EventWriter, lambda logdir: write_events(run_record(), logdir)):
        with pytest.raises(OutputPathError, match="EventWriter: argument `logdir`"):
            write(file / "run")
    assert file.read_text() == "taken"


@pytest.mark.parametrize("logdir", [None, 3, b"run"])
def test_a_folder_that_is_no_path_is_an_error(logdir):
    with pytest.raises(TypeError, match="EventWriter: argument `logdir`"):
        EventWriter(logdir)


@pytest.mark.parametrize("line", [None, "epoch", [("kind", "epoch")]])
def test_a_line_that_is_no_dict_is_an_error(tmp_path, line):
    with pytest.raises(TypeError, match="EventWriter: argument `line`"):
        EventWriter(tmp_path).add(line)


@pytest.mark.parametrize("record", [None, [{"kind": "epoch"}], {"kind": "epoch"}])
def test_what_is_no_record_is_an_error(tmp_path, record):
    with pytest.raises(TypeError, match="write_events: argument `record`"):
        write_events(record, tmp_path)


def test_a_record_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"record\.jsonl"):
        write_events(tmp_path / "nowhere", tmp_path / "run")
    assert os.listdir(tmp_path) == []


PROGRAM = """
import sys
from keras_practices.record import Record
from keras_practices.tensorboard import write_events

other = {"tensorflow", "torch"}
if other & set(sys.modules):
    sys.exit("loaded with Keras: the test can show nothing")
record = Record()
record.add("steps", first=0, epoch=[1.0], loss=[0.5])
record.add("histogram", epoch=1, layer="a", edges=[0, 1], counts=[1])
write_events(record, sys.argv[1])
sys.exit(f"loaded: {other & set(sys.modules)}" if other & set(sys.modules) else 0)
"""


def test_writing_loads_no_tensorflow_and_no_torch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path)["batch/loss"] == [(1, 0.5)]
