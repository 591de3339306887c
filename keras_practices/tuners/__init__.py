"""Search for hyperparameters, on keras-tuner; needs the extra `search`."""

from keras_practices.tuners.bayesian_search import BayesianSearch
from keras_practices.tuners.genetic_search import AnnealedGeneticSearch
from keras_practices.tuners.random_search import RandomSearch
from keras_practices.tuners.search_tuner import SearchTuner
from keras_practices.tuners.spaces import dropout
from keras_practices.tuners.spaces import learning_rate
from keras_practices.tuners.spaces import log_uniform
from keras_practices.tuners.spaces import weight_decay
from keras_practices.tuners.staged_search import StagedRandomSearch
from keras_practices.tuners.stages import Stage

__all__ = [
    "AnnealedGeneticSearch",
    "BayesianSearch",
    "RandomSearch",
    "SearchTuner",
    "Stage",
    "StagedRandomSearch",
    "dropout",
    "learning_rate",
    "log_uniform",
    "weight_decay",
]
