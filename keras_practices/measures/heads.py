"""Which layer gives each output of a model, and in which shape."""

import keras
import numpy as np
from keras import ops

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import open_layers
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import run_captured

# Layers that hand their input on in another shape, so the activation that decides
# the range of the output stands before them.
SHAPE_ONLY = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Dropout,
    keras.layers.Identity,
)
# Rows that show what a model without a graph gives.
_ROWS = 4


def read_heads(model):
    """Reads the outputs of a model off its graph.

    Args:
        model: A built Keras model.

    Returns:
        List of `(name, shape without rows, last layer)`, one an output. Of a
        subclassed model, which has no graph, the last layer of one output: see
        `run_heads`.
    """
    outputs = getattr(model, "outputs", None)
    if not outputs:
        layers = [x for x in open_layers(model) if not isinstance(x, SHAPE_ONLY)]
        return [("output", None, layers[-1] if layers else None)]
    names = getattr(model, "output_names", None) or []
    heads = []
    for index, tensor in enumerate(keras.tree.flatten(outputs)):
        layer = _producer(tensor)
        name = names[index] if index < len(names) else getattr(layer, "name", "output")
        heads.append((name, list(tensor.shape[1:]), layer))
    return heads


def run_heads(model, sample):
    """Runs a few rows through a model without a graph and reads its outputs.

    Args:
        model: A built Keras model.
        sample: A `Sample`.

    Returns:
        List of `(name, shape without rows, last layer)`. The layer is None where
        something else than a layer gives the output, and `"softmax"` where that is
        seen to give probabilities that sum to one.
    """
    inputs = input_tensors(sample.head(_ROWS)[0])
    with restore_rng():
        outputs, calls = run_captured(model, inputs)
    # A layer that hands its input on as the same object (Flatten of flat rows, on JAX)
    # is not what made it, and would be followed for ever.
    made = [call for call in calls if call.outputs is not call.inputs]
    made_by = {id(call.outputs): call for call in made}
    pairs = outputs.items() if isinstance(outputs, dict) else None
    if pairs is None:
        flat = keras.tree.flatten(outputs)
        names = ["output"] if len(flat) == 1 else [f"output_{i}" for i in range(99)]
        pairs = zip(names, flat, strict=False)
    heads = []
    for name, tensor in pairs:
        call = made_by.get(id(tensor))
        while call is not None and isinstance(call.layer, SHAPE_ONLY):
            call = made_by.get(id(call.inputs))
        layer = None if call is None else call.layer
        if layer is None and _sums_to_one(tensor):
            layer = "softmax"
        heads.append((name, [int(n) for n in tensor.shape[1:]], layer))
    return heads


def _sums_to_one(tensor):
    values = np.asarray(ops.convert_to_numpy(tensor), dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] < 2:
        return False
    positive = bool((values >= 0).all())
    return positive and bool(np.allclose(values.sum(axis=-1), 1, atol=1e-3))


def _producer(tensor):
    """Follows shape-only layers and nested models back to the deciding layer."""
    history = getattr(tensor, "_keras_history", None)
    while history is not None:
        operation, node, place = history
        if isinstance(operation, keras.Model):
            inner = keras.tree.flatten(getattr(operation, "outputs", None) or [])
            if place >= len(inner):
                return operation
            history = getattr(inner[place], "_keras_history", None)
        elif isinstance(operation, SHAPE_ONLY):
            inputs = keras.tree.flatten(operation._inbound_nodes[node].input_tensors)
            history = getattr(inputs[0], "_keras_history", None) if inputs else None
        else:
            return operation
    return None
