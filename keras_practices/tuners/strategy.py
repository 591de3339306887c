"""Which point a trial tries: a pure function of the space, the seed and the results.

So the same seed gives the same points with one worker and with four, and a search
that was killed goes on as if nothing had happened: nothing of a strategy is stored.
"""

import dataclasses
import enum
import math
import zlib
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_practices.search_record import TrialResult


class Wait(enum.Enum):
    """What a strategy answers while results that it needs are missing."""

    WAIT = "wait"


WAIT = Wait.WAIT


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What one trial is to do.

    Args:
        trial: Its number, from 0, counted over all stages.
        values: Hyperparameters by name.
        stage: Its stage, from 1.
        epochs: Epochs of its model, those of trials it continues among them, or None
            for as many as the arguments of `search` say.
        continues: The trial whose best weights it begins from, or None.
    """

    trial: int
    values: dict[str, Any]
    stage: int = 1
    epochs: int | None = None
    continues: int | None = None


class Strategy:
    """What decides which points are tried; see `proposal`."""

    # Whether the results that trial k needs are fixed by its number alone (`WAIT`
    # until they are there): then the same seed gives the same points with any number
    # of workers. Others go on with the results that there are.
    foreseen = True

    def proposal(
        self,
        space: Any,
        trial: int,
        results: Mapping[int, TrialResult],
        running: Mapping[int, dict[str, Any]] | None = None,
    ) -> Proposal | Wait | None:
        """Returns what a trial is to do.

        Args:
            space: `keras_tuner.HyperParameters` with the whole space.
            trial: Number of the trial.
            results: How trials ended, by number; those that still run are missing.
            running: Points of trials that still run, by number, where they are
                known. Only strategies that are not foreseen look at them.

        Returns:
            A `Proposal`; `WAIT` while results that it follows from are missing; None
            where the search ends before this trial.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments: a search that is resumed must have the same."""
        raise NotImplementedError


class RandomStrategy(Strategy):
    """Draws every point independently of all others.

    Args:
        max_trials: Integer of at least 1.
        seed: Integer of at least 0.
    """

    def __init__(self, max_trials: int, seed: int):
        self.max_trials = max_trials
        self.seed = seed

    def proposal(self, space, trial, results, running=None):
        """Returns the point of a trial, or None after the last."""
        if trial >= self.max_trials:
            return None
        return Proposal(trial, draw(space, self.seed, trial))

    def get_config(self):
        """Returns the arguments."""
        return {"max_trials": self.max_trials, "seed": self.seed}


def draw(space: Any, *seeds: int) -> dict[str, Any]:
    """Draws one point of a space.

    Args:
        space: `keras_tuner.HyperParameters` with the whole space.
        *seeds: Integers of at least 0 that the point follows from. Every
            hyperparameter has a stream of its own, by its name, so one more of them
            leaves the values of the others as they are.

    Returns:
        Dict of values by name; of conditional hyperparameters the active ones.
    """
    return choose(
        space,
        lambda parameter: value_at(parameter, stream(parameter, *seeds).random()),
    )


def choose(space: Any, value_of: Callable[[Any], Any]) -> dict[str, Any]:
    """Makes a point by asking for one value after another.

    Args:
        space: `keras_tuner.HyperParameters` with the whole space.
        value_of: Function from a hyperparameter to its value. It is asked for the
            active ones only: parents come first in a space.

    Returns:
        Dict of values by name.
    """
    values: dict[str, Any] = {}
    for parameter in space.space:
        if all(condition.is_active(values) for condition in parameter.conditions):
            values[parameter.name] = value_of(parameter)
    return values


def stream(parameter: Any, *seeds: int) -> np.random.Generator:
    """Returns the random stream that one hyperparameter has under these seeds."""
    return np.random.default_rng([*seeds, zlib.crc32(parameter.name.encode())])


def value_at(parameter: Any, share: float) -> Any:
    """Returns the value below which `share` of a uniform draw lies, scale in mind."""
    # keras-tuner takes shares below 1 only, and rounding can leave its range.
    value = parameter.prob_to_value(min(max(float(share), 0.0), 1.0 - 1e-9))
    if hasattr(parameter, "min_value"):
        value = min(max(value, parameter.min_value), parameter.max_value)
    return value


def share_of(parameter: Any, value: Any) -> float:
    """Returns where in its range a value lies, in [0, 1]: the inverse of `value_at`.

    One of several values (a choice, a number with a step) lies in the middle of its
    part of the range.
    """
    count = option_count(parameter)
    if count is None:
        share = parameter.value_to_prob(value)
    elif hasattr(parameter, "min_value"):
        # keras-tuner's own is off by a step for 0.9 with step 0.1: it rounds down.
        share = (round(_steps_up_to(parameter, value)) + 0.5) / count
    else:
        options = [value_at(parameter, (k + 0.5) / count) for k in range(count)]
        share = (options.index(value) + 0.5) / count
    return float(min(max(share, 0.0), 1.0))


def option_count(parameter: Any) -> int | None:
    """Returns how many values a hyperparameter has; None where they lie densely."""
    if not hasattr(parameter, "min_value"):
        return len(list(parameter.values))
    if parameter.step is None:
        return None
    if parameter.sampling == "linear":  # as keras-tuner counts them
        return int((parameter.max_value - parameter.min_value) // parameter.step + 1)
    ratio = math.log(parameter.max_value / parameter.min_value, parameter.step)
    return int(ratio + 1e-8) + 1


def _steps_up_to(parameter, value):
    low, high, step = parameter.min_value, parameter.max_value, parameter.step
    if parameter.sampling == "linear":
        return (value - low) / step
    if parameter.sampling == "reverse_log":
        value = high + low - value
    return math.log(value / low, step)


def is_ordered(parameter: Any) -> bool:
    """Returns whether nearby values are alike: numbers, but not kinds of things."""
    return hasattr(parameter, "min_value") or bool(getattr(parameter, "ordered", False))


def fits(parameter: Any, point: Mapping[str, Any]) -> bool:
    """Returns whether a point has a value that is one of this hyperparameter's.

    Two hyperparameters of one name may be there, under different conditions.
    """
    if parameter.name not in point:
        return False
    value = point[parameter.name]
    if hasattr(parameter, "min_value"):
        return (
            isinstance(value, int | float)
            and parameter.min_value <= value <= parameter.max_value
        )
    return value in parameter.values
