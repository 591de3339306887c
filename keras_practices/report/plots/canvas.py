"""Figures in, inline SVG out: the one file that touches matplotlib.

Only `Figure` objects, never pyplot, so a report changes no global state of the
user's drawing. Text stays text, in the font of the page; colours become CSS
variables; ids are made unique, since several drawings share one HTML page.
"""

import base64
import contextlib
import io
import math
import warnings
import xml.etree.ElementTree as ET

import numpy as np

from keras_practices._core.optional import require
from keras_practices.report.palette import placeholder
from keras_practices.report.palette import placeholders

FONT_SIZE = 10.5
# Float64 has no room below it for the lower end of an axis.
AXIS_FLOOR = 1e-300
PURPOSE = "A report in HTML"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _matplotlib(module):
    return require(f"matplotlib.{module}", "report", PURPOSE)


@contextlib.contextmanager
def drawing():
    """Draws with matplotlib's own defaults and ours, whatever the user has set."""
    ink, line = placeholder("muted"), placeholder("line")
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "keras_practices",
        "font.size": FONT_SIZE,
        # A name with two dollar signs is a name, not a formula.
        "text.parse_math": False,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": line,
        "axes.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": line,
        "grid.linewidth": 0.8,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "ytick.major.size": 0.0,
        "xtick.major.size": 3.0,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
        "lines.solid_joinstyle": "round",
    }
    with _matplotlib("style").context(settings, after_reset=True):
        yield


class Canvas:
    """Makes axes and turns them into SVG with ids that begin with `prefix`."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.drawn = 0

    def axes(self, width=440, height=270):
        """Returns axes on an empty figure of `width` by `height` CSS pixels."""
        figure = _matplotlib("figure").Figure(
            figsize=(width / 72, height / 72), layout="constrained"
        )
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        return axes

    def svg(self, axes, alt):
        """Returns the drawing as an SVG element that follows the page's colours."""
        file = io.BytesIO()
        with warnings.catch_warnings():
            # The page's font is drawn with, not matplotlib's: it may well have them.
            warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
            axes.figure.savefig(file, format="svg")
        self.drawn += 1
        return inline(file.getvalue(), f"{self.prefix}-{self.drawn}-", alt)


def inline(source, prefix, alt):
    """Returns matplotlib's SVG file as an element for an HTML page.

    Args:
        source: Bytes of the file.
        prefix: What every id in it begins with.
        alt: What the drawing shows.
    """
    root = ET.fromstring(source)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.split("}")[-1] in ("metadata", "style"):
                parent.remove(child)
    used = {
        value.strip("url()").removeprefix("#")
        for element in root.iter()
        for name, value in element.attrib.items()
        if name.endswith("href") or value.startswith("url(#")
    }
    colours = placeholders()
    for element in root.iter():
        element.tag = element.tag.split("}")[-1]
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
        element.attrib = _attributes(element.attrib, used, prefix, colours)
    view = root.get("viewBox")
    root.attrib = {"viewBox": view, "role": "img", "aria-label": alt}
    return ET.tostring(root, encoding="unicode")


def _attributes(old, used, prefix, colours):
    new = {}
    for name, value in old.items():
        name = name.split("}")[-1]
        if name == "id":
            if value in used:
                new["id"] = prefix + value
        elif value.startswith("url(#"):
            new[name] = f"url(#{prefix}{value[5:]}"
        elif name == "href" and value.startswith("#"):
            new[name] = f"#{prefix}{value[1:]}"
        elif name == "style":
            new[name] = _style(value, colours)
        elif name == "d":
            new[name] = " ".join(value.split())
        elif not (name == "transform" and value.startswith("rotate(-0 ")):
            new[name] = value
    return new


def _style(text, colours):
    kept = []
    for part in text.split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if name == "font":  # matplotlib 3.9 writes "10px 'DejaVu Sans', …"
            name, value = "font-size", value.split("px")[0] + "px"
        if name and name != "font-family":
            kept.append(f"{name}:{colours.get(value.lower(), value)}")
    return ";".join(kept)


