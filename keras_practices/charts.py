"""Charts and images as plain values: who measures fills them in, the report draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError

__all__ = ["Chart", "Images", "Line", "Panels"]

MARKS = ("lines", "points", "bars")
SCALES = ("linear", "log")
Places = Sequence[float] | Sequence[str]


@dataclass(frozen=True)
class Line:
    """One line, one cloud of points, or one set of bars of a chart.

    Args:
        name: What the legend calls it; `""` for no entry.
        x: Finite numbers, or texts for named places along the axis.
        y: Numbers, as many as `x`. NaN leaves a gap.
        low: Lower ends of an interval around `y`, or None.
        high: Upper ends, or None.
        faint: Bool. Drawn thin and pale, as the ground of the others.
        marks: `"lines"` or `"points"` where it differs from the chart's, or `""`.

    Raises:
        ValueError: not as many of one as of the other; places of both kinds.

    Example:

    >>> from keras_practices.charts import Line
    >>> Line("share", x=["rate", "width"], y=[0.8, 0.2]).x
    ('rate', 'width')
    """

    name: str
    x: Places
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    faint: bool = False
    marks: str = ""

    def __post_init__(self):
        _set(self, "x", _places(self.x))
        for name in ("y", "low", "high"):
            values = getattr(self, name)
            if values is None and name != "y":
                continue
            values = _floats("Line", name, values)
            if len(values) != len(self.x):
                expected = f"as many numbers as `x` has places, {len(self.x)}"
                raise _wrong("Line", name, expected, f"{len(values)} numbers")
            _set(self, name, values)
        if (self.low is None) != (self.high is None):
            raise _wrong("Line", "low", "given together with `high`", self.low)
        if self.marks not in ("", "lines", "points"):
            raise _wrong("Line", "marks", "'lines', 'points' or ''", self.marks)


@dataclass(frozen=True)
class Chart:
    """What a picture of some lines shows, and how to read it.

    Args:
        title: What it shows.
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical axis, with its unit.
        lines: The lines.
        reading: How to read it.
        bad: What a bad one looks like, or `""`.
        fact: One sentence with the numbers that matter most, or `""`.
        marks: `"lines"`, `"points"` or `"bars"`. Bars at named places lie, with the
            names at their left.
        x_scale: `"linear"` or `"log"`.
        y_scale: `"linear"` or `"log"`.

    Raises:
        TypeError: `lines` are not of `Line`.
        ValueError: no title, unknown marks or scale; named places beside numbers, or
            on a log axis.

    Example:

    >>> from keras_practices.charts import Chart, Line
    >>> best = Line("best so far", x=[1, 2, 3], y=[0.5, 0.8, 0.9])
    >>> chart = Chart("Search", "trial", "accuracy", [best], "Higher is better.")
    >>> kp.Report(charts=[chart]).charts[0].lines[0].y
    (0.5, 0.8, 0.9)
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    reading: str
    bad: str = ""
    fact: str = ""
    marks: str = "lines"
    x_scale: str = "linear"
    y_scale: str = "linear"

    def __post_init__(self):
        _check_words(self, ("title", "x", "y", "reading", "bad", "fact"))
        _set(self, "lines", _all_of(self, "lines", self.lines, Line))
        for name, allowed in (
            ("marks", MARKS),
            ("x_scale", SCALES),
            ("y_scale", SCALES),
        ):
            if getattr(self, name) not in allowed:
                raise _wrong("Chart", name, f"one of {allowed}", getattr(self, name))
        kinds = {type(place) for line in self.lines for place in line.x}
        if len(kinds) > 1:
            raise _wrong("Chart", "lines", "all of numbers, or of texts, in `x`", kinds)
        if str in kinds and self.x_scale == "log":
            raise _wrong("Chart", "x_scale", "linear over named places", "log")

    @property
    def places(self) -> list[str]:
        """Named places along the axis in their order; empty where it has numbers."""
        named = [place for line in self.lines for place in line.x]
        return [p for p in dict.fromkeys(named) if isinstance(p, str)]


