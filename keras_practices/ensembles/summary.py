"""Measures what an ensemble gains and what each member adds."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.ensembles import diversity
from keras_practices.ensembles.ensemble import Ensemble
from keras_practices.ensembles.members_report import Figure
from keras_practices.ensembles.members_report import MembersReport
from keras_practices.ensembles.row_scores import Scorer
from keras_practices.ensembles.row_scores import output_place

_OWNER = "ensembles.summary"
# Resampled at once: numbers held, 32 MiB.
_PIECE = 2**22


def summary(
    ensemble: Ensemble,
    x: Any,
    y: Any,
    *,
    metric: str | None = None,
    output: Any = None,
    names: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    subsets: int = 50,
    seed: int = 0,
    batch_size: int | None = None,
) -> MembersReport:
    """Measures accuracy or loss by the number of members, diversity, and additions.

    Args:
        ensemble: An `Ensemble`. Members of weight 0 are left out.
        x: Rows that neither trained nor chose the members; what `predict` takes.
        y: Their targets, an array: class numbers, one-hot rows, labels or numbers.
        metric: `"accuracy"`, `"loss"` (cross-entropy in nats, or the mean squared
            error), or None: accuracy, and the loss of numbers.
        output: Which of several outputs counts: a key or a place; `y` is of that one.
        names: Texts, one a member, or None for numbers.
        confidence: Number in (0, 1), of the intervals.
        resamples: Integer of at least 100. Bootstrap samples of the rows.
        subsets: Integer of at least 1. Ensembles of each size that are looked at:
            all where there are no more, else so many drawn at random.
        seed: Integer of at least 0.
        batch_size: Integer, or None for Keras's 32.

    Returns:
        `MembersReport`; print it, or give its `sections()` and `charts()` to
        `Report`.

    Raises:
        TypeError, ValueError: a bad argument; targets that do not go with the
            outputs.

    Cost:
        One prediction of each member; then at most `subsets` ensembles of each size
        in NumPy.

    Example:

    >>> def build():
    ...     layers = [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    ...     return keras.Sequential(layers)
    >>> ensemble = kp.ensembles.Ensemble([build(), build(), build()])
    >>> x = np.random.default_rng(0).normal(size=(60, 4))
    >>> found = kp.ensembles.summary(ensemble, x, x[:, :3].argmax(axis=1))
    >>> len(found.growth), found.growth[-1] == found.ensemble
    (3, True)

    References:
        CS231n, "Neural Networks Part 3", model ensembles; Efron and Tibshirani, "An
        introduction to the bootstrap", 1993, section 13.3.
    """
    if not isinstance(ensemble, Ensemble):
        raise type_error(_OWNER, "ensemble", "an Ensemble", ensemble)
    check_number(_OWNER, "confidence", confidence, low=0, high=1, closed="neither")
    check_integer(_OWNER, "resamples", resamples, low=100)
    check_integer(_OWNER, "subsets", subsets, low=1)
    check_integer(_OWNER, "seed", seed, low=0)
    called = _names(names, len(ensemble.members))
    parts = ensemble.contributions(x, batch_size)
    place = output_place(_OWNER, ensemble.output_structure, output)
    kind, way = ensemble.kinds_of_members[0][place], ensemble.ways[place]
    scorer = Scorer(_OWNER, y, parts[place][0], kind, way)
    weights = np.array(ensemble.weights_of_members)
    kept = np.flatnonzero(weights)
    part, weights = parts[place][kept].astype("float64"), weights[kept]
    random = np.random.default_rng(seed)
    metric = scorer.check_metric(metric)
    columns = _row_figures(
        part, weights, scorer, metric, subsets=subsets, random=random
    )
    figures = _bootstrap(columns, confidence, resamples, random)
    answers = np.stack([scorer.answers(one) for one in part])
    numbers = scorer.family == "numbers"
    right = np.ones_like(part) if numbers else [scorer.right(one) for one in part]
    errors = np.stack([scorer.errors(one) for one in part])
    labels = [called[int(place)] for place in kept]
    return MembersReport(
        rows=part.shape[1],
        metric=metric,
        confidence=confidence,
        names=tuple(labels),
        weights=tuple(float(weight) for weight in weights),
        disagreement=_rows(diversity.disagreement(answers, numbers)),
        error_correlation=_rows(diversity.error_correlation(errors)),
        q_statistic=() if numbers else _rows(diversity.q_statistic(np.stack(right))),
        notes=_notes(scorer, answers, labels, part.shape[-1]),
        **figures,
    )


def _names(names, count):
    if names is None:
        return [f"member {place}" for place in range(count)]
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise type_error(_OWNER, "names", "a list of texts", names)
    if len(names) != count or len(set(names)) != count:
        raise value_error(_OWNER, "names", f"{count} texts, all different", names)
    return list(names)


def _rows(table):
    return tuple(tuple(float(value) for value in row) for row in table)


def _row_figures(part, weights, scorer, metric, *, subsets, random):
    """Returns `{name: (rows, …) array}` of what the bootstrap averages over rows."""
    count = len(part)
    sign = 1.0 if metric == "accuracy" else -1.0

    def rows_of(places):
        places = list(places)
        shares = weights[places] / weights[places].sum()
        return scorer.rows(np.tensordot(shares, part[places], axes=1), metric)

    members = np.stack([rows_of([place]) for place in range(count)], axis=1)
    growth = []
    for size in range(1, count + 1):
        chosen = _subsets(count, size, subsets, random)
        growth.append(sum(rows_of(places) for places in chosen) / len(chosen))
    whole = growth[-1]
    best = members[:, np.argmax(sign * members.mean(axis=0))]
    adds = np.empty((len(whole), 0))
    if count > 1:
        without = [
            rows_of([other for other in range(count) if other != place])
            for place in range(count)
        ]
        adds = np.stack([sign * (whole - one) for one in without], axis=1)
    return {
        "members": members,
        "growth": np.stack(growth, axis=1),
        "adds": adds,
        "ensemble": whole,
        "gain_over_mean": sign * (whole - members.mean(axis=1)),
        "gain_over_best": sign * (whole - best),
    }


def _subsets(count, size, limit, random):
    if math.comb(count, size) <= limit:
        return list(itertools.combinations(range(count), size))
    return [random.permutation(count)[:size] for _ in range(limit)]


def _bootstrap(columns, confidence, resamples, random):
    """Returns a `Figure`, or a tuple of them, for each entry of `columns`."""
    names = list(columns)
    tables = [columns[name].reshape(len(columns[name]), -1) for name in names]
    table = np.concatenate(tables, axis=1)
    rows = len(table)
    means, step = [], max(1, _PIECE // rows)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        # How often each row is drawn: what sampling rows with replacement comes to.
        counts = random.multinomial(rows, np.full(rows, 1 / rows), size=draws)
        means.append(counts @ table / rows)
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    figures = [
        Figure(float(value), float(below), float(above))
        for value, below, above in zip(table.mean(axis=0), low, high, strict=True)
    ]
    found, start = {}, 0
    for name, one in zip(names, tables, strict=True):
        own = tuple(figures[start : start + one.shape[1]])
        found[name] = own[0] if columns[name].ndim == 1 else own
        start += one.shape[1]
    return found


def _notes(scorer, answers, names, classes):
    """Returns a sentence for each member whose classes seem to be in another order."""
    notes = []
    if scorer.family != "classes":
        return ()
    for name, given in zip(names, answers, strict=True):
        order = diversity.suspected_order(given, scorer.classes(), classes)
        if order is not None:
            notes.append(
                f"{name} seems to have its classes in another order: its outputs fit "
                f"the classes {order}. Pass `classes` to Ensemble."
            )
    return tuple(notes)
