"""The report as a value: order, properties, arguments, JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from test_report_samples import make_finding
from test_report_samples import make_record

from keras_practices.errors import OutputPathError
from keras_practices.findings import SEVERITIES
from keras_practices.findings import Finding
from keras_practices.record import Record
from keras_practices.report import Report

pytestmark = pytest.mark.once


def test_findings_keep_the_order_given():
    found = [make_finding("note"), make_finding("error"), make_finding("warning")]
    report = Report(found)
    assert report.findings == found
    assert report.first is found[0]
    assert (report.errors, report.warnings, report.notes) == (
        [found[1]],
        [found[2]],
        [found[0]],
    )


def test_from_findings_sorts_by_severity_and_keeps_order_within():
    first = [make_finding("note", "n1"), make_finding("warning", "w1")]
    second = [make_finding("error", "e1"), make_finding("warning", "w2")]
    report = Report.from_findings(first, second, title="Two checks")
    assert [found.rule for found in report.findings] == ["e1", "w1", "w2", "n1"]
    assert report.title == "Two checks"


@pytest.mark.parametrize(
    ("severities", "ok"),
    [((), True), (("note",), True), (("warning",), False), (("note", "error"), False)],
)
def test_ok_means_no_error_and_no_warning(severities, ok):
    assert Report([make_finding(each) for each in severities]).ok is ok


def test_first_of_nothing_is_none():
    assert Report().first is None


def test_environment_comes_from_the_record_unless_given():
    record = make_record()
    assert Report(record=record).environment == {"backend": "jax"}
    assert Report(record=record, environment={}).environment == {}


def test_json_round_trip_keeps_everything(tmp_path):
    report = Report(
        [make_finding(), make_finding("note", evidence={"x": [1, float("nan")]})],
        title="Réseau 学習",
        record=make_record(),
        figures={"data": {"rows": np.int64(1437), "mean": np.float32(0.5), "on": True}},
        not_measured=[("gradients", "no time")],
        timings={"checks": 0.25},
        environment={"keras": "3.15.1", "devices": ["cpu"]},
        sections={"Trials": [{"trial": 1, "score": 0.9}], "Why": "Because."},
    )
    back = Report.from_json(report.to_json())
    assert back.to_dict() == report.to_dict()
    assert back.findings == report.findings
    assert back.record.lines == report.record.lines
    path = report.to_json(tmp_path / "new" / "report.json")
    assert Report.from_json(path).to_dict() == report.to_dict()
    assert Report.from_json(str(path)).to_dict() == report.to_dict()


def test_json_is_strict_and_versioned():
    report = Report(figures={"a": {"x": float("nan"), "y": float("-inf")}})

    def refuse(word):
        raise ValueError(word)

    values = json.loads(report.to_json(), parse_constant=refuse)
    assert values["schema"] == 1
    assert values["figures"]["a"] == {"x": "nan", "y": "-inf"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(evidence=st.dictionaries(st.text(), JSON, max_size=4), title=st.text())
def test_any_content_survives_json_and_text(evidence, title):
    finding = Finding("r", "error", "act", "s", "m", evidence=evidence)
    report = Report([finding], title=title, environment=evidence)
    assert Report.from_json(report.to_json()).to_dict() == report.to_dict()
    assert "ERROR  r" in report.text()


def test_from_json_refuses_a_newer_schema():
    values = Report().to_dict() | {"schema": 2}
    with pytest.raises(ValueError, match="schema 2"):
        Report.from_json(json.dumps(values))


@pytest.mark.parametrize(
    "source", ["{", "{}", '{"schema": 1}', '{"schema": "x"}', "/nowhere/report.json"]
)
def test_from_json_names_what_it_needs(source):
    with pytest.raises(ValueError, match="argument `source`"):
        Report.from_json(source)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("findings", ["loss is NaN"]),
        ("findings", Finding("a", "error", "act", "s", "m")),
        ("title", None),
        ("record", {}),
        ("figures", {"accuracy": 0.9}),
        ("figures", {"data": {"rows": object()}}),
        ("not_measured", ["gradients"]),
        ("not_measured", [3]),
        ("timings", {"checks": "long"}),
        ("environment", "jax"),
        ("sections", {"Trials": 3}),
        ("sections", {"Trials": [3]}),
    ],
)
def test_a_bad_argument_is_named(name, value):
    with pytest.raises((TypeError, ValueError), match=f"argument `{name}`"):
        Report(**{name: value})


def test_to_json_to_an_unwritable_path_leaves_nothing(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("here")
    with pytest.raises(OutputPathError, match="argument `path`"):
        Report().to_json(blocker / "report.json")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_report_does_not_change_what_it_was_given():
    found = [make_finding()]
    figures = {"data": {"rows": 3}}
    report = Report(found, figures=figures, record=Record())
    report.figures["data"]["rows"] = 4
    report.findings.clear()
    assert figures == {"data": {"rows": 3}}
    assert len(found) == 1


def test_every_severity_is_counted():
    report = Report([make_finding(each) for each in SEVERITIES for _ in range(2)])
    assert report.text().count("2 errors, 2 warnings, 2 notes") == 1


def test_what_the_monitor_cost_is_in_the_timings_and_in_the_json():
    report = Report.from_record(make_record())
    timings = {"fit": 2.0, "monitor, within fit": 0.1, "monitor, compiling": 1.4}
    assert report.timings == timings
    end = json.loads(report.to_json())["record"][-1]
    assert (end["kind"], end["share"]) == ("end", 0.05)


def test_a_run_that_did_not_end_has_no_timings():
    record = make_record()
    record.lines.pop()
    assert Report.from_record(record).timings == {}
