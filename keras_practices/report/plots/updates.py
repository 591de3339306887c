"""Picture of the size of each update relative to the weights it changes."""

import numpy as np

from keras_practices.report.palette import depth_colour
from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import left_out
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture

TITLE = "Update : weight ratio"
LINE_LIMIT = 8
LOW, GOOD, HIGH = 1e-4, 1e-3, 1e-2
# Below 6e-8 a float32 weight does not change at all; above 100 nothing is left of it.
FLOOR, CEILING = 1e-8, 1e2
# The rule of thumb is about weight matrices: a bias that starts at 0 has no scale.
NOT_WEIGHTS = ("bias", "beta", "gamma", "scale")


def update_picture(canvas, record, subjects):
    """The update : weight ratio of the weight matrices over the epochs."""
    curves = series.figure_curves(record.samples, "weights", "update_ratio")
    matrices = [n for n in curves if n.split("/")[-1] not in NOT_WEIGHTS]
    matrices = matrices or list(curves)
    if not matrices:
        return Missing(TITLE, "the record holds no sampled step with this figure.")
    names = series.pick(matrices, LINE_LIMIT, subjects)
    axes = canvas.axes()
    draw.band(axes, LOW, HIGH, "ok", 0.13)
    axes.axhline(GOOD, color=draw.placeholder("ok"), linewidth=1.0)
    legend, known = [], [LOW, HIGH]
    for name in names:
        x, y = curves[name]
        colour = depth_colour(names.index(name), len(names))
        legend.append(Key("line", colour, name, _ratio(y[-1])))
        x, y = series.finite(x, y)
        if len(y):
            y = np.clip(y, FLOOR, CEILING)
            draw.line(axes, *series.thin(x, y), colour, 1.4)
            known += [y.min(), y.max()]
    draw.log_axis(axes, min(known), max(known))
    draw.epoch_axis(axes, series.run_end(record))
    legend.append(Key("band", "ok", "healthy: 0.0001 to 0.01, about 0.001"))
    alt = f"Update to weight ratio of {len(names)} weight matrices, log axis."
    return Picture(
        title=TITLE,
        fact=_fact(curves, matrices),
        panels=(Panel(canvas.svg(axes, alt), alt=alt),),
        legend=tuple(legend),
        reading="How much one step changes the weights: the norm of the update divided "
        "by the norm of the weights, first layer to last from violet to orange. Biases "
        "and norm parameters are left out. A line on the lower edge is at 1e-8 or "
        f"below: no float32 weight changes there.{left_out(matrices, names)}",
        bad="All lines above the band (learning rate too high), all below (too low), "
        "or lines decades apart: some layers learn and others do not.",
    )


def _ratio(value):
    if not np.isfinite(value):
        return "not finite"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}" if value else "0"


def _fact(curves, names):
    ends = np.array([curves[name][1][-1] for name in names])
    inside = int(np.count_nonzero((ends >= LOW) & (ends <= HIGH)))
    return f"At the end {inside} of {len(names)} weight matrices lie inside the band."
