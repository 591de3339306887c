"""Bars: lying at named places, standing at numbers."""

import numpy as np

from keras_practices.report.plots import canvas as draw

GROUP = 0.78
ROOM = 64
HEIGHT_OF_GROUP = 15


def draw_bars(canvas, painted, names, scale, known):
    """Returns axes with a group of bars at each place.

    Args:
        canvas: A `Canvas`.
        painted: For each set of bars `(colour, x, y, low, high)`, arrays; `low` and
            `high` may be None.
        names: Names of the places, of which `x` holds the numbers; `[]` where `x` are
            numbers of their own.
        scale: `"linear"` or `"log"`, of the values.
        known: All finite values.
    """
    if not names:
        axes = canvas.axes()
        x = np.unique(np.concatenate([x for _, x, *_ in painted]))
        width = GROUP * (np.diff(x).min() if len(x) > 1 else 1.0)
        _groups(axes, painted, width, standing=True)
        _value_axis(axes, scale, known, "y")
        draw.linear_axis(axes, x.min() - width, x.max() + width, "x", 0.0)
        return axes
    height = ROOM + len(names) * (12 + HEIGHT_OF_GROUP * len(painted))
    axes = canvas.axes(440, max(130, height))
    axes.grid(False)
    axes.grid(True, axis="x")
    _groups(axes, painted, GROUP, standing=False)
    _value_axis(axes, scale, known, "x")
    # The first name on top, as one reads.
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    return axes


def _groups(axes, painted, width, standing):
    each = width / len(painted)
    for place, (colour, x, y, low, high) in enumerate(painted):
        at = x + (place - (len(painted) - 1) / 2) * each
        good = np.isfinite(y)
        bars, spans = (axes.bar, axes.vlines) if standing else (axes.barh, axes.hlines)
        fill = draw.placeholder(colour)
        bars(at[good], y[good], 0.92 * each, color=fill, alpha=0.75, linewidth=0)
        if low is not None:
            ink = draw.placeholder("ink")
            spans(at[good], low[good], high[good], color=ink, linewidth=1.2)


def _value_axis(axes, scale, known, side):
    if scale == "log":
        # A bar on a log axis has no foot: it begins at the edge.
        draw.log_axis(axes, min(known) / 2, max(known), side)
    else:
        draw.linear_axis(axes, min(0.0, *known), max(0.0, *known), side)
