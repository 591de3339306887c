"""What an ensemble gains, and what each of its members adds, as values."""

import dataclasses
import math
from typing import Any

from keras_practices.charts import Chart
from keras_practices.charts import Line


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number and its interval.

    Args:
        value: The number.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclasses.dataclass(frozen=True)
class MembersReport:
    """What `ensembles.summary` measured.

    Intervals are of the rows alone: what other rows of the same kind would give with
    these trained members. Gains are positive where the ensemble is better, of an
    accuracy and of a loss.

    Attributes:
        rows: Number of rows.
        metric: `"accuracy"` or `"loss"`.
        confidence: Share of the intervals, such as 0.95.
        names: What the members are called.
        weights: Their weights.
        members: `Figure` of each member alone.
        growth: `Figure` of ensembles of 1, 2, … members, the mean over orders.
        ensemble: `Figure` of the whole ensemble.
        gain_over_mean: By how much it is better than a member is on average.
        gain_over_best: By how much it is better than the member that is best on
            these rows, which flatters that member.
        adds: For each member, by how much the ensemble with it is better than the
            one without it; empty for one member.
        disagreement: For each pair, the share of answers that differ; of numbers the
            root of the mean squared difference.
        error_correlation: For each pair, the correlation of errors; NaN where one
            never errs.
        q_statistic: For each pair Yule's Q, empty for numbers.
        notes: Sentences about what looks wrong.

    Example:

    >>> def build():
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x, y = np.random.default_rng(0).normal(size=(2, 40, 2))
    >>> ensemble = kp.ensembles.train(build, x, y[:, :1], n=2, verbose=0)
    >>> report = kp.ensembles.summary(ensemble, x, y[:, :1])
    >>> report.metric, len(report.members), report.rows
    ('loss', 2, 40)

    References:
        Kuncheva and Whitaker, 2003, Machine Learning 51; Efron and Tibshirani, "An
        introduction to the bootstrap", 1993, section 13.3 (percentile intervals).
    """

    rows: int
    metric: str
    confidence: float
    names: tuple[str, ...]
    weights: tuple[float, ...]
    members: tuple[Figure, ...]
    growth: tuple[Figure, ...]
    ensemble: Figure
    gain_over_mean: Figure
    gain_over_best: Figure
    adds: tuple[Figure, ...]
    disagreement: tuple[tuple[float, ...], ...]
    error_correlation: tuple[tuple[float, ...], ...]
    q_statistic: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...] = ()

    def table(self) -> list[dict[str, Any]]:
        """Returns one row a member, for `Report(sections=…)`."""
        rows = []
        for place, name in enumerate(self.names):
            row = {"member": name, "weight": round(self.weights[place], 4)}
            row[f"{self.metric} alone"] = str(self.members[place])
            if self.adds:
                row["adds"] = str(self.adds[place])
                row["disagrees"] = _mean_beside(self.disagreement, place)
                row["error correlation"] = _mean_beside(self.error_correlation, place)
            rows.append(row)
        return rows

    def sections(self) -> dict[str, Any]:
        """Returns text and table for `Report(sections=…)`."""
        return {"Ensemble": str(self), "Members": self.table()}

    def charts(self) -> list[Chart]:
        """Returns the pictures, for `Report(charts=…)`."""
        share = f"{self.confidence:.0%} interval"
        better = "Higher" if self.metric == "accuracy" else "Lower"
        unit = "share" if self.metric == "accuracy" else "mean over rows"
        label = f"{self.metric} ({unit})"
        sizes = [float(size) for size in range(1, len(self.growth) + 1)]
        charts = [
            Chart(
                title="As the number of members grows",
                x="members",
                y=label,
                lines=[_line("ensembles of so many members", sizes, self.growth)],
                reading=f"{better} is better. The line is the mean over the orders in "
                f"which members can join, the band its {share} over rows.",
                bad="A flat line: the members err on the same rows.",
                fact=f"{_sentence(self)}",
            )
        ]
        if self.adds:
            charts.append(
                Chart(
                    title="What each member adds",
                    x="member",
                    y=f"gain of {self.metric} by the member",
                    lines=[_line(share, self.names, self.adds)],
                    reading="The ensemble with the member against the one without "
                    "it. Above 0 it helps.",
                    bad="An interval below 0: the ensemble is better without it.",
                    marks="points",
                )
            )
        return charts

    def __str__(self):
        """Returns the text."""
        lines = [
            f"Ensemble of {len(self.names)} on {self.rows} rows, {self.metric} with "
            f"{self.confidence:.0%} intervals over rows:",
            _sentence(self),
        ]
        if self.adds:
            count = len(self.names)
            beside = _mean([_mean_beside(self.disagreement, i) for i in range(count)])
            lines.append(f"Members disagree on {beside:.4g} of the answers on average.")
            for name, one in zip(self.names, self.adds, strict=True):
                lines.append(f"{name} adds {one}.")
        return "\n".join([*lines, *self.notes])


def _sentence(report):
    return (
        f"{report.metric} {report.ensemble}; gain over the mean member "
        f"{report.gain_over_mean}, over the best member {report.gain_over_best}."
    )


def _line(name, x, figures):
    return Line(
        name,
        x=list(x),
        y=[one.value for one in figures],
        low=[one.low for one in figures],
        high=[one.high for one in figures],
    )


def _mean_beside(table, place):
    """Mean of a row of a table over the other members, rounded."""
    row = [value for other, value in enumerate(table[place]) if other != place]
    return round(_mean(row), 4)


def _mean(values):
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")
