import json
import math
import pathlib

import pytest

from keras_practices.record import FILE_NAME
from keras_practices.record import SCHEMA
from keras_practices.record import Record
from keras_practices.record import writable_folder

pytestmark = pytest.mark.once


def fill(record):
    record.add("start", schema=SCHEMA, environment={}, model={}, fit={"epochs": 2})
    record.add("steps", first=0, epoch=[0.5, 1.0], loss=[2.0, math.nan])
    record.add("sample", step=1, epoch=1.0, weights={}, layers={})
    record.add("epoch", epoch=1, step=2, logs={"loss": 1.5})
    record.add("steps", first=2, epoch=[1.5], loss=[math.inf])
    record.add("histogram", epoch=1, layer="relu", edges=[0, 1], counts=[4])
    return record


def test_memory_and_file_tell_the_same(tmp_path):
    in_memory, on_disk = fill(Record()), fill(Record(tmp_path / "run"))
    on_disk.close()
    assert in_memory.path is None
    loaded = Record.load(tmp_path / "run")
    assert loaded.lines == in_memory.lines == on_disk.lines
    assert Record.load(tmp_path / "run" / FILE_NAME).lines == loaded.lines


def test_lines_are_found_by_kind():
    record = fill(Record())
    assert record.start["fit"] == {"epochs": 2}
    assert record.end == {}
    assert [line["step"] for line in record.samples] == [1]
    assert [line["epoch"] for line in record.epochs] == [1]
    assert [line["layer"] for line in record.histograms] == ["relu"]
    record.add("end", status="completed")
    assert record.end["status"] == "completed"


def test_a_curve_joins_the_steps_and_keeps_what_is_not_finite():
    epochs, losses = fill(Record()).curve("loss")
    assert epochs == [0.5, 1.0, 1.5]
    assert losses[0] == 2.0
    assert math.isnan(losses[1])
    assert losses[2] == math.inf


def test_it_can_be_read_while_it_is_written(tmp_path):
    record = Record(tmp_path)
    record.add("start", schema=SCHEMA)
    assert Record.load(tmp_path).start == {"kind": "start", "schema": SCHEMA}
    record.add("end", status="completed")
    assert Record.load(tmp_path).end["status"] == "completed"
    record.close()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_killed_run_loses_the_torn_line_only(tmp_path, cut):
    fill(Record(tmp_path)).close()
    file = tmp_path / FILE_NAME
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]) + lines[-1][:cut], encoding="utf-8")
    assert Record.load(tmp_path).lines == fill(Record()).lines[:-1]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"kind": "start"}\nnot json\n{"kind": "end"}\n')
    with pytest.raises(ValueError, match="line 2 .* is not JSON"):
        Record.load(tmp_path)


def test_a_newer_schema_is_an_error(tmp_path):
    line = {"kind": "start", "schema": SCHEMA + 1}
    (tmp_path / FILE_NAME).write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 1}"):
        Record.load(tmp_path)


def test_a_missing_record_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="argument `path`"):
        Record.load(tmp_path / "nowhere")


def test_an_old_record_stands_until_the_first_line(tmp_path):
    fill(Record(tmp_path)).close()
    record = Record(tmp_path)
    assert Record.load(tmp_path).start != {}
    record.add("end", status="interrupted")
    record.close()
    assert [line["kind"] for line in Record.load(tmp_path).lines] == ["end"]


def test_an_unwritable_folder_is_named_and_nothing_is_left(tmp_path):
    file = tmp_path / "file"
    file.write_text("taken")
    with pytest.raises(OSError, match=r"Record: argument `directory` .*file/runs"):
        Record(file / "runs" / "first")
    assert file.read_text() == "taken"


def test_folders_made_on_the_way_are_removed_again(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "touch", refuse)
    (tmp_path / "old").mkdir()
    with pytest.raises(OSError, match="argument `folder`"):
        writable_folder("Owner", "folder", tmp_path / "old" / "new" / "deep")
    assert list((tmp_path / "old").iterdir()) == []


def test_a_writable_folder_holds_no_trace(tmp_path):
    folder = writable_folder("Owner", "folder", str(tmp_path / "a" / "b"))
    assert folder == tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []


def test_a_line_after_close_is_added_to_the_file(tmp_path):
    record = Record(tmp_path)
    record.add("epoch", epoch=1)
    record.close()
    record.add("epoch", epoch=2)
    record.close()
    assert [line["epoch"] for line in Record.load(tmp_path).epochs] == [1, 2]
