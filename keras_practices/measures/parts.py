"""Settings of layers and optimizer that can be read off without running the model."""

import keras
from keras import ops

from keras_practices._core.fit_internals import compile_arguments
from keras_practices._core.model_layers import all_layers
from keras_practices.measures.graph_nodes import DROPOUT
from keras_practices.measures.initial_weights import measure_frozen

# Steps at which a schedule is read: one that warms up begins at 0.
_SCHEDULE_STEPS = (0, 1, 10, 100, 1000, 10_000)
_AUGMENTING = ("AugMix", "CutMix", "GaussianNoise", "MixUp", "RandAugment")
_SETTINGS = (
    "momentum",
    "rho",
    "beta_1",
    "beta_2",
    "epsilon",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "centered",
)


def measure_parts(model):
    """Reads dropout, normalisation, freezing, regularisers, metrics and optimizer.

    Args:
        model: A built, compiled Keras model.

    Returns:
        `{"parts": {…}}` with `dropout` (list of `layer`, `rate`, `argument`),
        `augmentation` (names of layers that change inputs at random in training),
        `batchnorm` (list of `layer`, `momentum`, `trainable`), `frozen` (see
        `measure_frozen`), `regularized_biases` (paths), `metrics` (Keras's names of
        the compiled metrics, None where they cannot be read) and `optimizer` (see
        `measure_settings`).
    """
    found = all_layers(model)
    return {
        "parts": {
            "dropout": [entry for layer in found for entry in _dropout(layer)],
            "augmentation": [layer.name for layer in found if _augments(layer)],
            "batchnorm": [
                {
                    "layer": layer.name,
                    "momentum": float(layer.momentum),
                    "trainable": bool(layer.trainable),
                }
                for layer in found
                if isinstance(layer, keras.layers.BatchNormalization)
            ],
            "frozen": measure_frozen(model),
            "regularized_biases": [
                variable.path
                for variable in model.trainable_variables
                if variable.regularizer is not None and variable.name == "bias"
            ],
            "metrics": _metric_names(model),
            "optimizer": measure_settings(model.optimizer),
        }
    }


def _augments(layer):
    name = type(layer).__name__
    noisy = name.startswith("Random") or name in _AUGMENTING
    return noisy and not isinstance(layer, DROPOUT)


def measure_settings(optimizer):
    """Reads what an optimizer was made with.

    Args:
        optimizer: A Keras optimizer; of a loss-scaling one, the one inside.

    Returns:
        Dict with `class`, `learning_rate` (the largest of a schedule over its first
        10,000 steps), `scheduled` and every numeric setting that it has (`momentum`,
        `rho`, `beta_1`, `beta_2`, `epsilon`, `weight_decay`, `clipnorm`, `clipvalue`,
        `global_clipnorm`; `ema_momentum` with `use_ema`); None where there is no single
        optimizer to read.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    try:
        config = inner.get_config()
        rate, scheduled = _rate(inner, config)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
    settings = {
        key: config[key]
        for key in _SETTINGS
        if isinstance(config.get(key), int | float)
    }
    # With a frequency the weights in training are overwritten too, as curves show.
    if config.get("use_ema") and not config.get("ema_overwrite_frequency"):
        settings["ema_momentum"] = config["ema_momentum"]
    return {
        "class": _keras_class(inner),
        "learning_rate": rate,
        "scheduled": scheduled,
        **settings,
    }


def _keras_class(optimizer):
    """Name of the nearest class of Keras's own: its settings mean the same."""
    for one in type(optimizer).__mro__:
        if one.__module__.startswith("keras."):
            return one.__name__
    return type(optimizer).__name__


def _rate(optimizer, config):
    scheduled = isinstance(config.get("learning_rate"), dict)
    if not scheduled:
        return float(ops.convert_to_numpy(optimizer.learning_rate)), False
    schedule = keras.optimizers.schedules.deserialize(config["learning_rate"])
    rates = [float(ops.convert_to_numpy(schedule(step))) for step in _SCHEDULE_STEPS]
    return max(rates, key=abs), True


def _dropout(layer):
    if isinstance(layer, DROPOUT):
        arguments = ("rate",)
    elif isinstance(layer, keras.layers.RNN):
        layer, arguments = layer.cell, ("dropout", "recurrent_dropout")
    elif isinstance(layer, keras.layers.MultiHeadAttention):
        arguments = ("dropout",)
    else:
        return
    for argument in arguments:
        rate = getattr(layer, argument, None)
        if isinstance(rate, int | float) and rate > 0:
            yield {"layer": layer.name, "rate": float(rate), "argument": argument}


def _metric_names(model):
    config = compile_arguments(model)
    if config is None:
        return None
    names = []

    def visit(part):
        if isinstance(part, str):
            names.append(part)
        elif isinstance(part, dict):
            for value in part.values():
                visit(value)
        elif isinstance(part, list | tuple):
            for value in part:
                visit(value)
        elif isinstance(part, keras.metrics.Metric):
            names.append(type(part).__name__)
        elif part is not None:
            names.append(getattr(part, "__name__", type(part).__name__))

    visit(config.get("metrics"))
    visit(config.get("weighted_metrics"))
    return [str(name) for name in names]