@dataclass(frozen=True)
class Panels:
    """Several charts in one picture, side by side, each under its own title.

    Args:
        title: What they show together.
        charts: The charts; their `title`, axes and lines are drawn.
        reading: How to read them.
        bad: What a bad one looks like, or `""`.
        fact: One sentence with the numbers that matter most, or `""`.

    Raises:
        TypeError: `charts` are not of `Chart`.
        ValueError: no title.

    Example:

    >>> from keras_practices.charts import Chart, Line, Panels
    >>> line = Line("trials", x=[1, 2], y=[0.5, 0.8])
    >>> small = Chart("rate", "learning rate", "accuracy", [line], "")
    >>> len(Panels("Slices", [small], "One drawing a hyperparameter.").charts)
    1
    """

    title: str
    charts: Sequence[Chart]
    reading: str
    bad: str = ""
    fact: str = ""

    def __post_init__(self):
        _check_words(self, ("title", "reading", "bad", "fact"))
        _set(self, "charts", _all_of(self, "charts", self.charts, Chart))


@dataclass(frozen=True, eq=False)
class Images:
    """Small images side by side, each scaled from its own lowest to highest value.

    Args:
        title: What they show.
        arrays: Numbers of shape `(images, height, width)`, `(images, height, width,
            1)` or, in colour, `(images, height, width, 3)`.
        captions: A text for each image, or `()`.
        reading: How to read them.
        bad: What a bad one looks like, or `""`.
        fact: One sentence with the numbers that matter most, or `""`.

    Raises:
        ValueError: another shape; not as many captions as images.

    Example:

    >>> from keras_practices.charts import Images
    >>> Images("Noise", np.random.default_rng(0).normal(size=(4, 8, 8))).arrays.shape
    (4, 8, 8, 1)
    """

    title: str
    arrays: Any
    captions: Sequence[str] = ()
    reading: str = ""
    bad: str = ""
    fact: str = ""

    def __post_init__(self):
        _check_words(self, ("title", "reading", "bad", "fact"))
        try:
            arrays = np.asarray(self.arrays, dtype="float32")
        except (TypeError, ValueError) as error:
            kind = type(self.arrays).__name__
            raise _wrong("Images", "arrays", "images of one shape", kind) from error
        arrays = arrays[..., None] if arrays.ndim == 3 else arrays
        if arrays.ndim != 4 or arrays.shape[-1] not in (1, 3) or 0 in arrays.shape:
            expected = "of shape (images, height, width), or with 1 or 3 channels"
            raise _wrong("Images", "arrays", expected, arrays.shape)
        captions = tuple(map(str, self.captions))
        if captions and len(captions) != len(arrays):
            expected = f"a text for each of the {len(arrays)} images"
            raise _wrong("Images", "captions", expected, captions)
        _set(self, "arrays", arrays)
        _set(self, "captions", captions)


def _set(value, name, content):
    object.__setattr__(value, name, content)


def _wrong(owner, name, expected, value):
    return ArgumentValueError(
        f"{owner}: argument `{name}` must be {expected}. Received: {name}={value!r}."
    )


def _check_words(value, names):
    owner = type(value).__name__
    for name in names:
        if not isinstance(getattr(value, name), str):
            raise ArgumentTypeError(
                f"{owner}: argument `{name}` must be a text. "
                f"Received: {name}={getattr(value, name)!r}."
            )
    if not value.title:
        raise _wrong(owner, "title", "a text that is not empty", value.title)


def _all_of(value, name, content, kind):
    content = tuple(content)
    for each in content:
        if not isinstance(each, kind):
            raise ArgumentTypeError(
                f"{type(value).__name__}: argument `{name}` must be a list of "
                f"{kind.__name__}. Received: {each!r}."
            )
    return content


def _floats(owner, name, values):
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise _wrong(owner, name, "a list of numbers", values) from error


def _places(values):
    values = list(values)
    if values and all(isinstance(value, str) for value in values):
        return tuple(str(value) for value in values)
    places = _floats("Line", "x", values)
    if not all(map(math.isfinite, places)):
        raise _wrong("Line", "x", "a list of finite numbers, or of texts", values)
    return places
