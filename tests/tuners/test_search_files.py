import errno
import json
import math
import os
import shutil

import numpy as np
import pytest

from keras_practices.errors import ArgumentValueError
from keras_practices.errors import OutputPathError
from keras_practices.search_record import SearchRecord
from keras_practices.search_record import TrialResult
from keras_practices.search_record import read_json
from keras_practices.tuners import files
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.files import finite_or_none
from keras_practices.tuners.files import publish
from keras_practices.tuners.kept_weights import KeptWeights
from keras_practices.tuners.strategy import Proposal

pytestmark = pytest.mark.once


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_appears_once_and_the_first_stays(tmp_path):
    path = tmp_path / "result.json"
    assert publish(path, {"score": 1.0}, durable=True)
    assert not publish(path, {"score": 2.0})
    assert json.loads(path.read_text()) == {"score": 1.0}
    assert [item.name for item in tmp_path.iterdir()] == ["result.json"]


def test_who_comes_between_look_and_link_is_first(tmp_path, monkeypatch):
    path, link = tmp_path / "result.json", os.link

    def late(source, target):
        path.write_text('{"score": 3}')  # the other process, in this instant
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert not publish(path, {"score": 1})
    assert json.loads(path.read_text()) == {"score": 3}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_drive_without_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert publish(tmp_path / "a.json", {"a": 1})
    assert not publish(tmp_path / "a.json", {"a": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_a_full_disk_costs_weights_until_there_is_room(tmp_path, monkeypatch):
    weights, link = ["a", "b"], os.link
    monkeypatch.setattr(os, "link", lambda *a: full() if weights else link(*a))
    assert publish(
        tmp_path / "r.json", {"a": 1}, make_room=lambda: bool(weights and weights.pop())
    )
    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        publish(tmp_path / "s.json", {"a": 1})
    assert [item.name for item in tmp_path.iterdir()] == ["r.json"]


def test_what_is_written_is_json():
    table = {"a": np.float32(0.5), "b": [math.nan, math.inf], 3: (np.int64(2), True)}
    assert finite_or_none(table) == {"a": 0.5, "b": [None, None], "3": [2, True]}


def test_a_trial_keeps_the_point_of_its_first_attempt(tmp_path):
    folder = SearchFolder(tmp_path / "search")
    first = Proposal(3, {"rate": 0.1}, stage=2, epochs=5, continues=1)
    assert folder.begin(first) == first
    again = SearchFolder(tmp_path / "search").begin(Proposal(3, {"rate": 0.2}, stage=2))
    assert again == first
    assert folder.new_attempt(first) == (
        0,
        tmp_path / "search/stage-2/trial-00003/attempt-0",
    )
    assert folder.new_attempt(first)[0] == 1


def test_results_of_others_are_seen_and_the_first_counts(tmp_path):
    here, there = SearchFolder(tmp_path), SearchFolder(tmp_path)
    assert here.results() == {}
    early = TrialResult(0, {"a": 1}, score=0.5)
    assert there.publish(early) is early
    assert here.results() == {}
    assert here.results(refresh=True) == {0: early}
    late = SearchFolder(tmp_path).publish(TrialResult(0, {"a": 1}, score=0.1))
    assert late == early
    # A torn or empty file counts as none.
    (tmp_path / "stage-1/trial-00001").mkdir()
    (tmp_path / "stage-1/trial-00001/result.json").write_text('{"trial": 1, "val')
    assert set(SearchFolder(tmp_path).results()) == {0}


def test_what_ended_is_read_once_and_what_ends_late_is_found(tmp_path, monkeypatch):
    here, there = SearchFolder(tmp_path), SearchFolder(tmp_path)
    for number in (1, 0):
        there.begin(Proposal(number, {"a": number}))
    (tmp_path / "stage-1" / "trial-notes").mkdir()
    ended = there.publish(TrialResult(1, {"a": 1}, score=0.5))
    assert here.results(refresh=True) == {1: ended}
    read = []
    monkeypatch.setattr(
        files, "read_json", lambda path: read.append(str(path)) or read_json(path)
    )
    late = there.publish(TrialResult(0, {"a": 0}, score=0.1))
    second = there.publish(TrialResult(2, {"a": 2}, stage=2, score=0.2))
    assert here.results(refresh=True) == {0: late, 1: ended, 2: second}
    assert len(read) == 2
    assert here.results(refresh=True) == {0: late, 1: ended, 2: second}
    assert len(read) == 2
    # A trial whose folder was deleted is tried anew by who reads everything anew.
    shutil.rmtree(tmp_path / "stage-1" / "trial-00001")
    here.forget()
    assert here.results() == {0: late, 2: second}


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    folder = SearchFolder(tmp_path / "file" / "search")
    with pytest.raises(OutputPathError, match="file/search"):
        folder.publish_head({"schema": 1})


def trial_with_weights(folder, number, score, stage=1, size=100):
    path = folder.trial_folder(number, stage) / "attempt-0"
    path.mkdir(parents=True)
    file = path / "epoch-0001_val_loss-0.5.weights.h5"
    file.write_bytes(b"x" * size)
    name = file.relative_to(folder.path).as_posix()
    folder.publish(TrialResult(number, {}, stage=stage, score=score, checkpoint=name))
    return file


@pytest.mark.parametrize(("direction", "kept"), [("min", {1, 3}), ("max", {0, 2})])
def test_the_best_of_a_stage_keep_their_weights(tmp_path, direction, kept):
    folder = SearchFolder(tmp_path)
    files = {
        number: trial_with_weights(folder, number, score)
        for number, score in enumerate([0.9, 0.1, 0.8, 0.3])
    }
    other = trial_with_weights(folder, 9, 99.0, stage=2)
    KeptWeights(folder, direction, 2, None).update(folder.results())
    assert {number for number, file in files.items() if file.exists()} == kept
    assert other.exists()


def test_the_worst_of_the_earliest_stage_make_room(tmp_path):
    folder = SearchFolder(tmp_path)
    good, bad = (trial_with_weights(folder, n, 0.1 + n) for n in range(2))
    late = trial_with_weights(folder, 2, 9.0, stage=2)
    kept = KeptWeights(folder, "min", None, 350)
    kept.update(folder.results())
    assert kept.reserve(50)
    assert bad.exists()
    assert kept.reserve(150)
    assert (good.exists(), bad.exists(), late.exists()) == (True, False, True)
    with pytest.warns(UserWarning, match="full"):
        assert kept.make_room()
    assert kept.make_room()  # it is said once: a second warning would be an error
    assert not kept.make_room()
    assert not good.exists()
    assert not late.exists()
    assert not kept.reserve(400)


def test_a_record_reads_the_folder_with_spaces_of_single_trials(tmp_path):
    folder = SearchFolder(tmp_path)
    with pytest.raises(ArgumentValueError, match="search.json"):
        SearchRecord.load(tmp_path)
    rate = {"name": "rate", "kind": "float", "low": 0.0, "high": 1.0}
    folder.publish_head(
        {
            "schema": 1,
            "objective": {"name": "val_loss", "direction": "min"},
            "seed": 3,
            "strategy": {"name": "RandomStrategy", "arguments": {}},
            "space": [rate],
        }
    )
    units = {"name": "units", "kind": "int", "low": 1, "high": 9}
    for number in (0, 1):
        proposal = Proposal(number, {"rate": 0.5})
        folder.begin(proposal)
        folder.publish_space(proposal, {"space": [units], "hyperparameters": {}})
    folder.publish(TrialResult(1, {"rate": 0.5, "units": 3}, score=2.0))
    record = SearchRecord.load(tmp_path)
    assert record.space == [rate, units]
    assert record.running == (0,)
    assert [one.trial for one in record.ranked] == [1]
