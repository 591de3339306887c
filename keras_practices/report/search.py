"""A search on one page: what was found, which trials did best, what decided it."""

import os
from typing import Any

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import MissingExtraError
from keras_practices.errors import first_line
from keras_practices.measures.search.borders import measure_borders
from keras_practices.measures.search.efficiency import measure_efficiency
from keras_practices.measures.search.efficiency import measure_winner
from keras_practices.measures.search.efficiency import variance_of_accuracy
from keras_practices.measures.search.importance import measure_importances
from keras_practices.measures.search.independent import independent_trials
from keras_practices.measures.search.lost import measure_lost
from keras_practices.report import search_charts
from keras_practices.report import search_tables
from keras_practices.report.report import Report
from keras_practices.report.words import plural
from keras_practices.rules import run_rules
from keras_practices.search_record import SearchRecord

FEWEST_FOR_CURVE = 4


def report_search(
    search: Any,
    *,
    title: str = "Search report",
    validation_rows: int | None = None,
    fanova: bool = True,
) -> Report:
    """Reports a search, which may still be running.

    Args:
        search: Folder of a search (`directory/project_name`), a `SearchRecord`, or a
            tuner of `kp.tuners`.
        title: Text at the top.
        validation_rows: Integer or None. Rows of the validation part, where the
            objective is an accuracy: then each of the best trials is given its
            probability to be the best, and not merely the luckiest.
        fanova: Bool. With the importances of fANOVA, which take some seconds, beside
            those of PED-ANOVA.

    Returns:
        A `Report`: findings (ranges whose best values lie at an end, trials that were
        lost), tables of the best trials, of those that ended early and of stages, and
        charts: score by trial, the efficiency of random search, each hyperparameter,
        all of them side by side, and their importances.

    Raises:
        TypeError: something else than a folder, a record or a tuner.
        ValueError: no search there; `validation_rows` beside another objective.

    Example:

    >>> from keras_practices.report.search import report_search
    >>> from keras_practices.search_record import SearchRecord, TrialResult
    >>> rate = {"name": "rate", "kind": "float", "low": 1e-4, "high": 1.0,
    ...         "scale": "log"}
    >>> trials = {i: TrialResult(i, {"rate": 0.1**i}, score=i / 4) for i in range(4)}
    >>> report = report_search(SearchRecord("val_accuracy", "max", [rate], trials))
    >>> report.sections["Best trials"][0]["trial"]
    3
    """
    record = _record(search)
    if validation_rows is not None:
        check_integer("report_search", "validation_rows", validation_rows, low=2)
        if not _is_accuracy(record):
            expected = "None where the objective is no accuracy in [0, 1]"
            given = f"{validation_rows} (objective {record.objective!r})"
            raise value_error("report_search", "validation_rows", expected, given)
    missing: list[tuple[str, str]] = []
    borders = measure_borders(record)
    if borders["why"]:
        missing.append(("best values at the ends of ranges", borders["why"]))
    found = run_rules(
        {"borders": borders, "lost": measure_lost(record)},
        stages=("act",),
        select=("best-on-border", "trial-diverged"),
    )
    chances = _chances(record, validation_rows)
    charts = [
        search_charts.score_chart(record),
        _efficiency(record, missing),
        search_charts.slice_panels(record),
        search_charts.parallel_chart(record),
        _importances(record, fanova, missing),
    ]
    return Report.from_findings(
        found,
        title=title,
        figures={"search": search_tables.summary(record)},
        sections=search_tables.sections(record, chances),
        charts=[chart for chart in charts if chart is not None],
        not_measured=missing,
    )


def _record(search):
    if isinstance(search, SearchRecord):
        return search
    folder = getattr(search, "project_dir", search)
    if not isinstance(folder, str | os.PathLike):
        expected = "the folder of a search, a SearchRecord or a tuner"
        raise type_error("report_search", "search", expected, search)
    return SearchRecord.load(folder)


def _is_accuracy(record):
    scores = [float(one.score) for one in record.ranked]
    named = "acc" in record.objective
    return named and all(0.0 <= score <= 1.0 for score in scores)


def _chances(record, rows):
    """Probability of each trial to be the best, by number; {} where not asked for."""
    ranked = record.ranked
    if rows is None or not ranked:
        return {}
    scores = [float(one.score) for one in ranked]
    # An accuracy of 1 on n rows is not certain: as with one row wrong (n + 1 of them).
    bounded = [min(max(s, 1 / (rows + 1)), 1 - 1 / (rows + 1)) for s in scores]
    variances = [variance_of_accuracy(score, rows) for score in bounded]
    weights = measure_winner(scores, variances, record.direction)["weights"]
    return {one.trial: w for one, w in zip(ranked, weights, strict=True)}


def _efficiency(record, missing):
    scores = [float(o.score) for o in independent_trials(record) if o.has_score]
    if len(scores) < FEWEST_FOR_CURVE:
        why = f"{plural(len(scores), 'independent trial')} with a score."
        missing.append(("efficiency of random search", why))
        return None
    return search_charts.efficiency_chart(
        record, measure_efficiency(scores, record.direction)
    )


def _importances(record, fanova, missing):
    figures = []
    for method in ("ped-anova", "fanova") if fanova else ("ped-anova",):
        try:
            figures.append(measure_importances(record, method))
        except (ArgumentValueError, MissingExtraError) as error:
            missing.append((f"importances ({method})", first_line(error)))
    return search_charts.importance_chart(figures) if figures else None
