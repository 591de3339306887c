"""What a trial returned, in the shapes keras-tuner takes, as figures and an epoch."""

import dataclasses
import math
import numbers
from typing import Any

import keras
import numpy as np

from keras_practices.errors import SearchFailedError
from keras_practices.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The best epoch of one execution.

    Args:
        metrics: Figures by name, the objective among them.
        best_epoch: Number of the epoch, from 1; None where there were no epochs.
        epochs: Epochs trained, those before `initial_epoch` among them.
    """

    metrics: dict[str, float]
    best_epoch: int | None = None
    epochs: int = 0


def read_outcomes(results: Any, objective: Any, source: str) -> list[Outcome]:
    """Reads what `run_trial` or `HyperModel.fit` returned.

    Args:
        results: A `History`, a dict of figures, a number, or a list of these.
        objective: `keras_tuner.Objective`.
        source: What returned it, for messages.

    Returns:
        An `Outcome` for each execution.

    Raises:
        SearchFailedError: nothing, another kind of thing, or figures without the
            objective: no trial could succeed.
        UsageError: a `History` without an epoch.
    """
    if isinstance(results, list | tuple):
        found = [read_outcomes(one, objective, source) for one in results]
        if not found:
            raise SearchFailedError(f"{source} returned an empty list.")
        return [outcome for group in found for outcome in group]
    if isinstance(results, Outcome):
        return [results]
    if isinstance(results, keras.callbacks.History):
        return [_of_history(results, objective, source)]
    if isinstance(results, dict):
        return [Outcome(_with_objective(results, objective, source))]
    if isinstance(results, numbers.Real) and not isinstance(results, bool):
        return [Outcome({objective.name: float(results)})]
    raise SearchFailedError(
        f"{source} must return the History of `fit`, a dict with {objective.name!r}, "
        f"a number, or a list of these. It returned {type(results).__name__}: "
        f"{results!r:.200}."
    )


def combine(outcomes: list[Outcome]) -> Outcome:
    """Returns the mean of executions: figures that all of them have."""
    names = set.intersection(*(set(one.metrics) for one in outcomes))
    best = [one.best_epoch for one in outcomes if one.best_epoch is not None]
    return Outcome(
        {
            name: float(np.mean([one.metrics[name] for one in outcomes]))
            for name in outcomes[0].metrics
            if name in names
        },
        round(float(np.mean(best))) if best else None,
        max(one.epochs for one in outcomes),
    )


def is_better(objective: Any, value: float, than: float) -> bool:
    """Whether a score is better than another one; what is not finite never is."""
    if not math.isfinite(value):
        return False
    return not math.isfinite(than) or bool(objective.better_than(value, than))


def names_of(objective: Any) -> list[str]:
    """Returns the names in the logs that an objective reads."""
    return list(getattr(objective, "name_to_direction", None) or [objective.name])


def lacking(objective: Any, source: str, logs: Any) -> SearchFailedError:
    """Returns the error for logs that have no objective."""
    wanted = ", ".join(repr(name) for name in names_of(objective))
    there = ", ".join(repr(name) for name in logs) or "nothing"
    return SearchFailedError(
        f"The objective {wanted} is not in {source}, which has {there}. Name one of "
        "these as `objective`; for a figure that begins with 'val_' pass "
        "validation_data to `search`, and for a metric compile the model with it. No "
        "trial was written down: correct it and search again."
    )


def _of_history(history, objective, source):
    epochs = list(history.epoch)
    if not epochs:
        raise UsageError(
            f"{source} returned a History without an epoch. `epochs` must be above "
            "`initial_epoch`, and the data must not be empty."
        )
    table = {epoch: {} for epoch in epochs}
    for name, values in history.history.items():
        # With validation_freq there are fewer values than epochs.
        every = max(1, len(epochs) // max(1, len(values)))
        places = [e for e in epochs if (e + 1) % every == 0]
        if len(places) != len(values):
            places = epochs[-len(values) :]
        for epoch, value in zip(places, values, strict=True):
            table[epoch][name] = float(np.mean(value))
    best, best_value = None, math.nan
    for epoch, logs in table.items():
        if objective.has_value(logs):
            value = objective.get_value(logs)
            if best is None or is_better(objective, value, best_value):
                best, best_value = epoch, value
    if best is None:
        raise lacking(objective, f"the History that {source} returned", history.history)
    metrics = _with_objective(table[best], objective, source)
    return Outcome(metrics, best + 1, epochs[-1] + 1)


def _with_objective(logs, objective, source):
    metrics = {
        name: float(value)
        for name, value in logs.items()
        if isinstance(value, numbers.Real) or getattr(value, "ndim", 1) == 0
    }
    if objective.name not in metrics:
        if not objective.has_value(metrics):
            raise lacking(objective, f"what {source} returned", logs)
        metrics[objective.name] = float(objective.get_value(metrics))
    return metrics
