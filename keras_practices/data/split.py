"""Training, validation and test parts, cut once and for all."""

import os
from typing import Any

import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.arrays import checked_pair
from keras_practices.data.arrays import rows_of
from keras_practices.data.arrays import take
from keras_practices.data.part import Part
from keras_practices.data.vault import Vault
from keras_practices.errors import UsageError


class Split:
    """Cuts data into a training part, a validation part and a test set in a vault.

    Rows are shuffled first (Keras's `validation_split` takes the end of the data as
    it stands: of sorted classes, the last ones) and class labels keep their shares in
    every part. The cut is scikit-learn's `train_test_split`, twice.

    Args:
        x: Array of shape `(rows, ...)`, or a dict or list of such arrays.
        y: The same, with as many rows.
        validation: Float in (0, 1). Share of the rows for validation.
        test: Float in [0, 1). Share of the rows for the test set; 0 where you have
            one already (put that into a `Vault`).
        stratify: `"auto"`, True or False. Keep the shares of the classes. `"auto"`
            does so for integer, bool and one-hot labels whose rarest class has a row
            for every part, and shuffles plainly otherwise.
        groups: Array of shape `(rows,)` or None. Rows of one group (a patient, a
            video) stay in one part; shares are then shares of the groups.
        shuffle: Bool. False cuts in order, for time series: training rows first, then
            validation, then test.
        seed: Integer. Same seed, same parts.
        ledger: Path of the `Vault`'s ledger, or None.

    Attributes:
        train: `Part` of role `"train"`: `model.fit(*split.train)`.
        validation: `Part` of role `"validation"`.
        test: `Vault`: `split.test.evaluate(model)`.
        indices: Dict from role to the rows of `x`, for sample weights.

    Raises:
        TypeError: something is no array, or an array of Python objects.
        ValueError: no rows, different numbers of rows, shares that leave a part
            empty, arguments that exclude each other.

    Example:

    >>> x, y = np.zeros((100, 8)), np.arange(100) % 4
    >>> split = Split(x, y, validation=0.2, test=0.2, seed=1)
    >>> split
    Split(train=60, validation=20, test=20)
    >>> np.bincount(split.validation.y).tolist()
    [5, 5, 5, 5]

    References:
        CS231n, "Image Classification", validation sets for hyperparameter tuning.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        validation: float = 0.2,
        test: float = 0.2,
        stratify: str | bool = "auto",
        groups: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        ledger: str | os.PathLike[str] | None = None,
    ):
        x, y = checked_pair(self, x, y)
        self._check_options(validation, test, stratify, groups, shuffle, seed)
        shares = {"validation": validation, "test": test}
        if groups is not None:
            names, members = np.unique(
                _checked_groups(self, groups, rows_of(x)), return_inverse=True
            )
            cut = _cut(_counts(self, len(names), shares, "groups"), None, True, seed)
            self.indices = {
                role: np.flatnonzero(np.isin(members, found))
                for role, found in cut.items()
            }
        else:
            labels = _labels(self, y, shares, stratify) if shuffle else None
            counts = _counts(self, rows_of(x), shares, "rows")
            self.indices = _cut(counts, labels, shuffle, seed)
        self.train = self._part(x, y, "train")
        self.validation = self._part(x, y, "validation")
        rows = self.indices["test"]
        self._test = (
            Vault(take(x, rows), take(y, rows), ledger=ledger) if test else None
        )

    def _check_options(self, validation, test, stratify, groups, shuffle, seed):
        check_number(self, "validation", validation, low=0, high=1, closed="neither")
        check_number(self, "test", test, low=0, high=1, closed="left")
        if validation + test >= 1:
            raise value_error(
                self, "test", f"below 1 - validation = {1 - validation:g}", test
            )
        if not isinstance(stratify, str | bool):
            raise type_error(self, "stratify", "'auto', True or False", stratify)
        check_choice(self, "stratify", stratify, ("auto", True, False))
        check_integer(self, "seed", seed, low=0)
        if stratify is True and (groups is not None or not shuffle):
            raise value_error(
                self,
                "stratify",
                "'auto' or False together with `groups` or `shuffle=False`",
                stratify,
                "Rows are then cut by group, or in order, not by class.",
            )
        if groups is not None and not shuffle:
            raise value_error(self, "shuffle", "True together with `groups`", shuffle)

    def _part(self, x, y, role):
        rows = self.indices[role]
        return Part(take(x, rows), take(y, rows), role=role)

    @property
    def test(self) -> Vault:
        """The test set, in its vault."""
        if self._test is None:
            raise UsageError(
                "Split: there is no test part, because it was made with test=0. Put "
                "the test set you have into a keras_practices.data.Vault."
            )
        return self._test

    def __repr__(self):
        sizes = ", ".join(f"{role}={len(rows)}" for role, rows in self.indices.items())
        return f"Split({sizes})"


def _counts(owner, total, shares, what):
    """Returns how many rows or groups each part gets; none may stay empty."""
    counts = {role: round(share * total) for role, share in shares.items()}
    for role, share in shares.items():
        if share and counts[role] == 0:
            advice = f"There are {total} {what}; take a larger share, or more data."
            raise value_error(
                owner, role, f"a share that leaves the {role} part rows", share, advice
            )
    train = total - sum(counts.values())
    if train < 1:
        raise value_error(
            owner,
            "validation",
            f"small enough to leave training rows, of {total} {what}",
            shares["validation"],
            "Take smaller shares, or more data.",
        )
    return {"train": train, **counts}


def _cut(counts, labels, shuffle, seed):
    """Returns `{role: indices}`, drawn by scikit-learn."""
    from sklearn.model_selection import train_test_split

    rest, cut = np.arange(sum(counts.values())), {}
    for role in ("test", "validation"):
        cut[role] = rest[:0]
        if counts[role]:
            rest, cut[role] = train_test_split(
                rest,
                test_size=counts[role],
                shuffle=shuffle,
                stratify=None if labels is None else labels[rest],
                random_state=seed if shuffle else None,
            )
    return {"train": rest, "validation": cut["validation"], "test": cut["test"]}


def _labels(owner, y, shares, stratify):
    """Returns the class of each row to stratify by, or None."""
    if stratify is False:
        return None
    labels = _classes(y)
    smallest = min(
        share for share in (*shares.values(), 1 - sum(shares.values())) if share
    )
    if labels is not None:
        classes, counts = np.unique(labels, return_counts=True)
        if counts.min() * smallest >= 1:
            return labels
    if stratify == "auto":
        return None
    if labels is None:
        raise value_error(
            owner,
            "stratify",
            "'auto' or False where y is not one array of integer, bool or one-hot "
            "labels",
            stratify,
        )
    raise value_error(
        owner,
        "stratify",
        f"'auto' or False where a class has too few rows for every part (class "
        f"{classes[counts.argmin()]} has {counts.min()})",
        stratify,
    )


def _classes(y):
    """Returns `y` as one class a row where it is that, else None."""
    if not isinstance(y, np.ndarray):
        return None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1 and y.dtype.kind in "iub":
        return y
    if y.ndim == 2 and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        return y.argmax(axis=1)
    return None


def _checked_groups(owner, groups, rows):
    groups = np.asarray(groups)
    if groups.shape != (rows,):
        raise (type_error if groups.ndim == 0 else value_error)(
            owner, "groups", f"an array of shape ({rows},)", groups.shape
        )
    return groups
