"""A keras-tuner tuner whose search survives kills, full disks and bad trials."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import check_integer
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import UsageError
from keras_practices.tuners import roles
from keras_practices.tuners.attempts import Settings
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.folds import fingerprint_of_fold
from keras_practices.tuners.kept_weights import KeptWeights
from keras_practices.tuners.local_engine import LocalEngine
from keras_practices.tuners.models import CheckedBuild
from keras_practices.tuners.models import load_weights
from keras_practices.tuners.models import uses_default_fit
from keras_practices.tuners.objectives import checked_objective
from keras_practices.tuners.oracle import SearchOracle
from keras_practices.tuners.search_arguments import check_callbacks
from keras_practices.tuners.search_arguments import check_folds
from keras_practices.tuners.search_arguments import check_functions
from keras_practices.tuners.search_arguments import check_pruner
from keras_practices.tuners.search_arguments import check_weights_kept
from keras_practices.tuners.search_file import check_same
from keras_practices.tuners.search_file import describe_search
from keras_practices.tuners.strategy import Strategy
from keras_practices.tuners.study_engine import StudyEngine
from keras_practices.tuners.trial_runner import TrialRunner

# Arguments of keras-tuner's oracle, and of those that count the least number.
_OF_ORACLE = {
    "hyperparameters": None,
    "tune_new_entries": None,
    "allow_new_entries": None,
    "max_retries_per_trial": 0,
    "max_consecutive_failed_trials": 1,
}
_COMPILES = ("optimizer", "loss", "metrics")


class SearchTuner(TrialRunner):
    """Runs the trials of a search; what chooses the points is a `Strategy`.

    It is a `keras_tuner.Tuner`: `HyperModel`s, `hp`, conditional scopes, a `run_trial`
    of one's own, `get_best_models` and the summaries work as there. Different is:

    - The truth is the folder `directory/project_name` (see
      `keras_practices.search_record`). Every file appears whole and once, so a search
      that was killed anywhere goes on when the program is run again, and its results
      are those of an undisturbed one. A trial with a result is never run again, one
      that failed neither: delete its folder to have it tried anew.
    - Each attempt at a trial has a folder with a line an epoch (`stats.jsonl`), the
      weights of its best epoch, the score in their name, and `error.txt`. Only the
      best `keep_checkpoints` trials of a stage keep weights. A full disk costs
      weights, never a result.
    - A search belongs to its data: the validation rows are fixed and hashed, and going
      on with others is refused, as is another space, objective or strategy. The seed
      stays that of the first start. Data that are no arrays are not compared.
    - `seed` decides values, weights, shuffling and noise of every training.
    - A hyperparameter `batch_size` or `epochs` that the build function declares goes
      to `fit`, unless `search` is given that argument or the `HyperModel` has a `fit`
      of its own.
    - A trial without hope (loss not finite or diverging, a learning rate that is off
      by orders, dead units) is ended in its first epochs with the reason kept.
    - A trial that goes on from another one (`Proposal.continues`) begins with its best
      weights and a fresh optimizer, at the epoch after its last.

    With `storage` any number of processes may run the same program at a time.

    Args:
        hypermodel: Function that takes `keras_tuner.HyperParameters` and returns a
            compiled model, or a `keras_tuner.HyperModel`.
        objective: Name in the logs, `keras_tuner.Objective`, a list of these, or None
            for a float to minimize.
        strategy: Function `(seed, direction)` that returns a `Strategy`.
        seed: Integer of at least 0, or None for a search that cannot be repeated.
        storage: URL of a database (`"sqlite:///search.db"`) through which several
            processes share the trials, or None for one process.
        max_trials: Integer, for what is shown, or None.
        executions_per_trial: Integer of at least 1. Trainings of a trial, each with a
            seed of its own; the score is their mean.
        cross_validation: None for the validation data of `search`; an integer of at
            least 2, a splitter of scikit-learn's or a list of pairs `(training rows,
            validation rows)` to train each trial once a fold. The score is the mean,
            and no weights are kept.
        preprocess: Function of the training inputs that returns a function of inputs,
            called for each fold anew (`lambda x: StandardScaler().fit(x).transform`);
            needs `cross_validation`.
        ends_early: Bool. End trials without hope.
        pruner: A pruner of Optuna's (`optuna.pruners.MedianPruner()`), or None; needs
            `storage`.
        keep_checkpoints: Integer of at least 0, trials of a stage that keep their
            weights, or None for all.
        max_disk_gb: Number above 0, gigabytes that weights may take, or None.
        heartbeat_interval: Integer, seconds between two signs of life of a process
            with `storage`.
        grace_period: Integer, seconds of silence after which its trial is run again.
        overwrite: Bool. Delete an earlier search in the folder.
        directory: Folder of searches.
        project_name: Name of the search.
        **kwargs: Further arguments of `keras_tuner.Tuner` (`max_model_size`,
            `optimizer`, `loss`, `metrics`) and of its oracle: `hyperparameters`,
            `tune_new_entries`, `allow_new_entries`, `max_retries_per_trial` (0: one
            attempt at a trial that raises), `max_consecutive_failed_trials` (3: so
            many failures in a row end the search).

    Raises:
        ImportError: a package is not installed; the message names the extra.
        TypeError: an argument of the wrong kind, no hypermodel.
        ValueError: an argument out of range, or a folder with another search.

    Example:

    >>> from keras_practices.tuners.strategy import Proposal, Strategy
    >>> class Sweep(Strategy):
    ...     def proposal(self, space, trial, results):
    ...         rates = [0.1, 0.01, 0.001]
    ...         if trial < len(rates):
    ...             return Proposal(trial, {"learning_rate": rates[trial]})
    ...     def get_config(self):
    ...         return {}
    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile(keras.optimizers.SGD(kp.tuners.learning_rate(hp)), "mse")
    ...     return model
    >>> tuner = SearchTuner(build, "val_loss", lambda seed, direction: Sweep(), seed=0)
    >>> tuner.strategy.proposal(tuner.oracle.get_space(), 1, {}).values
    {'learning_rate': 0.01}
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        strategy: Callable[[int, str], Strategy] | None = None,
        *,
        seed: int | None = None,
        storage: str | None = None,
        max_trials: int | None = None,
        executions_per_trial: int = 1,
        cross_validation: Any = None,
        preprocess: Callable[[Any], Callable[[Any], Any]] | None = None,
        ends_early: bool = True,
        pruner: Any = None,
        keep_checkpoints: int | None = 10,
        max_disk_gb: float | None = None,
        heartbeat_interval: int = 15,
        grace_period: int = 60,
        overwrite: bool = False,
        directory: str | os.PathLike[str] | None = None,
        project_name: str | None = None,
        **kwargs: Any,
    ):
        role = roles.current()
        self._storage = role.storage or storage
        self._shared = role.is_worker or self._storage is not None
        self._pruner = pruner
        self._heartbeat = (heartbeat_interval, grace_period)
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        check_integer(self, "seed", seed, low=0)
        check_integer(self, "executions_per_trial", executions_per_trial, low=1)
        check_weights_kept(self, keep_checkpoints, max_disk_gb)
        check_pruner(self, pruner, self._shared)
        self._folds = check_folds(self, cross_validation, preprocess, seed)
        check_functions(self, hypermodel, strategy, SearchTuner.run_trial)
        self._keep = keep_checkpoints
        self._max_bytes = None if max_disk_gb is None else max_disk_gb * 1e9
        self._ends_early = bool(ends_early)
        self._make_strategy: Any = strategy
        self._folder = SearchFolder(
            os.path.join(directory or ".", project_name or "untitled_project")
        )
        oracle = self._make_oracle(objective, max_trials, seed, kwargs)
        # A worker runs the program of the first process: with `overwrite` it would
        # delete what the others have done.
        overwrite = overwrite and not role.is_worker
        self._check_folder(overwrite)
        self._compiles = any(kwargs.get(name) for name in _COMPILES)
        with restore_rng():  # it builds models to find the search space
            super().__init__(
                oracle,
                hypermodel,
                directory=None if directory is None else os.fspath(directory),
                project_name=project_name,
                overwrite=overwrite,
                executions_per_trial=executions_per_trial,
                **kwargs,
            )
        self._own_space = self.oracle.get_space()
        self._adopt(seed, None)

    # --- checks ----------------------------------------------------------------

    def _make_oracle(self, objective, max_trials, seed, kwargs):
        options = {name: kwargs.pop(name) for name in _OF_ORACLE if name in kwargs}
        for name, value in options.items():
            if _OF_ORACLE[name] is not None:
                check_integer(self, name, value, low=_OF_ORACLE[name])
        return SearchOracle(
            checked_objective(self, objective),
            self._folder,
            lambda: self.strategy,
            max_trials,
            seed=seed,
            **options,
        )

    def _check_folder(self, overwrite):
        path = self._folder.path
        if overwrite:
            if self._storage is not None and self._folder.head() is not None:
                StudyEngine(self._folder, self._storage, path.name).forget()
        elif (path / "oracle.json").exists():
            raise ArgumentValueError(
                f"{type(self).__name__}: the folder {str(path)!r} holds a search of "
                "keras-tuner's own, which cannot be continued here. Take another "
                "`project_name`, or pass overwrite=True to delete it."
            )

    def _populate_initial_space(self):
        """Looks at what `build` returns before any trial is lost for it."""
        hypermodel = self.hypermodel
        if hypermodel is None or type(self).run_trial is not SearchTuner.run_trial:
            super()._populate_initial_space()
            return
        compiled = uses_default_fit(hypermodel) and not self._compiles
        self.hypermodel = CheckedBuild(hypermodel, compiled)
        try:
            super()._populate_initial_space()
        finally:
            self.hypermodel = hypermodel

    def _adopt(self, seed, data):
        """Takes over the seed of the folder, and refuses a folder of another search."""
        stored = self._folder.head()
        self.seed = seed if stored is None else int(stored["seed"])
        objective = self.oracle.objective
        self.oracle.seed = self.seed
        self.strategy = self._make_strategy(self.seed, objective.direction)
        folds = self._folds is not None
        settings = {"executions": self.executions_per_trial, "cross_validation": folds}
        given = describe_search(
            objective, self.strategy, self._own_space, self.seed, settings
        )
        given["data"] = data
        if stored is not None:
            check_same(self, self._folder, stored, given)
        return given

    # --- the search ------------------------------------------------------------

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Runs the trials that have no result yet.

        Args:
            *args: Positional arguments of `fit`.
            **kwargs: Its named arguments.

        Raises:
            RuntimeError: so many trials failed in a row, or none could succeed
                (`SearchFailedError`); another process searches in the folder.
            ValueError: other data than those the search began with.
            TypeError: a callback that cannot be copied for each trial.
        """
        role = roles.current()
        if "verbose" in kwargs:
            self.oracle.verbose = kwargs["verbose"]
        check_callbacks(self, kwargs.get("callbacks") or [])
        if self._folds is None:
            data = fingerprint_of_fold(args, kwargs)
        else:
            self._folds.fix(args, kwargs)
            data = self._folds.fingerprint
        self._folder.publish_head(self._adopt(self.seed, data))
        self._adopt(self.seed, data)  # another process may have been first
        self.oracle.take_over_spaces()
        self._fit_data = (args, kwargs)
        self._failures = []
        self._settings = self._make_settings()
        self._folder.make_room = self._settings.kept.make_room
        role.announce(self._folder.path, self.oracle.max_trials)
        self.on_search_begin()
        try:
            self._settings.kept.update(self._folder.results())
            self._engine().run(
                self.strategy, self.oracle.hyperparameters, role.limited(self._run_one)
            )
        finally:
            self._fit_data, self._attempt = ((), {}), None
        self.on_search_end()
        role.end()

    def _make_settings(self):
        objective = self.oracle.objective
        kept = KeptWeights(
            self._folder, objective.direction, self._keep, self._max_bytes
        )
        folds = 1 if self._folds is None else self._folds.count
        return Settings(
            objective=objective,
            root=self._folder.path,
            kept=kept,
            seed=self.seed,
            executions=self.executions_per_trial * folds,
            ends_early=self._ends_early,
            keeps_weights=self._folds is None and self._keep != 0,
        )

    def _engine(self):
        if not self._shared:
            return LocalEngine(self._folder)
        return StudyEngine(
            self._folder,
            self._storage,
            self._folder.path.name,
            direction=self.oracle.objective.direction,
            pruner=self._pruner,
            heartbeat_interval=self._heartbeat[0],
            grace_period=self._heartbeat[1],
        )

    @property
    def folder(self) -> pathlib.Path:
        """The folder of the search, which `SearchRecord.load` reads."""
        return self._folder.path

    # --- keras-tuner's other methods --------------------------------------------

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Returns the models of the best trials with the weights of their best epoch.

        Args:
            num_models: Integer of at least 1.

        Returns:
            List of Keras models, the best first.

        Raises:
            RuntimeError: the weights of one are not there.
        """
        found = self.oracle.get_best_trials(num_models)
        return [self.load_model(one) for one in found if one.score is not None]

    def load_model(self, trial: Any) -> Any:
        """Returns the model of a trial with its best weights."""
        result = self._folder.results(refresh=True)[int(trial.trial_id)]
        kept = KeptWeights(self._folder, self.oracle.objective.direction, None, None)
        path = kept.path_of(result)
        if path is None:
            why = (
                "a search with cross_validation keeps none"
                if self._folds is not None
                else f"the best {self._keep} of a stage keep theirs, and none where "
                "the disk was full or `run_trial` took no callbacks"
            )
            raise UsageError(
                f"The weights of trial {trial.trial_id} are not there: {why}. Train "
                "its hyperparameters again: tuner.hypermodel.build("
                "tuner.get_best_hyperparameters()[0])."
            )
        with restore_rng():
            return load_weights(self._try_build(trial.hyperparameters), path)

    def get_trial_dir(self, trial_id: str) -> str:
        """Returns the folder of a trial."""
        result = self._folder.results().get(int(trial_id))
        stage = 1 if result is None else result.stage
        if self._attempt is not None and self._attempt.proposal.trial == int(trial_id):
            stage = self._attempt.proposal.stage
        return str(self._folder.trial_folder(int(trial_id), stage))

    def save(self) -> None:
        """Does nothing: what is worth it stands in the folder already."""

    def reload(self) -> None:
        """Reads the folder anew."""
        self.oracle.reload()
