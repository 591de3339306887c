"""Pictures of what comes out of each layer: spread, zeros, whole distribution."""

import numpy as np

from keras_practices.report.palette import depth_colour
from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import last
from keras_practices.report.plots.captions import left_out
from keras_practices.report.plots.captions import moment
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture
from keras_practices.report.plots.tiles import tile_picture
from keras_practices.report.words import percent
from keras_practices.report.words import shown

SPREAD = "Activations over the epochs"
HISTOGRAMS = "Activation histograms"
LINE_LIMIT = 8
DOT_LIMIT = 200
SHARES = ("zeros", "inactive")


def spread_picture(canvas, record, subjects):
    """Standard deviation and share of zeros of each layer over the epochs.

    The lines are those of the probe, the same rows each time and without noise. The
    first steps, where most of it happens, are in the samples only: dots behind them.
    """
    spread, zeros = (_Curves(record, figure) for figure in ("std", "zeros"))
    layers = list(spread.lines)
    if not layers:
        return Missing(SPREAD, "the record holds no layer figures.")
    names = series.pick(layers, LINE_LIMIT, subjects)
    end = series.run_end(record)
    panels = (
        _spread_panel(canvas, spread, names, "Standard deviation", end),
        _spread_panel(canvas, zeros, names, "Share of zeros", end),
    )
    legend = []
    for name in names:
        value = f"std {last(spread.lines[name][1])}"
        if name in zeros.lines:
            value += f", zeros {_share(zeros.lines[name][1][-1])}"
        colour = depth_colour(names.index(name), len(names))
        legend.append(Key("line", colour, name, value))
    return Picture(
        title=SPREAD,
        fact="",
        panels=panels,
        legend=tuple(legend),
        reading="One line for each layer, first to last from violet to orange: "
        f"{_source(record, spread)}{left_out(layers, names)}",
        bad="A spread that shrinks from layer to layer towards 0 (weights start too "
        "small), grows without end (too large), or a share of zeros that climbs to "
        "100 % (units that died and no longer learn).",
    )


class _Curves:
    """One figure of each layer: what is drawn as lines, what as dots behind them."""

    def __init__(self, record, figure):
        probed = series.figure_curves(record.probes, "layers", figure)
        sampled = series.figure_curves(record.samples, "layers", figure)
        # A probe before training alone is no line.
        fixed = {n: c for n, c in probed.items() if len(c[0]) > 1 or n not in sampled}
        self.lines = {**fixed, **{n: c for n, c in sampled.items() if n not in fixed}}
        self.dots = {name: sampled[name] for name in fixed if name in sampled}
        self.fixed = bool(fixed)


def _source(record, curves):
    """Where lines and dots come from, in words."""
    rows = next((line["rows"] for line in record.samples if "rows" in line), None)
    rows = "a few rows" if rows is None else f"the first {rows} rows"
    if not curves.fixed:
        return f"{rows} of sampled batches, inside the training step."
    probe = "the probe batch in inference mode, at the ends of epochs."
    if not curves.dots:
        return probe
    return (
        f"{probe} The dots are {rows} of sampled batches, inside the training step, "
        "with dropout on and BatchNorm by the batch."
    )


def _spread_panel(canvas, curves, names, label, end):
    axes = canvas.axes()
    known = []
    share = label == "Share of zeros"
    for kind in ("dots", "lines"):
        for name, (x, y) in getattr(curves, kind).items():
            if name not in names:
                continue
            x, y = series.finite(x, y if share else np.where(y > 0, y, np.nan))
            if not len(y):
                continue
            known += [y.min(), y.max()]
            colour = depth_colour(names.index(name), len(names))
            if kind == "dots":
                draw.dots(axes, *series.sample(x, y, DOT_LIMIT), colour, 2.6, 0.5)
            else:
                draw.line(axes, *series.thin(x, y), colour, 1.4)
    if share:
        draw.share_axis(axes)
    elif known:
        draw.log_axis(axes, min(known), max(known))
    draw.epoch_axis(axes, end)
    alt = f"{label} of the activations of {len(names)} layers over {end:g} epochs."
    return Panel(canvas.svg(axes, alt), label, alt=alt)


def histogram_picture(canvas, record, subjects):
    """The distribution of each layer's output at its first and last histogram."""
    lines = record.histograms
    if not lines:
        return Missing(HISTOGRAMS, "the record holds no histograms.")
    figures = {line["epoch"]: line.get("layers") or {} for line in record.probes}

    def rows(name, epoch):
        found = figures.get(epoch, {}).get(name, {})
        yield from ((n, shown(found[n])) for n in ("mean", "std") if n in found)
        yield from ((n, _share(found[n])) for n in SHARES if n in found)
        if found.get("saturated"):
            yield "saturated", _share(found["saturated"])

    return tile_picture(
        canvas,
        lines,
        subjects,
        title=HISTOGRAMS,
        of="activations",
        moment=moment,
        rows=rows,
        reading="What each layer sends on for the probe batch; height is the share of "
        "values. A bar cut at the top stands for far more values, in ReLU layers the "
        "zeros.",
        bad="Everything in one bar at 0 (dead or vanishing), two heaps at the ends "
        "(saturated tanh or sigmoid), or a width that changes by decades from layer to "
        "layer (poor initial scale).",
    )


def _share(value):
    value = float("nan") if value is None else float(value)
    return percent(value) if np.isfinite(value) else "not finite"
