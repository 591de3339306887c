"""Every colour of a report, once: `name: (on light paper, on dark paper)`.

Pictures are drawn in the placeholder colours of `placeholder` and written with
`var(--kp-<name>)`, so they follow the reader's light or dark setting like the text
around them. Text roles keep a contrast of at least 4.5 : 1 (WCAG 2.2, AA).
"""

PALETTE = {
    "page": ("#faf9f7", "#131417"),
    "card": ("#ffffff", "#1b1d21"),
    "line": ("#e3e0da", "#33373e"),
    "ink": ("#1c1e22", "#ececea"),
    "muted": ("#5f636b", "#a3a8b0"),
    "error": ("#b42318", "#ff8f85"),
    "error-tint": ("#fdecea", "#3a1d1b"),
    "warning": ("#8a5300", "#f0bd5b"),
    "warning-tint": ("#fcf1dc", "#33270f"),
    "note": ("#3d5a80", "#9dbbe0"),
    "note-tint": ("#e9eff7", "#1c2735"),
    "ok": ("#1d6f47", "#77cf9f"),
    "ok-tint": ("#e6f4ec", "#15291f"),
    "train": ("#1f5fbf", "#78aeff"),
    "validation": ("#c2480a", "#ffa568"),
    "batch": ("#7f9cc4", "#5d7699"),
    # From the first layer to the last: one walk through hue and lightness, so that
    # depth reads as an order and neighbours still differ.
    "depth-0": ("#45106b", "#c9a3f5"),
    "depth-1": ("#6a3fa8", "#a98bff"),
    "depth-2": ("#3f63b8", "#7f9dff"),
    "depth-3": ("#2280a3", "#55b4e6"),
    "depth-4": ("#14877c", "#3fcbb8"),
    "depth-5": ("#3f8a3a", "#7fd66a"),
    "depth-6": ("#8a7d0a", "#d3cd4d"),
    "depth-7": ("#b5600f", "#ffb45c"),
}

DEPTH_COLOURS = 8


def depth_colour(position, count):
    """Returns the colour name of layer `position` (from 0) among `count`."""
    if count <= 1:
        return "train"
    return f"depth-{round(position * (DEPTH_COLOURS - 1) / (count - 1))}"


def placeholder(name):
    """Returns the hex colour that stands for `name` until the picture is written."""
    return f"#fa{list(PALETTE).index(name):02x}ce"


def placeholders():
    """Returns a dict from placeholder colour to CSS value."""
    return {placeholder(name): f"var(--kp-{name})" for name in PALETTE}
