"""Rules: pure functions from recorded figures to findings."""

from keras_practices.rules import act
from keras_practices.rules import inputs
from keras_practices.rules import learning_rate
from keras_practices.rules import outputs
from keras_practices.rules import start
from keras_practices.rules import training
from keras_practices.rules import units
from keras_practices.rules.catalogue import CATALOGUE
from keras_practices.rules.catalogue import check_codes
from keras_practices.rules.catalogue import run_rules
from keras_practices.rules.explanation import explain

__all__ = [
    "CATALOGUE",
    "act",
    "check_codes",
    "explain",
    "inputs",
    "learning_rate",
    "outputs",
    "run_rules",
    "start",
    "training",
    "units",
]
