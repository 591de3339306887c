"""Checks: measures and rules run once, before training."""

from keras_practices.checks.preflight import Preflight
from keras_practices.checks.preflight import preflight

__all__ = ["Preflight", "preflight"]
