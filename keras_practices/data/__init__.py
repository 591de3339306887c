"""Data that knows its part: split, vault, statistics of the training part only."""

from keras_practices.data.balance import class_weights
from keras_practices.data.balance import sample_weights
from keras_practices.data.balanced_sampler import BalancedSampler
from keras_practices.data.leaks import find_leaks
from keras_practices.data.min_max_scaling import MinMaxScaling
from keras_practices.data.part import Part
from keras_practices.data.pca import PCA
from keras_practices.data.split import Split
from keras_practices.data.standardization import Standardization
from keras_practices.data.vault import Vault
from keras_practices.data.whitening import Whitening

__all__ = [
    "BalancedSampler",
    "MinMaxScaling",
    "PCA",
    "Part",
    "Split",
    "Standardization",
    "Vault",
    "Whitening",
    "class_weights",
    "find_leaks",
    "sample_weights",
]
