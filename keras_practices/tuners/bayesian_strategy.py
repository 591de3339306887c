"""Points that a model of the results so far holds for promising, by Optuna."""

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

from keras_practices._core.optional import require
from keras_practices._core.randomness import derive_seeds
from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices.search_record import TrialResult
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.strategy import Strategy
from keras_practices.tuners.strategy import choose
from keras_practices.tuners.strategy import draw
from keras_practices.tuners.strategy import fits
from keras_practices.tuners.strategy import is_ordered
from keras_practices.tuners.strategy import option_count
from keras_practices.tuners.strategy import share_of
from keras_practices.tuners.strategy import value_at

# Besides these, Optuna's samplers need packages or keep a state between trials.
SAMPLERS = ("tpe", "gp")


class BayesianStrategy(Strategy):
    """Asks a sampler of Optuna's for each point; nothing is kept between two.

    The sampler gets every result there is. A trial without a score counts as the worst
    score so far, so that its neighbourhood is avoided, and so do points that still run
    elsewhere, so that they are not tried twice (a "constant liar"). Numbers are shown
    to it as shares of their range, on their own scale.

    Args:
        max_trials: Integer of at least 1.
        direction: `"min"` or `"max"`, of the objective.
        seed: Integer of at least 0.
        startup_trials: Integer of at least 1. Points that are drawn at random first.
        sampler: `"tpe"` (tree-structured Parzen estimator) or `"gp"` (Gaussian
            process, which needs PyTorch).

    Raises:
        ImportError: Optuna, or PyTorch for `"gp"`, is missing.
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
        startup_trials: int = 10,
        sampler: str = "tpe",
    ):
        self.max_trials = check_integer(self, "max_trials", max_trials, low=1)
        self.direction = check_choice(self, "direction", direction, ("min", "max"))
        self.seed = check_integer(self, "seed", seed, low=0)
        self.startup_trials = check_integer(
            self, "startup_trials", startup_trials, low=1
        )
        self.sampler = check_choice(self, "sampler", sampler, SAMPLERS)
        require("optuna", "search", "BayesianSearch")
        if sampler == "gp":
            require("torch", "torch", "BayesianSearch(sampler='gp')")

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
        scored = [one for one in results.values() if one.has_score]
        if trial < self.startup_trials or not scored:
            return Proposal(trial, draw(space, self.seed, trial))
        with _quiet_optuna() as optuna, restore_rng():
            study = optuna.create_study(
                sampler=self._sampler(optuna, trial),
                direction="minimize" if self.direction == "min" else "maximize",
            )
            study.add_trials(self._told(optuna, space, results, running or {}))
            asked = study.ask()
            values = choose(space, lambda parameter: _suggested(asked, parameter))
        return Proposal(trial, values)

    def _sampler(self, optuna, trial):
        (seed,) = derive_seeds([self.seed, trial], 1)
        # Its own start at random is over: these points were drawn above.
        if self.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)

    def _told(self, optuna, space, results, running):
        """Returns results, and lies about what still runs, as Optuna's trials."""
        worst = (max if self.direction == "min" else min)(
            float(one.score) for one in results.values() if one.has_score
        )
        points = [
            (number, one.values, float(one.score) if one.has_score else worst)
            for number, one in results.items()
        ]
        points += [
            (number, values, worst)
            for number, values in running.items()
            if number not in results
        ]
        told = []
        for _, values, score in sorted(points, key=lambda point: point[0]):
            known = _known(space, values)
            told.append(
                optuna.trial.create_trial(
                    params={p.name: _shown(p, v) for p, v in known},
                    distributions={p.name: _distribution(optuna, p) for p, _ in known},
                    value=score,
                )
            )
        return told

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            "max_trials": self.max_trials,
            "direction": self.direction,
            "seed": self.seed,
            "startup_trials": self.startup_trials,
            "sampler": self.sampler,
        }


def _known(space, values):
    """Returns the active hyperparameters of a point that it has a value for."""
    return [
        (parameter, values[parameter.name])
        for parameter in space.space
        if fits(parameter, values)
        and all(condition.is_active(values) for condition in parameter.conditions)
    ]


def _distribution(optuna, parameter):
    count = option_count(parameter)
    if count is None:
        return optuna.distributions.FloatDistribution(0.0, 1.0)
    if is_ordered(parameter):
        return optuna.distributions.IntDistribution(0, count - 1)
    return optuna.distributions.CategoricalDistribution(list(parameter.values))


def _shown(parameter, value):
    """Returns a value as the sampler sees it."""
    count = option_count(parameter)
    if count is None:
        return share_of(parameter, value)
    if is_ordered(parameter):
        return int(share_of(parameter, value) * count)
    return value


def _suggested(asked, parameter):
    """Asks for one value and turns it back."""
    count = option_count(parameter)
    if count is None:
        return value_at(parameter, asked.suggest_float(parameter.name, 0.0, 1.0))
    if is_ordered(parameter):
        place = asked.suggest_int(parameter.name, 0, count - 1)
        return value_at(parameter, (place + 0.5) / count)
    return asked.suggest_categorical(parameter.name, list(parameter.values))


@contextlib.contextmanager
def _quiet_optuna():
    """Yields Optuna, which would log every study, and warn of what is experimental."""
    optuna = require("optuna", "search", "BayesianSearch")
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(verbosity)
