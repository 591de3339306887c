"""Numeric slopes of a loss along single weights, beside the gradients of autodiff.

A weight is moved by a step both ways (CS231n, "Gradient checks": centred differences
in float64). Where the two slopes differ, a smaller step and each side by itself tell a
wrong gradient from a kink: the slope at a ReLU's corner depends on step and side, the
slope of a smooth loss does not.
"""

import dataclasses
import math
import time

import keras
import numpy as np

from keras_practices._core import backend

# A hundred times below 1e-2, which CS231n calls probably wrong; kinks, for which it
# would allow up to 1e-4, are told apart here.
LIMIT = 1e-4
# Step as a share of the size of a weight, and how much smaller the second one is.
STEP = 1e-5
FINER = 10.0
# How many units in the last place of a loss may be rounding.
ROUNDING = 100 * 2.0**-52
# A slope that changes with step or side by more than this share of the difference to
# the gradient says nothing about the gradient.
UNSURE = 0.1


class NotRepeatable(Exception):
    """Two equal passes give different losses."""


@dataclasses.dataclass
class Coordinate:
    """One entry of one variable.

    Attributes:
        variable: Place of the variable among the trainable ones.
        index: Place in the flat variable.
        place: Place among the entries of all variables.
        step: How far the weight is moved.
        analytic: Gradient of autodiff.
        numeric: Slope, None as long as it was not measured.
        relative_error: Their relative difference, None as long as not measured.
        kink: True where nothing follows from the slope.
    """

    variable: int
    index: int
    place: int
    step: float
    analytic: float
    numeric: float | None = None
    relative_error: float | None = None
    kink: bool = False


def pick_coordinates(values, gradients, count, rng):
    """Picks some entries of every variable, most of them with a gradient.

    Args:
        values: List of float64 NumPy arrays.
        gradients: The gradients there, None for none.
        count: Entries of each variable at the most.
        rng: `numpy.random.Generator`.

    Returns:
        List of `Coordinate`: first one of each variable, then the second of each, …
    """
    rounds, begin = [[] for _ in range(count)], 0
    for variable, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        flat = value.ravel()
        slopes = np.zeros_like(flat) if gradient is None else gradient.ravel()
        size = math.sqrt(np.mean(flat**2)) if flat.size else 0.0
        for turn, index in enumerate(_entries(slopes, count, rng)):
            # Powers of two: adding and taking off is exact up to the last place.
            step = 2.0 ** round(math.log2(STEP * (max(size, abs(flat[index])) or 1.0)))
            place, slope = begin + int(index), float(slopes[index])
            one = Coordinate(variable, int(index), place, step, slope)
            rounds[turn].append(one)
        begin += flat.size
    return [one for turn in rounds for one in turn]


