"""What the layers of a network give for some rows, pooled so that a probe can read it.

The network itself is never written: its own weights, or random ones in their place,
are handed to a compiled forward pass.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.model_layers import all_layers
from keras_practices._core.randomness import derive_seeds
from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import captured_calls
from keras_practices.measures.capture import without_noise
from keras_practices.measures.layers import input_tensors

BATCH = 64
# At one place: a probe of more has too much to fit, and takes too long.
MOST_FEATURES = 512


def grid_for(shape, most):
    """Returns the grid that an output is averaged over: its cells times channels.

    Args:
        shape: Shape of an output with its rows, channels as Keras is set.
        most: Largest number of features.

    Returns:
        Tuple of cells along each axis of space or time, `()` for flat outputs.
    """
    if len(shape) < 3:
        return ()
    first = keras.config.image_data_format() == "channels_first"
    space = shape[2:] if first else shape[1:-1]
    channels = shape[1] if first else shape[-1]
    cells = max(1.0, most / max(1, channels))
    largest = max(1, math.floor(cells ** (1 / len(space)) + 1e-9))
    return tuple(max(1, min(int(size or 1), largest)) for size in space)


def pooling_for(grid):
    """Returns the Keras layer that averages over a grid, or None for none."""
    if not grid:
        return None
    if max(grid) == 1:
        # It does without the size of the inputs.
        return {
            1: keras.layers.GlobalAveragePooling1D,
            2: keras.layers.GlobalAveragePooling2D,
            3: keras.layers.GlobalAveragePooling3D,
        }[len(grid)]()
    kinds = {
        1: keras.layers.AdaptiveAveragePooling1D,
        2: keras.layers.AdaptiveAveragePooling2D,
        3: keras.layers.AdaptiveAveragePooling3D,
    }
    return kinds[len(grid)](grid if len(grid) > 1 else grid[0])


class Features:
    """A forward pass that gives the pooled outputs at some places.

    Args:
        model: Built Keras model.
        depths: List of `Depth`.
        most: Largest number of features at a place, where averaging can reach it.
    """

    def __init__(self, model: Any, depths: list[Any], most: int):
        self.model = model
        self._layers = [depth.layer for depth in depths]
        self._most = most
        self._own = _variables(model)
        self._compiled = backend.compiled(self._collect)

    def own_values(self, changed=()):
        """Returns the network's weights as they are, but for `(variable, value)`s."""
        others = {id(variable): value for variable, value in changed}
        return [
            ops.convert_to_tensor(others.get(id(v), v.value), v.dtype)
            for v in self._own
        ]

    def random_values(self, seed):
        """Returns weights as the network would begin with, for the same variables."""
        return _random_values(self.model, self._own, seed)

    def run(self, values, x):
        """Returns a list of float64 arrays `(rows, features)`, one a place."""
        rows = len(keras.tree.flatten(x)[0])
        found: list[list[Any]] = [[] for _ in self._layers]
        with restore_rng():
            for start in range(0, rows, BATCH):
                part = keras.tree.map_structure(lambda a, s=start: _batch(a, s), x)
                made = self._compiled(values, input_tensors(part))
                for place, array in zip(found, made, strict=True):
                    place.append(np.asarray(ops.convert_to_numpy(array), np.float64))
        return [np.concatenate(place)[:rows] for place in found]

    def _collect(self, values, x):
        mapping = list(zip(self._own, values, strict=True))
        scope = keras.StatelessScope(state_mapping=mapping)
        with scope, without_noise(self.model), captured_calls(self._layers) as calls:
            self.model(x, training=False)
            outputs = {id(call.layer): call.outputs for call in calls}
        return [self._pooled(outputs[id(layer)]) for layer in self._layers]

    def _pooled(self, tensor):
        tensor = ops.cast(tensor, "float32")
        pooling = pooling_for(grid_for(tensor.shape, self._most))
        tensor = tensor if pooling is None else pooling(tensor)
        return ops.reshape(tensor, (-1, math.prod(tensor.shape[1:])))


def raw_features(x, most):
    """Returns the inputs themselves as features, or None where they are no numbers.

    Args:
        x: NumPy array, or structure of them.
        most: Largest number of features of one array, by averaging over a grid.
    """
    found = []
    for array in keras.tree.flatten(x):
        # Whole numbers in a sequence are names of tokens.
        if array.dtype.kind not in "fbiu" or (
            array.dtype.kind != "f" and array.ndim < 3
        ):
            return None
        array = np.asarray(array, "float32").reshape(len(array), *array.shape[1:])
        pooling = pooling_for(grid_for(array.shape, most))
        if pooling is not None and math.prod(array.shape[1:]) > most:
            array = ops.convert_to_numpy(pooling(ops.convert_to_tensor(array)))
        found.append(np.asarray(array, np.float64).reshape(len(array), -1))
    return np.concatenate(found, axis=1)


def _batch(array, start):
    """Rows of one batch; the last is filled up, so that nothing is compiled anew."""
    part = array[start : start + BATCH]
    if start and len(part) < BATCH:
        part = np.concatenate([part, array[: BATCH - len(part)]])
    return part


def _variables(model):
    return [*model.trainable_variables, *model.non_trainable_variables]


def _random_values(model, variables, seed):
    owners = {}
    for layer in all_layers(model, itself=True):
        for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
            owners.setdefault(id(variable), layer)
    seeds = derive_seeds(seed, len(variables))
    values = []
    for variable, own_seed in zip(variables, seeds, strict=True):
        initializer = _initializer(owners.get(id(variable)), variable, own_seed)
        if initializer is not None:
            value = initializer(variable.shape, dtype=variable.dtype)
        elif len(variable.shape) >= 2:
            # As large as they were, in no order.
            array = np.array(ops.convert_to_numpy(variable.value))
            flat = np.random.default_rng(own_seed).permutation(array.ravel())
            value = ops.convert_to_tensor(flat.reshape(array.shape), variable.dtype)
        else:
            value = ops.convert_to_tensor(variable.value)
        values.append(value)
    return values


def _initializer(layer, variable, seed):
    name = variable.name
    names = [name, name.removesuffix("_kernel")]
    if name == "kernel":
        names.append("depthwise")
    for each in names:
        found = getattr(layer, f"{each}_initializer", None)
        if isinstance(found, keras.initializers.Initializer):
            config = found.get_config()
            if "seed" in config:
                config["seed"] = seed
            return type(found).from_config(config)
    return None
