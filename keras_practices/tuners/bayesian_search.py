"""Search that learns from its own results, by Optuna's samplers."""

from typing import Any

from keras_practices._core.optional import require
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices.tuners.bayesian_strategy import SAMPLERS
from keras_practices.tuners.bayesian_strategy import BayesianStrategy
from keras_practices.tuners.search_tuner import SearchTuner


class BayesianSearch(SearchTuner):
    """Tries the points that a model of the results so far holds for promising.

    The first `startup_trials` points are those of `RandomSearch` with the same seed.
    After them Optuna's sampler is shown all results and asked for one point; nothing
    else of it is kept, so a search that was killed goes on as if nothing had happened.
    A trial without a score (failed, ended early) counts as the worst score so far: its
    neighbourhood is avoided.

    In one process a seed gives the same points each time. Several processes
    (`storage`) go on with the results there are, so there the points depend on timing.

    Args:
        hypermodel: Function that takes `keras_tuner.HyperParameters` and returns a
            compiled model, or a `keras_tuner.HyperModel`.
        objective: Name in the logs, or `keras_tuner.Objective`; see `RandomSearch`.
        max_trials: Integer of at least 1. Models to try.
        seed: Integer of at least 0, or None for a search that cannot be repeated.
        startup_trials: Integer of at least 1. Points at random before the model.
        sampler: `"tpe"`, a tree-structured Parzen estimator, which knows conditional
            hyperparameters; or `"gp"`, a Gaussian process, which needs PyTorch and
            draws conditional ones at random. It takes a second or so a point.
        **kwargs: Further arguments of `SearchTuner`.

    Raises:
        ImportError: keras-tuner, Optuna, or PyTorch for `"gp"`, is not installed; the
            message names the extra.
        TypeError: an argument of the wrong kind.
        ValueError: an argument out of range, an objective whose direction is not
            known, a folder with another search.

    Example:

    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     rate = kp.tuners.learning_rate(hp)
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> tuner = kp.tuners.BayesianSearch(
    ...     build, "val_loss", max_trials=4, seed=1, startup_trials=3
    ... )
    >>> tuner.search(x, x.sum(axis=1), validation_split=0.25, epochs=2, verbose=0)
    >>> len(tuner.oracle.trials)
    4

    References:
        Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter
        Optimization", 2011, NIPS 24; Akiba et al., "Optuna", 2019, KDD.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int = 30,
        seed: int | None = None,
        startup_trials: int = 10,
        sampler: str = "tpe",
        **kwargs: Any,
    ):
        # Before a folder is looked at or a model built.
        check_integer(self, "max_trials", max_trials, low=1)
        check_integer(self, "startup_trials", startup_trials, low=1)
        check_choice(self, "sampler", sampler, SAMPLERS)
        require("optuna", "search", "BayesianSearch")
        super().__init__(
            hypermodel,
            objective,
            lambda seed, direction: BayesianStrategy(
                max_trials, direction, seed, startup_trials, sampler
            ),
            seed=seed,
            max_trials=max_trials,
            **kwargs,
        )
