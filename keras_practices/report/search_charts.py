"""The charts of a search."""

import math

from keras_practices.charts import Chart
from keras_practices.charts import Line
from keras_practices.charts import Panels
from keras_practices.measures.search.units import axes_of
from keras_practices.measures.search.units import axis_for
from keras_practices.measures.search.units import places_of
from keras_practices.report.words import number
from keras_practices.report.words import plural

# So many trials are drawn above the others.
BEST = 5
# Above this ratio of the highest to the lowest score a linear axis shows little.
WIDE = 20.0
METHOD_NAMES = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}


def score_chart(record):
    """Score of each trial in the order of their numbers, and the best so far."""
    trials = [one for _, one in sorted(record.trials.items()) if one.has_score]
    if not trials:
        return None
    better = min if record.direction == "min" else max
    best, so_far = [], None
    for one in trials:
        so_far = one.score if so_far is None else better(so_far, one.score)
        best.append(so_far)
    stages = sorted({one.stage for one in trials})
    lines = [
        Line(
            f"trials of stage {stage}" if len(stages) > 1 else "trials",
            [one.trial for one in trials if one.stage == stage],
            [one.score for one in trials if one.stage == stage],
            faint=stage == stages[0],
            marks="points",
        )
        for stage in stages
    ]
    lines.append(Line("best so far", [one.trial for one in trials], best))
    found = record.ranked[0]
    lost = len(record.trials) - len(trials)
    without = f" {plural(lost, 'trial')} without a score: not drawn." if lost else ""
    return Chart(
        title="Score by trial",
        x="trial",
        y=record.objective,
        lines=lines,
        fact=f"Best {number(found.score)}, trial {found.trial} of "
        f"{len(record.trials)}.{without}",
        reading="Each dot is a trial, the line is the best one until then.",
        bad="A line that still improves at the end: the search was too short. A cloud "
        "that a later stage does not lift: it looks in the wrong place.",
        y_scale=_scale(record),
    )


def efficiency_chart(record, figures):
    """What the best of so many random trials reaches, from `measure_efficiency`."""
    sizes = [one["trials"] for one in figures]

    def column(name):
        return [one[name] for one in figures]

    half = next((one for one in figures if _is_near(one, figures)), figures[-1])
    return Chart(
        title="Efficiency of random search",
        x="trials",
        y=f"{record.objective} of the best one",
        lines=[
            Line(
                "mean, 5 to 95 %", sizes, column("mean"), column("low"), column("high")
            ),
            Line(
                "median, 25 to 75 %",
                sizes,
                column("median"),
                column("quarter"),
                column("three_quarters"),
            ),
        ],
        fact=f"On average {number(figures[0]['mean'])} with one trial, "
        f"{number(figures[-1]['mean'])} with all {sizes[-1]}; "
        f"{plural(half['trials'], 'trial')} reach 95 % of that gain.",
        reading="Had the search had only so many of its independent trials, drawn at "
        "random, the best one would have this score: exact, over all such draws. The "
        "bands narrow to the right because all draws of nearly all trials are alike.",
        bad="A line that still climbs at its right end: more trials would have paid. "
        "One that is flat from 4 trials on: the space is easy, or the ranges too "
        "narrow to matter.",
        x_scale="log",
    )


def _is_near(one, figures):
    first, last = figures[0]["mean"], figures[-1]["mean"]
    return abs(one["mean"] - first) >= 0.95 * abs(last - first)


def slice_panels(record):
    """Scores over the values of each hyperparameter."""
    ranked = _last_of_each(record)
    axes = axes_of(record.space)
    names = list(dict.fromkeys(axis.name for axis in axes))
    charts = [_slice(record, axes, name) for name in names] if len(ranked) > 1 else []
    charts = [chart for chart in charts if chart is not None]
    if not charts:
        return None
    return Panels(
        title="Score over each hyperparameter",
        charts=charts,
        reading="Each dot is a trial; its other hyperparameters have any values. "
        f"Coloured: the best {min(BEST, len(ranked) // 2)}. Dots at a named value are "
        "set apart for the eye only.",
        bad="The best dots at an end of a range: the best value may lie beyond. A "
        "level cloud: this one does not matter, or its range is too narrow.",
    )


