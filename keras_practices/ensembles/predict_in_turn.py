"""Predictions of an ensemble that does not fit in memory."""

import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.ensembles.checkpoints import checked_paths
from keras_practices.ensembles.checkpoints import load_member
from keras_practices.ensembles.ensemble import Ensemble
from keras_practices.ensembles.outputs import check_weights
from keras_practices.ensembles.outputs import finished_arrays

_OWNER = "ensembles.predict_in_turn"


def predict_in_turn(
    paths: Sequence[str | os.PathLike[str]],
    x: Any,
    build: Callable[[], keras.Model] | None = None,
    *,
    combine: Any = None,
    weights: Sequence[float] | None = None,
    member_outputs: Any = None,
    batch_size: int | None = None,
    custom_objects: dict[str, Any] | None = None,
) -> Any:
    """Predicts as an ensemble of the models in files, with one in memory at a time.

    The same as `from_checkpoints(paths, build, …).predict(x)`, for members that do not
    fit in memory together. Each is read, predicts all of `x`, and is dropped.

    Args:
        paths: Paths of `.keras` files, or of `.weights.h5` files, which need `build`.
        x: Array, or a structure of arrays; a dataset that can be read several times.
        build: Function without arguments that returns the built model of
            `.weights.h5` files.
        combine: As of `Ensemble`.
        weights: As of `Ensemble`.
        member_outputs: As of `Ensemble`: one for all, or a list with one a file.
        batch_size: Integer, or None for Keras's 32.
        custom_objects: Dict for `keras.saving.load_model`, or None.

    Returns:
        What `Ensemble.predict` returns.

    Raises:
        TypeError, ValueError: a bad argument, an iterator that can be read once only,
            a file that cannot be read, or one whose model gives something else than
            the first.

    Example:

    >>> def build():
    ...     return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> for place in range(2):
    ...     build().save(f"turn-{place}.keras")
    >>> paths = ["turn-0.keras", "turn-1.keras"]
    >>> kp.ensembles.predict_in_turn(paths, np.ones((3, 2)), combine="mean").shape
    (3, 1)
    """
    names = checked_paths(_OWNER, paths, build)
    shares = check_weights(_OWNER, weights, len(names))
    if hasattr(x, "__next__"):
        expected = "data that can be read once for each member"
        raise type_error(_OWNER, "x", expected, x)
    kinds = member_outputs
    if not isinstance(kinds, list | tuple):
        kinds = [kinds] * len(names)
    if len(kinds) != len(names):
        expected = f"one entry for each of the {len(names)} files"
        raise value_error(_OWNER, "member_outputs", expected, member_outputs)
    totals: list[Any] = []
    first: Any = None
    for name, share, kind in zip(names, shares, kinds, strict=True):
        member = load_member(_OWNER, name, build, custom_objects)
        one = Ensemble([member], combine, member_outputs=[kind])
        parts = [part[0] for part in one.contributions(x, batch_size)]
        gives = (one.output_kinds, one.ways, [part.shape for part in parts])
        if first is None:
            first, structure, inner = gives, one.output_structure, one.kinds_of_members
            totals = [np.zeros(part.shape, "float64") for part in parts]
        if gives != first:
            expected = f"of models that give the same; {names[0]} gives {first}"
            raise value_error(_OWNER, "paths", expected, f"{name}: {gives}")
        for total, part in zip(totals, parts, strict=True):
            total += share * part
        del member, one
    arrays = [
        finished_arrays(total, kind, way).astype("float32")
        for total, kind, way in zip(totals, inner[0], first[1], strict=True)
    ]
    return keras.tree.pack_sequence_as(structure, arrays)
