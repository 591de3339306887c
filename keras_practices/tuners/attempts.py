"""One attempt at a trial: its folder, its seeds, what watches it, how it ended."""

import contextlib
import dataclasses
import math
import os
import pathlib
import re
import time
import traceback
from typing import Any

import keras
import numpy as np

from keras_practices._core.randomness import derive_seeds
from keras_practices.search_record import ENDED_EARLY
from keras_practices.search_record import FAILED
from keras_practices.search_record import PRUNED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.files import ERROR_FILE
from keras_practices.tuners.folds import is_array
from keras_practices.tuners.hopeless import EndHopeless
from keras_practices.tuners.kept_weights import KeptWeights
from keras_practices.tuners.outcomes import Outcome
from keras_practices.tuners.outcomes import combine
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.trial_callbacks import BestWeights
from keras_practices.tuners.trial_callbacks import ObjectiveCheck
from keras_practices.tuners.trial_callbacks import PruneTrial
from keras_practices.tuners.trial_callbacks import TrialLog

# Characters of a traceback that result.json holds; error.txt has all of it.
_ERROR_LENGTH = 20_000


@dataclasses.dataclass
class Settings:
    """What all attempts of a search share.

    Args:
        objective: `keras_tuner.Objective`.
        root: Folder of the search.
        kept: Its `KeptWeights`.
        seed: Seed of the search.
        executions: Trainings of a trial, over all folds.
        ends_early: Whether hopeless trials are ended.
        keeps_weights: Whether weights are written at all.
    """

    objective: Any
    root: pathlib.Path
    kept: KeptWeights
    seed: int
    executions: int
    ends_early: bool
    keeps_weights: bool


class Attempt:
    """One attempt at a trial.

    Args:
        settings: Those of the search.
        proposal: What the trial is to do.
        number: Number of the attempt.
        folder: Its folder.
        retry: How often this process has failed at this trial already.
        pruner: Object with `report(epoch, value) -> bool`, or None.
        start: Weights to begin from: `(path, epochs trained before)`, or None.
    """

    def __init__(
        self,
        settings: Settings,
        proposal: Proposal,
        number: int,
        folder: pathlib.Path,
        retry: int,
        pruner: Any,
        start: tuple[str, int] | None,
    ):
        self.settings = settings
        self.proposal = proposal
        self.number = number
        self.folder = folder
        self.start = start
        self._pruner = pruner
        self._began = time.monotonic()
        self._execution = 0
        self._watchers: list[Any] = []
        # After a kill the same seeds: the search shall not depend on it. After an
        # exception others: with the same ones it would be raised again.
        origin = [settings.seed, proposal.trial, *([retry] if retry else [])]
        self._seeds = derive_seeds(origin, settings.executions)

    def seed_execution(self, execution: int) -> None:
        """Seeds every generator for the weights and the shuffling of one training."""
        self._execution = execution
        keras.utils.set_random_seed(self._seeds[execution])

    def watchers(
        self, fold: int | None, x: Any, fit_kwargs: dict[str, Any], *, expected: bool
    ) -> list[Any]:
        """Returns the callbacks of one training.

        Args:
            fold: Number of the fold, or None.
            x: Training inputs.
            fit_kwargs: Named arguments of `fit`.
            expected: Whether the logs must hold the objective.
        """
        settings, folder = self.settings, str(self.folder)
        found: list[Any] = []
        if expected:
            freq = fit_kwargs.get("validation_freq", 1)
            found.append(ObjectiveCheck(settings.objective, freq))
        found.append(TrialLog(folder, settings.kept, self._execution, fold))
        if settings.keeps_weights:
            found.append(BestWeights(folder, settings.objective, settings.kept))
        if settings.ends_early:
            leaves = keras.tree.flatten(x) if x is not None else []
            rows = x if leaves and all(map(is_array, leaves)) else None
            found.append(EndHopeless(self.start is None, rows))
        if self._pruner is not None and self._execution == 0:
            found.append(PruneTrial(self._pruner, settings.objective))
        self._watchers = found
        return found

    @property
    def has_ended(self) -> bool:
        """Whether a training was ended early, so that no other need follow."""
        return self._pruned or self._reason is not None

    @property
    def _pruned(self):
        return any(getattr(one, "pruned_at", None) for one in self._watchers)

    @property
    def _reason(self):
        reasons = [getattr(one, "reason", None) for one in self._watchers]
        return next((reason for reason in reasons if reason), None)

    # --- how it ended ----------------------------------------------------------

    def succeeded(self, values: dict[str, Any], outcomes: list[Outcome]) -> TrialResult:
        """Returns the result of an attempt that raised nothing."""
        outcome = combine(outcomes)
        score = outcome.metrics[self.settings.objective.name]
        result = TrialResult(
            trial=self.proposal.trial,
            values=values,
            score=score,
            metrics={k: v for k, v in outcome.metrics.items() if math.isfinite(v)},
            best_epoch=outcome.best_epoch,
            epochs=outcome.epochs,
            checkpoint=self._checkpoint(score, len(outcomes)),
            executions=[one.metrics for one in outcomes] if len(outcomes) > 1 else [],
            **self._frame(),
        )
        if self._pruned:
            return dataclasses.replace(result, status=PRUNED)
        reason = self._reason
        if reason is None and result.has_score:
            return result
        if not result.has_score:
            result = dataclasses.replace(result, score=None, best_epoch=None)
            name = self.settings.objective.name
            reason = reason or f"{name} was not finite in any epoch."
        return dataclasses.replace(result, status=ENDED_EARLY, reason=reason)

    def refused(self, values: dict[str, Any], reason: str) -> TrialResult:
        """Returns the result of a trial that was not trained for a good reason."""
        return TrialResult(
            trial=self.proposal.trial,
            values=values,
            status=ENDED_EARLY,
            reason=reason,
            **self._frame(),
        )

    def failed(self, values: dict[str, Any], error: Exception) -> TrialResult:
        """Writes the traceback down; returns the result."""
        text = "".join(traceback.format_exception(error))
        with contextlib.suppress(OSError):
            (self.folder / ERROR_FILE).write_text(text, encoding="utf-8")
        return TrialResult(
            trial=self.proposal.trial,
            values=values,
            status=FAILED,
            error=text[-_ERROR_LENGTH:],
            **self._frame(),
        )

    def _frame(self):
        return {
            "stage": self.proposal.stage,
            "continues": self.proposal.continues,
            "attempt": self.number,
            "seconds": round(time.monotonic() - self._began, 6),
        }

    def _checkpoint(self, score, executions):
        names = [
            name
            for name in sorted(os.listdir(self.folder))
            if name.startswith("epoch-") and name.endswith(".weights.h5")
        ]
        if not names:
            return None
        by_score = not re.fullmatch(r"epoch-\d+_epoch-.*", names[-1])
        own = f"-{np.float32(score)!s}.weights.h5"
        if by_score and executions == 1 and not names[-1].endswith(own):
            # The disk was full at the best epoch: these are of a worse one.
            return None
        path = self.folder / names[-1]
        return path.relative_to(self.settings.root).as_posix()
