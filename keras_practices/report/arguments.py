"""What a report is made of, checked: findings, dicts, tables, pairs."""

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import ArgumentTypeError
from keras_practices.findings import Finding
from keras_practices.findings import json_safe


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
