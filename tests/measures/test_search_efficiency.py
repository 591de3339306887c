import itertools

import numpy as np
import pytest

from keras_practices.errors import ArgumentValueError
from keras_practices.measures.search.efficiency import measure_efficiency
from keras_practices.measures.search.efficiency import measure_winner
from keras_practices.measures.search.efficiency import variance_of_accuracy

pytestmark = pytest.mark.once
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("ties", [False, True])
def test_equals_all_sets_of_so_many_trials(direction, ties):
    scores = RNG.integers(0, 4, 9) if ties else RNG.normal(size=9)
    best = min if direction == "min" else max
    figures = measure_efficiency(scores, direction, sizes=range(1, 10))
    for one in figures:
        sets = itertools.combinations(scores.tolist(), one["trials"])
        found = np.array([best(each) for each in sets])
        assert one["mean"] == pytest.approx(found.mean(), abs=1e-9)
        assert one["median"] in found
        # The quantile of all sets, by its definition.
        for name, share in (("low", 0.05), ("quarter", 0.25), ("high", 0.95)):
            assert (found < one[name]).mean() <= share + 1e-9
            assert (found <= one[name]).mean() >= share - 1e-9


def test_sizes_go_by_powers_of_two_to_all():
    figures = measure_efficiency(RNG.normal(size=20), "max")
    assert [one["trials"] for one in figures] == [1, 2, 4, 8, 16, 20]
    assert [one["trials"] for one in measure_efficiency([1.0], "max")] == [1]


def test_many_trials_stay_exact():
    scores = np.arange(1000.0)
    # The mean of the largest of s of 0 … N - 1 is s (N + 1) / (s + 1) - 1.
    for size, figures in zip(
        (1, 7, 500), measure_efficiency(scores, "max", (1, 7, 500)), strict=True
    ):
        expected = size * 1001 / (size + 1) - 1
        assert figures["mean"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("direction", ["min", "max"])
def test_weights_equal_drawn_ones(direction):
    validation = np.array([0.80, 0.82, 0.81, 0.60])
    variances = np.array([0.01, 0.02, 0.001, 0.02]) ** 2 * np.array([1, 1, 1, 25])
    found = measure_winner(validation, variances, direction)["weights"]
    draws = RNG.normal(validation, np.sqrt(variances), (400_000, 4))
    winner = draws.argmin(1) if direction == "min" else draws.argmax(1)
    expected = np.bincount(winner, minlength=4) / len(draws)
    # Five standard errors of a share of 400,000 draws.
    np.testing.assert_allclose(found, expected, atol=5 * 0.5 / np.sqrt(len(draws)))


def test_the_winners_test_figure_is_the_mixture_of_all():
    validation, variances = [0.9, 0.9], [1e-4, 1e-4]
    test, errors = [0.8, 0.9], [0.01, 0.02]
    found = measure_winner(validation, variances, "max", test, errors)
    assert found["weights"] == pytest.approx([0.5, 0.5])
    assert found["mean"] == pytest.approx(0.85)
    # The mixture's variance as the paper writes it.
    expected = 0.5 * (0.8**2 + 0.01) + 0.5 * (0.9**2 + 0.02) - 0.85**2
    assert found["variance"] == pytest.approx(expected)


def test_certain_scores_have_one_winner_or_share():
    assert measure_winner([0.5], [0.1], "max")["weights"] == [1.0]
    assert measure_winner([0.5, 0.7], [0, 0], "min")["weights"] == [1.0, 0.0]
    assert measure_winner([0.7, 0.7], [0, 0], "max")["weights"] == [0.5, 0.5]
    mixed = measure_winner([0.5, 0.7, 0.1], [0.0, 0.01, 0.0], "max")["weights"]
    # P(N(0.7, 0.1) > 0.5) = Phi(2).
    assert mixed == pytest.approx([0.02275, 0.97725, 0], abs=1e-4)


def test_variance_of_an_accuracy():
    assert variance_of_accuracy(0.9, 101) == pytest.approx(0.09 / 100)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: measure_efficiency([], "max"), "`scores`"),
        (lambda: measure_efficiency([np.nan], "max"), "`scores`.*finite"),
        (lambda: measure_efficiency([1.0], "up"), "`direction`"),
        (lambda: measure_efficiency([1.0], "max", [2]), "`sizes`.*at most 1"),
        (lambda: measure_winner([1.0], [1.0, 2.0], "max"), "`variances`"),
        (lambda: measure_winner([1.0], [-1.0], "max"), "`variances`.*at least 0"),
        (lambda: measure_winner([1.0], [1.0], "max", [1.0]), "`test_variances`"),
        (lambda: variance_of_accuracy(0.5, 1), "`rows`"),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ArgumentValueError, match=named):
        make()
