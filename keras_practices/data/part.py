"""A part of the data that knows which part it is."""

from typing import Any

from keras_practices._core.validation import check_choice
from keras_practices.data.arrays import checked_pair
from keras_practices.data.arrays import rows_of

ROLES = ("train", "validation", "test")


class Part(tuple):
    """Inputs and targets, with the role they play.

    It is the pair `(x, y)`, so Keras takes it as it takes any pair:
    `model.fit(*split.train, validation_data=split.validation)`. Whatever learns from
    data (`Standardization`) looks at `role` and refuses all but the training part.
    `Split` makes the parts; where the data came split already, name them yourself.

    Args:
        x: Array of shape `(rows, ...)`, or a dict or list of such arrays.
        y: The same, with as many rows.
        role: `"train"`, `"validation"` or `"test"`.

    Raises:
        TypeError: something is no array, or an array of Python objects.
        ValueError: no rows, different numbers of rows, another role.

    Example:

    >>> part = Part(np.zeros((4, 2)), np.zeros(4), role="train")
    >>> x, y = part
    >>> part.role, x.shape
    ('train', (4, 2))
    """

    role: str

    def __new__(cls, x: Any, y: Any, *, role: str) -> "Part":
        """Checks the arrays and makes the pair."""
        check_choice(cls.__name__, "role", role, ROLES)
        part = super().__new__(cls, checked_pair(cls.__name__, x, y))
        part.role = role
        return part

    def __getnewargs_ex__(self):
        return tuple(self), {"role": self.role}

    @property
    def x(self) -> Any:
        """The inputs."""
        return self[0]

    @property
    def y(self) -> Any:
        """The targets."""
        return self[1]

    def __repr__(self):
        return f"Part(role={self.role!r}, rows={rows_of(self.x)})"
