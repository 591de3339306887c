"""Callbacks: thin adapters that run measures and rules on a schedule inside `fit`."""

from keras_practices.callbacks.backup import BackupAndRestore
from keras_practices.callbacks.batch_norm import update_batch_norm
from keras_practices.callbacks.learning_rate import ExponentialDecay
from keras_practices.callbacks.learning_rate import InverseTimeDecay
from keras_practices.callbacks.learning_rate import StepDecay
from keras_practices.callbacks.learning_rate_finder import LRFinder
from keras_practices.callbacks.momentum_schedule import MomentumSchedule
from keras_practices.callbacks.overfit_tiny_subset import OverfitTinySubset
from keras_practices.callbacks.sanity_check import SanityCheck
from keras_practices.callbacks.snapshot_ensemble import SnapshotEnsemble
from keras_practices.callbacks.swa import SWA
from keras_practices.callbacks.time_stopping import TimeStopping
from keras_practices.callbacks.top_k_checkpoints import TopKCheckpoints
from keras_practices.callbacks.training_monitor import TrainingMonitor
from keras_practices.callbacks.weight_averaging import WeightAveraging

__all__ = [
    "BackupAndRestore",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LRFinder",
    "MomentumSchedule",
    "OverfitTinySubset",
    "SWA",
    "SanityCheck",
    "SnapshotEnsemble",
    "StepDecay",
    "TimeStopping",
    "TopKCheckpoints",
    "TrainingMonitor",
    "WeightAveraging",
    "update_batch_norm",
]
