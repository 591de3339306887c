"""Metrics that Keras lacks: class counts in one figure, and calibration."""

from keras_practices.metrics.calibration_error import ExpectedCalibrationError
from keras_practices.metrics.cohen_kappa import CohenKappa
from keras_practices.metrics.confusion_matrix import ConfusionMatrix
from keras_practices.metrics.matthews_correlation import MatthewsCorrelation
from keras_practices.metrics.temperature import fit_temperature

__all__ = [
    "CohenKappa",
    "ConfusionMatrix",
    "ExpectedCalibrationError",
    "MatthewsCorrelation",
    "fit_temperature",
]
