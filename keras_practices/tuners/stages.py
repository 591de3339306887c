"""Search from coarse to fine: many short trials first, the best of them longer."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.search_record import COMPLETED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.box import Box
from keras_practices.tuners.strategy import WAIT
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.strategy import Strategy
from keras_practices.tuners.strategy import Wait
from keras_practices.tuners.strategy import choose
from keras_practices.tuners.strategy import draw

# Of the fresh points of a later stage, every fifth comes from the whole range: where
# the short trials misled, the box around their best holds no good point.
_WIDE = 5
# With fewer points than this the box follows the luck of one or two trials.
_FEWEST_FOR_A_BOX = 4


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a `StagedRandomSearch`.

    Args:
        epochs: Integer of at least 1. Epochs of a model that ends in this stage, those
            of the stages before among them.
        trials: Integer of at least 0. Fresh points: in the first stage from the whole
            range; later 4 of 5 from a box around the best points of the stage before.
        keep: Integer of at least 0. Best trials of the stage before that are trained
            on; 0 in the first stage.

    Raises:
        TypeError: an argument that is no integer.
        ValueError: an argument out of range, or a stage with nothing to do.

    Example:

    >>> kp.tuners.Stage(epochs=5, keep=8, trials=16).size
    24
    """

    epochs: int
    trials: int = 0
    keep: int = 0

    def __post_init__(self):
        check_integer("Stage", "epochs", self.epochs, low=1)
        check_integer("Stage", "trials", self.trials, low=0)
        check_integer("Stage", "keep", self.keep, low=0)
        if self.size == 0:
            raise value_error(
                "Stage", "trials", "at least 1 where nothing is kept", self.trials
            )

    @property
    def size(self) -> int:
        """How many trials it has."""
        return self.trials + self.keep


class StagedStrategy(Strategy):
    """Decides which points the stages of a search try.

    The trials of a stage have the numbers that follow those of the stage before: first
    those that are trained on, best first, then the fresh ones. A trial that failed, was
    pruned or ended early is not trained on. Where fewer than `keep` are left, points
    from the whole range take the places, so every stage has its size.

    Args:
        stages: Sequence of `Stage`.
        direction: `"min"` or `"max"`, of the objective.
        seed: Integer of at least 0.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: stages that do not fit each other; the message says which.
    """

    def __init__(self, stages: Sequence[Stage], direction: str, seed: int):
        self.stages = checked_stages(self, stages)
        self.direction = check_choice(self, "direction", direction, ("min", "max"))
        self.seed = check_integer(self, "seed", seed, low=0)

    @property
    def max_trials(self) -> int:
        """Trials of all stages."""
        return sum(stage.size for stage in self.stages)

    def stage_of(self, trial: int) -> tuple[int, int] | None:
        """Returns the stage of a trial, from 1, and its place there, from 0."""
        for number, stage in enumerate(self.stages, start=1):
            if trial < stage.size:
                return number, trial
            trial -= stage.size
        return None

    def proposal(
        self,
        space: Any,
        trial: int,
        results: Mapping[int, TrialResult],
        running: Mapping[int, dict[str, Any]] | None = None,
    ) -> Proposal | Wait | None:
        """Returns what a trial is to do; `WAIT` until the stage before has ended."""
        found = self.stage_of(trial)
        if found is None:
            return None
        number, place = found
        stage = self.stages[number - 1]
        if number == 1:
            return Proposal(trial, draw(space, self.seed, trial), 1, stage.epochs)
        first = sum(earlier.size for earlier in self.stages[: number - 2])
        before = range(first, first + self.stages[number - 2].size)
        if any(earlier not in results for earlier in before):
            return WAIT
        best = self._best([results[earlier] for earlier in before])
        if place < min(stage.keep, len(best)):
            chosen = best[place]
            values = dict(chosen.values)
            return Proposal(trial, values, number, stage.epochs, chosen.trial)
        fresh = place - stage.keep
        box = Box(space, self._elite(stage, best), self.seed, trial)
        if fresh < 0 or fresh % _WIDE == _WIDE - 1 or box.is_whole:
            values = draw(space, self.seed, trial)
        else:
            values = choose(space, box.value_of)
        return Proposal(trial, values, number, stage.epochs)

    def _best(self, results):
        sign = 1.0 if self.direction == "min" else -1.0
        ended = [one for one in results if one.status == COMPLETED and one.has_score]
        return sorted(ended, key=lambda one: (sign * float(one.score), one.trial))

    def _elite(self, stage, best):
        count = max(stage.keep, _FEWEST_FOR_A_BOX)
        return [one.values for one in best[:count]]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            "stages": [dataclasses.asdict(stage) for stage in self.stages],
            "direction": self.direction,
            "seed": self.seed,
        }


def checked_stages(owner, stages):
    """Returns stages as a tuple, if each follows from the one before."""
    expected = "a list of Stage, of which each follows from the one before"
    if not isinstance(stages, list | tuple) or not all(
        isinstance(stage, Stage) for stage in stages
    ):
        raise type_error(owner, "stages", expected, stages)
    stages = tuple(stages)
    if not stages:
        raise value_error(owner, "stages", expected, stages, "Give at least one.")
    if stages[0].keep:
        raise value_error(
            owner, "stages", expected, stages, "The first stage has nothing to keep."
        )
    for number, (before, stage) in enumerate(
        zip(stages, stages[1:], strict=False), start=2
    ):
        if stage.keep > before.size:
            raise value_error(
                owner,
                "stages",
                expected,
                stages,
                f"Stage {number} keeps {stage.keep} of {before.size} trials.",
            )
        if stage.keep and stage.epochs <= before.epochs:
            raise value_error(
                owner,
                "stages",
                expected,
                stages,
                f"Stage {number} trains on to {stage.epochs} epochs what has been "
                f"trained for {before.epochs}: `epochs` counts all of them.",
            )
    return stages
