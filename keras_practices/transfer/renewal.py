"""BatchNorm's statistics, taken from the new rows in the place of the old task's."""

import keras
import numpy as np

from keras_practices._core.model_layers import all_layers
from keras_practices.callbacks.batch_norm import StatisticsPass
from keras_practices.transfer.freezing import put_mask
from keras_practices.transfer.freezing import take_mask

_BATCH = 64


def new_statistics(model, x):
    """Returns what BatchNorm's statistics would be on these rows; writes nothing.

    Args:
        model: Built Keras model; frozen layers are measured too.
        x: Inputs, NumPy arrays.

    Returns:
        List of `(variable, value)`; empty without BatchNorm, or where a layer
        renormalises, whose statistics hang on the course of a training.

    References:
        Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation"
        (2016), arXiv:1603.04779.
    """
    kind = keras.layers.BatchNormalization
    norms = [layer for layer in all_layers(model) if isinstance(layer, kind)]
    if not norms or any(layer.renorm for layer in norms):
        return []
    mask = take_mask(model)
    try:
        for layer in norms:
            layer.trainable = True
        measuring = StatisticsPass(model, norms)
        values = measuring.taken(_batches(x))
    finally:
        put_mask(mask)
    return list(zip(measuring.statistics, values, strict=True))


def renew(model, x):
    """Writes the statistics of these rows into a model."""
    for variable, value in new_statistics(model, x):
        variable.assign(value)


def _batches(x):
    """Rows in no order, in batches of one size."""
    rows = len(keras.tree.flatten(x)[0])
    order = np.random.default_rng(0).permutation(rows)
    for start in range(0, max(1, rows - rows % _BATCH), _BATCH):
        part = order[start : start + _BATCH]
        yield keras.tree.map_structure(lambda array, part=part: array[part], x)
