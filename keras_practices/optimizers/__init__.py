"""Optimizers and second-order training that Keras has not."""

from keras_practices.optimizers.layer_groups import layer_groups
from keras_practices.optimizers.lbfgs import fit_lbfgs
from keras_practices.optimizers.lookahead import Lookahead
from keras_practices.optimizers.newton import newton_step

__all__ = ["Lookahead", "fit_lbfgs", "layer_groups", "newton_step"]
