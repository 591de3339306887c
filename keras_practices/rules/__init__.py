"""Rules: pure functions from recorded figures to findings."""

from keras_practices.rules import act
from keras_practices.rules import architecture
from keras_practices.rules import batches
from keras_practices.rules import behaviour
from keras_practices.rules import curves
from keras_practices.rules import ensembles
from keras_practices.rules import features
from keras_practices.rules import fit_quality
from keras_practices.rules import gradient_check
from keras_practices.rules import gradients
from keras_practices.rules import initial_weights
from keras_practices.rules import inputs
from keras_practices.rules import labels
from keras_practices.rules import learning_rate
from keras_practices.rules import modes
from keras_practices.rules import optimizer_settings
from keras_practices.rules import output_layer
from keras_practices.rules import outputs
from keras_practices.rules import partition
from keras_practices.rules import penalties
from keras_practices.rules import saturation
from keras_practices.rules import search
from keras_practices.rules import settings
from keras_practices.rules import start
from keras_practices.rules import targets
from keras_practices.rules import training
from keras_practices.rules import units
from keras_practices.rules.catalogue import CATALOGUE
from keras_practices.rules.catalogue import check_codes
from keras_practices.rules.catalogue import run_rules
from keras_practices.rules.explanation import explain

__all__ = [
    "CATALOGUE",
    "act",
    "architecture",
    "batches",
    "behaviour",
    "check_codes",
    "curves",
    "ensembles",
    "explain",
    "features",
    "fit_quality",
    "gradient_check",
    "gradients",
    "initial_weights",
    "inputs",
    "labels",
    "learning_rate",
    "modes",
    "optimizer_settings",
    "output_layer",
    "outputs",
    "partition",
    "penalties",
    "run_rules",
    "saturation",
    "search",
    "settings",
    "start",
    "targets",
    "training",
    "units",
]