def _entries(slopes, count, rng):
    """Places to look at; one of four among those of zero gradient, if there are."""
    with_slope, without = np.flatnonzero(slopes), np.flatnonzero(slopes == 0)
    zeros = min(len(without), max(count - len(with_slope), count // 4))
    some = min(len(with_slope), count - zeros)
    return [
        *rng.choice(with_slope, size=some, replace=False),
        *rng.choice(without, size=zeros, replace=False),
    ]


class Losses:
    """Losses with one weight moved, the fastest way that gives the right ones.

    A compiled or vectorised call for many at once; where a layer does not allow it,
    one after the other.

    Args:
        loss_at: `(list of tensors, fixed) -> scalar loss`.
        values: List of float64 tensors.
        fixed: Lists and dicts of tensors.
        base: Loss at `values`, as the gradients were computed with.

    Raises:
        NotRepeatable: no way gives `base` again.
    """

    def __init__(self, loss_at, values, fixed, base):
        self.base = base
        self._values = values
        self._fixed = fixed
        ways = [
            lambda: backend.losses_nearby(loss_at, values, fixed),
            lambda: self._one_by_one(backend.compiled(loss_at)),
            lambda: self._one_by_one(loss_at),
        ]
        for make in ways:
            try:
                self._run = make()
                # Other ways to compile may round in other ways.
                same = np.abs(self._run(*_nowhere()) - base) <= 1e-10 * abs(base)
            except Exception:
                # Layers may hold whatever cannot be compiled or vectorised.
                continue
            if same.all():
                return
        raise NotRepeatable

    def __call__(self, places, steps):
        """Returns the losses with entry `places[i]` moved by `steps[i]`."""
        return self._run(np.asarray(places, np.int64), np.asarray(steps, np.float64))

    def _one_by_one(self, loss_at):
        arrays = [keras.ops.convert_to_numpy(value) for value in self._values]
        ends = np.cumsum([array.size for array in arrays])

        def run(places, steps):
            found = []
            for place, step in zip(places, steps, strict=True):
                at = int(np.searchsorted(ends, place, side="right"))
                moved = arrays[at].copy()
                moved.flat[place - (ends[at] - moved.size)] += step
                given = list(self._values)
                given[at] = keras.ops.convert_to_tensor(moved, dtype="float64")
                loss = loss_at(given, self._fixed)
                found.append(float(keras.ops.convert_to_numpy(loss)))
            return np.array(found)

        return run


def _nowhere():
    return np.zeros(2, np.int64), np.zeros(2)


def check_coordinates(losses, coordinates, deadline):
    """Measures slopes and writes them into the coordinates, until time is up.

    Args:
        losses: A `Losses`.
        coordinates: List of `Coordinate`; those that were not reached stay without
            a slope.
        deadline: `time.perf_counter()` at which no further call is made.
    """
    done, size = 0, 8
    while done < len(coordinates) and time.perf_counter() < deadline:
        begun = time.perf_counter()
        part = coordinates[done : done + size]
        _look(losses, part)
        done += len(part)
        now = time.perf_counter()
        if (now - begun) * 4 < deadline - now:
            size *= 2


def names_of(variables):
    """Returns the paths of variables, numbered where two have the same."""
    names, seen = [], {}
    for variable in variables:
        seen[variable.path] = seen.get(variable.path, 0) + 1
        again = seen[variable.path] > 1
        names.append(
            f"{variable.path} ({seen[variable.path]})" if again else variable.path
        )
    return names


def summarize(points, names):
    """Returns `checked`, `kinks` and `worst` of coordinates that were looked at.

    Args:
        points: List of `Coordinate` with slopes.
        names: Names of the trainable variables.
    """
    clear = [one for one in points if not one.kink]
    worst = max(clear, key=lambda one: one.relative_error, default=None)
    return {
        "checked": len(points),
        "kinks": len(points) - len(clear),
        "worst": worst
        and {
            "variable": names[worst.variable],
            "index": worst.index,
            "relative_error": worst.relative_error,
            "analytic": worst.analytic,
            "numeric": worst.numeric,
        },
    }


def _look(losses, coordinates):
    sides = _sides(losses, coordinates, 1.0)
    suspects = []
    for one, (up, down) in zip(coordinates, sides, strict=True):
        one.numeric = (up - down) / (2 * one.step)
        one.relative_error = _relative(one, one.numeric, _noise(losses, one.step))
        if not one.relative_error <= LIMIT:
            suspects.append(one)
    if not suspects:
        return
    sides = _sides(losses, suspects, 1 / FINER)
    for one, (up, down) in zip(suspects, sides, strict=True):
        _look_again(one, up, down, losses)


def _look_again(one, up, down, losses):
    """Decides between an error and a kink, from the losses on both sides."""
    step, coarse = one.step / FINER, one.numeric
    fine, noise = (up - down) / (2 * step), _noise(losses, step)
    right, left = (up - losses.base) / step, (losses.base - down) / step
    if not math.isfinite(coarse) or not all(map(math.isfinite, (fine, right, left))):
        one.kink = True
        return
    off = abs(fine - one.analytic)
    # A gradient that is not a number differs from every slope.
    sure = off * UNSURE if math.isfinite(off) else abs(fine) + noise
    settled = abs(coarse - fine) <= sure and abs(right - left) <= 2 * sure + 4 * noise
    error = _relative(one, fine, noise)
    one.kink = not settled or error <= LIMIT
    if not one.kink:
        one.numeric, one.relative_error = fine, error


def _sides(losses, coordinates, share):
    places = [one.place for one in coordinates]
    steps = np.array([one.step for one in coordinates]) * share
    both = losses([*places, *places], np.concatenate([steps, -steps]))
    return np.asarray(both).reshape(2, -1).T.tolist()


def _noise(losses, step):
    """What rounding of the losses alone may do to a slope."""
    return ROUNDING * abs(losses.base) / step


def _relative(one, numeric, noise):
    if not math.isfinite(one.analytic):
        return 1.0
    off = abs(one.analytic - numeric)
    # At the limit the difference is at least as large as the rounding may be.
    scale = max(abs(one.analytic), abs(numeric), noise / LIMIT)
    return off / scale if scale else 0.0
