"""Trains one trial after another inside a tuner, whatever they do."""

import gc
from typing import Any

import keras

from keras_practices._core import backend
from keras_practices._core.optional import require
from keras_practices._core.randomness import restore_rng
from keras_practices.errors import SearchFailedError
from keras_practices.errors import UsageError
from keras_practices.search_record import FAILED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.attempts import Attempt
from keras_practices.tuners.attempts import Settings
from keras_practices.tuners.files import ERROR_FILE
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.folds import Folds
from keras_practices.tuners.folds import given_rows
from keras_practices.tuners.kept_weights import remove_weights
from keras_practices.tuners.models import ModelTooLarge
from keras_practices.tuners.models import check_model
from keras_practices.tuners.models import load_weights
from keras_practices.tuners.models import save_build_config
from keras_practices.tuners.models import uses_default_fit
from keras_practices.tuners.outcomes import combine
from keras_practices.tuners.outcomes import read_outcomes
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.trial_callbacks import TunerBatchHooks
from keras_practices.tuners.trial_callbacks import TunerHooks

keras_tuner = require("keras_tuner", "search", "keras_practices.tuners")
_Tuner: Any = keras_tuner.Tuner
# Hyperparameters that `fit` takes as arguments.
_OF_FIT = ("batch_size", "epochs")
# Trials after which compiled programs are dropped: to compile the small ones again
# takes about as long as a trial of a second.
_FORGET_EVERY = 10


