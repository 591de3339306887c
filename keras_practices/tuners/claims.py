"""One claim on a trial number, held by a heartbeat in an Optuna storage."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from keras_practices.search_record import COMPLETED
from keras_practices.search_record import FAILED
from keras_practices.search_record import PRUNED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.storages import DatabaseAway
from keras_practices.tuners.storages import talking_to
from keras_practices.tuners.strategy import Proposal

_NUMBER = "trial"


class Claim:
    """The objective that `Study.optimize` runs, while its heartbeat beats.

    It writes the number that it takes, then reads all others that are alive: of two
    that take one number at a time at least one sees the other, and who sees one steps
    back.

    Args:
        optuna: The module.
        storage: What `open_storage` returned.
        url: URL of its database, for messages.
        folder: The `SearchFolder` of the search.
        proposal: What the trial is to do.
        run_one: Function `(proposal, pruner)` that runs it.
        max_lost: Dead processes after which the trial is published as failed.
        prunes: Bool. Hand `run_one` the pruner of the study.

    Attributes:
        ran: Whether the trial has a result by now.
        raised: What ended the attempt before, or None.
    """

    def __init__(
        self,
        optuna: Any,
        storage: Any,
        url: str,
        folder: Any,
        proposal: Proposal,
        run_one: Any,
        *,
        max_lost: int,
        prunes: bool,
    ):
        self._optuna = optuna
        self._storage = storage
        self._url = url
        self._folder = folder
        self._proposal = proposal
        self._run_one = run_one
        self._max_lost = max_lost
        self._prunes = prunes
        self._begun = False
        self.ran = False
        self.raised: BaseException | None = None

    def run(self, study: Any) -> bool:
        """Claims the number and runs its trial.

        Args:
            study: The Optuna study.

        Returns:
            Whether the trial has a result now; False where another process has it.

        Raises:
            DatabaseAway: the number could not be claimed.
            BaseException: what `run_one` raised. The number is free again then.
        """
        self._storage.beaten.clear()
        try:
            with talking_to(self._url):
                study.optimize(self._objective, n_trials=1)
        except Exception:
            # Once it began, what counts is in `ran` and `raised`, and telling Optuna
            # is a courtesy: it refuses a claim that became void while this process
            # was paused, and the database may be away.
            if not self._begun:
                raise
        if self.raised is not None:
            raise self.raised
        return self.ran

    def _objective(self, trial):
        self._begun = True
        result = None
        try:
            with talking_to(self._url):
                is_ours, lost = self._take(trial)
            if is_ours:
                result = self._result(lost, trial)
                self.ran = True
        except BaseException as error:
            self.raised = error
        if result is None:
            # It makes the number free at once, not only after the grace period.
            with contextlib.suppress(Exception):
                trial.set_user_attr(_NUMBER, None)
            return float("nan")
        if result.status == PRUNED:
            raise self._optuna.TrialPruned
        return result.score if result.status == COMPLETED else float("nan")

    def _take(self, trial):
        """Takes the number; returns whether it did, and how many died of it."""
        # A claim without a first heartbeat would never count as dead.
        if not self._storage.beaten.wait(self._storage.grace_period):
            raise DatabaseAway("No heartbeat could be written.")
        number = self._proposal.trial
        trial.set_user_attr(_NUMBER, number)
        states = self._optuna.trial.TrialState
        others = [
            claim
            for claim in trial.study.get_trials(deepcopy=False)
            if claim.user_attrs.get(_NUMBER) == number and claim.number != trial.number
        ]
        is_ours = all(claim.state != states.RUNNING for claim in others)
        # What failed and has a result is not taken again: these have none.
        return is_ours, sum(claim.state == states.FAIL for claim in others)

    def _result(self, lost, trial):
        proposal = self._proposal
        there = self._folder.result(proposal.trial, proposal.stage)
        if there is not None:  # published in the moment before the number was taken
            return there
        if lost >= self._max_lost:
            return self._folder.publish(_given_up(proposal, lost))
        pruner = _Pruner(trial) if self._prunes else None
        return self._run_one(proposal, pruner=pruner)


class _Pruner:
    """Hands the figures of a trial to Optuna's pruner."""

    def __init__(self, trial):
        self._trial = trial

    def report(self, epoch: int, value: float) -> bool:
        """Returns whether the trial should end here, since others are ahead."""
        try:
            self._trial.report(float(value), int(epoch))
            return bool(self._trial.should_prune())
        except Exception:  # a database that is away ends no training
            return False


def numbers_taken(optuna: Any, study: Any) -> set[int]:
    """Returns the trial numbers that are claimed.

    Args:
        optuna: The module.
        study: The Optuna study.
    """
    running = (optuna.trial.TrialState.RUNNING,)
    claims = study.get_trials(deepcopy=False, states=running)
    return {claim.user_attrs.get(_NUMBER) for claim in claims} - {None}


def void_stale(optuna: Any, study: Any) -> None:
    """Makes the claims void whose heartbeat has stopped.

    Args:
        optuna: The module.
        study: The Optuna study.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is marked as experimental
        optuna.storages.fail_stale_trials(study)


@contextlib.contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Optuna logs every claim; progress and failures are told elsewhere."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _given_up(proposal, lost):
    text = (
        f"{lost} processes died while they ran this trial, or were killed: it is not "
        "tried again. The usual reason is memory; the system's log tells."
    )
    return TrialResult(
        trial=proposal.trial,
        values=dict(proposal.values),
        status=FAILED,
        stage=proposal.stage,
        continues=proposal.continues,
        error=text,
    )
