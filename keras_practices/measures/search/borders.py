"""Whether the best trials crowd at an end of a range, and what to search next."""

import math
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_practices.measures.search.independent import independent_trials
from keras_practices.measures.search.independent import standing
from keras_practices.measures.search.units import Axis
from keras_practices.measures.search.units import axes_of
from keras_practices.measures.search.units import axis_for
from keras_practices.search_record import SearchRecord

# The outermost tenth of a range, in its own scale.
ZONE = 0.1
# Of so many trials the best ones are looked at: an eighth, from 5 to 12. Fewer say
# little, more are no longer the best.
BEST_SHARE, FEWEST_BEST, MOST_BEST = 8, 5, 12
# Fewer trials than this, or than three for each number that is fitted, say nothing.
FEWEST_TRIALS = 16
TRIALS_A_TERM = 1.5
# Orders that are drawn: a chance of 5 % is then told to within a thousandth.
ORDERS = 999
# The next range: the outer third of this one, and as much beyond.
OUTER = 1.0 / 3.0


def measure_borders(record: SearchRecord) -> dict[str, Any]:
    """Looks for ranges whose best values lie at an end, or beyond.

    The ranks of the trials (as normal scores) are fitted by a line and a parabola in
    each hyperparameter, all at once, in the scale of its range. How steep a line is,
    in units of its error, is compared with chance: where no hyperparameter has an
    effect, every order of the trials is as likely as the one that was seen. So 999
    orders are drawn, in each the steepest line of all counts, and `chance` is the
    share of orders whose steepest line is at least as steep: `(1 + steeper) / 1000`.
    A rule that asks for a chance of at most `a` thus fires in at most `a` of all
    searches without an effect, over all ranges together, whatever the scores, their
    noise and the way values are drawn (Westfall and Young 1993, max-T). It is needed
    only that a point follows from no earlier score: `independent_trials`. That the
    best values lie at the end, and not merely towards it, the other figures say.

    Args:
        record: A `SearchRecord`.

    Returns:
        Dict of `trials`, `best` (how many count as the best), `why` (text: why nothing
        could be said, or `""`) and `ends`, a list of dicts, one for each range, of the
        end to which scores get better: `name`, `side` (`"low"` or `"high"`), `low`,
        `high`, `scale`, `chance`, `peak` (place of the best fitted value, 1 at that
        end, above 1 beyond it), `middle` (median place of the best trials, 1 at that
        end), `half` (the value there), `outer` (median standing of all trials in the
        outermost tenth, 0 the best, 1 the worst, what the fit owes to the other
        hyperparameters taken away; None without a trial there), `next_low` and
        `next_high`, the range to search next.
    """
    axes = axes_of(record.space)
    ranked = standing(record, independent_trials(record))
    figures = {"trials": len(ranked), "best": best_count(len(ranked)), "why": ""}
    terms = [_Terms(axis, axes, ranked) for axis in axes] if ranked else []
    terms = [one for one in terms if one.columns.shape[1]]
    width = 1 + sum(one.columns.shape[1] for one in terms)
    needed = max(FEWEST_TRIALS, math.ceil(TRIALS_A_TERM * width))
    if len(ranked) < needed:
        why = f"{len(ranked)} independent trials; {needed} are needed."
        return {**figures, "why": why, "ends": []}
    ends = [_end(one) for one in _fitted(terms, ranked)]
    return {**figures, "ends": [one for one in ends if one]}


