"""The loss before training, beside what guessing would give."""

import functools
import math

import keras
import numpy as np

from keras_practices._core.model_layers import all_layers
from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import without_noise
from keras_practices.measures.capture import without_penalties
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.side_state import loss_reader
from keras_practices.measures.side_state import measure_losses

# Rows for one forward pass: enough that the mean over rows is steady.
ROWS = 256
# One draw may be unlucky; four in succession (with the model's own) are no luck.
DRAWS = 3


def measure_initial_loss(model, sample, rows=ROWS):
    """Measures data loss and weight penalty on the first rows, noise off.

    Args:
        model: Built and compiled Keras model.
        sample: A `Sample` with targets.
        rows: Rows to look at.

    Returns:
        Dict with `data_loss`, `regularization_loss` (of weights), `rows`; where layers
        have an `activity_regularizer`, also `activity_loss` and `activity_penalized`
        (names of these layers).
    """
    data, penalty = measure_losses(model, *sample.head(rows), training=True)
    return {
        "data_loss": data,
        "regularization_loss": penalty,
        "rows": min(rows, sample.rows),
        **_measure_activity_loss(model, sample.head(rows)[0]),
    }


def _measure_activity_loss(model, x):
    penalized = [
        layer
        for layer in all_layers(model)
        if getattr(layer, "activity_regularizer", None) is not None
    ]
    if not penalized:
        return {}
    inputs = input_tensors(x)

    def added():
        scope = keras.StatelessScope(collect_losses=True)
        with restore_rng(), scope, without_noise(model), without_penalties(model):
            model(inputs, training=True)
            return sum(float(keras.ops.convert_to_numpy(loss)) for loss in model.losses)

    everything = added()
    # What layers add by themselves (`add_loss`) is part of the objective: taken off.
    regularizers = [layer.activity_regularizer for layer in penalized]
    try:
        for layer in penalized:
            layer.activity_regularizer = None
        others = added()
    finally:
        for layer, regularizer in zip(penalized, regularizers, strict=True):
            layer.activity_regularizer = regularizer
    return {
        "activity_loss": everything - others,
        "activity_penalized": [layer.name for layer in penalized],
    }


def measure_draws(model, sample, rows=ROWS, draws=DRAWS):
    """Measures the first data loss with weights of the same spread, drawn again.

    The entries of each kernel are put in another order: for weights that are
    independent draws this is another draw, for trained ones it is a network that knows
    nothing. It needs no initializer, so it works for models of any kind.

    Args:
        model: Built and compiled Keras model; it is not written.
        sample: A `Sample` with targets.
        rows: Rows to look at.
        draws: How many times, with seeds from 0 on.

    Returns:
        List of floats.
    """
    losses, read = [], loss_reader(model, training=True)
    for seed in range(draws):
        shuffled = functools.partial(_shuffled, random=np.random.default_rng(seed))
        losses.append(read(*sample.head(rows), value_of=shuffled)[0])
    return losses


def _shuffled(variable, random):
    if len(variable.shape) < 2 or not variable.trainable:
        return variable.value
    values = np.asarray(keras.ops.convert_to_numpy(variable.value))
    mixed = random.permutation(values.reshape(-1)).reshape(values.shape)
    return keras.ops.convert_to_tensor(mixed, dtype=variable.dtype)


def chance_loss(head, target):
    """Loss of a fresh model that knows nothing, for one output.

    Args:
        head: One entry of `measure_outputs`.
        target: `measure_targets` of the targets it learns.

    Returns:
        `(loss, words)`: the expected loss and how it follows, or `(None, reason)`
        where no such value is known. For `K` classes ln K; for two, ln 2; for the
        multi-class hinge K − 1 and for the binary one 1; for squared error the mean
        square of the targets, for absolute error their mean size: an output near
        zero is what calibrated initial weights give.
    """
    loss = head["loss"]
    units = head["shape"][-1] if head["shape"] else None
    if loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        if not units or units < 2:
            return None, "fewer than two output units"
        return math.log(units), f"ln {units}"
    if loss == "binary_crossentropy":
        return math.log(2), "ln 2"
    if loss == "multiclass_hinge" and units:
        margin = head.get("margin", 1.0)
        return margin * (
            units - 1
        ), f"{margin:g} · ({units} - 1), a margin a wrong class"
    if loss in ("hinge", "squared_hinge"):
        return 1.0, "1, the margin"
    if loss == "categorical_hinge":
        return 1.0, "1, the margin"
    if loss == "mean_squared_error":
        return target.get("mean_square"), "the mean square of the targets"
    if loss == "mean_absolute_error":
        mean_square = target.get("mean_square")
        size = None if mean_square is None else math.sqrt(mean_square)
        return size, "the root mean square of the targets"
    return None, f"no chance level is known for the loss {loss!r}"


def floor_loss(head, y):
    """Lowest loss that is possible for one output with these targets.

    Cross-entropy with targets between 0 and 1 cannot fall below their own entropy,
    so an autoencoder's loss stays well above zero.

    Args:
        head: One entry of `measure_outputs`.
        y: Its targets, NumPy array.

    Returns:
        Float, 0 for losses that can vanish; None for losses of unknown floor.
    """
    loss = head["loss"]
    values = np.asarray(y, dtype=np.float64)
    if loss == "binary_crossentropy":
        p = np.clip(values, 1e-12, 1 - 1e-12)
        return float(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))
    if loss == "categorical_crossentropy":
        p = np.clip(values, 1e-12, 1)
        return float(np.mean(-(values * np.log(p)).sum(axis=-1)))
    known = (
        "sparse_categorical_crossentropy",
        "mean_squared_error",
        "mean_absolute_error",
        "hinge",
        "squared_hinge",
        "categorical_hinge",
    )
    return 0.0 if loss in known else None


def constant_loss(head, y):
    """Loss of the best constant answer: what is known of the targets without inputs.

    Args:
        head: One entry of `measure_outputs`.
        y: Its targets, NumPy array.

    Returns:
        Float: the entropy of the class shares for cross-entropy, the variance for
        squared error, the mean distance to the median for absolute error; None for
        other losses.
    """
    loss = head["loss"]
    values = np.asarray(y, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        return None
    columns = values.reshape(len(values), -1)
    if loss == "sparse_categorical_crossentropy":
        _, counts = np.unique(values, return_counts=True)
        return _entropy(counts / counts.sum())
    if loss == "categorical_crossentropy":
        return _entropy(values.reshape(-1, values.shape[-1]).mean(axis=0))
    if loss == "binary_crossentropy":
        shares = np.clip(columns.mean(axis=0), 0, 1)
        return float(np.mean([_entropy([p, 1 - p]) for p in shares]))
    if loss == "mean_squared_error":
        return float(np.mean(columns.var(axis=0)))
    if loss == "mean_absolute_error":
        return float(np.mean(np.abs(columns - np.median(columns, axis=0))))
    return None


def _entropy(shares):
    shares = np.asarray(shares, dtype=np.float64)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
