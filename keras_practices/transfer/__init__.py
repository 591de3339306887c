"""Transfer: what a pretrained network knows of a new task, and how to take it over."""

from keras_practices.transfer.fine_tuning import fine_tune
from keras_practices.transfer.freezing import refreeze
from keras_practices.transfer.plan_values import Plan
from keras_practices.transfer.plan_values import Probe
from keras_practices.transfer.planning import plan
from keras_practices.transfer.result import FineTuning

__all__ = ["FineTuning", "Plan", "Probe", "fine_tune", "plan", "refreeze"]
