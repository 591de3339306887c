"""Several runs on one page: what differs between them, and which did best."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_practices._core.validation import value_error
from keras_practices.report import words
from keras_practices.report.best import VALIDATION
from keras_practices.report.best import best_epoch
from keras_practices.report.report import Report


def compare(
    runs: Mapping[str, Any] | Sequence[str | os.PathLike[str]],
    *,
    title: str = "Comparison of runs",
) -> Report:
    """Puts two or more runs beside one another.

    Args:
        runs: Dict of name to `Report`, `Record` or the folder of a record; or a list
            of such folders, which are then named by their last part.
        title: Text at the top.

    Returns:
        A `Report` with the findings of all runs, errors first, each under the name of
        its run; a table of the runs at the epoch with the lowest validation loss; a
        table of the settings that differ; and the curves of all runs in one picture.

    Raises:
        TypeError: something else than a report, a record or a path.
        ValueError: fewer than two runs, two of one name, or no record there.

    Example:

    >>> from keras_practices import Record
    >>> def run(rate, losses):
    ...     record = Record()
    ...     record.add("start", figures={"model": {"optimizer": {"rate": rate}}})
    ...     for epoch, loss in enumerate(losses, 1):
    ...         record.add("epoch", epoch=epoch, step=epoch, logs={"val_loss": loss})
    ...     return record
    >>> both = compare({"slow": run(1e-3, [1.0, 0.9]), "fast": run(1e-2, [0.5, 0.6])})
    >>> [row["val_loss"] for row in both.sections["Runs"]]
    [0.9, 0.5]
    >>> both.sections["What differs"]
    [{'setting': 'optimizer.rate', 'slow': 0.001, 'fast': 0.01}]
    """
    reports = _reports(runs)
    records = {name: one.record for name, one in reports.items() if one.record}
    sections: dict[str, Any] = {
        "Runs": [_row(name, one) for name, one in reports.items()],
        "What differs": _differences(reports) or "No setting that the records hold.",
    }
    return Report.from_findings(
        _findings(reports),
        title=title,
        not_measured=[
            (f"{name}: {what}", why)
            for name, one in reports.items()
            for what, why in one.not_measured
        ],
        sections=sections,
        runs=records,
    )


def _reports(runs):
    if not isinstance(runs, Mapping):
        paths = [pathlib.Path(path) for path in runs]
        names = [path.resolve().name for path in paths]
        if len(set(names)) < len(names):
            names = [str(path) for path in paths]
        if len(set(names)) < len(names):
            raise value_error("compare", "runs", "folders that differ", runs)
        runs = dict(zip(names, paths, strict=True))
    if len(runs) < 2:
        raise value_error("compare", "runs", "two or more runs", list(runs))
    return {
        str(name): run if isinstance(run, Report) else Report.from_record(run)
        for name, run in runs.items()
    }


def _findings(reports):
    """The findings of all runs under their names; what several share stands once."""
    shared = {}
    for name, report in reports.items():
        for found in report.findings:
            shared.setdefault((found.rule, found.message), (found, []))[1].append(name)
    joined = []
    for found, names in shared.values():
        who = "all runs" if len(names) == len(reports) else " and ".join(names)
        message = f"{who}: {found.message}"
        evidence = {"runs": names, **found.evidence}
        joined.append(dataclasses.replace(found, message=message, evidence=evidence))
    return joined


def _row(name, report):
    """One line of the table of runs."""
    problem = next((one for one in report.findings if one.is_problem), None)
    row = {"run": name, "first finding": problem.rule if problem else "none"}
    if report.record is None:
        return row
    seconds = report.record.end.get("seconds")
    row["took"] = "not ended" if seconds is None else words.duration(seconds)
    row["epochs"] = max((line["epoch"] for line in report.record.epochs), default=0)
    best = best_epoch(report.record)
    if best:
        row |= {"best epoch": best["epoch"]} if VALIDATION in best["logs"] else {}
        row |= {key: float(value) for key, value in best["logs"].items()}
    return row


def _differences(reports):
    """Rows of the settings that are not the same in all runs."""
    settings = {name: _settings(one) for name, one in reports.items()}
    keys = dict.fromkeys(key for one in settings.values() for key in one)
    rows = []
    for key in keys:
        values = {name: one.get(key, "not known") for name, one in settings.items()}
        if len({repr(value) for value in values.values()}) > 1:
            rows.append({"setting": key} | values)
    return rows


def _settings(report):
    """What was chosen for a run: model, optimizer, outputs, fit, environment."""
    if report.record is None:
        return {}
    start = report.record.start
    figures = start.get("figures", {})
    model = dict(figures.get("model") or {})
    optimizer = model.pop("optimizer", {})
    # Keras numbers the names of models and layers: they differ without a choice.
    model.pop("name", None)
    outputs = {
        f"{place}." if place else "": {
            key: output.get(key) for key in ("activation", "loss", "from_logits")
        }
        for place, output in enumerate(figures.get("outputs", []))
    }
    tables = {
        "model.": model,
        "optimizer.": optimizer,
        **{f"output.{place}": output for place, output in outputs.items()},
        "fit.": start.get("fit", {}),
        "environment.": start.get("environment", {}),
    }
    return {
        key: value
        for prefix, table in tables.items()
        for key, value in words.flat(table, prefix)
        if isinstance(value, int | float | str | None)
    }
