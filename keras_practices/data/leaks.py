"""Rows of a held-out part that training has too, exactly or nearly."""

import hashlib

import numpy as np

from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.arrays import leaves
from keras_practices.data.part import Part
from keras_practices.data.vault import Vault

# Rows are compared by this many random projections first. The distance of two is the
# true one times sqrt(chi-squared(32) / 32), of standard deviation 1/8: twice the
# tolerance is passed once in 10 ** 14.
_PROJECTIONS = 32
_ROUNDING = 0.01  # of distances by products of float32
_PIECE_ROWS = 256
_SCALE_ROWS = 4096


def find_leaks(
    train: Part, other: Part | Vault, *, tolerance: float = 0.05
) -> dict[str, np.ndarray]:
    """Finds rows of another part that have a duplicate in training, or nearly one.

    A copy in another file format, a frame of the same video, a patient entered twice:
    a model that has learned such rows by heart is right on them, and the measured
    quality is too good. `Split(groups=...)` keeps what belongs together in one part.

    The distance of two rows is the root mean square difference of their features, in
    units of the standard deviation in training: of each column of a table, of all
    pixels of images. Unrelated rows are about 1.4 apart. Where few features, or coarse
    ones, make rows alike by nature, a short distance proves nothing: compare with what
    two halves of the training part give.

    Exact copies are found by a hash of each row, whatever stands near them in
    training. Every other row is compared with the training row that is nearest in a
    random projection. Time grows with the product of the rows (10,000 against 50,000:
    seconds), memory with their sum.

    Args:
        train: `Part` of role `"train"`.
        other: Another `Part` whose `x` is of the same form; or a `Vault`: its inputs
            are compared, its targets are not looked at, which is no opening.
        tolerance: Float of at least 0. Largest distance of a pair; 0 finds exact
            copies only.

    Returns:
        Dict of arrays with an entry for each row of `other` that has a near duplicate,
        closest first: `"rows"` of `other`, `"training_rows"`, and `"distances"`.

    Raises:
        TypeError: no parts, inputs that are no numbers.
        ValueError: `train` of another role, inputs of different shapes or not finite,
            `tolerance` out of range.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(100, 20))
    >>> train = Part(x[:80], np.zeros(80), role="train")
    >>> held = np.concatenate([x[80:], x[:1] + 0.01])
    >>> found = find_leaks(train, Part(held, np.zeros(21), role="validation"))
    >>> found["rows"].tolist(), found["training_rows"].tolist()
    ([20], [0])

    References:
        Barz and Denzler, "Do We Train on Test Data? Purging CIFAR of
        Near-Duplicates", 2020, Journal of Imaging 6; Johnson and Lindenstrauss,
        "Extensions of Lipschitz mappings into a Hilbert space", 1984.
    """
    check_number("find_leaks", "tolerance", tolerance, low=0)
    if not isinstance(train, Part):
        raise type_error("find_leaks", "train", "a training Part", train)
    if train.role != "train":
        raise value_error("find_leaks", "train", "of role 'train'", train)
    if not isinstance(other, Part | Vault):
        raise type_error("find_leaks", "other", "a Part or a Vault", other)
    theirs = other._x if isinstance(other, Vault) else other.x
    ours = _checked("train", train.x)
    held = _checked("other", theirs)
    if [array.shape[1:] for array in ours] != [array.shape[1:] for array in held]:
        expected = "of inputs of the same shapes as in training"
        shapes = [array.shape for array in held]
        raise value_error("find_leaks", "other", expected, shapes)
    scales = [_scales(array) for array in ours]
    candidates, near = _nearest(
        _projected("train", ours, scales), _projected("other", held, scales)
    )
    same = _same(ours, held)
    candidates = np.where(same >= 0, same, candidates)
    near = np.where(same >= 0, 0.0, near)
    places = np.flatnonzero(near <= 2 * tolerance + _ROUNDING)
    distances = _distances(ours, held, candidates[places], places, scales)
    order = np.argsort(distances, kind="stable")
    order = order[distances[order] <= tolerance]
    return {
        "rows": places[order],
        "training_rows": candidates[places[order]],
        "distances": distances[order],
    }


