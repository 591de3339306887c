"""Layers that Keras lacks, or that the notes describe in other words."""

from keras_practices.layers.drop_connect import DropConnect
from keras_practices.layers.fractional_max_pooling import FractionalMaxPooling2D
from keras_practices.layers.insert_batch_norm import insert_batch_norm
from keras_practices.layers.inverted_dropout import InvertedDropout
from keras_practices.layers.maxout import Maxout
from keras_practices.layers.mc_dropout import MCDropout
from keras_practices.layers.predict_mc import predict_mc
from keras_practices.layers.stochastic_depth import StochasticDepth
from keras_practices.layers.stochastic_pooling import StochasticPooling2D
from keras_practices.layers.vanilla_dropout import VanillaDropout
from keras_practices.layers.weight_normalization import WeightNormalization
from keras_practices.layers.weight_normalization import initialize_weight_normalization

__all__ = [
    "DropConnect",
    "FractionalMaxPooling2D",
    "InvertedDropout",
    "MCDropout",
    "Maxout",
    "StochasticDepth",
    "StochasticPooling2D",
    "VanillaDropout",
    "WeightNormalization",
    "initialize_weight_normalization",
    "insert_batch_norm",
    "predict_mc",
]
