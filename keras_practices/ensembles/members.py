"""Do models belong together: built, for the same rows, and not the same model."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.ensembles.outputs import shapes
from keras_practices.errors import UsageError
from keras_practices.rules import ensembles as rules


def check_members(owner: Any, members: Any, labels: Any = None) -> list[str]:
    """Returns what to call each member, if the members can be one ensemble.

    Args:
        owner: Object or name that messages begin with.
        members: List of models.
        labels: Texts, one a member, or None for numbers.

    Raises:
        TypeError: no list of Keras models.
        ValueError: no members, one object twice, or members of other shapes.
        RuntimeError: a member that is not built.
    """
    if not isinstance(members, list | tuple):
        raise type_error(owner, "members", "a list of keras.Model", members)
    if not members:
        raise value_error(owner, "members", "a list of at least one model", members)
    labels = labels or [f"member {place}" for place in range(len(members))]
    for place, (label, member) in enumerate(zip(labels, members, strict=True)):
        if not isinstance(member, keras.Model):
            raise type_error(owner, "members", f"keras.Model ({label})", member)
        if not member.built:
            raise UsageError(
                f"{_name(owner)}: {label} ({member.name!r}) is not built, so it has "
                "no weights. Give it a keras.Input, or call it on a batch first."
            )
        if any(member is other for other in members[:place]):
            advice = "Give it once, with a larger weight."
            raise value_error(owner, "members", "each another model", label, advice)
        for side in ("input", "output"):
            _check_shapes(owner, side, labels[0], members[0], label, member)
    return labels


def _name(owner):
    return owner if isinstance(owner, str) else type(owner).__name__


def _check_shapes(owner, side, first_label, first, label, member):
    mine, theirs = shapes(first, side), shapes(member, side)
    if mine is None or theirs is None or _fit(mine, theirs):
        return
    remedy = ""
    if side == "output":
        remedy = "Members answer one question: as many classes, in the same order."
    expected = f"models with the same {side}s; {first_label} has {side} shape {mine}"
    raise value_error(owner, "members", expected, f"{label}: {theirs}", remedy)


def _fit(first, second):
    """Whether two structures of shapes can be of the same tensors."""
    if isinstance(first, dict) or isinstance(second, dict):
        if not isinstance(first, dict) or not isinstance(second, dict):
            return False
        same = set(first) == set(second)
        return same and all(_fit(first[key], second[key]) for key in first)
    if len(first) != len(second):
        return False
    pairs = zip(first, second, strict=True)
    return all(
        _fit(a, b)
        if isinstance(a, dict | list | tuple) and isinstance(b, dict | list | tuple)
        else a is None or b is None or a == b
        for a, b in pairs
    )


def check_distinct(
    owner: Any, members: Any, labels: Any, predictions: Any = None
) -> None:
    """Raises where two members are one model.

    Args:
        owner: Object or name that messages begin with.
        members: List of built models.
        labels: What to call each.
        predictions: Array `(members, rows, …)` of some rows, or None.

    Raises:
        RuntimeError: `ensemble-members-identical`.
    """
    pairs = [
        {
            "first": labels[one],
            "second": labels[other],
            "same_weights": same_weights(members[one], members[other]),
            "difference": None
            if predictions is None
            else largest_difference(predictions[one], predictions[other]),
        }
        for other in range(len(members))
        for one in range(other)
    ]
    raise_identical(owner, pairs)


def raise_identical(owner: Any, pairs: list[dict[str, Any]]) -> None:
    """Raises the first finding of the rule about identical members, if there is one."""
    for finding in rules.ensemble_members_identical({"member_pairs": pairs}):
        raise UsageError(
            f"{_name(owner)}: {finding.rule}: {finding.message} {finding.cause} "
            f"{finding.advice}"
        )


def same_weights(first: Any, second: Any) -> bool:
    """Whether all weights of two models are equal bit for bit."""
    if len(first.weights) != len(second.weights) or not first.weights:
        return False
    if any(
        tuple(one.shape) != tuple(other.shape)
        for one, other in zip(first.weights, second.weights, strict=True)
    ):
        return False
    # It ends at the first that differs: mostly one kernel is fetched.
    pairs = zip(_arrays(first), _arrays(second), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def _arrays(model: Any) -> Iterator[Any]:
    for weight in model.weights:
        yield ops.convert_to_numpy(weight.value)


def largest_difference(first: Any, second: Any) -> float:
    """Returns the largest difference of two arrays over their largest entry."""
    first, second = np.asarray(first, "float64"), np.asarray(second, "float64")
    size = max(np.abs(first).max(initial=0), np.abs(second).max(initial=0))
    return float(np.abs(first - second).max(initial=0) / size) if size else 0.0


def serialized(member: Any) -> dict[str, Any]:
    """Returns the configuration of a member, without what training needs."""
    config = keras.saving.serialize_keras_object(member)
    # The loss has done its service, and an optimizer would be built for nothing.
    config.pop("compile_config", None)
    return config


@contextlib.contextmanager
def without_optimizers(members: Any) -> Iterator[None]:
    """Takes the optimizers off the models while a file is written."""
    taken = [(vars(member), vars(member).get("optimizer")) for member in members]
    try:
        for attributes, _ in taken:
            if "optimizer" in attributes:
                attributes["optimizer"] = None
        yield
    finally:
        for attributes, optimizer in taken:
            if "optimizer" in attributes:
                attributes["optimizer"] = optimizer
