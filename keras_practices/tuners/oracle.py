"""keras-tuner's view of a search whose truth is a folder of results."""

from collections.abc import Mapping
from typing import Any

from keras_practices._core.optional import require
from keras_practices.search_record import FAILED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.search_file import describe_space
from keras_practices.tuners.strategy import Proposal

keras_tuner = require("keras_tuner", "search", "keras_practices.tuners")
_Oracle: Any = keras_tuner.Oracle


class SearchOracle(_Oracle):
    """Shows results as keras-tuner's trials; stores nothing itself.

    Args:
        objective: As `keras_tuner.Oracle` takes it.
        folder: The folder of the search.
        strategy: Function without arguments that returns the `Strategy` in force.
        max_trials: Integer or None, for what is shown.
        **kwargs: Further arguments of `keras_tuner.Oracle`.
    """

    def __init__(
        self,
        objective: Any,
        folder: SearchFolder,
        strategy: Any,
        max_trials: int | None = None,
        **kwargs: Any,
    ):
        self.folder = folder
        self._strategy = strategy
        # Of ended trials, made when somebody asks; and of running ones.
        self._ended: dict[int, Any] = {}
        self._running: dict[str, Any] = {}
        super().__init__(objective=objective, max_trials=max_trials, **kwargs)

    # --- trials ----------------------------------------------------------------

    @property
    def trials(self) -> Any:
        """Trials by their keras-tuner id."""
        found = {
            trial_id(number): self._trial_of(result)
            for number, result in sorted(self.folder.results().items())
        }
        return dict(sorted({**self._running, **found}.items()))

    @trials.setter
    def trials(self, value):
        pass  # keras-tuner's constructor sets an empty table

    def get_trial(self, trial_id: str) -> Any:
        """Returns a trial by its id."""
        if trial_id in self._running:
            return self._running[trial_id]
        return self._trial_of(self.folder.results()[int(trial_id)])

    def begin(self, proposal: Proposal) -> Any:
        """Returns the trial of a proposal, running."""
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = dict(proposal.values)
        for parameter in hyperparameters.space:
            # One that an earlier attempt declared after the point was drawn. Left to
            # keras-tuner, its value would be random without a seed.
            if hyperparameters.is_active(parameter):
                hyperparameters.values.setdefault(parameter.name, parameter.default)
        hyperparameters.ensure_active_values()
        trial = keras_tuner.engine.trial.Trial(
            hyperparameters, trial_id(proposal.trial), "RUNNING"
        )
        self._running[trial.trial_id] = trial
        self._display.on_trial_begin(trial)
        return trial

    def grow(self, trial: Any) -> dict[str, Any] | None:
        """Takes over hyperparameters that only this trial declared.

        Returns:
            What `space.json` shall hold, or None where there are none.
        """
        before = len(self.hyperparameters.space)
        self.update_space(trial.hyperparameters)
        if len(self.hyperparameters.space) == before:
            return None
        return {
            "space": describe_space(self.hyperparameters)[before:],
            "hyperparameters": self.hyperparameters.get_config(),
        }

    def take_over_spaces(self) -> None:
        """Takes over what earlier or other processes found so."""
        for table in self.folder.spaces():
            self.update_space(
                keras_tuner.HyperParameters.from_config(table["hyperparameters"])
            )

    def ended(self, trial: Any, result: TrialResult) -> None:
        """Writes a result into keras-tuner's trial."""
        trial.hyperparameters.values = dict(result.values)
        _fill(trial, result, self.objective)
        self._running.pop(trial.trial_id, None)
        self._ended[result.trial] = trial

    def end_trial(self, trial: Any) -> None:
        """Shows how a trial ended; keras-tuner's hook `on_trial_end` calls it."""
        if self.verbose and trial.trial_id in self._display.trial_start:
            self._display.on_trial_end(trial)

    def update_trial(
        self, trial_id: str, metrics: Mapping[str, Any], step: int = 0
    ) -> Any:
        """Takes figures from a `run_trial` that reports them in the old way."""
        trial = self.get_trial(trial_id)
        self._check_objective_found(metrics)
        for name, value in metrics.items():
            if not trial.metrics.exists(name):
                own = name == self.objective.name
                direction = self.objective.direction if own else None
                trial.metrics.register(name, direction=direction)
            trial.metrics.update(name, value, step=step)
        return trial

    def _trial_of(self, result):
        found = self._ended.get(result.trial)
        if found is None:
            hyperparameters = self.hyperparameters.copy()
            hyperparameters.values = dict(result.values)
            found = keras_tuner.engine.trial.Trial(
                hyperparameters, trial_id(result.trial)
            )
            _fill(found, result, self.objective)
            self._ended[result.trial] = found
        return found

    # --- the search ------------------------------------------------------------

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the point of a trial, as keras-tuner's oracles do."""
        found = self._strategy().proposal(
            self.hyperparameters, int(trial_id), self.folder.results()
        )
        if found is None:
            return {"status": "STOPPED"}
        if not isinstance(found, Proposal):
            return {"status": "IDLE"}
        return {"status": "RUNNING", "values": found.values}

    def remaining_trials(self) -> int | None:
        """Returns how many trials have no result yet, None where not known."""
        if not self.max_trials:
            return None
        return max(0, self.max_trials - len(self.folder.results()))

    def save(self) -> None:
        """Does nothing: what is worth it stands in the folder already."""

    def reload(self) -> None:
        """Reads the folder anew."""
        self.folder.forget()
        self._ended = {}
        self.take_over_spaces()


def trial_id(number: int) -> str:
    """Returns keras-tuner's id of a trial."""
    return f"{number:05d}"


def _fill(trial, result, objective):
    trial.status = "COMPLETED" if result.has_score else "FAILED"
    trial.message = result.error or result.reason
    trial.score = result.score
    trial.best_step = max(0, (result.best_epoch or 1) - 1)
    for name, value in result.metrics.items():
        if not trial.metrics.exists(name):
            own = name == objective.name
            direction = objective.direction if own else None
            trial.metrics.register(name, direction=direction)
            trial.metrics.update(name, value, step=trial.best_step)
    if result.status == FAILED and trial.message is None:
        trial.message = "It failed."
