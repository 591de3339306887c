"""How far the mean over some rows may be from the mean over all there could be."""

import warnings

import numpy as np

# Below this many rows the values say too little about their own spread.
MIN_ROWS = 20
# Up to here the bootstrap is corrected for bias and skewness (BCa), which takes
# rows² numbers; skewness fades with the root of the rows.
_BCA_ROWS = 1000
# Above this the bootstrap of a mean is that of a normal distribution.
_NORMAL_ROWS = 100_000
# Draws in all, and of one batch of them.
_DRAWS, _BATCH = 20_000_000, 2_000_000


def mean_interval(values, confidence, resamples=9_999):
    """Returns a confidence interval of the mean that independent rows come from.

    Of zeros and ones that of Wilson, which holds for few rows and near 0 and 1 too;
    of other values a bootstrap with a fixed seed; of very many the normal one.

    Args:
        values: NumPy array of rank 1.
        confidence: Number in (0, 1).
        resamples: Integer, most samples of the bootstrap.

    Returns:
        `(low, high)`, or None where rows are too few or a value is not finite.
    """
    from scipy import stats

    values = np.asarray(values, "float64")
    rows = len(values)
    if not rows or not np.isfinite(values).all():
        return None
    if np.isin(values, (0.0, 1.0)).all():
        found = stats.binomtest(int(values.sum()), rows)
        found = found.proportion_ci(confidence, method="wilson")
        return float(found.low), float(found.high)
    if rows < MIN_ROWS:
        return None
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(rows)
    # Of values that are all but equal the bootstrap has nothing to draw.
    if error <= 1e-12 * abs(mean):
        return float(mean), float(mean)
    if rows > _NORMAL_ROWS:
        low, high = stats.norm.interval(confidence, mean, error)
        return float(low), float(high)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=int(np.clip(_DRAWS // rows, 999, resamples)),
            batch=max(1, _BATCH // rows),
            vectorized=True,
            confidence_level=confidence,
            method="BCa" if rows <= _BCA_ROWS else "percentile",
            random_state=np.random.default_rng(0),
        )
    low, high = found.confidence_interval
    return float(low), float(high)
