"""Explore where nothing was tried, or change what is known to be good."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error
from keras_practices.search_record import TrialResult
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.strategy import Strategy
from keras_practices.tuners.strategy import choose
from keras_practices.tuners.strategy import draw
from keras_practices.tuners.strategy import fits
from keras_practices.tuners.strategy import is_ordered
from keras_practices.tuners.strategy import option_count
from keras_practices.tuners.strategy import share_of
from keras_practices.tuners.strategy import stream
from keras_practices.tuners.strategy import value_at

# Quasi-random points of which the farthest from all tried ones is taken. In five
# dimensions 512 leave no hole wider than a third of the range.
_CANDIDATES = 512
# Good points: the best quarter, of so many at least.
_GOOD_SHARE = 0.25
_FEWEST_GOOD = 3
# Chance that a hyperparameter comes from the second parent, and that one is changed.
_CROSSOVER = 0.3
_MUTATION = 0.5
# Children that may equal a tried point before the search explores instead.
_TRIES = 8


class AnnealedGeneticStrategy(Strategy):
    """Explores with a falling probability and changes good points otherwise.

    Trial k of n explores with the probability `explore_first` at k = 0, falling
    geometrically to `explore_last` at k = n - 1: of many quasi-random points the one
    that is farthest from all tried ones is taken, in the unit cube (each range on its
    own scale, different kinds 1 apart). Otherwise a parent is drawn from the best
    quarter of the points, the best one most likely; each value is taken from a second
    parent with the probability 0.3 and moved with the probability 0.5: numbers by a
    normal step, whose width falls from `step_first` to `step_last` of the range, kinds
    to another one. One value at least is moved.

    Args:
        max_trials: Integer of at least 1.
        direction: `"min"` or `"max"`, of the objective.
        seed: Integer of at least 0.
        explore_first: Float in (0, 1], probability to explore at the beginning.
        explore_last: Float in (0, `explore_first`], that at the end.
        step_first: Float in (0, 1], width of a step at the beginning.
        step_last: Float in (0, `step_first`], that at the end.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument out of range.
    """

    # With several workers a point follows from what has ended by then.
    foreseen = False

    def __init__(
        self,
        max_trials: int,
        direction: str,
        seed: int,
        explore_first: float = 1.0,
        explore_last: float = 0.05,
        step_first: float = 0.25,
        step_last: float = 0.03,
    ):
        self.max_trials = check_integer(self, "max_trials", max_trials, low=1)
        self.direction = check_choice(self, "direction", direction, ("min", "max"))
        self.seed = check_integer(self, "seed", seed, low=0)
        check_annealing(self, explore_first, explore_last, step_first, step_last)
        self.explore_first, self.explore_last = explore_first, explore_last
        self.step_first, self.step_last = step_first, step_last

    def proposal(
        self,
        space: Any,
        trial: int,
        results: Mapping[int, TrialResult],
        running: Mapping[int, dict[str, Any]] | None = None,
    ) -> Proposal | None:
        """Returns the point of a trial, or None after the last."""
        if trial >= self.max_trials:
            return None
        tried = [one.values for one in results.values()]
        tried += [v for k, v in (running or {}).items() if k not in results]
        good = self._good(results)
        explores = np.random.default_rng([self.seed, trial]).random() < self._annealed(
            trial, self.explore_first, self.explore_last
        )
        if not tried:
            values = draw(space, self.seed, trial)
        elif explores or not good:
            values = self._farthest(space, trial, tried)
        else:
            values = self._child(space, trial, good, tried)
        return Proposal(trial, values)

    def _annealed(self, trial, first, last):
        return first * (last / first) ** (trial / max(1, self.max_trials - 1))

    def _good(self, results):
        sign = 1.0 if self.direction == "min" else -1.0
        scored = [one for one in results.values() if one.has_score]
        scored.sort(key=lambda one: (sign * float(one.score), one.trial))
        count = max(_FEWEST_GOOD, int(_GOOD_SHARE * len(scored)))
        return [one.values for one in scored[:count]]

    def _farthest(self, space, trial, tried):
        """Returns the point of many that has most room around it."""
        from scipy.stats import qmc

        places = {id(parameter): place for place, parameter in enumerate(space.space)}
        # Unscrambled and turned by a random shift: SciPy's own seeds were renamed.
        rows = qmc.Sobol(max(1, len(places)), scramble=False).random(_CANDIDATES)
        rows = (
            rows + np.random.default_rng([self.seed, trial, 1]).random(len(rows[0]))
        ) % 1
        candidates = [
            choose(space, lambda p, row=row: value_at(p, row[places[id(p)]]))
            for row in rows
        ]
        room = distances(space, candidates, tried).min(axis=1)
        return candidates[int(np.argmax(room))]

    def _child(self, space, trial, good, tried):
        """Returns a changed good point, one that was not tried where it finds one."""
        for again in range(_TRIES):
            child = self._changed(space, good, trial, again)
            if child not in tried:
                return child
        return self._farthest(space, trial, tried)

    def _changed(self, space, good, trial, again):
        random = np.random.default_rng([self.seed, trial, 2, again])
        # Of n good points the best is drawn n times as often as the last.
        weights = np.arange(len(good), 0, -1.0)
        first, second = (
            good[place]
            for place in random.choice(len(good), size=2, p=weights / weights.sum())
        )
        names = sorted({p.name for p in space.space if option_count(p) != 1})
        moved = {name for name in names if random.random() < _MUTATION}
        if names and not moved:
            moved = {names[int(random.integers(len(names)))]}
        width = self._annealed(trial, self.step_first, self.step_last)

        def value_of(parameter):
            own = stream(parameter, self.seed, trial, again)
            crossed = own.random() < _CROSSOVER
            for parent in (second, first) if crossed else (first, second):
                if fits(parameter, parent):
                    value = parent[parameter.name]
                    break
            else:  # neither parent has it: another branch of the space
                return value_at(parameter, own.random())
            if parameter.name in moved:
                return _moved(parameter, value, width, own)
            return value

        return choose(space, value_of)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            "max_trials": self.max_trials,
            "direction": self.direction,
            "seed": self.seed,
            "explore_first": self.explore_first,
            "explore_last": self.explore_last,
            "step_first": self.step_first,
            "step_last": self.step_last,
        }


def check_annealing(owner, explore_first, explore_last, step_first, step_last):
    """Checks that shares lie in (0, 1] and fall."""
    for name, first, last in (
        ("explore", explore_first, explore_last),
        ("step", step_first, step_last),
    ):
        for end, value in (("first", first), ("last", last)):
            check_number(owner, f"{name}_{end}", value, low=0, high=1, closed="right")
        if last > first:
            expected = f"at most {name}_first={first}"
            raise value_error(owner, f"{name}_last", expected, last)


def _moved(parameter, value, width, random):
    """Returns another value: near by of a number, any other of a kind."""
    count = option_count(parameter)
    if not is_ordered(parameter):
        others = [option for option in parameter.values if option != value]
        return others[int(random.integers(len(others)))] if others else value
    step = width * random.normal()
    if count is not None:  # at least to the next of several
        step = np.copysign(max(abs(step), 1 / count), step)
    share = share_of(parameter, value) + step
    # Reflected at the borders: cutting off would heap points on them.
    share = abs(share) % 2
    return value_at(parameter, 2 - share if share > 1 else share)


def distances(space: Any, points: list[Any], others: list[Any]) -> np.ndarray:
    """Returns how far points lie from others in the unit cube.

    The range of each number is closed to a ring: otherwise a corner would always be
    farthest, and corners are where few good points lie. Different kinds are 1 apart; a
    hyperparameter that only one of two points has counts 0.5.

    Args:
        space: `keras_tuner.HyperParameters`.
        points: Dicts of values.
        others: Dicts of values.

    Returns:
        Array `(points, others)` of Euclidean distances.
    """
    squares = np.zeros((len(points), len(others)))
    for parameter in space.space:
        left, right = _column(parameter, points), _column(parameter, others)
        apart = np.abs(left[:, None] - right[None, :])
        if is_ordered(parameter):
            apart = np.minimum(apart, 1 - apart)
        else:
            apart = (apart > 0).astype(float)
        missing = np.isnan(left)[:, None], np.isnan(right)[None, :]
        apart = np.where(missing[0] | missing[1], 0.5, apart)
        squares += np.where(missing[0] & missing[1], 0.0, apart) ** 2
    return np.sqrt(squares)


def _column(parameter, points):
    def place(value):
        if is_ordered(parameter):
            return share_of(parameter, value)
        return list(parameter.values).index(value)

    return np.array(
        [
            place(point[parameter.name]) if fits(parameter, point) else np.nan
            for point in points
        ],
        dtype=float,
    )
