"""What runs the trials of a search: one process here, several elsewhere."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from keras_practices.search_record import TrialResult
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.strategy import Strategy

RunOne = Callable[..., TrialResult]


class Engine:
    """Decides which process runs which trial number; there is one a search.

    Args:
        folder: The `SearchFolder` of the search, which holds the truth: a trial with a
            result is never run again, whatever else an engine remembers.
    """

    def __init__(self, folder: SearchFolder):
        self.folder = folder

    def results(self) -> Mapping[int, TrialResult]:
        """Returns how trials ended, by number, those of other processes among them."""
        return self.folder.results()

    def run(self, strategy: Strategy, space: Any, run_one: RunOne) -> None:
        """Runs trials until none is left that this process could run.

        Args:
            strategy: Says what trial k is to do.
            space: `keras_tuner.HyperParameters`. It may grow while trials run, by
                hyperparameters that only some of them declare.
            run_one: Function `(proposal, pruner=None)` that trains one trial, publishes
                its result and returns the one that counts: another process's, where
                that was first. A trial that fails returns a result too. What it raises
                (`SearchFailedError`, `KeyboardInterrupt`, `SystemExit`, keras-tuner's
                `FatalError`) ends the search of this process, and leaves the trial
                without a result, to be run again. `pruner` has `report(epoch, value)`,
                which says whether the trial should end; `epoch` counts from 1.
        """
        raise NotImplementedError


def next_proposal(
    strategy: Strategy, space: Any, results: Mapping[int, TrialResult], number: int = 0
) -> Any:
    """Returns what the first trial from `number` on that has no result is to do."""
    while number in results:
        number += 1
    return strategy.proposal(space, number, results)


__all__ = ["Engine", "Proposal", "RunOne", "next_proposal"]
