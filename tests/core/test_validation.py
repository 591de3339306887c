import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number

pytestmark = pytest.mark.once


class Owner:
    pass


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    low=st.floats(-10, 10),
    closed=st.sampled_from(["both", "left", "right", "neither"]),
)
def test_a_number_passes_exactly_when_it_is_inside(value, low, closed):
    high = low + 1
    inside = low < value < high
    inside = inside or (value == low and closed in ("both", "left"))
    inside = inside or (value == high and closed in ("both", "right"))
    if inside:
        assert check_number("Owner", "x", value, low, high, closed) == value
    else:
        with pytest.raises(ValueError, match="argument `x`"):
            check_number("Owner", "x", value, low, high, closed)


@pytest.mark.parametrize(
    ("closed", "text"),
    [
        ("both", "[0, 1]"),
        ("left", "[0, 1)"),
        ("right", "(0, 1]"),
        ("neither", "(0, 1)"),
    ],
)
def test_the_message_names_owner_argument_range_and_value(closed, text):
    expected = (
        f"Owner: argument `rate` must be a number in {text}. "
        "Received: rate=1.5 (type float). Try 0.5."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        check_number(Owner(), "rate", 1.5, 0, 1, closed, advice="Try 0.5.")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_no_number_check_takes_what_is_not_finite(value):
    with pytest.raises(ValueError, match="argument `x`"):
        check_number("Owner", "x", value)


@pytest.mark.parametrize("value", [True, None, "1", [1.0], 1j, np.bool_(True)])
def test_only_numbers_are_numbers(value):
    with pytest.raises(TypeError, match="argument `x`"):
        check_number("Owner", "x", value)
    with pytest.raises(TypeError, match="argument `x`"):
        check_integer("Owner", "x", value)


@pytest.mark.parametrize("value", [1, 0.5, np.float16(0.5), np.int8(1)])
def test_numpy_numbers_are_numbers(value):
    assert check_number("Owner", "x", value, 0, 1) is value


def test_integers():
    assert check_integer("Owner", "n", np.int64(3), low=3) == 3
    assert check_integer("Owner", "n", -3) == -3
    with pytest.raises(ValueError, match=r"an integer of at least 3\. Received: n=2"):
        check_integer("Owner", "n", 2, low=3)
    with pytest.raises(TypeError, match="an integer"):
        check_integer("Owner", "n", 2.0)


def test_choices():
    assert check_choice("Owner", "unit", "epoch", ("epoch", "step")) == "epoch"
    with pytest.raises(ValueError, match="one of 'epoch', 'step'.*unit='day'"):
        check_choice("Owner", "unit", "day", ("epoch", "step"))
