"""Long and broken series made fit to draw: plain NumPy, no drawing."""

import re
from typing import NamedTuple

import numpy as np

POINT_LIMIT = 2000
# A tenth above the largest float64 is not a float64: leave room for axes and sums.
AXIS_LIMIT = 1e300
MEDIAN_POINTS = 400


def numbers(values):
    """Returns a float array; the strings `"nan"` and `"inf"` become what they say."""
    return np.array([float(value) for value in values], dtype=float)


def run_end(record):
    """Returns how many epochs the record spans."""
    ends = [record.curve("loss")[0], *([line["epoch"]] for line in record.epochs)]
    ends += [[line["epoch"]] for line in [*record.samples, *record.probes]]
    return float(max((end[-1] for end in ends if end), default=0.0))


def epoch_curve(record, *path):
    """Returns `(epochs, values)` of one figure of the epoch lines.

    Epochs without it are left out: not measured is not the same as not finite.

    Args:
        record: A `Record`.
        *path: Names of the keys that lead to the figure.
    """
    epochs, values = [], []
    for line in record.epochs:
        value = line
        for name in path:
            value = (value or {}).get(name)
        if value is not None:
            epochs.append(line["epoch"])
            values.append(value)
    return numbers(epochs), numbers(values)


def figure_curves(lines, group, figure):
    """Returns `{name: (epochs, values)}` of one figure, where it was measured.

    Args:
        lines: `samples` or `probes` of a record.
        group: `"weights"` or `"layers"`.
        figure: Name of the figure, such as `"update_ratio"`.
    """
    points = {}
    for line in lines:
        for name, figures in (line.get(group) or {}).items():
            if figures.get(figure) is not None:
                points.setdefault(name, []).append((line["epoch"], figures[figure]))
    return {
        name: tuple(numbers(column) for column in zip(*pairs, strict=True))
        for name, pairs in points.items()
    }


def with_kernels(record, layers):
    """Returns the layers that hold a weight matrix, in the order of their weights.

    Samples list layers with an activation first, whatever their place in the model.

    Args:
        record: A `Record`.
        layers: Names of layers.

    Returns:
        List of names; all of `layers` where the record knows no matrix of theirs.
    """
    kernels = record.kernels
    paths = [path for path in record.start.get("variables", {}) if path in kernels]
    places = {}
    for name in layers:
        found = (n for n, path in enumerate(paths) if f"/{name}/" in f"/{path}")
        places[name] = next(found, None)
    known = [name for name in layers if places[name] is not None]
    return sorted(known, key=places.get) or list(layers)


def drawable(y):
    """Returns which numbers are finite and not too large for an axis."""
    return np.abs(y) < AXIS_LIMIT


def finite(x, y):
    """Returns the points with a `y` that can be drawn."""
    keep = drawable(y)
    return x[keep], y[keep]


class Broken(NamedTuple):
    """Where a series is not finite.

    Args:
        place: Where it first is not.
        times: At how many places it is not.
        for_good: True where no finite value follows.
    """

    place: float
    times: int
    for_good: bool

    @property
    def text(self):
        """One sentence about the loss."""
        if self.for_good:
            return f"The loss is not finite from epoch {self.place:.3g} on."
        return (
            f"The loss is not finite at {self.times} places, first at epoch "
            f"{self.place:.3g}."
        )


def find_broken(x, y):
    """Returns where `y` is not finite as a `Broken`, or None."""
    bad = np.flatnonzero(~np.isfinite(y))
    if not bad.size:
        return None
    for_good = bool(bad[0] + bad.size == len(y))
    return Broken(float(x[bad[0]]), int(bad.size), for_good)


def extremes(y, limit=POINT_LIMIT):
    """Returns the places of at most `limit` values, every extreme among them.

    The series is cut into equal buckets and each gives its lowest and its highest
    value, with the first and the last value of all: a spike of one step in a million
    survives, as it would not with every n-th value.

    Args:
        y: Float array, shape `(n,)`, finite.
        limit: Int of at least 4.

    Returns:
        Set of `min(n, limit)` indices at most.
    """
    if len(y) <= limit:
        return set(range(len(y)))
    edges = np.linspace(0, len(y), (limit - 2) // 2 + 1).astype(int)
    kept = {0, len(y) - 1}
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        kept.add(start + int(np.argmin(y[start:stop])))
        kept.add(start + int(np.argmax(y[start:stop])))
    return kept


def thin(x, y, limit=POINT_LIMIT):
    """Returns the points at `extremes(y)`, in order."""
    order = sorted(extremes(y, limit))
    return x[order], y[order]


def sample(x, y, limit=POINT_LIMIT):
    """Returns at most `limit` points for a cloud of dots.

    Every extreme of a quarter of the places and, for the rest, every n-th point:
    extremes alone would leave a hole along the middle that is not in the data.
    """
    if len(y) <= limit:
        return x, y
    kept = extremes(y, limit // 4)
    even = np.linspace(0, len(y) - 1, limit - len(kept)).astype(int)
    order = sorted(kept.union(even.tolist()))
    return x[order], y[order]


def running_median(x, y, points=MEDIAN_POINTS):
    """Returns the median of a sliding window at up to `points` places.

    The window is a 25th of the series, at least 5 values: wide enough to see
    through the noise of batches, narrow enough to follow a decay step.
    """
    half = max(2, len(y) // 50)
    places = np.unique(np.linspace(0, len(y) - 1, min(len(y), points)).astype(int))
    middle = [np.median(y[max(0, p - half) : p + half + 1]) for p in places]
    return x[places], np.array(middle)


def pick(names, limit, wanted=()):
    """Returns at most `limit` names in their order: the wanted, then evenly spread.

    Args:
        names: List of strings.
        limit: Most names to return.
        wanted: Subjects of findings. A name that shares its path with one goes first
            (layer `"conv2d"` and variable `"model/conv2d/kernel"`), for at most half
            of the places.
    """
    if len(names) <= limit:
        return list(names)
    subjects = [_parts(text) for text in wanted if text]
    named = [
        name
        for name in names
        if any(_parts(name) <= parts or parts <= _parts(name) for parts in subjects)
    ]
    chosen = set(named[: limit // 2])
    rest = [name for name in names if name not in chosen]
    free = np.linspace(0, len(rest) - 1, limit - len(chosen)).round().astype(int)
    chosen.update(rest[place] for place in free)
    return [name for name in names if name in chosen]


def _parts(text):
    return set(re.findall(r"[^\s/,'\"`]+", text))
