"""Layers that Keras lacks, or that the notes describe in other words."""

from keras_practices.layers.inverted_dropout import InvertedDropout

__all__ = ["InvertedDropout"]
