"""Arguments of a search, checked before any work could be lost."""

import copy
from typing import Any

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.tuners.folds import Folds
from keras_practices.tuners.folds import check_splitter


def check_weights_kept(owner: Any, keep: int | None, max_gb: float | None) -> None:
    """Refuses a count or a limit of weights that makes no sense."""
    if keep is not None:
        check_integer(owner, "keep_checkpoints", keep, low=0)
    if max_gb is not None:
        check_number(owner, "max_disk_gb", max_gb, low=0, closed="right")


def check_folds(owner: Any, splitter: Any, preprocess: Any, seed: int) -> Folds | None:
    """Returns the folds of a search, None where there is a single one."""
    if splitter is not None:
        check_splitter(owner, splitter)
        if preprocess is not None and not callable(preprocess):
            raise type_error(owner, "preprocess", "a function of rows", preprocess)
        return Folds(owner, splitter, preprocess, seed)
    if preprocess is not None:
        raise value_error(
            owner,
            "preprocess",
            "left out without cross_validation",
            preprocess,
            "With a single fold prepare the data before `search`.",
        )
    return None


def check_pruner(owner: Any, pruner: Any, is_shared: bool) -> None:
    """Refuses a pruner that would have no figures of other trials."""
    if pruner is not None and not is_shared:
        raise value_error(
            owner,
            "pruner",
            "left out without `storage`, which holds the figures of other trials",
            pruner,
            "Pass storage='sqlite:///search.db'.",
        )


def check_functions(
    owner: Any, hypermodel: Any, strategy: Any, own_run_trial: Any
) -> None:
    """Refuses a missing build function, or a strategy that is no function."""
    if not callable(strategy):
        raise type_error(owner, "strategy", "a function (seed, direction)", strategy)
    if hypermodel is None and type(owner).run_trial is own_run_trial:
        raise type_error(
            owner, "hypermodel", "a function that builds a model", hypermodel
        )


def check_callbacks(owner: Any, callbacks: Any) -> None:
    """Refuses callbacks of which every training cannot have a copy."""
    try:
        copy.deepcopy(callbacks)
    except Exception as error:
        raise type_error(
            owner,
            "callbacks",
            "callbacks that copy.deepcopy can copy, since every training has its own",
            callbacks,
            f"{type(error).__name__}: {error}",
        ) from error
