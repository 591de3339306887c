"""Which layers of a model make its outputs."""

import keras
from keras import layers

_RANKS = ("1D", "2D", "3D")
KERNELS = (
    layers.Dense,
    *(getattr(layers, f"Conv{rank}") for rank in _RANKS),
    *(getattr(layers, f"Conv{rank}Transpose") for rank in _RANKS),
    *(getattr(layers, f"SeparableConv{rank}") for rank in _RANKS[:2]),
    *(getattr(layers, f"DepthwiseConv{rank}") for rank in _RANKS[:2]),
)
NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.UnitNormalization,
)


def output_layers(outputs):
    """Returns ids of the layers that lead to the outputs with no other in between."""
    found, seen, todo = set(), set(), list(outputs)
    while todo:
        tensor = todo.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, node, _ = tensor._keras_history
        if isinstance(operation, keras.Model):
            inner = output_layers(operation.outputs)
            if inner:
                found |= inner
                continue
        elif isinstance(operation, KERNELS):
            found.add(id(operation))
            continue
        elif getattr(operation, "weights", ()) and not isinstance(
            operation, NORMALIZATIONS
        ):
            continue  # a recurrent layer, attention: that is what makes the output
        todo.extend(operation._inbound_nodes[node].input_tensors)
    return found
