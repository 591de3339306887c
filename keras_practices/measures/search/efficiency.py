"""How good the best of so many random trials is: exact, without drawing any."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Points of the grid on which probabilities are integrated.
_GRID = 2001


def measure_efficiency(
    scores: Sequence[float], direction: str, sizes: Sequence[int] | None = None
) -> list[dict[str, float]]:
    """Measures what the best of `s` trials would be, for several `s`.

    Of `N` scores, each set of `s` is as likely as any other, so the best of them is
    the i-th worst of all with probability `C(i-1, s-1) / C(N, s)`: the mean and the
    quantiles over all sets follow exactly. (Bergstra and Bengio cut the trials into
    `N // s` experiments and drew a box of their maxima: one draw of this.)

    Args:
        scores: Scores of independent trials, finite.
        direction: `"min"` or `"max"`: which score is the best.
        sizes: Numbers of trials; None for 1, 2, 4, … and all.

    Returns:
        List of dicts of `trials`, `mean`, `low`, `quarter`, `median`, `three_quarters`
        and `high`: the mean and the 5, 25, 50, 75 and 95 % quantiles of the best one's
        score. With `"min"` too, `low` is the smaller score.

    Raises:
        ValueError: no scores, one that is not finite, or sizes that do not fit.

    References:
        Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", 2012,
        JMLR 13, section 2.2 (random experiment efficiency curves).
    """
    check_choice("measure_efficiency", "direction", direction, ("min", "max"))
    sign = 1.0 if direction == "max" else -1.0
    rising = np.sort(sign * np.asarray(list(scores), dtype=float))
    count = len(rising)
    if not count or not np.isfinite(rising).all():
        expected = "finite numbers, at least one"
        raise value_error("measure_efficiency", "scores", expected, scores)
    if sizes is None:
        sizes = [*(2**k for k in range(count.bit_length()) if 2**k < count), count]
    figures = []
    for size in sizes:
        check_integer("measure_efficiency", "sizes", size, low=1)
        if size > count:
            expected = f"at most {count}, the number of scores"
            raise value_error("measure_efficiency", "sizes", expected, size)
        below = _share_of_sets_below(count, size)
        mean = sign * float(np.diff(below, prepend=0.0) @ rising)
        # The first score at or above which the share is reached; with room for
        # rounding in the last digits.
        places = [int(np.argmax(below >= share - 1e-12)) for share in SHARES]
        quantiles = [sign * float(rising[place]) for place in places]
        names = ("low", "quarter", "median", "three_quarters", "high")
        named = dict(zip(names, quantiles[:: int(sign)], strict=True))
        figures.append({"trials": size, "mean": mean, **named})
    return figures


def _share_of_sets_below(count, size):
    """Share of the sets of `size` whose maximum is among the i smallest of `count`."""
    ranks = np.arange(1, count + 1)
    share = np.ones(count)
    for taken in range(size):
        share *= np.maximum(ranks - taken, 0) / (count - taken)
    return share


def measure_winner(
    validation: Sequence[float],
    variances: Sequence[float],
    direction: str,
    test: Sequence[float] | None = None,
    test_variances: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Measures which trial is the best one, given that scores are uncertain.

    A finite validation part gives each score an error. Trial i is the best one with
    the probability `w_i` that a draw from `N(validation_i, variances_i)` beats the
    draws of all others. What to report of the winner is then the mixture of the
    trials' test figures: mean `sum(w * test)` and variance `sum(w * (test ** 2 +
    test_variances)) - mean ** 2`.

    Args:
        validation: Validation figure of each trial, finite.
        variances: Variance of each. That of an accuracy `a` over `n` rows is `a * (1 -
            a) / (n - 1)`, see `variance_of_accuracy`.
        direction: `"min"` or `"max"`.
        test: Test figure of each trial, or None.
        test_variances: Variance of each.

    Returns:
        Dict of `weights` (sum 1) and, with `test`, `mean` and `variance`.

    Raises:
        ValueError: figures of different number, not finite, or a variance below 0.

    References:
        Bergstra and Bengio, 2012, section 2.1 ("Estimating generalization").
    """
    owner = "measure_winner"
    check_choice(owner, "direction", direction, ("min", "max"))
    sign = 1.0 if direction == "max" else -1.0
    center = sign * _figures(owner, "validation", validation, None)
    spread = np.sqrt(_figures(owner, "variances", variances, len(center), low=0.0))
    weights = _probability_of_most(center, spread)
    found: dict[str, Any] = {"weights": weights.tolist()}
    if test is None:
        return found
    figures = _figures(owner, "test", test, len(center))
    errors = _figures(owner, "test_variances", test_variances, len(center), low=0.0)
    mean = float(weights @ figures)
    # Not as written in the paper, which takes a difference of two large numbers.
    variance = float(weights @ ((figures - mean) ** 2 + errors))
    return {**found, "mean": mean, "variance": variance}


def variance_of_accuracy(accuracy: float, rows: int) -> float:
    """Returns the variance of an accuracy that was measured on so many rows."""
    check_integer("variance_of_accuracy", "rows", rows, low=2)
    return accuracy * (1.0 - accuracy) / (rows - 1)


def _probability_of_most(center, spread):
    """Probability of each of several normal draws to be the largest one."""
    from scipy.integrate import trapezoid
    from scipy.special import log_ndtr

    if len(center) == 1:
        return np.ones(1)
    if not spread.any():
        best = center == center.max()
        return best / best.sum()
    # One that is certain still has a width: that of a thousandth of the others'.
    spread = np.maximum(spread, 1e-3 * spread.max())
    low = float((center - 8 * spread).max())
    high = float((center + 8 * spread).max())
    able = center + 8 * spread >= low
    grid = np.linspace(low, high, _GRID)
    if spread[able].max() > 10 * spread[able].min():
        # Where a narrow one lies, the steps are small.
        own = center[able, None] + spread[able, None] * np.linspace(-8, 8, 161)
        grid = np.unique(np.concatenate([grid, own[(own >= low) & (own <= high)]]))
    z = (grid - center[able, None]) / spread[able, None]
    logs = log_ndtr(z)
    densities = np.exp(logs.sum(axis=0) - logs - 0.5 * z**2) / spread[able, None]
    weights = np.zeros(len(center))
    weights[able] = trapezoid(densities, grid, axis=1)
    return weights / weights.sum()


def _figures(owner, name, values, count, low=-np.inf):
    array = np.asarray([] if values is None else list(values), dtype=float)
    fits = len(array) if count is None else len(array) == count
    if not fits or not np.isfinite(array).all() or (array < low).any():
        expected = "finite numbers, one for each trial"
        if low == 0.0:
            expected += ", of at least 0"
        raise value_error(owner, name, expected, values)
    return array
