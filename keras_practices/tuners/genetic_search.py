"""Search that explores first and improves what it found later."""

from typing import Any

from keras_practices._core.validation import check_integer
from keras_practices.tuners.genetic_strategy import AnnealedGeneticStrategy
from keras_practices.tuners.genetic_strategy import check_annealing
from keras_practices.tuners.search_tuner import SearchTuner


class AnnealedGeneticSearch(SearchTuner):
    """Explores the largest unexplored region, or mutates known good points.

    The probability to explore falls geometrically from the first trial to the last,
    and so does the width of the mutations. Exploring takes, of 512 quasi-random
    points, the one that is farthest from all tried ones, in the unit cube: each range
    on its own scale, other kinds 1 apart. Improving draws two parents from the best
    quarter of the trials, the best most likely, and mixes and moves their values.

    It needs no model of the results and takes any space, conditional ones among them.
    In one process a seed gives the same points each time. Several processes
    (`storage`) go on with the results there are, so there the points depend on timing.

    Args:
        hypermodel: Function that takes `keras_tuner.HyperParameters` and returns a
            compiled model, or a `keras_tuner.HyperModel`.
        objective: Name in the logs, or `keras_tuner.Objective`; see `RandomSearch`.
        max_trials: Integer of at least 1. Models to try. A search that is resumed with
            more of them cools down later.
        seed: Integer of at least 0, or None for a search that cannot be repeated.
        explore_first: Float in (0, 1], probability to explore at the beginning.
        explore_last: Float in (0, `explore_first`], that at the end.
        step_first: Float in (0, 1], standard deviation of a mutation at the beginning,
            as a share of the range.
        step_last: Float in (0, `step_first`], that at the end.
        **kwargs: Further arguments of `SearchTuner`.

    Raises:
        ImportError: keras-tuner is not installed; the message names the extra.
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
    >>> tuner = kp.tuners.AnnealedGeneticSearch(build, "val_loss", max_trials=4, seed=1)
    >>> tuner.search(x, x.sum(axis=1), validation_split=0.25, epochs=2, verbose=0)
    >>> len(tuner.oracle.trials)
    4

    References:
        CS231n, "Neural Networks Part 3", hyperparameter optimization; Kirkpatrick,
        Gelatt and Vecchi, "Optimization by Simulated Annealing", 1983, Science 220.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int = 30,
        seed: int | None = None,
        explore_first: float = 1.0,
        explore_last: float = 0.05,
        step_first: float = 0.25,
        step_last: float = 0.03,
        **kwargs: Any,
    ):
        check_integer(self, "max_trials", max_trials, low=1)
        annealing = {
            "explore_first": explore_first,
            "explore_last": explore_last,
            "step_first": step_first,
            "step_last": step_last,
        }
        # Before a folder is looked at or a model built.
        check_annealing(self, **annealing)
        super().__init__(
            hypermodel,
            objective,
            lambda seed, direction: AnnealedGeneticStrategy(
                max_trials, direction, seed, **annealing
            ),
            seed=seed,
            max_trials=max_trials,
            **kwargs,
        )
