"""Pictures of charts: lines with bands, points, bars, and small images."""

import re

import numpy as np

from keras_practices.charts import Chart
from keras_practices.charts import Images
from keras_practices.charts import Panels
from keras_practices.report.palette import depth_colour
from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.bars import draw_bars
from keras_practices.report.plots.captions import last
from keras_practices.report.plots.filters import tiles
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture

GROUND = "batch"
KEY_MARKS = {"lines": "line", "points": "dots", "bars": "bar"}
# Names at the places of an axis, all together: above it they would overlap.
LEVEL_LETTERS = 44
NAME_LETTERS = 28
IMAGE_LIMIT = 64


def chart_picture(canvas, value):
    """Draws one `Chart`, `Panels` or `Images` on a `Canvas`."""
    if isinstance(value, Images):
        return _image_picture(value)
    charts = value.charts if isinstance(value, Panels) else (value,)
    shown = [_Shown(chart) for chart in charts]
    if not any(one.known for one in shown):
        return Missing(value.title, "it holds no finite value.")
    colours = _colours([line for chart in charts for line in chart.lines])
    alone = isinstance(value, Chart)
    panels = [_panel(canvas, one, colours, alone) for one in shown]
    dropped = sum(one.dropped for one in shown)
    note = f" {dropped} values at or below 0 have no place on a log axis."
    return Picture(
        title=value.title,
        fact=value.fact,
        panels=tuple(panels),
        legend=_legend(charts, colours),
        reading=f"{value.reading}{note if dropped else ''}".strip(),
        bad=value.bad,
    )


def _colours(lines):
    """One colour for each name; what is faint is the ground of all."""
    names = list(dict.fromkeys(line.name for line in lines if not line.faint))
    if len(names) == 2:
        return dict(zip(names, ("train", "validation"), strict=True))
    return {name: depth_colour(i, len(names)) for i, name in enumerate(names)}


def _colour(line, colours):
    return GROUND if line.faint else colours[line.name]


def _legend(charts, colours):
    keys = {}
    for chart in charts:
        for line in chart.lines:
            mark = KEY_MARKS[line.marks or chart.marks]
            mark = "thin" if line.faint and mark == "line" else mark
            ended = mark == "line" and not chart.places and len(charts) == 1
            value = last(line.y) if ended and line.y else ""
            key = Key(mark, _colour(line, colours), line.name, value)
            keys.setdefault((line.name, line.faint), key)
    return tuple(key for key in keys.values() if key.text)


class _Shown:
    """A chart with its points as arrays, those without a place on the axes left out."""

    def __init__(self, chart):
        self.chart = chart
        self.places = chart.places
        self.dropped = 0
        # The ground first, so that the others lie above it.
        self.lines = [
            (line, *self._arrays(line))
            for line in sorted(chart.lines, key=lambda line: not line.faint)
        ]
        values = [part for _, _, *parts in self.lines for part in parts]
        finite = [part[np.isfinite(part)] for part in values if part is not None]
        self.known = np.concatenate([*finite, np.array([])]).tolist()

    def _arrays(self, line):
        """Returns x, y, low and high; NaN where the axis has no place for it."""
        if self.places:
            x = np.array([self.places.index(place) for place in line.x], float)
        else:
            x = np.array(line.x, float)
        ends = [line.y, line.low, line.high]
        ends = [None if part is None else np.array(part, float) for part in ends]
        keep = np.ones(len(x), bool)
        if self.chart.x_scale == "log":
            keep = x > 0
        if self.chart.y_scale == "log":
            lost = ends[0] <= 0
            self.dropped += int(np.count_nonzero(lost & keep))
            ends = [
                part if part is None else np.where(part > 0, part, np.nan)
                for part in ends
            ]
        self.dropped += int(np.count_nonzero(~keep))
        ends = [
            None
            if part is None
            else np.where(series.drawable(part), part, np.nan)[keep]
            for part in ends
        ]
        return x[keep], *ends


