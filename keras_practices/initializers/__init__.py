"""Weight initializers that Keras lacks."""

from keras_practices.initializers.lsuv import LSUV
from keras_practices.initializers.prior_bias import PriorBias
from keras_practices.initializers.prior_bias import prior_bias
from keras_practices.initializers.sparse_normal import SparseNormal

__all__ = [
    "LSUV",
    "PriorBias",
    "SparseNormal",
    "prior_bias",
]
