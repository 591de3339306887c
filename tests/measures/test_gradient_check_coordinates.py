import math
import time

import keras
import numpy as np
import pytest
from keras import ops

from keras_practices._core import backend
from keras_practices._core import float64
from keras_practices.measures import gradient_check_coordinates as subject

LATER = math.inf


class Curve:
    """Stands in for `Losses`: one weight at `x`."""

    def __init__(self, function, x):
        self.function = function
        self.x = x
        self.base = float(function(x))
        self.calls = 0

    def __call__(self, places, steps):
        self.calls += 1
        return np.array([self.function(self.x + step) for step in steps])


def looked_at(function, x, analytic, step=2.0**-17):
    one = subject.Coordinate(0, 0, 0, step, analytic)
    subject.check_coordinates(Curve(function, x), [one], LATER)
    return one


def test_a_right_gradient():
    one = looked_at(math.exp, 0.7, math.exp(0.7))
    assert one.numeric == pytest.approx(math.exp(0.7), rel=1e-9)
    assert one.relative_error < 1e-8
    assert not one.kink


@pytest.mark.parametrize("share", [0.5, 1e-2, 1e-3])
def test_a_wrong_gradient(share):
    one = looked_at(math.exp, 0.7, (1 + share) * math.exp(0.7))
    assert one.relative_error == pytest.approx(share / (1 + share), rel=1e-3)
    assert not one.kink


def test_a_gradient_that_is_cut_off_or_not_a_number():
    assert looked_at(math.exp, 0.7, 0.0).relative_error == 1.0
    one = looked_at(math.exp, 0.7, math.nan)
    assert (one.relative_error, one.kink) == (1.0, False)


@pytest.mark.parametrize(
    ("function", "x", "analytic"),
    [
        (abs, 0.0, 1.0),  # on the corner
        (abs, 2.0**-20, 1.0),  # within the step
        (abs, 2.0**-23, 1.0),  # within the finer step, too
        (lambda x: max(0.0, x), -(2.0**-18), 0.0),
        (lambda x: max(x, 3 * x), 2.0**-22, 3.0),
        (lambda x: float(np.float32(np.float32(x) ** 2)), 0.7, 1.4),  # rounds
        (lambda x: math.nan if x > 0.7 else x, 0.7, 1.0),
        (lambda x: float(x > 0.7), 0.7, 0.0),  # a jump
    ],
)
def test_kinks_are_no_errors(function, x, analytic):
    assert looked_at(function, x, analytic).kink


def test_rounding_is_no_error():
    # The slope lies below what the last place of the loss shows.
    one = looked_at(lambda x: 1e6 + 1e-7 * x, 0.3, 1e-7)
    assert one.relative_error <= subject.LIMIT
    assert not one.kink


def test_coordinates_of_all_variables_in_turn():
    values = [np.full((2, 3), 4.0), np.zeros(1), np.arange(40.0)]
    gradients = [np.zeros((2, 3)), None, np.where(np.arange(40) < 3, 1.0, 0.0)]
    picked = subject.pick_coordinates(values, gradients, 4, np.random.default_rng(0))
    assert [one.variable for one in picked] == [0, 1, 2, 0, 2, 0, 2, 0, 2]
    assert {one.index for one in picked if one.variable == 2} >= {0, 1, 2}
    assert len({one.place for one in picked}) == len(picked)
    assert all(one.place == one.index + 7 for one in picked if one.variable == 2)
    # A share of the size of the weights; of 1 where they are zero.
    assert picked[0].step == pytest.approx(4e-5, rel=0.5)
    assert picked[1].step == pytest.approx(1e-5, rel=0.5)


def test_nothing_is_begun_after_the_deadline():
    curve = Curve(math.exp, 0.0)
    points = [subject.Coordinate(0, 0, 0, 1e-5, 1.0) for _ in range(100)]
    subject.check_coordinates(curve, points, time.perf_counter())
    assert curve.calls == 0
    subject.check_coordinates(curve, points, LATER)
    assert all(one.numeric is not None for one in points)
    assert curve.calls < 8


A = np.random.default_rng(1).normal(size=(3, 2))
B = np.random.default_rng(2).normal(size=2)


def quadratic(values, fixed):
    a, b = values
    return ops.sum(ops.square(a)) * fixed["scale"] + ops.sum(ops.matmul(a, b * b))


def formula(a, b):
    return 2.5 * np.sum(a**2) + np.sum(a @ b**2)


def fast(loss_at):
    with float64.in_float64(keras.Sequential([keras.Input((1,))])):
        values = [ops.convert_to_tensor(A), ops.convert_to_tensor(B)]
        fixed = {"scale": ops.convert_to_tensor(np.float64(2.5))}
        base = float(ops.convert_to_numpy(loss_at(values, fixed)))
        losses = subject.Losses(loss_at, values, fixed, base)
        return losses([0, 5, 7, 0], [0.5, -1.0, 2.0, 0.0])


def assert_right(found):
    first, last, second = A.copy(), A.copy(), B.copy()
    first[0, 0] += 0.5
    last[2, 1] -= 1.0
    second[1] += 2.0
    expected = [formula(first, B), formula(last, B), formula(A, second), formula(A, B)]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_many_losses_at_once():
    calls = []

    def counted(values, fixed):
        calls.append(1)
        return quadratic(values, fixed)

    assert_right(fast(counted))
    # Once by ourselves, then once for all that are compiled or vectorised.
    assert len(calls) <= 4


def test_what_cannot_be_compiled_goes_one_by_one():
    def stubborn(values, fixed):
        if float(ops.convert_to_numpy(values[0])[0, 0]) > 1e9:
            raise AssertionError
        return quadratic(values, fixed)

    assert_right(fast(stubborn))


def test_a_vectorised_loss_that_is_wrong_is_not_used(monkeypatch):
    monkeypatch.setattr(
        backend, "losses_nearby", lambda *_: lambda places, steps: steps + 1.0
    )
    assert_right(fast(quadratic))


def test_a_random_loss_is_found_out():
    draws = iter(range(1000))

    def random(values, fixed):
        return quadratic(values, fixed) + next(draws)

    with pytest.raises(subject.NotRepeatable):
        fast(random)
