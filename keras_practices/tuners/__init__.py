"""Search for hyperparameters, on keras-tuner; needs the extra `search`."""

from keras_practices.tuners.random_search import RandomSearch
from keras_practices.tuners.spaces import dropout
from keras_practices.tuners.spaces import learning_rate
from keras_practices.tuners.spaces import log_uniform
from keras_practices.tuners.spaces import weight_decay

__all__ = ["RandomSearch", "dropout", "learning_rate", "log_uniform", "weight_decay"]
