"""Which variables of a model are weights, in the sense of "weight decay"."""

import keras

from keras_practices._core.model_layers import all_layers

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)

# Their slopes are shifts of the activation, no strength of an input.
_ACTIVATIONS = (keras.layers.PReLU,)

# Biases can have two axes (GRU, attention), and so can scales and shifts in layers
# of the user's own.
_NOT_WEIGHTS = ("bias", "gamma", "beta", "alpha", "scale", "shift")


def split_variables(model):
    """Returns the trainable variables of a model in two lists, weights and others.

    Weights multiply inputs: kernels, recurrent kernels, embeddings, and what a layer
    of the user's own has with two axes or more. Others are biases, the parameters of
    normalization, slopes of activations, all with one axis. Frozen ones are among
    them: a layer that is unfrozen later has what it was given.

    Returns:
        Two lists of `(layer, variable)`, each variable once.
    """
    weights, others, seen = [], [], set()
    for layer in all_layers(model, itself=True):
        # What would be trainable were nothing frozen; `trainable_variables` of a
        # frozen layer is empty.
        for variable in layer._trainable_variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            (weights if _is_weight(layer, variable) else others).append(
                (layer, variable)
            )
    return weights, others


def _is_weight(layer, variable):
    if isinstance(layer, NORMALIZATIONS + _ACTIVATIONS):
        return False
    name = variable.name.lower()
    return len(variable.shape) > 1 and not any(part in name for part in _NOT_WEIGHTS)
