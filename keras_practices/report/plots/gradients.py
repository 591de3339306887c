"""Pictures of the gradient that reaches each layer: its size, its distribution.

References:
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", 2010. CS231n, Neural Networks Part 2 and 3.
"""

import numpy as np

from keras_practices.report.palette import depth_colour
from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import last
from keras_practices.report.plots.captions import left_out
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture
from keras_practices.report.plots.tiles import tile_picture
from keras_practices.report.words import percent
from keras_practices.report.words import shown

FLOW = "Gradients through the layers"
HISTOGRAMS = "Gradient histograms"
LINE_LIMIT = 8
# Beyond these a gradient is as good as none, or as good as infinite; an axis that
# went on would flatten the layers that still learn.
FLOOR, CEILING = 1e-10, 1e10


def flow_picture(canvas, record, subjects):
    """The root mean square of each layer's gradient over the epochs."""
    curves = series.figure_curves(record.samples, "layers", "gradient_rms")
    if not curves:
        return Missing(FLOW, "the record holds no sampled step with gradients.")
    layers = series.with_kernels(record, list(curves))
    names = series.pick(layers, LINE_LIMIT, subjects)
    axes = canvas.axes()
    legend, known = [], []
    for place, name in enumerate(names):
        x, y = curves[name]
        colour = depth_colour(place, len(names))
        legend.append(Key("line", colour, name, last(y)))
        x, y = series.finite(x, y)
        if len(y):
            y = np.clip(y, FLOOR, CEILING)
            draw.line(axes, *series.thin(x, y), colour, 1.4)
            known += [y.min(), y.max()]
    if known:
        draw.log_axis(axes, min(known), max(known))
    draw.epoch_axis(axes, series.run_end(record))
    note = ""
    if len(layers) < len(curves):
        note = " Layers without a weight matrix are left out."
    if FLOOR in known:
        note += (
            " What lies on the lower edge is 1e-10 or less: nothing is learnt there."
        )
    alt = f"Root mean square of the gradient of {len(names)} layers, log axis."
    return Picture(
        title=FLOW,
        fact=_fact(curves[layers[0]][1], curves[layers[-1]][1]) if layers[1:] else "",
        panels=(Panel(canvas.svg(axes, alt), alt=alt),),
        legend=tuple(legend),
        reading="The root mean square of the gradient over all weights of a layer, at "
        "the sampled steps, first layer to last from violet to orange."
        f"{note}{left_out(layers, names)}",
        bad="Lines that fall by decades from the last layer to the first (vanishing: "
        "the first layers hardly learn), or that rise by decades towards the first or "
        "from step to step (exploding): poor initial scale, saturated units, or a deep "
        "net without normalisation.",
    )


def _fact(first, final):
    """How the gradients of first and last layer compare, where that is a number."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.array([first[0] / final[0], first[-1] / final[-1]])
    if not np.isfinite(ratios).all():
        return ""
    start, end = (shown(float(f"{ratio:.2g}")) for ratio in ratios)
    return (
        f"Gradient of the first layer divided by that of the last: {start} at the "
        f"start, {end} at the end."
    )


def histogram_picture(canvas, record, subjects):
    """The distribution of the gradient of each weight matrix, first and last."""
    kernels = record.kernels
    lines = [
        line
        for line in record.of_kind("histogram")
        if line.get("of") == "gradients" and (not kernels or line["layer"] in kernels)
    ]
    if not lines:
        return Missing(HISTOGRAMS, "the record holds no histograms of gradients.")
    shapes = record.start.get("variables", {})
    norms = series.figure_curves(record.samples, "weights", "gradient_norm")
    shares = series.figure_curves(record.samples, "weights", "gradient_finite")

    def rows(name, epoch):
        norm = _latest(norms, name, epoch)
        if norm is not None and name in shapes:
            yield "rms", last([norm / np.sqrt(np.prod(shapes[name]))])
        share = _latest(shares, name, epoch)
        if share is not None and share < 1:
            yield "finite", percent(share)

    return tile_picture(
        canvas,
        lines,
        subjects,
        title=HISTOGRAMS,
        of="gradients",
        moment=lambda epoch: f"in epoch {epoch:g}",
        rows=rows,
        reading="Gradients of each weight matrix in the sampled steps of one epoch, up "
        "to 256 entries a step; height is the share of values. A bar cut at the top "
        "stands for far more values.",
        bad="A width that falls or grows by decades from one matrix to the next "
        "(vanishing, exploding), everything in one bar at 0 (dead units pass nothing "
        "back), or a few values far out on either side (clip the gradient).",
    )


def _latest(curves, name, epoch):
    """The last value up to the end of an epoch, or None."""
    epochs, values = curves.get(name, ((), ()))
    known = [value for at, value in zip(epochs, values, strict=True) if at <= epoch]
    return known[-1] if known else None
