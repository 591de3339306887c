"""Different learning rates by depth, over Keras's `MultiOptimizer`."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.schedules.scaled import Scaled

_OWNER = "layer_groups"


def layer_groups(
    model: keras.Model,
    optimizer: Any,
    *,
    decay: float | None = None,
    multipliers: Sequence[float] | None = None,
    groups: Sequence[Any] | None = None,
) -> keras.optimizers.Optimizer:
    """Returns an optimizer with a learning rate of its own for each group of layers.

    For fine-tuning: layers near the input, which know most already, move least. Pass
    the result to `model.compile`. It is a Keras `MultiOptimizer`: it is saved with the
    model, and callbacks that set the learning rate do not work with it; give
    `optimizer` a schedule instead, which every group follows in its proportion.

    Args:
        model: Built Keras model.
        optimizer: Keras optimizer, or its name, with the rate of the last group. It is
            copied for each group; by-name exceptions from weight decay are not, set
            them on each of the result's `optimizers`. No `global_clipnorm`: it would
            clip each group by itself.
        decay: Float in (0, 1], or None. Each group learns at this share of the rate of
            the one behind it; 1 / 2.6 in the paper.
        multipliers: Floats of at least 0 instead of `decay`, one a group, input first.
        groups: List of groups, input first; each a layer or a list of layers of the
            model (or their names). None: each layer of `model.layers` with trainable
            weights is a group. Weights in no group keep the optimizer's own rate. For
            a model to be loaded again, layers of different groups need different names,
            also where they stand in models of their own.

    Returns:
        `keras.optimizers.MultiOptimizer`; its `optimizers` are those of the groups in
        order, and last the one for weights in no group.

    Raises:
        UsageError: the model is not built.
        TypeError, ValueError: bad arguments; a layer in two groups, or without
            trainable weights.

    Example:

    >>> layers = [keras.layers.Dense(4), keras.layers.Dense(4), keras.layers.Dense(1)]
    >>> model = keras.Sequential([keras.Input((2,)), *layers])
    >>> optimizer = layer_groups(model, keras.optimizers.SGD(0.1), decay=0.5)
    >>> [round(float(o.learning_rate), 3) for o in optimizer.optimizers[:3]]
    [0.025, 0.05, 0.1]

    References:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification"
        (2018), arXiv:1801.06146, discriminative fine-tuning.
    """
    if not isinstance(model, keras.Model):
        raise type_error(_OWNER, "model", "a Keras model", model)
    if not model.built:
        raise UsageError(f"{_OWNER}: the model has no weights yet; call it once.")
    optimizer = _check_optimizer(keras.optimizers.get(optimizer))
    found = _groups_of(model, groups)
    factors = _check_factors(decay, multipliers, len(found))
    chosen = {
        pattern: _with_rate(optimizer, factor)
        for pattern, factor in zip(_patterns(model, found), factors, strict=True)
    }
    rest = _with_rate(optimizer, 1.0)
    mapped = keras.optimizers.OptimizerMap(rest, chosen)
    return keras.optimizers.MultiOptimizer(mapped)


def _check_optimizer(optimizer):
    kinds = (keras.optimizers.LossScaleOptimizer, keras.optimizers.MultiOptimizer)
    if isinstance(optimizer, kinds) or "learning_rate" not in optimizer.get_config():
        advice = "Wrap what layer_groups returns."
        expected = "a plain optimizer, not one around others"
        raise type_error(_OWNER, "optimizer", expected, optimizer, advice)
    if optimizer.global_clipnorm is not None:
        expected = "without global_clipnorm"
        advice = "It would clip each group by itself; clipnorm clips each variable."
        raise value_error(_OWNER, "optimizer", expected, optimizer, advice)
    rate = optimizer.get_config()["learning_rate"]
    if callable(rate):
        expected = "with a number or a Keras schedule as learning_rate"
        raise type_error(_OWNER, "optimizer", expected, optimizer)
    return optimizer


def _with_rate(optimizer, factor):
    config = optimizer.get_config()
    config.pop("name", None)
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        schedule = keras.optimizers.schedules.deserialize(rate)
        config["learning_rate"] = Scaled(schedule, factor)
    else:
        config["learning_rate"] = float(rate) * factor
    return type(optimizer).from_config(config)


def _groups_of(model, groups):
    if groups is None:
        return [[layer] for layer in model.layers if layer.trainable_variables]
    if not isinstance(groups, list | tuple) or not groups:
        raise type_error(_OWNER, "groups", "a list of groups, or None", groups)
    found = []
    for group in groups:
        members = group if isinstance(group, list | tuple) else [group]
        found.append([_layer_of(model, member) for member in members])
        if not any(layer.trainable_variables for layer in found[-1]):
            expected = "of groups with trainable weights"
            raise value_error(_OWNER, "groups", expected, [x.name for x in found[-1]])
    return found


def _layer_of(model, member):
    layers = all_layers(model)
    for layer in layers:
        if layer is member or (isinstance(member, str) and layer.name == member):
            return layer
    expected = f"of layers of the model {model.name!r}, or their names"
    raise value_error(_OWNER, "groups", expected, member)


def _check_factors(decay, multipliers, count):
    if (decay is None) == (multipliers is None):
        expected = "given, or else multipliers, and not both"
        raise value_error(_OWNER, "decay", expected, decay)
    if multipliers is None:
        check_number(_OWNER, "decay", decay, low=0, high=1, closed="right")
        return [decay ** (count - 1 - place) for place in range(count)]
    if not isinstance(multipliers, list | tuple) or len(multipliers) != count:
        expected = f"a list of {count} numbers, one a group"
        raise value_error(_OWNER, "multipliers", expected, multipliers)
    for factor in multipliers:
        check_number(_OWNER, "multipliers", factor, low=0)
    return [float(factor) for factor in multipliers]


def _patterns(model, groups):
    """One pattern a group, by which Keras maps the paths of its variables.

    Not a key for each variable: an optimizer under several keys would be saved, and
    come back, as several.
    """
    owners = {v.path: None for v in model.trainable_variables}
    if len(owners) < len(model.trainable_variables):
        expected = "of layers with names of their own"
        raise value_error(_OWNER, "model", expected, sorted(owners))
    for place, group in enumerate(groups):
        for path in [v.path for layer in group for v in layer.trainable_variables]:
            if owners.get(path) is not None:
                expected = "of layers in one group each"
                raise value_error(_OWNER, "groups", expected, path)
            owners[path] = place
    # Keras 3.15 builds an optimizer that it loads before the models around a layer
    # have given their names: `base/dense/kernel` is asked for as `dense/kernel`.
    ends = {}
    for path, place in owners.items():
        for end in _ends(path):
            ends.setdefault(end, set()).add(place)
    found = [[] for _ in groups]
    for path, place in owners.items():
        if place is not None:
            clear = [end for end in _ends(path) if ends[end] == {place}]
            found[place] += [path, *(end for end in clear if end != path)]
    return ["|".join(re.escape(end) for end in group) for group in found]


def _ends(path):
    """The path, without its first name, without its first two, …, down to two names."""
    names = path.split("/")
    return ["/".join(names[start:]) for start in range(max(1, len(names) - 1))]
