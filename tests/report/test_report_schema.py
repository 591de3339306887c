"""The JSON of a report is a file format: docs/report.md is its description."""

import json
import pathlib
import re

import pytest

from keras_practices.charts import Chart
from keras_practices.charts import Images
from keras_practices.charts import Panels
from keras_practices.findings import Finding
from keras_practices.report import Report
from keras_practices.report.report import SCHEMA

pytestmark = pytest.mark.once
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "report.md"


def described(heading):
    """The keys in the first table below a line of the page."""
    after = PAGE.read_text("utf-8").split(heading, 1)[1].lstrip("\n")
    table = after[after.index("| key") :].split("\n\n", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_key_of_a_report_is_described_and_no_other():
    assert described("## JSON") == list(Report().to_dict())


def test_every_key_of_a_finding_is_described_and_no_other():
    found = Finding("loss-not-finite", "error", "during", "loss", "Loss is NaN.")
    assert described("A finding:") == list(found.to_dict())


def test_the_number_of_the_schema_is_described():
    assert f"`schema` is {SCHEMA}." in PAGE.read_text("utf-8")


def test_a_report_of_schema_1_from_another_time_is_read():
    # As version 0.1.0 wrote it, before a report could hold several runs.
    old = {
        "schema": 1,
        "title": "t",
        "findings": [],
        "figures": {},
        "not_measured": [],
        "timings": {},
        "environment": {},
        "sections": {},
        "record": None,
    }
    assert Report.from_json(json.dumps(old)).title == "t"


def test_every_key_of_a_chart_is_described_and_no_other():
    chart = Report(charts=[Chart("t", "x", "y", [], "r")]).to_dict()["charts"][0]
    assert described("A chart (`kind` is `chart`):") == list(chart)


@pytest.mark.parametrize(
    "value", [Panels("t", [], "r"), Images("t", [[[1.0]]], reading="r")]
)
def test_every_key_of_a_group_and_of_images_is_described(value):
    text = PAGE.read_text("utf-8").split("A group (`kind` is", 1)[1].split("\n\n")[0]
    for key in Report(charts=[value]).to_dict()["charts"][0]:
        assert f"`{key}`" in text
