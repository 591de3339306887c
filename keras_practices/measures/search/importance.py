"""How much of what trials differ in is owed to each hyperparameter; Optuna reckons."""

import contextlib
import warnings
from typing import Any

import numpy as np

from keras_practices._core.optional import require
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices.errors import ArgumentValueError
from keras_practices.measures.search.independent import independent_trials
from keras_practices.measures.search.independent import standing
from keras_practices.measures.search.units import axes_of
from keras_practices.measures.search.units import axis_for
from keras_practices.search_record import SearchRecord

METHODS = ("ped-anova", "fanova")
FEWEST_TRIALS = 30
# What counts as nearly all of the importance.
MOST = 0.9
PURPOSE = "Importance of hyperparameters"


def measure_importances(
    record: SearchRecord,
    method: str = "ped-anova",
    *,
    resamples: int = 20,
    seed: int = 0,
) -> dict[str, Any]:
    """Measures the share of each hyperparameter in how trials end.

    Optuna's evaluators are given the ranks of the trials, so that one loss of 1e9
    decides nothing, and the places of the values in the scale of their ranges: each
    decade of a learning rate counts alike. The interval comes from drawing the trials
    anew, with replacement, and reckoning again.

    Args:
        record: A `SearchRecord`. Its independent trials count, see
            `independent_trials`: where later points follow from earlier scores, what
            was not tried looks unimportant.
        method: `"ped-anova"` (milliseconds: what decides to be among the best tenth)
            or `"fanova"` (seconds: what decides the rank).
        resamples: Integer of at least 2. How often the trials are drawn anew.
        seed: Integer. The same seed gives the same figures.

    Returns:
        Dict of `method`, `trials`, `shares` (list of dicts of `name`, `share`, `low`
        and `high`, the largest first, shares of 1 with the 5 and 95 % quantiles of the
        draws) and of `dimension`, `dimension_low`, `dimension_high`: the fewest
        hyperparameters that hold 90 % of the importance.

    Raises:
        ValueError: fewer than 30 trials with a score, or a single hyperparameter.
        ImportError: Optuna is not installed; names the extra.

    References:
        Watanabe, Bansal and Hutter, "PED-ANOVA", 2023, IJCAI; Hutter, Hoos and
        Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance",
        2014, ICML; Bergstra and Bengio, 2012 (low effective dimension).
    """
    owner = "measure_importances"
    check_choice(owner, "method", method, METHODS)
    check_integer(owner, "resamples", resamples, low=2)
    axes = axes_of(record.space)
    trials = [one for one in standing(record, independent_trials(record))]
    trials = [one for one in trials if one.has_score]
    if len(trials) < FEWEST_TRIALS:
        raise ArgumentValueError(
            f"{owner}: {len(trials)} independent trials with a score; importances of "
            f"fewer than {FEWEST_TRIALS} are mostly chance. Run more trials."
        )
    points = [_places(axes, one.values) for one in trials]
    names = list(dict.fromkeys(name for point in points for name in point))
    if method == "fanova":
        # It cannot deal with what only some trials have.
        names = [name for name in names if all(name in point for point in points)]
    if len(names) < 2:
        raise ArgumentValueError(
            f"{owner}: a single hyperparameter, or none, was searched: nothing to "
            "compare."
        )
    kinds = {axis.name: axis for axis in axes}
    optuna = require("optuna", "search", PURPOSE)
    ranks = _ranks(trials)
    with _quiet(optuna):
        table = _Table(optuna, kinds, names, points, ranks, method, seed)
        whole = table.shares(np.arange(len(trials)), trees=64)
        rng = np.random.default_rng(seed)
        drawn = np.array(
            [
                table.shares(rng.integers(0, len(trials), len(trials)), trees=16)
                for _ in range(resamples)
            ]
        )
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    order = np.argsort(-whole, kind="stable")
    sizes = [_dimension(row) for row in drawn]
    return {
        "method": method,
        "trials": len(trials),
        "shares": [
            {
                "name": names[i],
                "share": float(whole[i]),
                "low": float(min(low[i], whole[i])),
                "high": float(max(high[i], whole[i])),
            }
            for i in order
        ],
        "dimension": _dimension(whole),
        "dimension_low": int(np.quantile(sizes, 0.05, method="lower")),
        "dimension_high": int(np.quantile(sizes, 0.95, method="higher")),
    }


def _places(axes, values):
    """Place of a number, index of a kind; by name."""
    point = {}
    for name in values:
        axis = axis_for(axes, values, name)
        place = None if axis is None else axis.place(values[name])
        if place is not None:
            point[name] = place if axis.is_number else str(values[name])
    return point


def _ranks(trials):
    """Ranks from best to worst in [0, 1]; equal scores have equal ranks."""
    from scipy.stats import rankdata

    scores = np.array([float(one.score) for one in trials])
    rising = scores if scores[0] <= scores[-1] else -scores
    return (rankdata(rising) - 1) / max(1, len(trials) - 1)


def _dimension(shares):
    falling = np.cumsum(np.sort(shares)[::-1])
    return int(np.searchsorted(falling, MOST - 1e-9) + 1)


class _Table:
    """The trials as Optuna takes them."""

    def __init__(self, optuna, kinds, names, points, ranks, method, seed):
        self.optuna, self.names, self.method, self.seed = optuna, names, method, seed
        distributions = {}
        for name in names:
            if kinds[name].is_number:
                distributions[name] = optuna.distributions.FloatDistribution(0.0, 1.0)
            else:
                values = sorted({point[name] for point in points if name in point})
                distributions[name] = optuna.distributions.CategoricalDistribution(
                    values
                )
        self.trials = [
            optuna.trial.create_trial(
                params={name: point[name] for name in names if name in point},
                distributions={n: distributions[n] for n in names if n in point},
                value=float(rank),
            )
            for point, rank in zip(points, ranks, strict=True)
        ]

    def shares(self, chosen, trees):
        """Returns the shares of the names, sum 1; equal ones where none has any."""
        study = self.optuna.create_study(direction="minimize")
        study.add_trials([self.trials[place] for place in chosen])
        importance = self.optuna.importance
        if self.method == "fanova":
            evaluator = importance.FanovaImportanceEvaluator(
                n_trees=trees, seed=self.seed
            )
        else:
            evaluator = importance.PedAnovaImportanceEvaluator()
        found = evaluator.evaluate(study)
        shares = np.array([max(0.0, found.get(name, 0.0)) for name in self.names])
        total = shares.sum()
        return shares / total if total > 0 else np.full(len(shares), 1 / len(shares))


@contextlib.contextmanager
def _quiet(optuna):
    """Optuna tells of every study that it makes: dozens here, none of the user's."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
