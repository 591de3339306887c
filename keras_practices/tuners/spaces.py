"""Ranges that the course notes give, on the scale they give them."""

import math
from typing import Any

from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error


def log_uniform(hp: Any, name: str, low: float, high: float) -> float:
    """Draws `10 ** uniform(log10(low), log10(high))`.

    For what acts by multiplication (learning rate, strength of a penalty): a uniform
    draw from 1e-5 to 1e-1 would lie above 1e-2 nine times out of ten.

    Args:
        hp: The `keras_tuner.HyperParameters` that the build function receives.
        name: Name of the hyperparameter.
        low: Float above 0, smallest value.
        high: Float above `low`, largest value.

    Returns:
        Float. Where nothing is drawn (the first build, which finds the search space),
        the geometric mean of the ends; keras-tuner alone takes the smallest value.

    Raises:
        TypeError: `hp` is none, `name` no text, an end not a number.
        ValueError: an end not above 0, or `high` not above `low`.

    Example:

    >>> import keras_tuner
    >>> round(log_uniform(keras_tuner.HyperParameters(), "l2", 1e-6, 1e-2), 6)
    0.0001

    References:
        CS231n, "Neural Networks Part 3", hyperparameter optimization ("search for
        hyperparameters on log scale").
    """
    for end, value in (("low", low), ("high", high)):
        check_number(
            "log_uniform",
            end,
            value,
            low=0,
            closed="neither",
            advice="A logarithmic scale has no zero.",
        )
    _check_range("log_uniform", hp, name, low, high)
    default = min(max(math.sqrt(low) * math.sqrt(high), low), high)
    return hp.Float(name, low, high, sampling="log", default=default)


def learning_rate(
    hp: Any, name: str = "learning_rate", *, low: float = 1e-5, high: float = 1e-1
) -> float:
    """Draws a learning rate on a log scale.

    Args:
        hp: The `keras_tuner.HyperParameters` that the build function receives.
        name: Name of the hyperparameter.
        low: Float above 0, smallest value.
        high: Float above `low`, largest value. The defaults hold what Adam and SGD
            need in most models; CS231n begins with 1e-6 to 10. When the best value
            lies near an end, move that end.

    Returns:
        Float.

    Raises:
        TypeError: `hp` is none, `name` no text, an end not a number.
        ValueError: an end not above 0, or `high` not above `low`.

    Example:

    >>> import keras_tuner
    >>> round(learning_rate(keras_tuner.HyperParameters()), 6)
    0.001

    References:
        CS231n, "Neural Networks Part 3", hyperparameter optimization.
    """
    return log_uniform(hp, name, low, high)


def weight_decay(
    hp: Any, name: str = "weight_decay", *, low: float = 1e-6, high: float = 1e-2
) -> float:
    """Draws a strength of weight decay or of an L2 penalty on a log scale.

    Args:
        hp: The `keras_tuner.HyperParameters` that the build function receives.
        name: Name of the hyperparameter.
        low: Float above 0, smallest value.
        high: Float above `low`, largest value.

    Returns:
        Float.

    Raises:
        TypeError: `hp` is none, `name` no text, an end not a number.
        ValueError: an end not above 0, or `high` not above `low`.

    Example:

    >>> import keras_tuner
    >>> round(weight_decay(keras_tuner.HyperParameters()), 6)
    0.0001

    References:
        CS231n, "Neural Networks Part 3", hyperparameter optimization.
    """
    return log_uniform(hp, name, low, high)


def dropout(
    hp: Any, name: str = "dropout", *, low: float = 0.0, high: float = 0.5
) -> float:
    """Draws a dropout rate, the chance to drop, on the plain scale.

    Args:
        hp: The `keras_tuner.HyperParameters` that the build function receives.
        name: Name of the hyperparameter.
        low: Float in [0, 1), smallest value.
        high: Float in (`low`, 1), largest value.

    Returns:
        Float, for `keras.layers.Dropout`; for `InvertedDropout` take it from 1.

    Raises:
        TypeError: `hp` is none, `name` no text, an end not a number.
        ValueError: an end outside [0, 1), or `high` not above `low`.

    Example:

    >>> import keras_tuner
    >>> dropout(keras_tuner.HyperParameters())
    0.25

    References:
        CS231n, "Neural Networks Part 3", hyperparameter optimization ("dropout is
        usually searched in the original scale").
    """
    for end, value in (("low", low), ("high", high)):
        check_number("dropout", end, value, low=0, high=1, closed="left")
    _check_range("dropout", hp, name, low, high)
    return hp.Float(name, low, high, default=(low + high) / 2)


def _check_range(owner, hp, name, low, high):
    if not callable(getattr(hp, "Float", None)):
        raise type_error(
            owner,
            "hp",
            "the keras_tuner.HyperParameters that the build function receives",
            hp,
        )
    if not isinstance(name, str):
        raise type_error(owner, "name", "a text", name)
    if high <= low:
        raise value_error(owner, "high", f"above low={low!r}", high)
