"""Linear probes: what a linear model can read out of some features.

Logistic regression for classes, ridge regression for numbers, cross-validated.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np

# Strengths that a probe tries; of features of unit variance.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_FOLDS = 5
# More rows than this need fewer folds for an interval that is narrow enough.
_MANY_ROWS = 500
_ITERATIONS = 300
_LEVEL = 0.95
_LEAST_CHANCE = 1e-7


@dataclasses.dataclass
class Reading:
    """How well a probe does, row by row.

    Attributes:
        scores: Float64 array: 1 or 0 for a class that was right or wrong, for numbers
            1 less the squared error in units of the variance. Its mean is the
            accuracy, or R².
        strength: `C` of the best logistic regression; of ridge regression 1 / alpha.
        loss: What it was the best by: log loss, or squared error in those units.
    """

    scores: Any
    strength: float
    loss: float

    @property
    def score(self):
        """Accuracy or R²."""
        return float(self.scores.mean())

    @property
    def interval(self):
        """95 % interval of the score: Wilson's for accuracies, else normal."""
        from scipy import stats

        scores = self.scores
        if ((scores == 0) | (scores == 1)).all():
            found = stats.binomtest(int(scores.sum()), len(scores))
            both = found.proportion_ci(_LEVEL, method="wilson")
            return float(both.low), float(both.high)
        half = stats.norm.ppf(0.5 + _LEVEL / 2) * scores.std() / len(scores) ** 0.5
        return self.score - float(half), self.score + float(half)


def difference(one, other):
    """Returns `(mean, standard error)` of one reading less another, row by row."""
    gaps = one.scores - other.scores
    return float(gaps.mean()), float(gaps.std() / len(gaps) ** 0.5)


def is_better(one, other, errors=2.0):
    """True where a reading is better than another by that many standard errors."""
    mean, error = difference(one, other)
    return mean > 0 and mean > errors * error


def read(features, targets, *, classes, seed, strengths=STRENGTHS):
    """Cross-validates a probe and returns the best of some strengths.

    The best by log loss where there are classes: of few rows most strengths get the
    same ones right.

    Args:
        features: Float64 array `(rows, features)`.
        targets: Class numbers, or float64 array `(rows, outputs)`.
        classes: Bool: the targets are classes.
        seed: Integer for the folds; the same one gives the same folds.
        strengths: Floats.

    Returns:
        A `Reading`.
    """
    folds = list(_folds(targets, classes, seed))
    best = None
    for strength in strengths:
        scores, losses = np.zeros(len(features)), np.zeros(len(features))
        for train, test in folds:
            probe = fitted(features[train], targets[train], classes, strength)
            score = _class_scores if classes else _number_scores
            scores[test], losses[test] = score(probe, features[test], targets, test)
        loss = float(losses.mean())
        if best is None or loss < best.loss:
            best = Reading(scores, strength, loss)
    return best


def fitted(features, targets, classes, strength, weights=None):
    """Returns a fitted scikit-learn pipeline of standardisation and probe."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if classes:
        linear = LogisticRegression(C=strength, max_iter=_ITERATIONS)
    else:
        linear = Ridge(alpha=1 / strength)
    probe = make_pipeline(StandardScaler(), linear)
    # Problems this small only wait for threads: one is up to thirty times as fast.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A probe that is a little short of its optimum is still a probe.
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighed = {f"{probe.steps[-1][0]}__sample_weight": weights}
        return probe.fit(features, targets, **(weighed if weights is not None else {}))


def smallest_class(targets):
    """Returns `(class, rows)` of the class with the fewest rows."""
    found, counts = np.unique(targets, return_counts=True)
    place = int(counts.argmin())
    return int(found[place]), int(counts[place])


def _folds(targets, classes, seed):
    from sklearn.model_selection import KFold
    from sklearn.model_selection import StratifiedKFold

    rows = np.zeros(len(targets))
    count = _FOLDS if len(targets) <= _MANY_ROWS else 3
    if classes:
        count = max(2, min(count, smallest_class(targets)[1]))
        cut = StratifiedKFold(count, shuffle=True, random_state=seed)
        return cut.split(rows, targets)
    return KFold(min(count, len(targets)), shuffle=True, random_state=seed).split(rows)


def _class_scores(probe, features, targets, test):
    chances = probe.predict_proba(features)
    right = probe.classes_[chances.argmax(axis=1)] == targets[test]
    # A class that a part of the rows has none of.
    own = (chances * (probe.classes_ == targets[test][:, None])).sum(axis=1)
    return right.astype(np.float64), -np.log(np.maximum(own, _LEAST_CHANCE))


def _number_scores(probe, features, targets, test):
    predicted = probe.predict(features)
    spread = targets.var(axis=0).mean()
    errors = (predicted.reshape(targets[test].shape) - targets[test]) ** 2
    share = errors.mean(axis=-1) / spread
    return 1 - share, share
