"""Batches in which every class has the same share."""

from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error
from keras_practices.data.arrays import checked_pair
from keras_practices.data.arrays import rows_of
from keras_practices.data.arrays import take
from keras_practices.data.targets import as_classes


class BalancedSampler(keras.utils.PyDataset):
    """Batches with the classes in equal shares; rare rows come several times.

    An epoch shows every row of the largest class once. Rows of a smaller class are
    repeated, each as often as the others of its class or once more, in a new order
    each time. In a batch no class has more than one row more than another, and where
    `batch_size` is a multiple of the number of classes none has.

    Give it the training part only, `BalancedSampler(*split.train)`, and no class
    weights besides: the classes are balanced already. The model then learns as if
    classes were equally frequent, and its probabilities are too high for rare ones.

    Args:
        x: Array of shape `(rows, ...)`, or a dict or list of such arrays.
        y: The same, with as many rows.
        batch_size: Integer of at least 1. Rows of a batch.
        labels: Array `(rows,)` of class numbers to balance by, or None where `y` is
            one array of class numbers or one-hot rows.
        seed: Integer of at least 0. Same seed, same batches in the same epoch.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of
            `keras.utils.PyDataset`.

    Attributes:
        classes: List of the class numbers.
        counts: Dict from class to its rows in the data.

    Raises:
        TypeError: no arrays; labels that are no numbers.
        ValueError: different numbers of rows; several labels a row, or fractions.

    Example:

    >>> y = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> batches = BalancedSampler(np.arange(8.0), y, batch_size=4)
    >>> len(batches)
    3
    >>> [np.bincount(batches[place][1]).tolist() for place in range(3)]
    [[2, 2], [2, 2], [2, 2]]

    References:
        Buda, Maki and Mazurowski, "A systematic study of the class imbalance problem
        in convolutional neural networks", 2018, Neural Networks 106 (oversampling).
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 32,
        labels: Any = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._x, self._y = checked_pair(self, x, y)
        self.batch_size = check_integer(self, "batch_size", batch_size, low=1)
        self.seed = check_integer(self, "seed", seed, low=0)
        found = self._labels(labels)
        values = np.unique(found)
        self._members = [np.flatnonzero(found == value) for value in values]
        self.classes = values.tolist()
        sizes = [len(rows) for rows in self._members]
        self.counts = dict(zip(self.classes, sizes, strict=True))
        self._epoch = 0
        self._order = self._drawn()

    def _labels(self, labels):
        """Returns one class a row."""
        advice = "Say by `labels=` which class each row counts for."
        if labels is None:
            if not isinstance(self._y, np.ndarray):
                expected = "one array, or accompanied by `labels`"
                kind = type(self._y).__name__
                raise value_error(self, "y", expected, kind, advice)
            name, given = "y", self._y
        else:
            name, given = "labels", np.asarray(labels)
        classes, _ = as_classes(self, name, given)
        if classes.shape != (rows_of(self._x),):
            expected = f"one class for each of {rows_of(self._x)} rows"
            raise value_error(self, name, expected, classes.shape, advice)
        return classes

    def _drawn(self):
        """Returns the rows of an epoch in their order."""
        rng = np.random.default_rng([self.seed, self._epoch])
        rounds = max(self.counts.values())
        columns = []
        for rows in self._members:
            times = -(-rounds // len(rows))
            drawn = rng.permuted(np.tile(rows, (times, 1)), axis=1)
            columns.append(drawn.ravel()[:rounds])
        # The classes take turns in a circle: any piece of it has equal shares, or
        # one row more of some where it holds no whole number of turns.
        circle = rng.permutation(len(columns))
        order = np.stack(columns, axis=1)[:, circle].ravel()
        for start in range(0, len(order), self.batch_size):
            rng.shuffle(order[start : start + self.batch_size])
        return order

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return -(-len(self._order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Returns the batch `(x, y)` at this place of the epoch."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")  # ends a `for` loop
        start = index * self.batch_size
        rows = self._order[start : start + self.batch_size]
        return take(self._x, rows), take(self._y, rows)

    def on_epoch_end(self):
        """Draws the rows of the next epoch."""
        self._epoch += 1
        self._order = self._drawn()