def dots(axes, x, y, colour, size=2.6, opacity=0.6):
    """Draws points as one path: a tenth of the bytes of one marker each."""
    path = _matplotlib("path").Path
    corners = np.repeat(np.column_stack([x, y]), 2, axis=0)
    codes = np.tile([path.MOVETO, path.LINETO], len(x))
    shape = path(corners, codes)
    shape.should_simplify = False
    axes.add_patch(
        _matplotlib("patches").PathPatch(
            shape,
            fill=False,
            edgecolor=placeholder(colour),
            linewidth=size,
            capstyle="round",
            alpha=opacity,
        )
    )


def line(axes, x, y, colour, width=1.8, mark=None, **style):
    """Draws a line; points get a mark while there are few enough to tell apart."""
    few = np.count_nonzero(np.isfinite(y)) <= 40 if mark is None else mark
    axes.plot(
        x,
        y,
        color=placeholder(colour),
        linewidth=width,
        marker="o" if few else "",
        markersize=3.6,
        markeredgewidth=0,
        **style,
    )


def band(axes, low, high, colour, opacity=0.12, vertical=False):
    """Shades a range of the y axis (of the x axis where `vertical`)."""
    span = axes.axvspan if vertical else axes.axhspan
    span(low, high, facecolor=placeholder(colour), alpha=opacity, linewidth=0)


def mark_broken(axes, broken, end):
    """Marks where a series is not finite; the rest of the axis if it stays so."""
    if broken.for_good:
        band(axes, broken.place, max(broken.place, end), "error", 0.09, vertical=True)
    ink = placeholder("error")
    axes.axvline(broken.place, color=ink, linewidth=1.2, linestyle=(0, (4, 3)))
    right_side = broken.place > 0.6 * end
    axes.annotate(
        f"not finite {'from here' if broken.for_good else 'here'}",
        (broken.place, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if right_side else 5, -4),
        textcoords="offset points",
        ha="right" if right_side else "left",
        va="top",
        color=ink,
    )


def epoch_axis(axes, end):
    """Labels the x axis in epochs, from 0 to `end`."""
    end = end if end > 0 else 1.0
    axes.set_xlim(-0.015 * end, 1.015 * end)
    ticker = _matplotlib("ticker")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=end >= 3))
    axes.set_xlabel("epochs")


def linear_axis(axes, low, high, side="y", share=0.05):
    """Makes one axis run from `low` to `high` with a little air at both ends."""
    ticker = _matplotlib("ticker")
    air = share * (high - low) or 0.5 * abs(high) or 1.0
    if low == high or share:
        low, high = low - air, high + air
    axis = _scaled(axes, side, "linear", low, high)
    axis.set_major_locator(ticker.MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: power(v)))


def log_axis(axes, low, high, side="y"):
    """Makes one axis logarithmic with readable labels over `low` to `high`."""
    ticker = _matplotlib("ticker")
    low = max(low, AXIS_FLOOR)
    high = max(low, high)
    axis = _scaled(axes, side, "log", low / 1.15, high * 1.15)
    decades = math.log10(high) - math.log10(low)
    if decades < 1:
        locator = ticker.MaxNLocator(5)
    elif decades < 2.5:
        locator = ticker.LogLocator(subs=(1.0, 2.0, 5.0))
    else:
        locator = ticker.LogLocator(numticks=7)
    axis.set_major_locator(locator)
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: power(v)))


def _scaled(axes, side, scale, low, high):
    """Sets scale and limits of the axis at a side, `"x"` or `"y"`, and returns it."""
    getattr(axes, f"set_{side}scale")(scale)
    getattr(axes, f"set_{side}lim")(low, high)
    return getattr(axes, f"{side}axis")


def share_axis(axes):
    """Makes the y axis run from 0 to 100 %."""
    ticker = _matplotlib("ticker")
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_locator(ticker.FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, 0, " %"))


def say(axes, text):
    """Shows a text where there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def few_ticks(axes, left, right):
    """Makes the x axis of a small drawing run over a range, with about 3 labels."""
    ticker = _matplotlib("ticker")
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: power(v)))


def power(value):
    """Returns a tick label: plain near 1, a power of ten far from it."""
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:g}"
    mantissa, exponent = f"{value:.5e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    raised = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return raised if mantissa == "1" else f"{mantissa}·{raised}"


def png(pixels):
    """Returns an image as base64 PNG.

    Args:
        pixels: Float array in [0, 1], shape `(height, width, 4)`.
    """
    file = io.BytesIO()
    _matplotlib("image").imsave(file, pixels, format="png", metadata={"Software": None})
    return base64.b64encode(file.getvalue()).decode("ascii")
