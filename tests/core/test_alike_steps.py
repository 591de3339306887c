"""What is not read of a step is right, or the mean of the steps it stands among."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices._core.alike_steps import ALIKE
from keras_practices._core.alike_steps import AlikeSteps

pytestmark = pytest.mark.once


class Training:
    """Steps of given sizes and losses, and what is known of them."""

    def __init__(self):
        self.total = self.count = 0.0
        self.reads = 0
        self.rate = 0.1
        self.alike = AlikeSteps(self._read)
        self.means, self.found, self.truth, self.rates = [], [], [], []

    def _read(self):
        self.reads += 1
        return self.count

    def step(self, rows, loss=1.0, *, look=False):
        """Takes a step, which is read where that is needed or asked for."""
        read = look or not self.alike.sure
        if read:
            self.look()
            self.alike.read(self.rate)
        self.total, self.count = self.total + rows * loss, self.count + rows
        mean = self.total / self.count
        self.truth.append((mean, self.count))
        self.rates.append(self.alike.rate)
        if read:
            self.found.append((mean, self.alike.count(mean)))
        else:
            self.means.append(mean)

    def look(self):
        """Finds out what was not read."""
        if self.means:
            self.found += self.alike.between(self.means)
        self.means = []

    def begin_epoch(self):
        self.look()
        self.total = self.count = 0.0
        self.alike.begin(0.0, 0.0)


def losses(means_and_counts):
    """Losses of the steps of one epoch."""
    means, counts = np.array(means_and_counts).T
    return np.diff(means * counts, prepend=0) / np.diff(counts, prepend=0)


def test_steps_of_one_size_are_not_read_and_are_right():
    training = Training()
    for _ in range(3):
        training.begin_epoch()
        for number in range(200):
            training.step(8, number, look=number % 25 == 0 or number == 199)
        training.step(3, look=True)  # the last batch of an epoch is a smaller one
    assert training.found == training.truth
    # Of 603 steps 33 are read until they are known to be alike; then there is a look
    # at 11 steps of an epoch, each with what was before it.
    assert training.reads < 35 + 3 * 2 * 11


def test_a_smaller_batch_among_them_gives_them_the_mean_of_all():
    training = Training()
    training.begin_epoch()
    for number in range(100):
        training.step(4 if number == 50 else 8, number, look=number in (40, 60))
    training.look()
    found, truth = losses(training.found), losses(training.truth)
    sizes = np.where(np.arange(100) == 50, 4, 8)
    together = np.average(np.arange(100)[41:60], weights=sizes[41:60])
    np.testing.assert_allclose(found[41:60], together)
    rest = np.r_[0:41, 60:100]
    np.testing.assert_allclose(found[rest], truth[rest], atol=1e-9)
    # Read are the first and 32 like it, those looked at with what was before them, and
    # each one after the look that did not add up.
    assert not training.alike.sure
    assert training.reads == 1 + ALIKE + 2 * 2 + 39


def test_a_rate_is_that_of_the_last_look():
    training = Training()
    training.begin_epoch()
    for number in range(80):
        training.rate = 0.1 if number < 50 else 0.2
        training.step(8, look=number in (40, 60))
    assert training.rates == [0.1] * 60 + [0.2] * 20
    # It changed inside an epoch: from there on each is read.
    training.rate = 0.3
    training.step(8)
    assert training.rates[-1] == 0.3


def test_a_rate_of_a_new_epoch_is_no_reason_to_read_all():
    training = Training()
    for rate in (0.3, 0.2, 0.1):
        training.rate = rate
        training.begin_epoch()
        for number in range(60):
            training.step(8, look=number in (0, 58, 59))
    assert training.rates == [0.3] * 60 + [0.2] * 60 + [0.1] * 60
    assert training.alike.sure


def test_a_rate_that_changes_at_each_step_is_read_at_each():
    training = Training()
    training.begin_epoch()
    for number in range(100):
        training.rate = 0.1 / (1 + number)
        training.step(8)
    assert training.rates == [0.1 / (1 + number) for number in range(100)]


def test_a_mean_that_somebody_has_reset_begins_anew():
    training = Training()
    training.begin_epoch()
    for _ in range(50):
        training.step(8, 5.0)
    training.look()
    training.total = training.count = 0.0
    for _ in range(10):
        training.step(8, 2.0)
    training.look()
    np.testing.assert_allclose(losses(training.found[50:]), 2.0)


def test_a_loss_that_is_not_a_number_stays_one():
    training = Training()
    training.begin_epoch()
    for number in range(60):
        training.step(8, float("nan") if number == 45 else 1.0)
    training.look()
    means = np.array(training.found)[:, 0]
    assert np.isfinite(means[:45]).all()
    assert np.isnan(means[45:]).all()


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    usual=st.integers(2, 9),
    every=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_whatever_the_batches_the_sums_at_a_look_are_right(sizes, usual, every, seed):
    rng, training = np.random.default_rng(seed), Training()
    training.begin_epoch()
    for number, rows in enumerate([usual] * (2 * ALIKE) + sizes):
        training.step(rows, rng.normal(), look=number % every == 0)
    training.look()
    found, truth = np.array(training.found), np.array(training.truth)
    looks = [*range(0, len(truth), every), len(truth) - 1]
    np.testing.assert_allclose(found[looks], truth[looks], atol=1e-9)
    assert (np.diff(found[:, 1], prepend=0) > 0).all()
    np.testing.assert_allclose(found[: 2 * ALIKE - every], truth[: 2 * ALIKE - every])


def test_steps_without_a_variable_of_the_rate_are_alike_too():
    training = Training()
    training.rate = None
    training.begin_epoch()
    for _ in range(ALIKE + 5):
        training.step(8)
    assert training.alike.sure
