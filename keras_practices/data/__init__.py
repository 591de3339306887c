"""Data that knows its part: split, vault, statistics of the training part only."""

from keras_practices.data.part import Part
from keras_practices.data.split import Split
from keras_practices.data.standardization import Standardization
from keras_practices.data.vault import Vault

__all__ = ["Part", "Split", "Standardization", "Vault"]