class TrialRunner(_Tuner):
    """The part of `SearchTuner` that runs trials; see there."""

    _folder: SearchFolder
    _settings: Settings
    _folds: Folds | None = None
    _attempt: Attempt | None = None
    _has_built = False
    _released = 0
    _more_space: dict[str, Any] | None = None
    _failures: list[str]
    _fit_data: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def _run_one(self, proposal: Proposal, pruner: Any = None) -> TrialResult:
        """Trains a trial, publishes its result and returns the one that counts."""
        proposal = self._folder.begin(proposal)
        known = self._folder.result(proposal.trial, proposal.stage)
        if known is not None:
            return self._folder.publish(known)
        trial = self.oracle.begin(proposal)
        self.on_trial_begin(trial)
        with restore_rng():
            for retry in range(self.oracle.max_retries_per_trial + 1):
                attempt = self._new_attempt(proposal, retry, pruner)
                result, may_retry = self._try(attempt, trial)
                if result.checkpoint is None:
                    remove_weights(attempt.folder)
                if result.status != FAILED or not may_retry:
                    break
        self._attempt = None
        if self._more_space is not None:
            # Outside of what may fail: a full disk is no fault of the trial.
            self._folder.publish_space(proposal, self._more_space)
        counts = self._folder.publish(result)
        if counts is not result:
            # Another process was first: its weights are those of the trial.
            remove_weights(attempt.folder)
        self._settings.kept.update(self._folder.results())
        self._release()
        self.oracle.ended(trial, counts)
        self.on_trial_end(trial)
        self._count_failures(counts)
        return counts

    def _new_attempt(self, proposal, retry, pruner):
        number, folder = self._folder.new_attempt(proposal)
        if number:
            remove_weights(folder.with_name(f"attempt-{number - 1}"))
        start = None
        if proposal.continues is not None:
            source = self._folder.results(refresh=True)[proposal.continues]
            path = self._settings.kept.path_of(source)
            # Weights that a full disk cost: it is trained from the beginning.
            start = None if path is None else (path, source.epochs)
        attempt = Attempt(
            self._settings, proposal, number, folder, retry, pruner, start
        )
        self._attempt = attempt
        return attempt

    def _try(self, attempt, trial):
        """Returns the result of one attempt, and whether another one makes sense."""
        args, kwargs = self._fit_data[0], dict(self._fit_data[1])
        self._more_space = None
        if attempt.proposal.epochs is not None:
            kwargs["epochs"] = attempt.proposal.epochs
            if attempt.start is not None:
                kwargs["initial_epoch"] = attempt.start[1]
        values = trial.hyperparameters.values
        try:
            attempt.seed_execution(0)
            outcomes = self._outcomes_of(trial, args, kwargs)
            self._more_space = self.oracle.grow(trial)
            values = trial.hyperparameters.values
            return attempt.succeeded(dict(values), outcomes), False
        except (SearchFailedError, keras_tuner.errors.FatalError):
            raise
        except ModelTooLarge as error:
            return attempt.refused(dict(values), str(error)), False
        except keras_tuner.errors.FailedTrialError as error:
            return attempt.failed(dict(values), error), False
        except Exception as error:
            return attempt.failed(dict(values), error), True

    def _outcomes_of(self, trial, args, kwargs):
        objective = self.oracle.objective
        found = self.run_trial(trial, *args, **kwargs)
        if trial.metrics.exists(objective.name):
            # It called `self.oracle.update_trial`, keras-tuner's old way.
            names = trial.metrics.metrics
            found = {name: trial.metrics.get_best_value(name) for name in names}
        own = type(self).run_trial is not TrialRunner.run_trial
        source = f"{type(self).__name__}.run_trial" if own else "HyperModel.fit"
        return read_outcomes(found, objective, source)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Trains the models of one trial, for subclasses to extend or replace.

        Args:
            trial: `keras_tuner` trial; its `hyperparameters` hold the values.
            *args: Positional arguments of `search`.
            **kwargs: Named arguments of `search`.

        Returns:
            What each training returned, a list. A replacement returns the `History` of
            `fit`, a dict of figures, a number, or a list of these.
        """
        given = kwargs.pop("callbacks", None) or []
        attempt = self._attempt
        if attempt is None:
            raise UsageError("run_trial is called by `search`, not by itself.")
        found: list[Any] = []
        expected = uses_default_fit(self.hypermodel) and self.oracle.objective.name != (
            "default_objective"
        )
        for execution in range(self.executions_per_trial):
            for fold, fit_args, fit_kwargs in self._fits(args, kwargs):
                attempt.seed_execution(len(found))
                callbacks = self._deepcopy_callbacks(given)
                self._configure_tensorboard_dir(callbacks, trial, execution)
                rows = given_rows(fit_args, fit_kwargs).get("x")
                callbacks += [
                    *self._hooks(trial),
                    *attempt.watchers(fold, rows, fit_kwargs, expected=expected),
                ]
                fit_kwargs["callbacks"] = callbacks
                results = self._build_and_fit_model(trial, *fit_args, **fit_kwargs)
                # Read at once: a History holds its model.
                found.append(self._summary(results))
                del results, callbacks
                if attempt.has_ended:
                    return found
        return found

    def _fits(self, args, kwargs):
        if self._folds is None:
            yield None, args, dict(kwargs)
            return
        for fold, fit_kwargs in self._folds.fits(args, kwargs):
            yield fold, (), fit_kwargs

    def _summary(self, results):
        """Keeps only what counts of a training: its best epoch."""
        outcomes = read_outcomes(results, self.oracle.objective, "HyperModel.fit")
        return combine(outcomes)

    def _build_and_fit_model(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        model = self._try_build(hp)
        attempt = self._attempt
        if attempt is not None and attempt.start is not None:
            load_weights(model, attempt.start[0])
        if uses_default_fit(self.hypermodel):
            for name in _OF_FIT:
                if name in hp.values and name not in kwargs:
                    kwargs[name] = hp.values[name]
        was_built = model.built
        results = self.hypermodel.fit(hp, model, *args, **kwargs)
        if not was_built and attempt is not None:
            save_build_config(attempt.folder, model)
        return results

    def _try_build(self, hp):
        self._has_built = True
        model = self._build_hypermodel(hp)
        compiled = uses_default_fit(self.hypermodel)
        return check_model(model, compiled, self.max_model_size)

    def _release(self):
        """Gives the memory of the trial back, where it built a model."""
        if self._has_built:
            self._has_built = False
            self._released += 1
            keras.utils.clear_session(free_memory=False)
            if self._released % _FORGET_EVERY == 0:
                backend.forget_compiled()
            gc.collect()

    def _hooks(self, trial):
        """Calls the hooks of a subclass; those of batches cost, so only if it has."""
        own = {
            name
            for name in dir(_Tuner)
            if name.startswith(("on_epoch_", "on_batch_"))
            and getattr(type(self), name) is not getattr(_Tuner, name)
        }
        if any(name.startswith("on_batch_") for name in own):
            return [TunerBatchHooks(self, trial)]
        return [TunerHooks(self, trial)] if own else []

    def _configure_tensorboard_dir(self, callbacks, trial, execution=0):
        # keras-tuner imports TensorBoard for every trial on TensorFlow, and all of
        # them fail where it is missing.
        if any(type(item).__name__ == "TensorBoard" for item in callbacks):
            super()._configure_tensorboard_dir(callbacks, trial, execution)

    def _count_failures(self, result):
        if result.status != FAILED:
            self._failures = []
            return
        folder = self._folder.trial_folder(result.trial, result.stage)
        self._failures.append(str(folder / f"attempt-{result.attempt}" / ERROR_FILE))
        if len(self._failures) < self.oracle.max_consecutive_failed_trials:
            return
        failures, self._failures = self._failures, []
        last = (result.error or "").strip().split("\n")[-1]
        listed = "\n  ".join(failures)
        raise SearchFailedError(
            f"{len(failures)} trials in a row failed, so the search ended. The last "
            f"one: {last}\nThe tracebacks:\n  {listed}\nCorrect the program, delete "
            "the folders of these trials to have them tried again, and search again."
        )
