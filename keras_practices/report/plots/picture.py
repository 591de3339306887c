"""What a drawn picture is, before any template sees it."""

from typing import NamedTuple


class Panel(NamedTuple):
    """One drawing inside a picture.

    Args:
        svg: SVG element as text, or `""` where `png` holds the drawing.
        label: Short heading above it, or `""`.
        rows: Pairs of name and text, shown below it.
        png: Base64 of a PNG, or `""`.
        alt: What the drawing shows, for readers who cannot see it.
        size: `(width, height)` of the PNG in pixels.
    """

    svg: str = ""
    label: str = ""
    rows: tuple = ()
    png: str = ""
    alt: str = ""
    size: tuple = ()


class Picture(NamedTuple):
    """A picture with all the words that make it readable.

    Args:
        title: What it shows.
        fact: One sentence with the numbers that matter most, or `""`.
        panels: The drawings.
        reading: How to read it.
        bad: What a bad one looks like.
        legend: Triples of mark and colour name, text, last value.
        layout: `"panels"` (large, side by side) or `"tiles"` (small multiples).
    """

    title: str
    fact: str
    panels: tuple
    reading: str
    bad: str
    legend: tuple = ()
    layout: str = "panels"


class Missing(NamedTuple):
    """A picture that could not be drawn, and why."""

    title: str
    why: str


class Key(NamedTuple):
    """One entry of a legend.

    Args:
        mark: `"line"`, `"thin"`, `"dots"`, `"bar"` or `"band"`.
        colour: Name in the palette.
        text: What the mark stands for.
        value: Its last value as text, or `""`.
    """

    mark: str
    colour: str
    text: str
    value: str = ""
