"""How large the weights are, beside what their initializer gives."""

import math

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_practices._core.model_layers import all_layers
from keras_practices.measures.graph_nodes import fan_in
from keras_practices.measures.model_card import has_custom_train_step

# Fewer weights than this cannot be told from another draw; without a bias of zero
# beside them more are needed.
_MIN_WEIGHTS = 64
_MIN_WEIGHTS_ALONE = 1024
# Largest number of entries of one kernel that is read.
_MAX_WEIGHTS = 2**24
# What is left of the variance of a normal that is cut at two deviations; Keras's
# variance scaling makes up for it, its `TruncatedNormal` does not.
_CUT_DEVIATION = 0.87962566


def measure_initial_weights(model):
    """Measures the kernels of dense and convolution layers; call it before training.

    Args:
        model: A built Keras model.

    Returns:
        `{"initial_weights": {layer name: {…}}}` with, for each kernel, `rms`,
        `fan_in`, `gain` (rms · √fan_in: how much larger independent inputs of rms 1
        come out), `calibrated` (the same for the smaller of Glorot's and LeCun's
        weights), `bias` (mean size of the bias, 0 without one; `bias_mean` with its
        sign), `fresh` (its bias is one constant, as at the start), `one_sided` (all of
        at least 64 weights have one sign, and no constraint made them so) and
        `trainable`.
    """
    found = {}
    for layer in all_layers(model):
        if not isinstance(layer, _READ) or not layer.built:
            continue
        products = fan_in(layer)
        if products is None or np.prod(layer.kernel.shape) > _MAX_WEIGHTS:
            continue
        kernel = _values(layer.kernel)
        outputs = kernel.size / max(1, _width_in(layer))
        rms = float(np.sqrt(np.mean(kernel**2)))
        smallest = min(1.0, math.sqrt(2 * products / (products + outputs)))
        bias = _values(layer.bias) if layer.bias is not None else np.zeros(1)
        found[layer.name] = {
            "rms": rms,
            "fan_in": products,
            "gain": rms * math.sqrt(products),
            "calibrated": smallest,
            "bias": float(np.mean(np.abs(bias))),
            "bias_mean": float(np.mean(bias)),
            "one_sided": _one_sided(layer, kernel),
            "fresh": bool(np.ptp(bias) == 0) and float(kernel.std()) > 0,
            "trainable": bool(layer.kernel.trainable),
        }
    return {"initial_weights": found}


def _one_sided(layer, kernel):
    if kernel.size < _MIN_WEIGHTS or layer.kernel.constraint is not None:
        return False
    return bool((kernel > 0).all() or (kernel < 0).all()) and float(kernel.std()) > 0


def measure_frozen(model):
    """Counts what is frozen, and what of it still holds its first random weights.

    Args:
        model: A built Keras model.

    Returns:
        Dict with `parameters`, `trainable` (numbers of weights), `layers` (names of
        frozen layers with a kernel or embeddings) and `fresh` (those of them whose
        weights have mean, deviation and range of a draw from their own initializer,
        and a bias that is zero; only those in front of a layer that trains, none
        where BatchNorm statistics have moved or a `train_step` of the user's own may
        write them).
    """
    frozen, fresh = [], []
    found = all_layers(model)
    # Statistics that have moved: something was trained here.
    moved = any(
        isinstance(layer, layers.BatchNormalization)
        and layer.built
        and np.any(_values(layer.moving_mean))
        for layer in found
    )
    # A copy that a step of the user's own keeps up to date begins as fresh weights.
    moved = moved or has_custom_train_step(model)
    pairs = [(layer, _own_weights(layer)) for layer in found]
    pairs = [(layer, weights) for layer, weights in pairs if weights is not None]
    trained = [place for place, (_, w) in enumerate(pairs) if w.trainable]
    # Behind the last layer that trains stand judges, such as a discriminator that is
    # trained by a model of its own.
    last = max(trained, default=len(pairs))
    for place, (layer, weights) in enumerate(pairs):
        if weights.trainable:
            continue
        frozen.append(layer.name)
        if place < last and not moved and _is_fresh(layer, weights):
            fresh.append(layer.name)
    return {
        "parameters": int(model.count_params()),
        "trainable": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        "layers": frozen,
        "fresh": fresh,
    }


_READ = tuple(
    getattr(layers, name)
    for name in ("Dense", "Conv1D", "Conv2D", "Conv3D")
    + ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
)


def _width_in(layer):
    shape = layer.kernel.shape
    return shape[-1 if "Transpose" in type(layer).__name__ else -2]


def _own_weights(layer):
    if isinstance(layer, layers.Embedding):
        weights = layer.embeddings if layer.built else None
    else:
        weights = getattr(layer, "kernel", None) if isinstance(layer, _READ) else None
    return weights if isinstance(weights, keras.Variable) else None


def _is_fresh(layer, weights):
    bias = getattr(layer, "bias", None)
    has_bias = isinstance(bias, keras.Variable)
    if has_bias and np.any(_values(bias)):
        return False
    name = "embeddings" if isinstance(layer, layers.Embedding) else "kernel"
    expected = _expected(getattr(layer, f"{name}_initializer", None), weights.shape)
    size = int(np.prod(weights.shape))
    fewest = _MIN_WEIGHTS if has_bias else _MIN_WEIGHTS_ALONE
    if expected is None or not fewest <= size <= _MAX_WEIGHTS:
        return False
    values = _values(weights)
    mean, deviation, largest = expected
    # Four standard errors of a normal's deviation and mean.
    spread = 4 / math.sqrt(2 * size)
    return bool(
        abs(values.std() / deviation - 1) <= spread
        and abs(values.mean() - mean) <= 4 * deviation / math.sqrt(size)
        and np.abs(values - mean).max() <= largest * (1 + 1e-5)
    )


def _expected(initializer, shape):
    """Mean, deviation and largest distance from the mean of an initializer's draws."""
    kinds = keras.initializers
    config = {} if initializer is None else initializer.get_config()
    if isinstance(initializer, kinds.RandomUniform):
        low, high = config["minval"], config["maxval"]
        half = (high - low) / 2
        return (low + high) / 2, half / math.sqrt(3), half
    if isinstance(initializer, kinds.TruncatedNormal):
        deviation = config["stddev"]
        return config["mean"], deviation * _CUT_DEVIATION, 2 * deviation
    if isinstance(initializer, kinds.RandomNormal):
        return config["mean"], config["stddev"], math.inf
    if isinstance(initializer, kinds.VarianceScaling):
        products = _fans(shape)[_MODES.index(initializer.mode)]
        deviation = math.sqrt(initializer.scale / max(1.0, products))
        cut = 2 * deviation / _CUT_DEVIATION
        largest = {"uniform": math.sqrt(3) * deviation, "truncated_normal": cut}
        return 0.0, deviation, largest.get(initializer.distribution, math.inf)
    return None


_MODES = ("fan_in", "fan_out", "fan_avg")


def _fans(shape):
    field = np.prod(shape[:-2]) if len(shape) > 2 else 1
    before, after = float(shape[-2] * field), float(shape[-1] * field)
    return before, after, (before + after) / 2


def _values(variable):
    return np.asarray(ops.convert_to_numpy(variable.value), dtype=np.float64)
