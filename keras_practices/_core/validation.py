"""One message shape for every bad argument."""

import math
import numbers

from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError


def _text(owner, name, expected, value, advice):
    who = owner if isinstance(owner, str) else type(owner).__name__
    text = (
        f"{who}: argument `{name}` must be {expected}. "
        f"Received: {name}={value!r} (type {type(value).__name__})."
    )
    return f"{text} {advice}" if advice else text


def type_error(owner, name, expected, value, advice=""):
    """Returns the TypeError for an argument of the wrong kind."""
    return ArgumentTypeError(_text(owner, name, expected, value, advice))


def value_error(owner, name, expected, value, advice=""):
    """Returns the ValueError for an argument with the wrong value."""
    return ArgumentValueError(_text(owner, name, expected, value, advice))


def check_number(
    owner, name, value, low=-math.inf, high=math.inf, closed="both", advice=""
):
    """Returns `value` if it is a finite number between `low` and `high`.

    Args:
        owner: Object or name that the message begins with.
        name: Name of the argument.
        value: What was received. Bools and NaN are refused.
        low: Lower bound.
        high: Upper bound.
        closed: Which bounds belong to the range: `"both"`, `"left"`, `"right"`,
            `"neither"`.
        advice: Sentence that says what to do.

    Returns:
        `value`, unchanged.

    Raises:
        TypeError: not a number.
        ValueError: outside the range.
    """
    left = "[" if closed in ("both", "left") and math.isfinite(low) else "("
    right = "]" if closed in ("both", "right") and math.isfinite(high) else ")"
    expected = f"a number in {left}{low}, {high}{right}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise type_error(owner, name, expected, value, advice)
    above = value >= low if left == "[" else value > low
    below = value <= high if right == "]" else value < high
    if not (above and below and math.isfinite(value)):
        raise value_error(owner, name, expected, value, advice)
    return value


def check_integer(owner, name, value, low=None, advice=""):
    """Returns `value` if it is an integer of at least `low`."""
    expected = "an integer" if low is None else f"an integer of at least {low}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise type_error(owner, name, expected, value, advice)
    if low is not None and value < low:
        raise value_error(owner, name, expected, value, advice)
    return value


def check_choice(owner, name, value, choices, advice=""):
    """Returns `value` if it is one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise value_error(owner, name, f"one of {listed}", value, advice)
    return value
