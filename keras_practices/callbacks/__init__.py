"""Callbacks: thin adapters that run measures and rules on a schedule inside `fit`."""

from keras_practices.callbacks.learning_rate import ExponentialDecay
from keras_practices.callbacks.learning_rate import InverseTimeDecay
from keras_practices.callbacks.learning_rate import StepDecay
from keras_practices.callbacks.overfit_tiny_subset import OverfitTinySubset
from keras_practices.callbacks.sanity_check import SanityCheck
from keras_practices.callbacks.training_monitor import TrainingMonitor

__all__ = [
    "ExponentialDecay",
    "InverseTimeDecay",
    "OverfitTinySubset",
    "SanityCheck",
    "StepDecay",
    "TrainingMonitor",
]
