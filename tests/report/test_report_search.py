"""A search as a report: tables, findings, charts, and what was not measured."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.report import Report
from keras_practices.report.search import report_search
from keras_practices.search_record import SearchRecord
from keras_practices.search_record import TrialResult

pytestmark = pytest.mark.once
BAD = "<script>alert('x')</script> $x^2$ 层"
SPACE = [
    {"name": "rate", "kind": "float", "low": 1e-4, "high": 1e-1, "scale": "log"},
    {"name": BAD, "kind": "choice", "values": [BAD, "b"], "ordered": False},
    {"name": "score", "kind": "int", "low": 1, "high": 9, "step": 1},
]


def search(trials=40, **fields):
    """A staged search: random trials, two that went on, one lost, one failed."""
    rng = np.random.default_rng(0)
    results = {}
    for trial in range(trials):
        u = rng.random(3)
        values = {
            "rate": float(10 ** (3 * u[0] - 4)),
            BAD: [BAD, "b"][int(2 * u[1])],
            "score": int(1 + 9 * u[2]),
        }
        score = float(0.9 - 0.5 * (1.2 - u[0]) ** 2)
        results[trial] = TrialResult(trial, values, score=score, epochs=2, seconds=1.0)
    first = {**results[0].values}
    if trials > 4:
        ranked = sorted(results.values(), key=lambda one: -one.score)[:2]
        for place, one in enumerate(ranked):
            number = trials + place
            results[number] = dataclasses.replace(
                one,
                trial=number,
                stage=2,
                epochs=10,
                continues=one.trial,
                score=one.score + 0.02,
                best_epoch=7,
            )
        results[trials + 2] = TrialResult(
            trials + 2, first, "ended-early", reason=f"loss-not-finite: {BAD}", epochs=1
        )
        error = f"Traceback\n  in build\nValueError: {BAD}\n"
        results[trials + 3] = TrialResult(trials + 3, first, "failed", error=error)
    fields = {"strategy": {"name": "StagedStrategy"}, "seed": 3, **fields}
    return SearchRecord("val_accuracy", "max", SPACE, results, **fields)


@pytest.fixture(scope="module")
def report():
    pytest.importorskip("optuna")
    return report_search(search(running=(44,)), fanova=False)


def test_the_page_has_every_chart_and_the_warning(report):
    assert [one.title for one in report.charts] == [
        "Score by trial",
        "Efficiency of random search",
        "Score over each hyperparameter",
        "Trials side by side",
        "Importance of hyperparameters",
    ]
    assert [found.rule for found in report.findings] == ["best-on-border"]
    assert report.first.advice == "Search rate from 0.01 to 1."
    assert report.not_measured == []


def test_tables_tell_the_best_the_lost_and_the_stages(report):
    best = report.sections["Best trials"]
    assert len(best) == 10
    assert [row["place"] for row in best] == list(range(1, 11))
    assert (best[0]["trial"], best[0]["stage"], best[0]["best epoch"]) == (40, 2, 7)
    # A hyperparameter of the same name as a column hides nothing.
    assert isinstance(best[0]["score"], float)
    assert 1 <= best[0]["score (searched)"] <= 9
    (lost,) = report.sections["Ended early"]
    assert lost["why"] == f"loss-not-finite: {BAD}"
    (failed,) = report.sections["Failed"]
    assert failed["why"] == f"ValueError: {BAD}"
    stages = report.sections["Stages"]
    assert [
        (row["stage"], row["trials"], row["of them going on"]) for row in stages
    ] == [
        (1, 42, 0),
        (2, 2, 2),
    ]
    facts = report.figures["search"]
    assert facts["trials ended"] == 44
    assert facts["trials begun and not ended"] == 1
    # 40 of 2 epochs, two that went on for 8 more, one of a single epoch.
    assert facts["epochs"] == 40 * 2 + 2 * 8 + 1


def test_best_so_far_only_rises_and_the_efficiency_ends_there(report):
    so_far = np.array(report.charts[0].lines[-1].y)
    assert (np.diff(so_far) >= 0).all()
    first_stage = max(
        one.score
        for one in search().trials.values()
        if (one.stage == 1 and one.has_score)
    )
    assert report.charts[1].lines[0].y[-1] == pytest.approx(first_stage)
    assert so_far[-1] == pytest.approx(first_stage + 0.02)


def test_slices_and_side_by_side_leave_out_what_goes_on(report):
    drawn = sum(len(line.x) for line in report.charts[2].charts[0].lines)
    assert drawn == 40
    side = report.charts[3]
    assert side.lines[0].name == "35 other trials"
    assert side.lines[1].name.startswith("trial 40: ")
    assert side.places == ["rate", BAD, "score"]
    gaps = [place for place, y in enumerate(side.lines[0].y) if math.isnan(y)]
    assert gaps == list(range(3, 4 * 35, 4))


def test_no_text_of_a_user_is_markup(report, tmp_path):
    page = report.save_html(tmp_path / "r.html").read_text("utf-8")
    assert "<script" not in page
    assert "alert(&#39;x&#39;)" in page
    assert Report.from_json(report.to_json()).to_dict() == report.to_dict()


def test_what_few_trials_cannot_tell_is_said():
    report = report_search(search(trials=3))
    assert [what for what, _ in report.not_measured] == [
        "best values at the ends of ranges",
        "efficiency of random search",
        "importances (ped-anova)",
        "importances (fanova)",
    ]
    assert "3 independent trials with a score" in report.not_measured[-1][1]
    assert report.ok


def test_a_search_without_an_end_is_a_report(tmp_path):
    empty = SearchRecord("val_loss", "min", SPACE, {}, running=(0,))
    report = report_search(empty)
    assert report.charts == []
    assert report.sections["Best trials"] == "No trial has a score."
    assert "No trial has a score." in report.text()
    report.save_html(tmp_path / "r.html")


def test_losses_far_apart_are_drawn_on_a_log_axis():
    record = search(trials=4)
    for trial, loss in enumerate((0.1, 0.2, 1e6, 0.3)):
        record.trials[trial] = dataclasses.replace(record.trials[trial], score=loss)
    charts = report_search(dataclasses.replace(record, direction="min")).charts
    assert charts[0].y_scale == "log"
    assert report_search(record).charts[0].y_scale == "linear"


def test_the_chance_to_be_the_best_where_the_rows_are_known():
    record = search(trials=3)
    for trial, score in enumerate((0.9, 0.9, 0.2)):
        record.trials[trial] = dataclasses.replace(record.trials[trial], score=score)
    rows = report_search(record, validation_rows=200).sections["Best trials"]
    assert [row["chance to be the best"] for row in rows] == ["50 %", "50 %", "0 %"]
    loss = dataclasses.replace(record, objective="val_loss")
    with pytest.raises(ArgumentValueError, match="`validation_rows`.*no accuracy"):
        report_search(loss, validation_rows=200)


def write(record, folder):
    """Writes a search as its formats are described, by hand."""
    head = {
        "schema": 1,
        "objective": {"name": record.objective, "direction": record.direction},
        "seed": 3,
        "strategy": {"name": "RandomStrategy", "arguments": {}},
        "space": record.space,
    }
    (folder / "search.json").write_text(json.dumps(head))
    for trial, one in record.trials.items():
        place = folder / f"stage-{one.stage}" / f"trial-{trial:05d}"
        place.mkdir(parents=True)
        (place / "result.json").write_text(json.dumps(one.to_dict()))


def test_a_folder_and_a_tuner_are_read(tmp_path):
    write(search(trials=3), tmp_path)

    class Tuner:
        project_dir = str(tmp_path)

    one, two = report_search(tmp_path), report_search(Tuner())
    assert one.to_dict() == two.to_dict()
    assert len(one.sections["Best trials"]) == 3


@pytest.mark.parametrize("wrong", [3, None, object()])
def test_anything_else_is_refused(wrong):
    with pytest.raises(ArgumentTypeError, match="`search` must be the folder"):
        report_search(wrong)


def test_a_folder_without_a_search_is_refused(tmp_path):
    with pytest.raises(ArgumentValueError, match=re.escape("search.json")):
        report_search(tmp_path)
