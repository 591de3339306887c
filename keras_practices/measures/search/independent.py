"""Which trials of a search were drawn independently of what was found before."""

from keras_practices.search_record import FAILED
from keras_practices.search_record import PRUNED
from keras_practices.search_record import SearchRecord
from keras_practices.search_record import TrialResult


def independent_trials(record: SearchRecord) -> list[TrialResult]:
    """Returns the trials whose points say nothing of one another.

    All of a random search; the first stage of a staged one; of a Bayesian search the
    first ones, before its model chose; none of another. Trials that failed or were
    ended because others were better have no score that compares, and are left out;
    those that diverged are kept: they are the worst.

    Args:
        record: A `SearchRecord`.

    Returns:
        List of `TrialResult`, by number.
    """
    name = str(record.strategy.get("name", "")).lower()
    arguments = record.strategy.get("arguments") or {}
    chosen = []
    for number in sorted(record.trials):
        one = record.trials[number]
        if one.stage != 1 or one.continues is not None:
            continue
        if name.startswith("bayes") and number >= arguments.get("startup_trials", 0):
            continue
        if not name.startswith(("random", "staged", "bayes")):
            continue
        if one.status not in (FAILED, PRUNED):
            chosen.append(one)
    return chosen


def standing(record: SearchRecord, trials: list[TrialResult]) -> list[TrialResult]:
    """Returns trials from best to worst; those without a score stand last.

    Args:
        record: A `SearchRecord`, for the direction of its objective.
        trials: Trials of it.

    Returns:
        List of `TrialResult`; of equal ones the earlier first.
    """
    sign = 1.0 if record.direction == "min" else -1.0

    def key(one):
        return (
            not one.has_score,
            sign * (one.score if one.has_score else 0),
            one.trial,
        )

    return sorted(trials, key=key)
