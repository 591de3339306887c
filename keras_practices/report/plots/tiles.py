"""A small drawing of one histogram: the last one filled, the first as an outline."""

import numpy as np

from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import left_out
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture
from keras_practices.report.words import shown

TILE_LIMIT = 12
OUTLINE_ROOM = 3.0


def tile_picture(canvas, lines, subjects, *, title, of, moment, rows, reading, bad):
    """Draws histograms, one tile for each layer or variable.

    Args:
        canvas: A `Canvas`.
        lines: Histogram lines of a record, at least one.
        subjects: Names to prefer where not all fit.
        title: Title of the picture.
        of: What each histogram is of, such as `"activations"`.
        moment: Function from an epoch to the words for it.
        rows: Function `(name, epoch)` that returns the rows below a tile.
        reading: How to read it; what is left out is added.
        bad: What a bad one looks like.

    Returns:
        A `Picture`.
    """
    groups = {}
    for line in lines:
        groups.setdefault(line["layer"], []).append(line)
    names = series.pick(list(groups), TILE_LIMIT, subjects)
    panels = []
    for name in names:
        alt = f"Histogram of the {of} of {name}."
        svg = canvas.svg(_axes(canvas, groups[name]), alt)
        below = tuple(rows(name, groups[name][-1]["epoch"]))
        panels.append(Panel(svg, name, below, alt=alt))
    first, final = lines[0]["epoch"], lines[-1]["epoch"]
    legend = [Key("bar", "train", moment(final))]
    if first != final:
        legend.append(Key("thin", "muted", moment(first)))
    return Picture(
        title=title,
        fact="",
        panels=tuple(panels),
        legend=tuple(legend),
        layout="tiles",
        reading=f"{reading}{left_out(list(groups), names)}",
        bad=bad,
    )


def _axes(canvas, lines):
    axes = canvas.axes(220, 110)
    axes.grid(False)
    axes.yaxis.set_visible(False)
    final = _density(lines[-1])
    start = _density(lines[0]) if len(lines) > 1 else None
    if final is None:
        draw.say(axes, "no finite values")
    elif _is_constant(final):
        # NumPy puts a single value in the middle of a range of its own.
        value = shown((final[0][0] + final[0][-1]) / 2)
        draw.say(axes, f"all sampled values are {value}")
    else:
        _bars(axes, final, None if start is None or _is_constant(start) else start)
    return axes


def _is_constant(density):
    """True where all values were the same: a spread fills the first and last bar."""
    return len(density[1]) > 1 and np.count_nonzero(density[1]) == 1


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
