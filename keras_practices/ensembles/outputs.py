"""What each output of a member is, and how outputs are combined."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.measures.model_card import measure_loss
from keras_practices.measures.model_card import measure_outputs

# Kind of an output -> what it tells: one of several classes, labels that are true or
# not each by itself, or numbers.
FAMILIES = {
    "softmax": "classes",
    "softmax_logits": "classes",
    "scores": "classes",
    "sigmoid": "labels",
    "sigmoid_logits": "labels",
    "numbers": "numbers",
}
COMBINATIONS = ("probabilities", "logits", "votes", "mean")
# The least normal number of float32, and the distance from 1 to the number below it.
_LEAST, _STEP = 1.2e-38, 6e-8
_CATEGORICAL = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "categorical_focal_crossentropy",
)
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
_HINGE = ("hinge", "squared_hinge", "categorical_hinge", "multiclass_hinge")
_NUMBERS = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "poisson",
    "cosine_similarity",
)


def find_kinds(model: Any) -> list[str | None]:
    """Returns the kind of each output of a model, None where it cannot be told.

    The activation of the layer that gives the output decides; where that is linear or
    unknown, the compiled loss.

    Args:
        model: A built `keras.Model`.

    Returns:
        One of `"softmax"`, `"softmax_logits"`, `"sigmoid"`, `"sigmoid_logits"`,
        `"scores"`, `"numbers"` or None for each output, in flat order.
    """
    # An ensemble among the members knows what it gives.
    known = getattr(model, "output_kinds", None)
    if known:
        return list(known)
    heads = measure_outputs(model)
    losses = getattr(model, "loss", None)
    names = {head["name"] for head in heads}
    if isinstance(losses, dict) and not names & set(losses):
        # The keys of a dict of outputs, whose layers have other names. Keras flattens
        # dicts by their sorted keys.
        if len(losses) == len(heads):
            for head, key in zip(heads, sorted(losses), strict=True):
                head.update(measure_loss(losses[key]))
    return [_kind(head) for head in heads]


def shapes(model: Any, side: str) -> Any:
    """Returns the shapes of a model's inputs or outputs, None without a graph.

    Args:
        model: A built `keras.Model`.
        side: `"input"` or `"output"`.
    """
    try:
        return getattr(model, f"{side}_shape")
    except (AttributeError, ValueError):  # a subclassed model has none
        return None


def _kind(head):
    activation, loss = head["activation"], head["loss"]
    # Without a graph the layer that comes last in the list need not be the last one.
    seen = head["shape"] is not None
    if seen and activation == "softmax":
        return "softmax" if head["softmax_axis"] in (None, -1) else None
    if seen and activation == "sigmoid" and loss not in _NUMBERS:
        return "sigmoid"
    by_loss = _kind_by_loss(loss, head["from_logits"])
    # A linear layer gives no probabilities, whatever the loss was told.
    if seen and activation == "linear" and by_loss in ("softmax", "sigmoid"):
        return None
    return by_loss


def _kind_by_loss(loss, from_logits):
    if loss in _CATEGORICAL:
        return "softmax_logits" if from_logits else "softmax"
    if loss in _BINARY:
        return "sigmoid_logits" if from_logits else "sigmoid"
    if loss in _HINGE:
        return "scores"
    return "numbers" if loss in _NUMBERS else None


def check_kinds(
    owner: Any, given: Any, members: Any, labels: Any, combine: Any
) -> list[list[str]]:
    """Returns the kind of each output of each member, found or as given.

    Args:
        owner: Object or name that messages begin with.
        given: `member_outputs` of an `Ensemble`.
        members: List of built models.
        labels: What to call each member in a message.
        combine: `combine` of the `Ensemble`. A mean of what cannot be told is one of
            numbers.

    Raises:
        ValueError: a kind that is unknown or cannot be told; members whose outputs
            are of another family.
    """
    if not isinstance(given, list | tuple):
        given = [given] * len(members)
    if len(given) != len(members):
        expected = f"one entry for each of the {len(members)} members"
        raise value_error(owner, "member_outputs", expected, given)
    kinds: list[Any] = [
        find_kinds(member) if one is None else _spread(one, member)
        for one, member in zip(given, members, strict=True)
    ]
    plain = combine is not None and set(keras.tree.flatten(combine)) == {"mean"}
    for label, found in zip(labels, kinds, strict=True):
        for place, kind in enumerate(found):
            if kind is None and plain:
                found[place] = kind = "numbers"
            if kind is None:
                raise value_error(
                    owner,
                    "member_outputs",
                    f"given, as it cannot be told what output {place} of {label} is",
                    None,
                    f"Pass one of {', '.join(FAMILIES)}, or compile the member with "
                    "the loss that it was trained with.",
                )
            check_choice(owner, "member_outputs", kind, tuple(FAMILIES))
        families = [FAMILIES[kind] for kind in found]
        first = [FAMILIES[kind] for kind in kinds[0]]
        if families != first:
            raise value_error(
                owner,
                "members",
                f"models for one task; outputs of {labels[0]} are {first}, those of "
                f"{label} are {families}",
                label,
            )
    return kinds


def _spread(given, member):
    outputs = len(getattr(member, "outputs", None) or [None])
    if isinstance(given, str):
        return [given] * outputs
    return keras.tree.flatten(given)


def check_combine(owner: Any, given: Any, kinds: list[list[str]]) -> list[str]:
    """Returns how each output is combined, the default where nothing was said.

    Raises:
        ValueError: an unknown way, or one that the outputs do not allow.
    """
    first = kinds[0]
    flat = keras.tree.flatten(given) if given is not None else [None]
    if len(flat) == 1:
        flat = flat * len(first)
    if len(flat) != len(first):
        expected = f"one way, or one for each of the {len(first)} outputs"
        raise value_error(owner, "combine", expected, given)
    ways = []
    for place, way in enumerate(flat):
        found = [one[place] for one in kinds]
        numbers = FAMILIES[found[0]] == "numbers"
        if way is None:
            way = "mean" if numbers else "probabilities"
        check_choice(owner, "combine", way, COMBINATIONS)
        if numbers and way != "mean":
            advice = (
                "If it is one of classes or labels, say so: "
                'member_outputs="softmax_logits" or "sigmoid_logits".'
            )
            expected = f"'mean', as output {place} of the members is of numbers"
            raise value_error(owner, "combine", expected, way, advice)
        if "scores" in found and way not in ("votes", "mean"):
            advice = "Scores of a hinge loss are no logits and give no probabilities."
            raise value_error(owner, "combine", "'votes' or 'mean'", way, advice)
        if way == "mean" and len(set(found)) > 1:
            expected = (
                "'probabilities', 'logits' or 'votes', as the members differ in what "
                f"they give ({', '.join(sorted(set(found)))})"
            )
            raise value_error(owner, "combine", expected, way)
        ways.append(way)
    return ways


def check_weights(owner: Any, weights: Any, count: int) -> list[float]:
    """Returns weights of the members that sum to one."""
    if weights is None:
        return [1 / count] * count
    expected = f"{count} numbers of at least 0, not all of them 0"
    try:
        numbers = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        raise type_error(owner, "weights", expected, weights) from None
    fine = all(math.isfinite(weight) and weight >= 0 for weight in numbers)
    if len(numbers) != count or not fine or sum(numbers) == 0:
        raise value_error(owner, "weights", expected, weights)
    return [number / sum(numbers) for number in numbers]


def contribution(output: Any, kind: str, way: str) -> Any:
    """Returns what one member adds, before weights: a tensor of float32 or wider.

    Args:
        output: Tensor as the member gives it.
        kind: Kind of the output.
        way: `"probabilities"`, `"logits"`, `"votes"` or `"mean"`.
    """
    dtype = keras.backend.standardize_dtype(output.dtype)
    output = ops.cast(output, keras.backend.result_type(dtype, "float32"))
    if way == "mean":
        return output
    if way == "votes":
        if FAMILIES[kind] == "classes":
            best = ops.argmax(output, axis=-1)
            return ops.one_hot(best, output.shape[-1], dtype=output.dtype)
        return ops.cast(output > (0.5 if kind == "sigmoid" else 0.0), output.dtype)
    if way == "logits":
        if kind == "softmax":
            return ops.log(ops.maximum(output, _LEAST))
        if kind == "softmax_logits":
            return ops.log_softmax(output, axis=-1)
        if kind == "sigmoid":
            inside = ops.clip(output, _LEAST, 1 - _STEP)
            return ops.log(inside) - ops.log(1 - inside)
        return output
    if kind == "softmax_logits":
        return ops.softmax(output, axis=-1)
    return ops.sigmoid(output) if kind == "sigmoid_logits" else output


def finished(total: Any, kind: str, way: str) -> Any:
    """Returns the combined output from the weighted sum of contributions."""
    if way != "logits":
        return total
    if FAMILIES[kind] == "classes":
        return ops.softmax(total, axis=-1)
    return ops.sigmoid(total)


def finished_arrays(total: Any, kind: str, way: str) -> Any:
    """`finished`, of NumPy arrays in float64."""
    if way != "logits":
        return total
    if FAMILIES[kind] == "classes":
        exponentials = np.exp(total - total.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)
    return 1 / (1 + np.exp(-total))