def _panel(canvas, shown, colours, alone):
    chart = shown.chart
    named_bars = chart.marks == "bars" and bool(shown.places)
    alt = f"{chart.title}: {chart.y} over {chart.x}, {len(chart.lines)} series."
    if not shown.known:
        axes = canvas.axes(440, 230)
        draw.say(axes, "no finite value")
    elif chart.marks == "bars":
        names = [_short(place) for place in shown.places]
        painted = [(_colour(line, colours), *arrays) for line, *arrays in shown.lines]
        axes = draw_bars(canvas, painted, names, chart.y_scale, shown.known)
    else:
        axes = canvas.axes(440, 270 if alone else 230)
        for line, x, *ends in shown.lines:
            marks = line.marks or chart.marks
            if marks == "points" and shown.places:
                x = _spread(x)
            _draw(axes, marks, _colour(line, colours), line.faint, x, *ends)
        _y_axis(axes, chart.y_scale, shown.known)
        _x_axis(axes, shown)
    # A chart of its own has the name of its values above it, as all pictures have.
    across, up = (chart.y, chart.x) if named_bars else (chart.x, chart.y)
    axes.set_xlabel(_clean(across))
    if not alone:
        axes.set_ylabel(_clean(up))
    return Panel(canvas.svg(axes, alt), up if alone else chart.title, alt=alt)


def _draw(axes, marks, colour, faint, x, y, low, high):
    ink = draw.placeholder(colour)
    if marks == "points":
        good = np.isfinite(y)
        if low is not None:
            axes.vlines(x[good], low[good], high[good], color=ink, linewidth=1.0)
        draw.dots(axes, x[good], y[good], colour, 3.0 if faint else 4.6, 0.75)
        return
    if low is not None:
        axes.fill_between(x, low, high, color=ink, alpha=0.16, linewidth=0)
    if faint:
        draw.line(axes, x, y, colour, 0.9, False, alpha=0.45)
    else:
        draw.line(axes, x, y, colour)


def _spread(x):
    """Moves points at one named place apart, always in the same way."""
    golden = np.arange(len(x)) * 0.6180339887
    return x + 0.3 * (golden % 1.0 - 0.5)


def _y_axis(axes, scale, known):
    if scale == "log":
        draw.log_axis(axes, min(known), max(known))
    else:
        draw.linear_axis(axes, min(known), max(known))


def _x_axis(axes, shown):
    if shown.places:
        names = [_short(place) for place in shown.places]
        level = sum(map(len, names)) <= LEVEL_LETTERS
        style = {} if level else {"rotation": 30, "ha": "right"}
        axes.set_xlim(-0.4, len(names) - 0.6)
        axes.set_xticks(range(len(names)), names, **style)
        return
    x = np.concatenate([arrays[0] for _, *arrays in shown.lines])
    if shown.chart.x_scale == "log":
        draw.log_axis(axes, x.min(), x.max(), "x")
    else:
        draw.linear_axis(axes, x.min(), x.max(), "x", 0.02)


def _clean(text):
    """What XML has no place for, such as a bell, would spoil the whole drawing."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]", " ", text)


def _short(text):
    text = _clean(text)
    return text if len(text) <= NAME_LETTERS else f"{text[: NAME_LETTERS - 1]}…"


def _image_picture(value):
    arrays = value.arrays[:IMAGE_LIMIT]
    panels = []
    captions = value.captions[:IMAGE_LIMIT] or ("",) * len(arrays)
    for place, (image, caption) in enumerate(zip(arrays, captions, strict=True), 1):
        pixels = tiles(image[None])
        alt = f"{value.title}: image {place} of {len(value.arrays)}. {caption}".strip()
        size = pixels.shape[1::-1]
        rows = (("", caption),) if caption else ()
        panels.append(Panel(png=draw.png(pixels), rows=rows, alt=alt, size=size))
    cut = len(value.arrays) - len(arrays)
    more = f" The first {IMAGE_LIMIT} are drawn; {cut} are not." if cut else ""
    return Picture(
        title=value.title,
        fact=value.fact,
        panels=tuple(panels),
        reading=f"{value.reading}{more}".strip(),
        bad=value.bad,
        layout="images",
    )
