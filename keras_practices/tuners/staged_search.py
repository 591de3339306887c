"""Random search from coarse to fine."""

from collections.abc import Sequence
from typing import Any

from keras_practices.tuners.search_tuner import SearchTuner
from keras_practices.tuners.stages import Stage
from keras_practices.tuners.stages import StagedStrategy
from keras_practices.tuners.stages import checked_stages

# The first finds the right order of magnitude, the last trains to the end.
STAGES = (
    Stage(epochs=1, trials=48),
    Stage(epochs=5, keep=8, trials=16),
    Stage(epochs=30, keep=3),
)


class StagedRandomSearch(SearchTuner):
    """Tries many points for an epoch or two, and only the best of them for longer.

    A learning rate that is off by orders shows in the first epoch, so most of what a
    random search trains is waste. Here a stage trains its trials for few epochs; the
    next one trains the best `keep` of them on, and adds `trials` fresh points: four of
    five from a box around the best ones, log-uniformly where the range is so, the
    fifth from the whole range. The box is never narrower than a fifth of a range.

    A trial that is trained on begins with its best weights and a fresh optimizer. One
    that failed, was pruned or ended early is not; where fewer than `keep` are left,
    points from the whole range take the places.

    How much less it trains than a random search and than Hyperband, on three problems,
    is in `docs/search.md` (`benchmarks/search_staged.py`). It errs where models that
    begin slowly end best: then give the first stage more epochs.

    The points follow from the seed and the results alone, so any number of processes
    finds the same ones (`storage`); they wait for each other at the end of a stage.

    Args:
        hypermodel: Function that takes `keras_tuner.HyperParameters` and returns a
            compiled model, or a `keras_tuner.HyperModel`.
        objective: Name in the logs, or `keras_tuner.Objective`; see `RandomSearch`.
        stages: Sequence of `Stage`, the first one without `keep`. They decide the
            epochs; `search` needs none.
        seed: Integer of at least 0, or None for a search that cannot be repeated.
        **kwargs: Further arguments of `SearchTuner`. At least as many trials of a
            stage keep their weights as any stage trains on.

    Raises:
        ImportError: keras-tuner is not installed; the message names the extra.
        TypeError: an argument of the wrong kind.
        ValueError: stages that do not fit each other, `seed` out of range, an objective
            whose direction is not known, a folder with another search.

    Example:

    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     rate = kp.tuners.learning_rate(hp)
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> Stage = kp.tuners.Stage
    >>> tuner = kp.tuners.StagedRandomSearch(
    ...     build,
    ...     "val_loss",
    ...     stages=[Stage(epochs=1, trials=3), Stage(epochs=2, keep=1)],
    ...     seed=1,
    ... )
    >>> tuner.search(x, x.sum(axis=1), validation_split=0.25, verbose=0)
    >>> [trial.trial_id for trial in tuner.oracle.get_best_trials(1)]
    ['00003']

    References:
        CS231n, "Neural Networks Part 3", hyperparameter optimization ("stage your
        search from coarse to fine"); Jamieson and Talwalkar, "Non-stochastic Best Arm
        Identification and Hyperparameter Optimization", 2016, for training on the
        best half.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        stages: Sequence[Stage] = STAGES,
        seed: int | None = None,
        **kwargs: Any,
    ):
        stages = checked_stages(self, stages)
        kept = kwargs.pop("keep_checkpoints", 10)
        if kept is not None:
            kept = max(kept, *(stage.keep for stage in stages))
        super().__init__(
            hypermodel,
            objective,
            lambda seed, direction: StagedStrategy(stages, direction, seed),
            seed=seed,
            max_trials=sum(stage.size for stage in stages),
            keep_checkpoints=kept,
            **kwargs,
        )
