"""Whether a layer of the user's own is a linear map, found out by trying it."""

import keras
import numpy as np
from keras import ops

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import without_noise

_ROWS = 2
# Stands for a length that is left open.
_OPEN = 8
_MOST_ENTRIES = 2**18
# A bend that is flat near zero shows far away from it.
_FAR = 100.0
_TOLERANCE = 1e-3
_TOLERANCE_HALF = 2e-2


def linear_kernel(layer, inputs, outputs):
    """Says whether a layer does no more than multiply by a matrix and add a bias.

    Args:
        layer: A built Keras layer.
        inputs: Symbolic tensors that it was called on.
        outputs: Those that it gave.

    Returns:
        True for a layer with a matrix among its weights that mixes features and is an
        affine map in inference mode. False for every other layer, and for one that
        cannot be run on made-up numbers.
    """
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) < 2:
        return False
    shape = tuple(_OPEN if n is None else n for n in inputs[0].shape[1:])
    matrices = any(len(weight.shape) > 1 for weight in layer.weights)
    small = _ROWS * np.prod(shape) <= _MOST_ENTRIES
    if not (matrices and small and "float" in str(inputs[0].dtype)):
        return False
    half = layer.compute_dtype in ("float16", "bfloat16")
    try:
        return _is_affine(layer, shape, _TOLERANCE_HALF if half else _TOLERANCE)
    except Exception:
        # A layer of the user's own may refuse numbers that are no data.
        return False


def _is_affine(layer, shape, tolerance):
    draws = np.random.default_rng(0).normal(size=(_ROWS, *shape)).astype("float32")
    one_feature = np.zeros_like(draws)
    one_feature[..., 0] = draws[..., 0]
    parts = [0 * draws, draws, -draws, _FAR * draws, one_feature]
    with restore_rng(), keras.StatelessScope(), without_noise(layer):
        made = layer(ops.convert_to_tensor(np.concatenate(parts)))
    made = np.asarray(ops.convert_to_numpy(made), dtype=np.float64)
    zero, there, back, far, single = np.split(made, len(parts))
    step = there - zero
    size = np.abs(step).max()
    if not (np.isfinite(far).all() and size > 0):
        return False
    even = np.abs(step + back - zero).max() <= tolerance * size
    straight = np.abs((far - zero) / _FAR - step).max() <= tolerance * size
    # An offset or a factor for each feature (positions, scales) is no product.
    mixes = np.abs((single - zero)[..., 1:]).max(initial=0) > tolerance * size
    return bool(even and straight and mixes)