def best_count(trials: int) -> int:
    """Returns how many of so many trials count as the best ones."""
    return min(max(trials // BEST_SHARE, FEWEST_BEST), MOST_BEST)


class _Terms:
    """The columns of one hyperparameter in the fit."""

    def __init__(self, axis, axes, ranked):
        self.axis = axis
        has = [axis_for(axes, one.values, axis.name) is axis for one in ranked]
        places = [
            axis.place(one.values[axis.name]) if there else None
            for one, there in zip(ranked, has, strict=True)
        ]
        self.places = np.array([math.nan if p is None else p for p in places])
        there = np.isfinite(self.places)
        centred = np.where(there, self.places - 0.5, 0.0)
        if axis.is_number:
            columns = [centred, np.where(there, centred**2, 0.0)]
        else:
            # Kinds of things: each against the others.
            columns = [there & np.isclose(self.places, p) for p in _known(self.places)]
            columns = columns[1:]
        if not there.all():
            columns.append(there)
        columns = [np.asarray(one, float) for one in columns]
        kept = [one for one in columns if np.ptp(one) > 0]
        # Two values have a line and no parabola.
        few = axis.is_number and len(_known(self.places)) < 3
        self.slope = axis.is_number and np.ptp(centred) > 0
        self.curved = self.slope and not few
        if few and len(kept) > 1:
            del kept[1]
        empty = np.zeros((len(ranked), 0))
        self.columns = np.column_stack(kept) if kept else empty


def _known(places):
    return np.unique(places[np.isfinite(places)])


class _Fit(NamedTuple):
    """What the fit says of one hyperparameter.

    Args:
        terms: Its columns.
        chance: Share of random orders with a line as steep, anywhere.
        slope: Of its line in the middle of the range.
        curve: Of its parabola.
        standings: Standing of each trial in [0, 1], 0 the best, once what the fit
            owes to the other hyperparameters is taken away.
    """

    terms: _Terms
    chance: float
    slope: float
    curve: float
    standings: np.ndarray


def _fitted(terms, ranked):
    """Returns a `_Fit` for each of the terms that has a line."""
    from scipy.stats import norm
    from scipy.stats import rankdata

    count = len(ranked)
    # The best stands first; those without a score are equal and stand last.
    scored = sum(one.has_score for one in ranked)
    standings = [min(place, scored) for place in range(count)]
    target = norm.ppf((count - rankdata(standings) + 0.5) / count)
    design = np.column_stack([np.ones(count), *(one.columns for one in terms)])
    firsts = np.cumsum([1, *(one.columns.shape[1] for one in terms)])[:-1]
    lines = [pair for pair in zip(terms, firsts, strict=True) if pair[0].slope]
    if not lines:
        return []
    rows = [first for _, first in lines]
    inverse = np.linalg.pinv(design)
    rng = np.random.default_rng(0)
    orders = np.column_stack(
        [target, *(rng.permutation(target) for _ in range(ORDERS))]
    )
    found = inverse @ orders
    left = orders - design @ found
    error = np.sqrt((inverse[rows] ** 2).sum(axis=1))[:, None]
    error = np.maximum(error * np.sqrt((left**2).sum(axis=0)), 1e-12)
    steepness = np.abs(found[rows]) / error
    most = steepness[:, 1:].max(axis=0)
    chances = (1 + (most >= steepness[:, :1]).sum(axis=1)) / (1 + ORDERS)
    fits = []
    for (one, first), chance in zip(lines, chances, strict=True):
        own = one.columns @ found[first : first + one.columns.shape[1], 0]
        places = (rankdata(-(own + left[:, 0])) - 1) / max(1, count - 1)
        curve = found[first + 1, 0] if one.curved else 0.0
        fits.append(_Fit(one, float(chance), found[first, 0], curve, places))
    return fits


def _end(fit):
    axis, terms, slope, curve = fit.terms.axis, fit.terms, fit.slope, fit.curve
    side = "high" if slope > 0 else "low"
    if side not in _sides(axis):
        return None
    places = terms.places if side == "high" else 1.0 - terms.places
    ranks = np.flatnonzero(np.isfinite(places))
    places = places[ranks]
    # Of options the last one, where its part of the range is more than a tenth.
    zone = max(ZONE, 1.0 / max(len(axis.options), 1) if axis.options else 0.0) + 1e-9
    if axis.options:
        # The middle of the last option stands for its end.
        places = (places - 0.5) / (1.0 - 1.0 / len(axis.options)) + 0.5
    outer = places >= 1.0 - zone
    best = best_count(len(places))
    bent = curve < 0
    peak = 0.5 + abs(slope) / (-2.0 * curve) if bent else math.inf
    standings = fit.standings[ranks][outer]
    middle = float(np.median(places[:best]))
    low, high = _next_range(axis, side)
    return {
        "name": axis.name,
        "side": side,
        "low": axis.value(0.0),
        "high": axis.value(1.0),
        "scale": axis.scale,
        "chance": fit.chance,
        "peak": float(peak),
        "middle": middle,
        "best": best,
        "half": rounded(axis.value(middle if side == "high" else 1.0 - middle)),
        "outer": float(np.median(standings)) if len(standings) else None,
        "next_low": low,
        "next_high": high,
    }


def _sides(axis: Axis) -> Sequence[str]:
    """The ends beyond which there are values: a dropout rate ends at 0."""
    low, high = axis.value(0.0), axis.value(1.0)
    natural = axis.scale == "linear"
    sides = ["low"] if low != 0 or not natural else []
    return [*sides, *(["high"] if not (natural and low >= 0 and high == 1) else [])]


def _next_range(axis, side):
    """The outer third of the range and as much beyond it, in numbers to type."""
    ends = (-OUTER, OUTER) if side == "low" else (1.0 - OUTER, 1.0 + OUTER)
    low, high = (axis.value(place) for place in ends)
    first, last = axis.value(0.0), axis.value(1.0)
    if first >= 0:
        # Rates, counts and shares do not go below 0, nor shares above 1.
        floor = 0.0 if axis.kind == "float" else min(1.0, first)
        low = max(low, floor)
    if axis.scale == "linear" and axis.kind == "float" and 0 <= first and last <= 1:
        high = min(high, (1.0 + last) / 2)
    if axis.kind == "int" or (axis.options and float(first).is_integer()):
        low, high = math.floor(rounded(low)), math.ceil(rounded(high))
        return float(max(low, 1) if first >= 1 else low), float(high)
    return rounded(low), rounded(high)


def rounded(value: float) -> float:
    """Returns a number with two digits, as one types it."""
    return float(f"{value:.2g}") if math.isfinite(value) else value
