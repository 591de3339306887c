"""What a report is made of, checked: findings, dicts, tables, pairs, charts."""

from collections.abc import Iterable

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.charts import Chart
from keras_practices.charts import Images
from keras_practices.charts import Panels
from keras_practices.errors import ArgumentTypeError
from keras_practices.findings import Finding
from keras_practices.findings import json_safe
from keras_practices.report.words import is_number


def checked_findings(findings):
    """Returns a list of `Finding`; raises TypeError for anything else."""
    if isinstance(findings, Finding):
        raise type_error("Report", "findings", "a list of Finding", findings)
    findings = list(findings)
    for found in findings:
        if not isinstance(found, Finding):
            raise type_error("Report", "findings", "a list of Finding", found)
    return findings


def checked_dict(name, values):
    """Returns the argument `name` as a dict that JSON takes, None as an empty one."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise type_error("Report", name, "a dict or None", values)
    try:
        return json_safe(values)
    except ArgumentTypeError as error:
        expected = "a dict of numbers, texts, lists and dicts"
        raise type_error("Report", name, expected, values) from error


def checked_tables(figures):
    """Returns `figures` as a dict of dicts that JSON takes."""
    tables = checked_dict("figures", figures)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise type_error("Report", "figures", "a dict of dicts", {name: table})
    return tables


def checked_pairs(not_measured):
    """Returns a list of pairs of texts; raises ValueError for anything else."""
    pairs = []
    for pair in not_measured:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            expected = "a list of pairs (what, why)"
            raise value_error("Report", "not_measured", expected, pair)
        pairs.append(tuple(map(str, pair)))
    return pairs


def checked_charts(charts):
    """Returns a list of charts; raises TypeError for anything else."""
    expected = "a list of Chart, Panels and Images"
    if not isinstance(charts, Iterable):
        raise type_error("Report", "charts", expected, charts)
    charts = list(charts)
    for chart in charts:
        if not isinstance(chart, Chart | Panels | Images):
            raise type_error("Report", "charts", expected, chart)
    return charts


def checked_sections(sections):
    """Returns a dict of texts and tables; raises TypeError for anything else."""
    sections = checked_dict("sections", sections)
    for name, content in sections.items():
        rows = content if isinstance(content, list) else []
        if not isinstance(content, str | list) or not all(
            isinstance(row, dict) for row in rows
        ):
            expected = "a dict of texts or lists of dicts"
            raise type_error("Report", "sections", expected, {name: content})
    return sections


def checked_timings(timings):
    """Returns a dict of seconds; raises TypeError for anything else."""
    timings = checked_dict("timings", timings)
    for name, seconds in timings.items():
        if not is_number(seconds):
            raise type_error("Report", "timings", "a dict of seconds", {name: seconds})
    return timings
