"""Picture of the first layer's filters, one small image each."""

import math

import numpy as np

from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import moment
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture

TITLE = "First-layer filters"
FILTER_LIMIT = 64
TILE_PIXELS = 48
TILE_GAP = 3


def filter_picture(canvas, record):
    """The first kernel at its first and last record, one image for each unit."""
    lines = record.of_kind("filters")
    if not lines:
        return Missing(TITLE, "the record holds no filters.")
    shape = lines[-1]["shape"]
    if as_images(lines[-1]) is None:
        text = " × ".join(map(str, shape))
        return Missing(TITLE, f"a kernel of shape {text} is not a set of images.")
    panels = []
    ends = [lines[0], lines[-1]] if len(lines) > 1 else [lines[-1]]
    for line in ends:
        images = as_images(line)[:FILTER_LIMIT]
        pixels = tiles(images)
        label = moment(line["epoch"]).capitalize()
        alt = f"{len(images)} filters of layer {line['layer']}. {label}."
        size = pixels.shape[1::-1]
        panels.append(Panel(label=label, png=draw.png(pixels), alt=alt, size=size))
    cut = shape[-1] - FILTER_LIMIT
    more = f" The first {FILTER_LIMIT} are drawn; {cut} are not." if cut > 0 else ""
    colour = "in colour" if len(shape) == 4 and shape[2] == 3 else "in grey"
    return Picture(
        title=TITLE,
        fact=f"Layer {lines[-1]['layer']}: {shape[-1]} filters, {colour}."
        f"{_smoothness(ends)}",
        panels=tuple(panels),
        reading="One tile for each unit, scaled from its own lowest weight (black) to "
        f"its own highest (white); red where a weight is not finite.{more}",
        bad="Salt-and-pepper noise that stays as it was at the start: training too "
        "short, learning rate too low, or too little regularisation. Good filters of "
        "natural images are smooth: edges, blobs, colours.",
    )


def _smoothness(lines):
    """Returns a sentence with the score at each line, or `""` where none has one."""
    scores = [line.get("smoothness") for line in lines]
    # Plus zero: no "-0.00".
    known = [f"{round(score, 2) + 0.0:.2f}" for score in scores if score is not None]
    if not known:
        return ""
    # The score of weights that are all the same, as of zeros, is not known.
    when = " at the end" if scores[0] is None else ""
    return f" Smoothness {' to '.join(known)}{when} (0 is noise, 1 a constant)."


def as_images(line):
    """Returns one filters line as images, or None where it holds none.

    Args:
        line: With `shape` `(height, width, channels, units)` for a convolution, or
            `(inputs, units)` for a dense layer on flattened square images.

    Returns:
        Float array, shape `(units, height, width, 1 or 3)`.
    """
    shape = tuple(line["shape"])
    flat = series.numbers(np.ravel(np.array(line["values"], dtype=object)))
    if math.prod(shape) != flat.size or flat.size == 0:
        return None
    kernel = flat.reshape(shape)
    if len(shape) == 4 and shape[2] in (1, 3) and min(shape[:2]) > 1:
        return np.moveaxis(kernel, -1, 0)
    side = math.isqrt(shape[0])
    if len(shape) == 2 and side * side == shape[0] and side > 1:
        return np.moveaxis(kernel.reshape(side, side, 1, shape[1]), -1, 0)
    return None


def _columns(units):
    """Returns how many tiles a row has: few empty places, wider than high."""
    wanted = math.sqrt(1.6 * units)
    choices = range(1, min(units, 12) + 1)
    fitting = [n for n in choices if wanted / 2 <= n <= 2 * wanted] or choices
    return min(fitting, key=lambda n: (-units % n, abs(n - wanted)))


def tiles(images):
    """Returns the images side by side as RGBA, each scaled to its own range.

    Args:
        images: Float array, shape `(units, height, width, 1 or 3)`.

    Returns:
        Float array in [0, 1], shape `(rows, columns, 4)`; transparent between tiles.
    """
    # Whole pixels for each weight, so that the line between tiles can be thin.
    zoom = max(1, TILE_PIXELS // max(images.shape[1:3]))
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    units, height, width, _ = images.shape
    columns = _columns(units)
    rows = math.ceil(units / columns)
    down, across = height + TILE_GAP, width + TILE_GAP
    sheet = np.zeros((rows * down - TILE_GAP, columns * across - TILE_GAP, 4))
    for place, image in enumerate(images):
        top, left = place // columns * down, place % columns * across
        good = np.isfinite(image)
        low, high = (image[good].min(), image[good].max()) if good.any() else (0, 0)
        span = high - low
        grey = (image - low) / span if span > 0 else np.full_like(image, 0.5)
        pixel = np.broadcast_to(grey, (height, width, 3)).copy()
        pixel[~good.all(axis=-1)] = (0.75, 0.1, 0.1)
        sheet[top : top + height, left : left + width, :3] = pixel
        sheet[top : top + height, left : left + width, 3] = 1.0
    return sheet
