"""Random search by keras-tuner, repeatable and with the right direction."""

from typing import Any

import keras
import numpy as np

from keras_practices._core.optional import require
from keras_practices._core.randomness import derive_seeds
from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

keras_tuner = require("keras_tuner", "search", "keras_practices.tuners")
_KerasTunerRandomSearch: Any = keras_tuner.RandomSearch

# keras-tuner takes any metric of Keras's that it does not know for one to minimize,
# so it minimizes `val_f1_score` and `val_r2_score`. These endings are safe.
_SMALLER_IS_BETTER = (
    "loss",
    "error",
    "crossentropy",
    "hinge",
    "divergence",
    "logcosh",
    "log_cosh",
    "poisson",
    "mse",
    "mae",
    "mape",
    "msle",
)


class RandomSearch(_KerasTunerRandomSearch):
    """Trains models with hyperparameters drawn at random and keeps the best.

    It is `keras_tuner.RandomSearch`, with its methods, files and resumption, and
    these corrections (measured on keras-tuner 1.4.8):

    - A repeated search gives the same trials with the same results: `seed` also
      decides the weights, the shuffling and the noise of every execution, each with
      a seed of its own. The state of Python's, NumPy's and PyTorch's generators is
      put back afterwards.
    - Neighbouring seeds give different searches. keras-tuner draws the i-th value
      from `seed + i`, so its searches with seeds 1 and 2 share all values but one;
      and `seed=0` is no seed there.
    - An objective is minimized or maximized as it should be. keras-tuner minimizes
      every metric that it does not know, among them `val_f1_score`, `val_r2_score`
      and `val_cosine_similarity`; here the direction must be said.
    - On TensorFlow it runs without TensorBoard. keras-tuner imports it for every
      trial, and all of them fail where it is missing.

    Args:
        hypermodel: Function that takes `keras_tuner.HyperParameters` and returns a
            compiled model, or a `keras_tuner.HyperModel`.
        objective: Name of a loss, an error or an accuracy in the logs (`"val_loss"`,
            `"val_accuracy"`), `keras_tuner.Objective(name, direction)` for anything
            else, a list of these, or None where `fit` of the hypermodel returns a
            float to minimize.
        max_trials: Integer of at least 1. Models to try.
        seed: Integer of at least 0, or None for a search that cannot be repeated. A
            search that is resumed keeps the seed it began with.
        **kwargs: Further arguments of `keras_tuner.RandomSearch`, such as
            `directory`, `project_name`, `overwrite` and `executions_per_trial`.

    Raises:
        ImportError: keras-tuner is not installed; the message names the extra.
        TypeError: an argument of the wrong kind, no hypermodel.
        ValueError: `max_trials` or `seed` out of range, an objective whose direction
            is not known.

    Example:

    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     rate = kp.tuners.learning_rate(hp)
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> tuner = kp.tuners.RandomSearch(build, "val_loss", max_trials=20, seed=1)
    >>> [parameter.name for parameter in tuner.oracle.get_space().space]
    ['learning_rate']

    References:
        Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", 2012,
        JMLR 13; CS231n, "Neural Networks Part 3", hyperparameter optimization.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int = 10,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_integer(self, "max_trials", max_trials, low=1)
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        check_integer(self, "seed", seed, low=0)
        if hypermodel is None and type(self).run_trial is RandomSearch.run_trial:
            raise type_error(
                self, "hypermodel", "a function that builds a model", hypermodel
            )
        distant = derive_seeds(seed, 1)[0] + 1  # not 0, which would count as None
        with restore_rng():  # it builds models to find the search space
            super().__init__(
                hypermodel,
                objective=_checked_objective(self, objective),
                max_trials=max_trials,
                seed=distant,
                **kwargs,
            )
        # Of a resumed search the stored seed; a worker's stand-in oracle has none.
        self._origin = getattr(self.oracle, "seed", distant)

    def run_trial(self, trial, *args, **kwargs):
        """Runs the executions of one trial, each with a seed of its own."""
        origin = [self._origin, int(trial.trial_id)]
        self._execution_seeds = derive_seeds(origin, self.executions_per_trial)
        with restore_rng():
            return super().run_trial(trial, *args, **kwargs)

    def _build_and_fit_model(self, trial, *args, **kwargs):
        keras.utils.set_random_seed(self._execution_seeds.pop(0))
        return super()._build_and_fit_model(trial, *args, **kwargs)

    def _configure_tensorboard_dir(self, callbacks, trial, execution=0):
        if any(type(item).__name__ == "TensorBoard" for item in callbacks):
            super()._configure_tensorboard_dir(callbacks, trial, execution)


def _checked_objective(owner, objective):
    if isinstance(objective, list | tuple):
        return [_checked_objective(owner, item) for item in objective]
    if objective is None or isinstance(objective, keras_tuner.Objective):
        return objective
    if not isinstance(objective, str):
        raise type_error(
            owner, "objective", "a name or a keras_tuner.Objective", objective
        )
    if objective.endswith(_SMALLER_IS_BETTER):
        return keras_tuner.Objective(objective, "min")
    if _is_known_to_be_maximized(objective):
        return keras_tuner.Objective(objective, "max")
    raise value_error(
        owner,
        "objective",
        "a keras_tuner.Objective where the name does not tell whether less is better",
        objective,
        f'Pass keras_tuner.Objective("{objective}", direction="max"), or "min".',
    )


def _is_known_to_be_maximized(name):
    infer = keras_tuner.engine.metrics_tracking.infer_metric_direction
    try:
        return infer(name) == "max"
    except TypeError:  # it builds the metric, and some need arguments
        return False
