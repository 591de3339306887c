"""Chooses members by what they add on held-out rows."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices.ensembles.ensemble import Ensemble
from keras_practices.ensembles.row_scores import Scorer
from keras_practices.ensembles.row_scores import output_place

_OWNER = "ensembles.select"


def select(
    candidates: Ensemble | Sequence[keras.Model],
    x: Any,
    y: Any,
    *,
    size: int = 10,
    metric: str | None = "loss",
    output: Any = None,
    batch_size: int | None = None,
    **options: Any,
) -> Ensemble:
    """Chooses an ensemble greedily, so that it is best on held-out rows.

    In each of `size` rounds the candidate joins that makes the ensemble best, and it
    may have joined before: so it gets weight. Of all rounds the best is returned, the
    smallest of equal ones. It is never worse on these rows than the best candidate.

    These rows have chosen: take validation rows, and measure the result on others.

    Args:
        candidates: List of built models, or an `Ensemble`, whose members are taken.
        x: Held-out rows, what `predict` takes.
        y: Their targets, an array: class numbers, one-hot rows, labels or numbers.
        size: Integer of at least 1. Rounds.
        metric: `"loss"` (cross-entropy in nats, or the mean squared error) or
            `"accuracy"`, whose ties the loss decides.
        output: Which of several outputs counts: a key or a place; `y` is of that one.
        batch_size: Integer, or None for Keras's 32.
        **options: Arguments of `Ensemble`, for a list of models.

    Returns:
        `Ensemble` of the candidates that were chosen, in their order, with
        `weights_of_members`.

    Raises:
        TypeError, ValueError: a bad argument.

    Example:

    >>> def build():
    ...     return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> x = np.random.default_rng(0).normal(size=(20, 2))
    >>> models = [build(), build(), build()]
    >>> best = kp.ensembles.select(models, x, x[:, 0], combine="mean")
    >>> len(best.members) <= 3
    True

    References:
        Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries
        of models", 2004, ICML.
    """
    check_integer(_OWNER, "size", size, low=1)
    if isinstance(candidates, Ensemble):
        if options:
            advice = "The ensemble has them already."
            raise type_error(_OWNER, "options", "none", sorted(options), advice)
        pool = candidates
    else:
        pool = Ensemble(candidates, **options)
    parts = pool.contributions(x, batch_size)
    place = output_place(_OWNER, pool.output_structure, output)
    part = parts[place].astype("float64")
    kind, way = pool.kinds_of_members[0][place], pool.ways[place]
    scorer = Scorer(_OWNER, y, part[0], kind, way)
    picks = _greedy(part, scorer, size, scorer.check_metric(metric))
    return pool.subset(np.bincount(picks, minlength=len(part)).tolist())


def _greedy(part, scorer, size, metric):
    """Returns the places that were picked, up to the best round."""
    total, picks, best, kept = np.zeros_like(part[0]), [], None, []
    for count in range(1, size + 1):
        scores = [_score((total + one) / count, scorer, metric) for one in part]
        pick = min(range(len(part)), key=scores.__getitem__)
        total = total + part[pick]
        picks.append(pick)
        if best is None or scores[pick] < best:
            best, kept = scores[pick], list(picks)
    return kept


def _score(total, scorer, metric):
    """Returns a tuple of which less is better."""
    value = float(scorer.rows(total, metric).mean())
    if metric == "loss":
        return (value,)
    plain = scorer.kind == "scores" and scorer.way == "mean"
    loss = 0.0 if plain else float(scorer.rows(total, "loss").mean())
    # A share of correct rows: the twelfth digit is rounding.
    return (-round(value, 12), loss)
