"""What can be read off a model without running it."""

import inspect
import re

import keras
import numpy as np
from keras import ops

from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import open_layers
from keras_practices.measures.heads import read_heads

# Whose losses are known by name; any other is the user's own.
KNOWN_PACKAGES = ("keras", "keras_practices")


def measure_model(model):
    """Reads heads, losses, optimizer and weights of a built, compiled model.

    Args:
        model: A Keras model.

    Returns:
        Dict of plain values: `name`, `parameters`, `trainable_parameters`, `layers`,
        `custom_train_step`, `optimizer` (`class`, `learning_rate`, `scheduled`),
        `regularized` (paths of what its weights now have a penalty for),
        `regularizers_lost` (layers whose regulariser Keras does not see), `outputs`
        (list of `name`, `shape`, `activation`, `layer`, `loss`, `from_logits`).
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
        "regularized": [v.path for v in trainable if _is_penalised(v)],
        "regularizers_lost": _regularizers_lost(model),
        "outputs": measure_outputs(model),
    }


def _is_penalised(variable):
    """Weights of zero have no penalty, and neither has a strength of zero."""
    if variable.regularizer is None:
        return False
    value = ops.convert_to_numpy(variable.regularizer(variable.value))
    return bool(np.any(value != 0))


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


def measure_outputs(model, heads=None):
    """Reads the output heads of a model and the loss that each one feeds.

    Args:
        model: A built, compiled Keras model.
        heads: From `run_heads`, for a model without a graph; None reads the graph.

    Returns:
        List with one dict an output: `name`, `shape` (without rows, None where not
        known), `layer`, `activation` (None where it cannot be read), `loss`,
        `from_logits`.
    """
    heads = read_heads(model) if heads is None else heads
    losses = _losses_by_output(model, heads)
    found = []
    for index, (name, shape, layer) in enumerate(heads):
        found.append(
            {
                "name": name,
                "shape": shape,
                "layer": getattr(layer, "name", None),
                "activation": _activation_of(layer),
                "softmax_axis": getattr(layer, "axis", None)
                if isinstance(layer, keras.layers.Softmax)
                else None,
                **measure_loss(losses.get(name, losses.get(index))),
            }
        )
    return found


def _activation_of(head):
    """Name of the activation of what gives an output, None where it is unread."""
    if head is None or isinstance(head, str):
        return head
    if isinstance(head, keras.layers.Layer):
        # None for what computes by itself (BatchNorm, Add).
        return activation_name(head)
    # `keras.ops.softmax(…)` in a functional model.
    name = type(head).__name__.lower()
    return name if name in ("softmax", "sigmoid", "relu", "tanh") else None


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
    if getattr(owner, "__module__", "").split(".")[0] not in KNOWN_PACKAGES:
        return {"loss": "custom", "from_logits": None, "reduction": None}
    if isinstance(loss, keras.losses.Loss):
        config = loss.get_config()
        return {
            "loss": _snake(type(loss).__name__),
            "from_logits": config.get("from_logits"),
            "reduction": loss.reduction,
            **({"margin": config["margin"]} if "margin" in config else {}),
        }
    parameters = inspect.signature(loss).parameters
    from_logits = (
        parameters["from_logits"].default if "from_logits" in parameters else None
    )
    return {"loss": loss.__name__, "from_logits": from_logits, "reduction": None}


def _snake(name):
    # KLDivergence is kl_divergence, as its function is called.
    return re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", name).lower()


def _losses_by_output(model, heads):
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        return loss
    if isinstance(loss, list | tuple):
        return dict(enumerate(loss))
    return dict.fromkeys([name for name, _, _ in heads], loss)


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
