"""Members of one architecture run as one: their weights side by side."""

from typing import Any

import keras
from keras import ops

from keras_practices.ensembles.outputs import shapes

# Layers that do the same to each member's values, and nothing else, in inference.
_SAFE = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Softmax,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Rescaling,
    keras.layers.Add,
    keras.layers.Concatenate,
)


def can_stack(members: Any) -> bool:
    """Whether members can be run as one, and gain from it.

    PyTorch runs the layers one by one, and for small models most of the time is spent
    around the sums. TensorFlow and JAX compile the members into one program anyway.

    Args:
        members: List of built models.
    """
    if keras.backend.backend() != "torch" or len(members) < 2:
        return False
    for member in members:
        if shapes(member, "input") is None:
            return False
        if not all(type(layer) in _SAFE for layer in member.layers):
            return False
    first = _architecture(members[0])
    return all(_architecture(member) == first for member in members[1:])


def _architecture(model):
    """Returns the configuration of a model without what names and draws weights."""
    names = {layer.name: f"layer {place}" for place, layer in enumerate(model.layers)}

    def clean(value):
        if isinstance(value, dict):
            return {
                key: clean(one)
                for key, one in value.items()
                if key not in ("name", "trainable") and "initializer" not in key
            }
        if isinstance(value, list | tuple):
            return [clean(one) for one in value]
        return names.get(value, value) if isinstance(value, str) else value

    shapes_of = [
        [tuple(variable.shape) for variable in layer.variables]
        for layer in model.layers
    ]
    return type(model), shapes_of, clean(model.get_config())


def run_stacked(members: Any, inputs: Any) -> list[Any]:
    """Returns what each member gives, all of them computed together in inference.

    Args:
        members: List of models for which `can_stack` holds.
        inputs: What they are called with.
    """
    first = members[0]

    def forward(values):
        trainable, others = values
        outputs, _ = first.stateless_call(trainable, others, inputs, training=False)
        return outputs

    # By layer and place: freezing or compiling a member moves its variables elsewhere
    # in the lists of the model.
    alike = {
        id(variable): [layer.variables[place] for layer in layers]
        for layers in zip(*(one.layers for one in members), strict=True)
        for place, variable in enumerate(layers[0].variables)
    }

    def stack(variables):
        # Of metrics, which do not take part, any will do.
        same = [alike.get(id(one), [one] * len(members)) for one in variables]
        return [ops.stack([variable.value for variable in one]) for one in same]

    values = [stack(first.trainable_variables), stack(first.non_trainable_variables)]
    outputs = ops.vectorized_map(forward, values)
    return [
        keras.tree.map_structure(lambda leaf, place=place: leaf[place], outputs)
        for place in range(len(members))
    ]
