"""Random search by keras-tuner, repeatable and with the right direction."""

from typing import Any

from keras_practices._core.validation import check_integer
from keras_practices.tuners.search_tuner import SearchTuner
from keras_practices.tuners.strategy import RandomStrategy


class RandomSearch(SearchTuner):
    """Trains models with hyperparameters drawn at random and keeps the best.

    It takes what `keras_tuner.RandomSearch` takes, is a `keras_tuner.Tuner` with its
    methods, and differs in this (measured on keras-tuner 1.4.8):

    - A repeated search gives the same trials with the same results: `seed` also
      decides the weights, the shuffling and the noise of every training, each with
      a seed of its own. The state of Python's, NumPy's and PyTorch's generators is
      put back afterwards.
    - Neighbouring seeds give different searches. keras-tuner draws the i-th value
      from `seed + i`, so its searches with seeds 1 and 2 share all values but one;
      and `seed=0` is no seed there. A hyperparameter more leaves the values of the
      others as they were.
    - An objective is minimized or maximized as it should be. keras-tuner minimizes
      every metric that it does not know, among them `val_f1_score`, `val_r2_score`
      and `val_cosine_similarity`; here the direction must be said.
    - On TensorFlow it runs without TensorBoard. keras-tuner imports it for every
      trial, and all of them fail where it is missing.
    - A search that was killed at any moment goes on when the program is run again,
      without a trial lost or counted twice; `max_trials` may be larger then. A killed
      keras-tuner leaves empty files that it cannot read again.
    - What else `SearchTuner` does: figures of every epoch, only the best weights
      kept, hopeless trials ended early, cross-validation, several processes.

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
        **kwargs: Further arguments of `SearchTuner`, such as `directory`,
            `project_name`, `overwrite`, `executions_per_trial` and `storage`.

    Raises:
        ImportError: keras-tuner is not installed; the message names the extra.
        TypeError: an argument of the wrong kind, no hypermodel.
        ValueError: `max_trials` or `seed` out of range, an objective whose direction
            is not known, a folder with another search.

    Example:

    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     rate = kp.tuners.learning_rate(hp)
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> tuner = kp.tuners.RandomSearch(build, "val_loss", max_trials=3, seed=1)
    >>> tuner.search(x, x.sum(axis=1), validation_split=0.25, epochs=2, verbose=0)
    >>> best = tuner.get_best_models()[0]
    >>> sorted(path.name for path in (tuner.folder / "stage-1").iterdir())
    ['trial-00000', 'trial-00001', 'trial-00002']

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
        super().__init__(
            hypermodel,
            objective,
            lambda seed, direction: RandomStrategy(max_trials, seed),
            seed=seed,
            max_trials=max_trials,
            **kwargs,
        )
