import numpy as np
import pytest
from scipy import stats

from keras_practices.data.intervals import mean_interval

pytestmark = pytest.mark.once
RNG = np.random.default_rng(0)


def five_standard_errors(share, count):
    return 5 * np.sqrt(share * (1 - share) / count)


def test_coverage_of_a_skewed_mean():
    # An exponential distribution has skewness 2, as losses may have.
    held, sets = 0, 300
    for values in RNG.exponential(size=(sets, 200)):
        low, high = mean_interval(values, 0.9, resamples=999)
        held += low <= 1 <= high
    # BCa is right to the order of 1 / rows; the rest is chance.
    assert abs(held / sets - 0.9) < five_standard_errors(0.9, sets) + 1 / 200


def test_coverage_of_a_share():
    share, rows, sets = 0.97, 50, 2000
    rights = RNG.binomial(rows, share, sets)
    by_count = {k: mean_interval(np.arange(rows) < k, 0.95) for k in np.unique(rights)}
    held = np.mean([by_count[k][0] <= share <= by_count[k][1] for k in rights])
    # The exact coverage of Wilson's interval for this share and number of rows.
    bounds = [
        by_count.get(k) or mean_interval(np.arange(rows) < k, 0.95)
        for k in range(rows + 1)
    ]
    inside = [low <= share <= high for low, high in bounds]
    exact = stats.binom.pmf(np.arange(rows + 1), rows, share) @ inside
    assert exact > 0.9
    assert abs(held - exact) < five_standard_errors(exact, sets)


@pytest.mark.parametrize("rows", [500, 5_000, 150_000])
def test_many_rows_give_the_interval_of_a_normal_mean(rows):
    values = RNG.normal(3, 2, rows)
    error = values.std(ddof=1) / np.sqrt(rows)
    low, high = mean_interval(values, 0.95)
    # A bootstrap's own noise: that of a quantile of at least 999 draws.
    noise = 5 * np.sqrt(0.025 * 0.975 / 999) / stats.norm.pdf(1.96) * error
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=noise)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=noise)
    assert (low, high) == mean_interval(values, 0.95)


def test_where_there_is_nothing_to_say():
    assert mean_interval(np.arange(19.0), 0.95) is None
    assert mean_interval(np.full(30, np.nan), 0.95) is None
    assert mean_interval(np.zeros(0), 0.95) is None
    assert mean_interval(np.full(30, 2.5), 0.95) == (2.5, 2.5)
    # All right is not certainly right.
    low, high = mean_interval(np.ones(30), 0.95)
    assert 0.85 < low < 0.9
    assert high == 1
