"""The report as text."""

import io
import re

import pytest
from rich.console import Console
from test_report_samples import make_finding
from test_report_samples import make_record

from keras_practices.record import Record
from keras_practices.report import Report
from keras_practices.report import words

pytestmark = pytest.mark.once


def flowing(text):
    return " ".join(text.split())


def test_verdict_line_takes_the_first_finding_that_needs_action():
    found = [
        make_finding("note", message="A note."),
        make_finding("error", message="The loss is NaN"),
        make_finding("warning", message="Slow."),
    ]
    text = flowing(Report(found).text())
    assert (
        "1 error, 1 warning, 1 note: The loss is NaN. "
        "Do: Set learning_rate to about 0.003." in text
    )


@pytest.mark.parametrize(
    ("severities", "start"),
    [
        ((), "No findings: Nothing found that needs action."),
        (("note",), "No errors, no warnings, 1 note: Nothing found"),
    ],
)
def test_verdict_of_a_healthy_run(severities, start):
    report = Report([make_finding(each) for each in severities])
    assert start in flowing(report.text())


def test_text_shows_every_part():
    report = Report(
        [make_finding()],
        title="Digits",
        record=make_record(),
        figures={"test set": {"accuracy": 0.9763888}},
        not_measured=[("gradient check", "no time left")],
        timings={"training": 125.2},
        environment={"keras": "3.15.1"},
        sections={
            "Trials": [{"trial": 1, "score": 0.91}, {"trial": 2, "bad": "yes"}],
            "Vault": "Opened once.",
        },
    )
    text = flowing(report.text())
    for part in (
        "Digits 3 epochs, 24 steps, 2 s, monitor: 100 ms (5 % of the training) and "
        "1.4 s to compile its step",
        "1. ERROR loss-not-finite (conv, in the training)",
        "Cause The learning rate is too high. Do Set learning_rate to about 0.003",
        "Evidence steps = 7; loss = 0.1235",
        "test set accuracy 0.9764",
        "Trials trial score bad 1 0.91 2 yes",
        "Vault Opened once.",
        "Timings training 2 min 05 s",
        "Environment keras 3.15.1",
        "Not measured gradient check no time left",
    ):
        assert part in text


def test_user_text_is_never_markup():
    name = "[bold]layer[/] :smile: [link=file:///x]"
    report = Report(
        [make_finding(subject=name, message=name, evidence={name: name})],
        title=name,
        figures={name: {name: name}},
        not_measured=[(name, name)],
        sections={name: [{name: name}]},
    )
    assert flowing(report.text(width=200)).count(name) >= 10


def test_width_is_kept_and_no_line_ends_in_blanks():
    report = Report([make_finding(message="word " * 60, subject="x" * 130)])
    lines = report.text(width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert [line for line in lines if line != line.rstrip()] == []


def test_colour_only_when_asked():
    report = Report([make_finding()])
    assert "\x1b[" not in report.text()
    coloured = report.text(color=True)
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert plain.split() == report.text().split()


def test_text_is_ascii_for_any_terminal():
    Report([make_finding()], record=make_record()).text().encode("ascii")


def test_str_and_rich_show_the_same():
    report = Report([make_finding()])
    assert str(report) == report.text()
    console = Console(file=io.StringIO(), width=100)
    console.print(report)
    assert console.file.getvalue().split() == report.text().split()


@pytest.mark.parametrize("width", [39, 80.0, True])
def test_bad_width_is_named(width):
    with pytest.raises((TypeError, ValueError), match="argument `width`"):
        Report().text(width=width)


def test_epochs_are_those_that_ended():
    record = make_record(epochs=2)
    record.add("epoch", epoch=0, logs={}, probe_loss=2.3)
    assert "2 epochs, 16 steps" in Report(record=record).text()


def test_what_the_monitor_could_not_measure_is_listed():
    record = make_record()
    record.add("fault", what="loss on the probe", why="ValueError: shapes differ")
    report = Report(record=record, not_measured=[("gradients", "no time")])
    text = flowing(report.text())
    assert "gradients no time loss on the probe ValueError: shapes differ" in text
    assert Report.from_json(report.to_json()).text() == report.text()


def test_a_run_that_was_cut_short_says_so():
    record = make_record()
    record.lines.pop()
    assert "training did not end by itself" in Report(record=record).text()
    record.add("end", status="interrupted", steps=3, seconds=0.5)
    text = flowing(Report(record=record).text())
    assert "training interrupted, 3 epochs, 3 steps, 500 ms" in text


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        ({}, "1 s"),
        ({"share": 0.1, "compile_seconds": 2.0}, "1 s"),
        ({"monitor_seconds": 0.21}, "1 s, monitor: 210 ms"),
        (
            {"monitor_seconds": 0.21, "share": 0.011, "compile_seconds": 0.0},
            "1 s, monitor: 210 ms (1.1 % of the training)",
        ),
        (
            {"monitor_seconds": 90.0, "share": 0.0, "compile_seconds": 1.4},
            "1 s, monitor: 1 min 30 s (0 % of the training) and 1.4 s to compile its "
            "step",
        ),
    ],
)
def test_what_the_monitor_cost_is_said(cost, text):
    record = Record()
    record.add("end", status="completed", seconds=1.0, **cost)
    assert words.run_facts(record) == ["no epochs", *text.split(", ")]


def test_a_long_list_of_layers_that_were_not_measured_is_cut():
    why = "Their forward pass is run again inside the gradient (RematScope)."
    record = Record()
    for count in (8, 30):
        names = ", ".join(f"dense_{place}" for place in range(count))
        record.add("fault", what=f"activations of the layers {names}", why=why)
    report = Report(record=record, not_measured=[(", ".join("abcdefghijk"), "no time")])
    short, long = words.unmeasured(report)[1:]
    assert short[0].endswith("dense_6, dense_7")
    assert long == (f"{short[0]}, and 22 more", why)
    assert words.unmeasured(report)[0] == (", ".join("abcdefghijk"), "no time")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (True, "yes"),
        (None, "none"),
        (9999, "9999"),
        (25610, "25,610"),
        (0.9763888, "0.9764"),
        (-12.3456, "-12.35"),
        (100.0, "100"),
        (54321.9, "54,322"),
        (0.00075, "0.00075"),
        (9.99999, "10"),
        (3.1e-5, "3.1e-5"),
        (4.0981e9, "4.098e9"),
        (float("nan"), "nan"),
        ([1, 2.5, "a"], "1, 2.5, a"),
        (list(range(10)), "0, 1, 2, 3, 4, 5, 6, 7, and 2 more"),
        (["first cause.", "b"], "first cause.\nb"),
        ({"a": 1, "b": [2]}, "a: 1; b: 2"),
        (1966.2, "1966"),
    ],
)
def test_shown(value, text):
    assert words.shown(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01234, "12.3 ms"),
        (1.0, "1 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (0.9996, "1 s"),
        (119.7, "2 min 00 s"),
        (7384, "2 h 03 min"),
        ("nan", "nan"),
    ],
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (1e-5, "<0.1 %"), (0.0216, "2.16 %"), (0.5, "50 %")],
)
def test_percent(share, text):
    assert words.percent(share) == text
