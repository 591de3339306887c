"""Trials whose loss ran away, and the values that they have in common."""

import math
from typing import Any

from keras_practices.measures.search.borders import rounded
from keras_practices.measures.search.units import axes_of
from keras_practices.measures.search.units import axis_for
from keras_practices.search_record import ENDED_EARLY
from keras_practices.search_record import FAILED
from keras_practices.search_record import SearchRecord
from keras_practices.search_record import TrialResult

# How a reason begins where the loss ran away (rules of training), or ends where no
# epoch had a finite objective.
_CODES = ("loss-not-finite", "loss-diverging", "exploding-gradients")
_NEVER = "was not finite in any epoch."


def has_diverged(result: TrialResult) -> bool:
    """Returns whether the loss of a trial ran away."""
    if result.status == FAILED:
        return False
    reason = result.reason or ""
    if result.status == ENDED_EARLY and reason:
        return reason.startswith(_CODES) or reason.endswith(_NEVER)
    return result.score is not None and not math.isfinite(result.score)


def measure_lost(record: SearchRecord) -> dict[str, Any]:
    """Counts the trials whose loss ran away, and finds where they lie.

    For each hyperparameter whose values are numbers, the ranks of its values among
    the trials that diverged are compared with those of the others (Mann and Whitney's
    test, both sides). The one with the smallest chance is named, with the value that
    parts the two groups best, where the chance is below 1 % over all of them.

    Args:
        record: A `SearchRecord`.

    Returns:
        Dict of `trials` that ended and did not raise, `diverged`, `numbers` of the
        first eight that diverged, and of what sets them apart, or None: `name`, `side`
        (`"above"` or `"below"`), `value`, `there` (how many of the diverged lie on
        that side), `chance`.
    """
    ended = [one for _, one in sorted(record.trials.items()) if one.status != FAILED]
    lost = [one for one in ended if has_diverged(one)]
    figures: dict[str, Any] = {
        "trials": len(ended),
        "diverged": len(lost),
        "numbers": [one.trial for one in lost[:8]],
        "apart": None,
    }
    if lost and len(lost) < len(ended):
        figures["apart"] = _apart(record, ended)
    return figures


def _apart(record, ended):
    from scipy.stats import mannwhitneyu

    axes = [one for one in axes_of(record.space) if one.is_number]
    found = []
    for axis in axes:
        groups: dict[bool, list[float]] = {True: [], False: []}
        for one in ended:
            if axis_for(axes, one.values, axis.name) is axis:
                place = axis.place(one.values[axis.name])
                if place is not None:
                    groups[has_diverged(one)].append(place)
        if all(groups.values()):
            chance = float(mannwhitneyu(groups[True], groups[False]).pvalue)
            found.append((min(1.0, chance * len(axes)), axis.name, axis, groups))
    if not found:
        return None
    chance, name, axis, groups = min(found, key=lambda each: each[:2])
    if not chance < 0.01:
        return None
    side, cut, there = _cut(groups[True], groups[False])
    value = rounded(axis.value(cut))
    return {
        "name": name,
        "side": side,
        "value": value,
        "there": there,
        "chance": chance,
    }


def _cut(lost, kept):
    """Returns the side and the place that part two groups best (Youden's index)."""
    values = sorted({*lost, *kept})
    best = (-1.0, "above", values[0], 0)
    for left, right in zip(values[:-1], values[1:], strict=True):
        middle = (left + right) / 2
        there = sum(place > middle for place in lost)
        wrong = sum(place > middle for place in kept)
        gain = there / len(lost) - wrong / len(kept)
        best = max(best, (gain, "above", middle, there))
        best = max(best, (-gain, "below", middle, len(lost) - there))
    return best[1:]