def _slice(record, axes, name):
    ranked = _last_of_each(record)
    points = [(one, axis_for(axes, one.values, name)) for one in ranked]
    points = [
        (one, axis)
        for one, axis in points
        if axis is not None and axis.place(one.values[name]) is not None
    ]
    if not points:
        return None
    # Kinds of things in the order they were declared in.
    points.sort(key=lambda pair: pair[1].place(pair[0].values[name]))
    numeric = all(axis.is_number for _, axis in points)
    best = {one.trial for one in ranked[: min(BEST, len(ranked) // 2)]}
    lines = []
    for label, chosen in (("other trials", False), ("best trials", True)):
        part = [one for one, _ in points if (one.trial in best) == chosen]
        if part:
            values = [one.values[name] for one in part]
            x = list(map(float, values)) if numeric else list(map(str, values))
            lines.append(Line(label, x, [o.score for o in part], faint=not chosen))
    is_log = numeric and all(axis.is_log for _, axis in points)
    return Chart(
        title=name,
        x="",
        y=record.objective,
        lines=lines,
        reading="",
        marks="points",
        x_scale="log" if is_log else "linear",
        y_scale=_scale(record),
    )


def parallel_chart(record):
    """Every trial as a line over its hyperparameters, in the scale of their ranges."""
    ranked = _last_of_each(record)
    axes = axes_of(record.space)
    names = list(dict.fromkeys(axis.name for axis in axes))
    if len(names) < 2 or len(ranked) < 2:
        return None
    best = ranked[: min(BEST, len(ranked) // 2)]
    rest = ranked[len(best) :]
    x, y = [], []
    for one in rest:
        places = places_of(axes, one.values)
        x += [*names, names[-1]]
        # A gap behind each: they are one line for the drawing only.
        y += [places.get(name, math.nan) for name in names] + [math.nan]
    lines = [Line(plural(len(rest), "other trial"), x, y, faint=True)]
    for one in best:
        places = places_of(axes, one.values)
        label = f"trial {one.trial}: {number(one.score)}"
        lines.append(Line(label, names, [places.get(n, math.nan) for n in names]))
    return Chart(
        title="Trials side by side",
        x="",
        y="place in the range: 0 its lower end, 1 its upper",
        lines=lines,
        reading="A line is a trial, its height over a name the place of the value in "
        "its range, in the scale of that range (a logarithmic one where it was drawn "
        "so). Kinds of things stand in the order they were declared in.",
        bad="Best lines that run apart everywhere: the search has not settled. Best "
        "lines that meet at 0 or 1: an end of the range.",
    )


def importance_chart(figures):
    """Shares of the hyperparameters, from `measure_importances` of some methods."""
    first = figures[0]
    lines = [
        Line(
            METHOD_NAMES[one["method"]],
            [share["name"] for share in one["shares"]],
            [share["share"] for share in one["shares"]],
            [share["low"] for share in one["shares"]],
            [share["high"] for share in one["shares"]],
        )
        for one in figures
    ]
    low, high = first["dimension_low"], first["dimension_high"]
    span = f" ({low} to {high})" if low < high else ""
    return Chart(
        title="Importance of hyperparameters",
        x="",
        y="share of the importance",
        lines=lines,
        fact=f"{first['dimension']}{span} of {len(first['shares'])} hyperparameters "
        f"hold 90 % of the importance ({METHOD_NAMES[first['method']]}, "
        f"{first['trials']} trials).",
        reading="PED-ANOVA: what decides whether a trial is among the best tenth; "
        "fANOVA: what decides its rank. Thin lines: 5 to 95 % of draws of as many "
        "trials anew. The methods differ in size and mostly agree in order.",
        bad="Intervals that overlap everywhere: too few trials to tell. One bar that "
        "is all: search that one finely, and fix the others.",
        marks="bars",
    )


def _scale(record):
    """A log axis for losses that are positive, some far above the best."""
    scores = [float(one.score) for one in record.ranked]
    low, high = min(scores), max(scores)
    return "log" if record.direction == "min" and high > WIDE * low > 0 else "linear"


def _last_of_each(record):
    """Trials with a score from best to worst, but those that others go on from."""
    gone_on = {one.continues for one in record.trials.values() if one.has_score}
    return [one for one in record.ranked if one.trial not in gone_on]
