"""One penalty for all weights of a model, and none for biases."""

from keras_practices.regularizers.apply import regularize
from keras_practices.regularizers.weight_decay import exclude_from_weight_decay

__all__ = ["exclude_from_weight_decay", "regularize"]