def _checked(name, x):
    arrays = [array for _, array in leaves(x)]
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise type_error("find_leaks", name, "inputs of numbers", array.dtype)
    return [array[:, None] if array.ndim == 1 else array for array in arrays]


def _scales(array):
    """Returns by what the flattened features are divided."""
    rows = np.unique(np.linspace(0, len(array) - 1, _SCALE_ROWS).astype(int))
    sample = array[rows].reshape(len(rows), -1).astype(np.float64)
    # Columns of a table have units of their own; the pixels of an image share one.
    axis = 0 if array.ndim == 2 else None
    spread = np.broadcast_to(sample.std(axis=axis), sample.shape[1:])
    return np.where(spread > 0, spread, 1.0)


def _projected(name, arrays, scales):
    """Returns float32 coordinates whose distances are nearly those of the rows."""
    features = sum(len(scale) for scale in scales)
    projection = np.random.default_rng(0).normal(size=(features, _PROJECTIONS))
    projection /= np.sqrt(features * _PROJECTIONS)
    if features <= _PROJECTIONS:
        projection = np.eye(features) / np.sqrt(features)
    found = np.empty((len(arrays[0]), projection.shape[1]), np.float32)
    for start in range(0, len(found), _PIECE_ROWS):
        rows = slice(start, start + _PIECE_ROWS)
        pieces = zip(arrays, scales, strict=True)
        flat = [a[rows].reshape(len(a[rows]), -1) / scale for a, scale in pieces]
        found[rows] = np.concatenate(flat, axis=1) @ projection
    if not np.isfinite(found).all():
        count = int((~np.isfinite(found).all(axis=1)).sum())
        raise value_error("find_leaks", name, "of finite values", f"{count} bad rows")
    return found


def _same(train, other):
    """Returns for each row of `other` the first equal one of `train`, or -1."""
    kinds = [np.result_type(*pair) for pair in zip(train, other, strict=True)]
    first = {}
    for place, key in enumerate(_keys(train, kinds)):
        first.setdefault(key, place)
    return np.array([first.get(key, -1) for key in _keys(other, kinds)], np.int64)


def _keys(arrays, kinds):
    """Yields a digest of each row; equal numbers of two dtypes have equal ones."""
    for row in zip(*arrays, strict=True):
        digest = hashlib.blake2b(digest_size=16)
        for values, kind in zip(row, kinds, strict=True):
            # -0.0 + 0 is 0.0: both zeros have the bytes of one.
            values = np.asarray(values, kind) + np.zeros((), kind)
            digest.update(np.ascontiguousarray(values).tobytes())
        yield digest.digest()


def _nearest(train, other):
    """Returns for each row of `other` the nearest of `train`, and its distance."""
    center = train.mean(axis=0)
    train, other = train - center, other - center
    squares = np.square(train).sum(axis=1)
    places = np.empty(len(other), np.int64)
    distances = np.empty(len(other), np.float64)
    for start in range(0, len(other), _PIECE_ROWS):
        rows = other[start : start + _PIECE_ROWS]
        products = rows @ train.T
        products *= -2
        products += squares
        best = products.argmin(axis=1)
        places[start : start + len(rows)] = best
        gaps = np.square(rows - train[best], dtype=np.float64).sum(axis=1)
        distances[start : start + len(rows)] = np.sqrt(gaps)
    return places, distances


def _distances(ours, held, training_rows, rows, scales):
    """Returns the true distances of pairs of rows, in float64."""
    features = sum(len(scale) for scale in scales)
    found = np.zeros(len(rows))
    for place, (first, second) in enumerate(zip(training_rows, rows, strict=True)):
        for array, other, scale in zip(ours, held, scales, strict=True):
            gap = array[first].ravel().astype(float) - other[second].ravel()
            found[place] += np.square(gap / scale).sum()
    return np.sqrt(found / features)
