"""What is assumed of a step is true, or it is NaN."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices._core.assumed_scalars import ALIKE
from keras_practices._core.assumed_scalars import AssumedScalars

pytestmark = pytest.mark.once


class Training:
    """Steps of given sizes, and what a tap notes of them."""

    def __init__(self, rate=0.1):
        self.rate = keras.Variable(rate, trainable=False)
        self.true_count, self.reads = 0.0, 0
        self.scalars = AssumedScalars(self.rate, self._read_rate, self._read_count)
        self.notes, self.known, self.truth = [], [], []

    def _read_rate(self):
        self.reads += 1
        return float(keras.ops.convert_to_numpy(self.rate))

    def _read_count(self):
        self.reads += 1
        return self.true_count

    def step(self, rows):
        rate = self.scalars.rate()
        # Read past what is counted.
        now = float(keras.ops.convert_to_numpy(self.rate))
        self.true_count += rows
        self.notes.append(((0.0, self.scalars.count(), True), rate))
        self.truth.append((self.true_count, now))

    def check(self, ended=False):
        self.known += self.scalars.checked(self.notes, ended)
        self.notes = []

    def begin_epoch(self):
        self.check(ended=True)
        self.true_count = 0.0
        self.scalars.begin(0.0)

    def found(self):
        return [(count, rate) for (_, count, _), rate in self.known]


def test_alike_steps_are_not_read_and_are_right():
    training = Training()
    for _ in range(3):
        training.begin_epoch()
        for _ in range(200):
            training.step(8)
            if training.true_count % 200 == 0:
                training.check()
        training.step(3)  # the last batch of an epoch is a smaller one
    training.check(ended=True)
    assert training.found() == training.truth
    # Of 603 steps 33 were read one by one, the others at some 25 checks.
    assert training.reads < 2 * 35 + 2 * 30


def test_a_rate_that_is_assigned_is_heard_of():
    training = Training()
    training.begin_epoch()
    for number in range(300):
        if number in (100, 101, 237):
            training.rate.assign(0.1 / number)
        if number == 250:
            training.rate.assign_add(0.5)
        training.step(8)
    training.rate.assign(7.0)  # after the last step
    training.check()
    assert training.found() == training.truth
    assert training.reads < 2 * 34 + 10
    training.scalars.close()
    assert "assign" not in vars(training.rate)


def test_a_rate_that_was_written_past_keras_is_not_told():
    training = Training()
    training.begin_epoch()
    for number in range(150):
        if number == 100:
            type(training.rate).assign(training.rate, 0.5)
        training.step(8)
        if number in (90, 110):
            training.check()
    training.check()
    found, truth = training.found(), training.truth
    assert found[:91] == truth[:91]
    assert [count for count, _ in found] == [count for count, _ in truth]
    # Which of the twenty steps had which rate nobody knows; later ones are read.
    assert all(math.isnan(rate) for _, rate in found[91:111])
    assert found[111:] == truth[111:]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    usual=st.integers(2, 9),
    every=st.integers(1, 30),
)
def test_counts_are_right_or_nan_whatever_the_batches(sizes, usual, every):
    training = Training()
    training.begin_epoch()
    for number, rows in enumerate([usual] * (2 * ALIKE) + sizes + [usual] * 5):
        training.step(rows)
        if number % every == 0:
            training.check()
    training.check()
    counts = np.array([count for count, _ in training.found()])
    truth = np.array([count for count, _ in training.truth])
    # Sizes that add up to those assumed, within one check, cannot be told from them.
    wrong = ~np.isnan(counts) & (counts != truth)
    assert not wrong[: 2 * ALIKE].any()
    assert np.isnan(counts).sum() <= every
    for place in np.flatnonzero(wrong):
        at_check = min(-(-place // every) * every, len(counts) - 1)
        assert counts[at_check] == truth[at_check]


def test_without_a_variable_there_is_no_rate():
    scalars = AssumedScalars(None, None, lambda: 1.0)
    assert scalars.rate() is None
    scalars.count()
    scalars.close()
