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
from keras_practices.report.words import percent
from keras_practices.report.words import shown

SPREAD = "Activations over the epochs"
HISTOGRAMS = "Activation histograms"
LINE_LIMIT = 8
TILE_LIMIT = 12
SHARES = ("zeros", "inactive")
OUTLINE_ROOM = 3.0


def spread_picture(canvas, record, subjects):
    """Standard deviation and share of zeros of each layer over the epochs."""
    curves = {
        name: series.sample_curves(record, "layers", name) for name in ("std", "zeros")
    }
    layers = list(curves["std"])
    if not layers:
        return Missing(SPREAD, "the record holds no sampled step with layer figures.")
    names = series.pick(layers, LINE_LIMIT, subjects)
    end = series.run_end(record)
    panels = (
        _spread_panel(canvas, curves["std"], names, "Standard deviation", end),
        _spread_panel(canvas, curves["zeros"], names, "Share of zeros", end),
    )
    legend = []
    for name in names:
        value = f"std {last(curves['std'][name][1])}"
        if name in curves["zeros"]:
            value += f", zeros {_share(curves['zeros'][name][1][-1])}"
        colour = depth_colour(names.index(name), len(names))
        legend.append(Key("line", colour, name, value))
    return Picture(
        title=SPREAD,
        fact="",
        panels=panels,
        legend=tuple(legend),
        reading="One line for each layer, first to last from violet to orange, taken "
        f"from the first rows of sampled batches.{left_out(layers, names)}",
        bad="A spread that shrinks from layer to layer towards 0 (weights start too "
        "small), grows without end (too large), or a share of zeros that climbs to "
        "100 % (units that died and no longer learn).",
    )


def _spread_panel(canvas, curves, names, label, end):
    axes = canvas.axes()
    known = []
    share = label == "Share of zeros"
    for name in names:
        if name not in curves:
            continue
        x, y = curves[name]
        x, y = series.finite(x, y if share else np.where(y > 0, y, np.nan))
        if len(y):
            colour = depth_colour(names.index(name), len(names))
            draw.line(axes, *series.thin(x, y), colour, 1.4)
            known += [y.min(), y.max()]
    if share:
        draw.share_axis(axes)
    elif known:
        draw.log_axis(axes, min(known), max(known))
    draw.epoch_axis(axes, end)
    alt = f"{label} of the activations of {len(names)} layers over {end:g} epochs."
    return Panel(canvas.svg(axes, alt), label, alt=alt)


def histogram_picture(canvas, record, subjects):
    """The distribution of each layer's output at its first and last histogram."""
    lines = {}
    for line in record.histograms:
        lines.setdefault(line["layer"], []).append(line)
    if not lines:
        return Missing(HISTOGRAMS, "the record holds no histograms.")
    layers = list(lines)
    names = series.pick(layers, TILE_LIMIT, subjects)
    figures = {}
    for sample in record.samples:
        figures.update(sample.get("layers") or {})
    tiles = tuple(_tile(canvas, n, lines[n], figures.get(n, {})) for n in names)
    first = min(group[0]["epoch"] for group in lines.values())
    final = max(group[-1]["epoch"] for group in lines.values())
    legend = [Key("bar", "train", moment(final))]
    if first != final:
        legend.append(Key("thin", "muted", moment(first)))
    return Picture(
        title=HISTOGRAMS,
        fact="",
        panels=tiles,
        legend=tuple(legend),
        layout="tiles",
        reading="What each layer sends on for the probe batch; height is the share of "
        "values. A bar cut at the top stands for far more values, in ReLU layers the "
        f"zeros.{left_out(layers, names)}",
        bad="Everything in one bar at 0 (dead or vanishing), two heaps at the ends "
        "(saturated tanh or sigmoid), or a width that changes by decades from layer to "
        "layer (poor initial scale).",
    )


def _tile(canvas, name, lines, figures):
    axes = canvas.axes(220, 110)
    axes.grid(False)
    axes.yaxis.set_visible(False)
    final = _density(lines[-1])
    start = _density(lines[0]) if len(lines) > 1 else None
    if final is None:
        draw.say(axes, "no finite values")
    else:
        _bars(axes, final, start)
    rows = [(n, shown(figures[n])) for n in ("mean", "std") if n in figures]
    rows += [(n, _share(figures[n])) for n in SHARES if n in figures]
    rows += [(n, _share(figures[n])) for n in ("saturated",) if figures.get(n)]
    alt = f"Histogram of the activations of {name}."
    return Panel(canvas.svg(axes, alt), name, tuple(rows), alt=alt)


def _bars(axes, final, start):
    """Draws the last histogram and, as an outline, the first."""
    shade, ink = draw.placeholder("train"), draw.placeholder("muted")
    axes.stairs(final[1], final[0], fill=True, color=shade, alpha=0.75, linewidth=0)
    left, right, top = final[0][0], final[0][-1], _top(final[1])
    if start is not None:
        axes.stairs(start[1], start[0], color=ink, linewidth=1.0, alpha=0.8)
        both = min(left, start[0][0]), max(right, start[0][-1])
        # The last one is the subject: the first may not squeeze it to a line.
        if both[1] - both[0] <= OUTLINE_ROOM * (right - left):
            left, right = both
        top = min(max(top, _top(start[1])), OUTLINE_ROOM * top)
    axes.set_ylim(0, 1.06 * top)
    draw.few_ticks(axes, left, right)


def _density(line):
    edges = series.numbers(line["edges"])
    counts = series.numbers(line["counts"])
    widths = np.diff(edges)
    if not (np.isfinite(edges).all() and counts.sum() > 0 and (widths > 1e-300).all()):
        return None
    return edges, counts / counts.sum() / widths


def _top(heights):
    """Height of the axis: the highest bar, unless it stands alone far above all."""
    second, highest = np.sort(heights)[-2:] if len(heights) > 1 else heights[[0, 0]]
    return 1.6 * second if second > 0 and highest > 3 * second else highest


def _share(value):
    value = float("nan") if value is None else float(value)
    return percent(value) if np.isfinite(value) else "not finite"
