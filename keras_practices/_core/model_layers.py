"""The layers of a model, in one place: Keras has no public walk through them.

`_flatten_layers` is what Keras's own summaries use; `model.layers` stops at the first
level and a layer has no such list at all.
"""


def all_layers(layer, itself=False):
    """Returns every layer inside `layer`, at any depth, each once.

    Args:
        layer: Layer or model.
        itself: Whether it is in the list, as the first.
    """
    return list(layer._flatten_layers(include_self=itself))


def direct_layers(layer):
    """Returns the layers that `layer` holds itself, without those inside them."""
    return list(layer._flatten_layers(include_self=False, recursive=False))
