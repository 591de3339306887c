"""What can be read off a model without running it."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import open_layers

# Layers that hand their input on in another shape, so the activation that decides
# the range of the output stands before them.
_SHAPE_ONLY = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Dropout,
    keras.layers.Identity,
)


def measure_model(model):
    """Reads heads, losses, optimizer and weights of a built, compiled model.

    Args:
        model: A Keras model.

    Returns:
        Dict of plain values: `name`, `parameters`, `trainable_parameters`, `layers`,
        `custom_train_step`, `optimizer` (`class`, `learning_rate`, `scheduled`),
        `regularized` (paths), `regularizers_lost` (layers whose regulariser Keras
        does not see), `outputs` (list of `name`, `shape`, `activation`, `layer`,
        `loss`, `from_logits`).
    """
    trainable = model.trainable_variables
    return {
        "name": model.name,
        "class": type(model).__name__,
        "layers": len(open_layers(model)),
        "parameters": int(model.count_params()),
        "trainable_parameters": int(sum(np.prod(v.shape) for v in trainable)),
        "custom_train_step": has_custom_train_step(model),
        "optimizer": measure_optimizer(model.optimizer),
        "regularized": [v.path for v in trainable if v.regularizer is not None],
        "regularizers_lost": _regularizers_lost(model),
        "outputs": measure_outputs(model),
    }


def has_custom_train_step(model):
    """True when the model trains by a step of the user's own."""
    return type(model).train_step is not keras.Model.train_step


def measure_optimizer(optimizer):
    """Reads class, rate and main settings of an optimizer into a dict."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    config = inner.get_config()
    settings = {
        key: config[key]
        for key in ("momentum", "nesterov", "beta_1", "beta_2", "epsilon", "clipnorm")
        if isinstance(config.get(key), int | float | bool)
    }
    scheduled = isinstance(config.get("learning_rate"), dict)
    try:
        rate = float(ops.convert_to_numpy(inner.learning_rate))
    except (AttributeError, TypeError, ValueError):  # several optimizers in one
        rate = None
    return {
        "class": type(inner).__name__,
        "learning_rate": rate,
        "scheduled": scheduled,
        **settings,
    }


def measure_outputs(model):
    """Reads the output heads of a model and the loss that each one feeds.

    Args:
        model: A built, compiled Keras model.

    Returns:
        List with one dict an output: `name`, `shape` (without rows, None where not
        known), `layer`, `activation` (None where it cannot be read), `loss`,
        `from_logits`.
    """
    losses = _losses_by_output(model)
    heads = []
    for index, (name, shape, layer) in enumerate(_heads(model)):
        loss = losses.get(name, losses.get(index))
        heads.append(
            {
                "name": name,
                "shape": shape,
                "layer": layer.name if layer is not None else None,
                # None for a layer that computes by itself (ops, BatchNorm, Add): its
                # range cannot be read off, so it is left unread.
                "activation": None if layer is None else activation_name(layer),
                "softmax_axis": getattr(layer, "axis", None)
                if isinstance(layer, keras.layers.Softmax)
                else None,
                **measure_loss(loss),
            }
        )
    return heads


def measure_loss(loss):
    """Reads one compiled loss into a dict.

    Args:
        loss: Loss object, function, name, or None.

    Returns:
        Dict with `loss` (Keras's name; `"custom"` for the user's own, None where no
        loss is compiled), `from_logits` (None where it has no such argument) and
        `reduction`.
    """
    if loss is None:
        return {"loss": None, "from_logits": None, "reduction": None}
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    owner = type(loss) if isinstance(loss, keras.losses.Loss) else loss
    if not getattr(owner, "__module__", "").startswith("keras."):
        return {"loss": "custom", "from_logits": None, "reduction": None}
    if isinstance(loss, keras.losses.Loss):
        return {
            "loss": _snake(type(loss).__name__),
            "from_logits": loss.get_config().get("from_logits"),
            "reduction": loss.reduction,
        }
    parameters = inspect.signature(loss).parameters
    from_logits = (
        parameters["from_logits"].default if "from_logits" in parameters else None
    )
    return {"loss": loss.__name__, "from_logits": from_logits, "reduction": None}


def _snake(name):
    letters = [f"_{c.lower()}" if c.isupper() else c for c in name]
    return "".join(letters).lstrip("_")


def _losses_by_output(model):
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        return loss
    if isinstance(loss, list | tuple):
        return dict(enumerate(loss))
    names = [name for name, _, _ in _heads(model)]
    return dict.fromkeys(names, loss)


def _heads(model):
    """Returns `(name, shape without rows, last layer)` of each output."""
    outputs = getattr(model, "outputs", None)
    if not outputs:  # subclassed: the last layer of one output is a fair reading
        layers = [x for x in open_layers(model) if not isinstance(x, _SHAPE_ONLY)]
        return [("output", None, layers[-1] if layers else None)]
    names = getattr(model, "output_names", None) or []
    heads = []
    for index, tensor in enumerate(keras.tree.flatten(outputs)):
        layer = _producer(tensor)
        name = names[index] if index < len(names) else getattr(layer, "name", "output")
        heads.append((name, list(tensor.shape[1:]), layer))
    return heads


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
        elif isinstance(operation, _SHAPE_ONLY):
            inputs = keras.tree.flatten(operation._inbound_nodes[node].input_tensors)
            history = getattr(inputs[0], "_keras_history", None) if inputs else None
        else:
            return operation
    return None


def _regularizers_lost(model):
    """Layers that hold a regulariser which their variable does not know of."""
    lost = []
    for layer in open_layers(model):
        for name in ("kernel", "bias", "embeddings"):
            wanted = getattr(layer, f"{name}_regularizer", None)
            variable = getattr(layer, name, None)
            if wanted is None or not isinstance(variable, keras.Variable):
                continue
            if variable.regularizer is None:
                lost.append(layer.name)
    return lost
