"""Where in its range a value lies, the scale of the range in mind."""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

NUMBERS = ("float", "int")


@dataclasses.dataclass(frozen=True)
class Axis:
    """One hyperparameter as an axis from 0 to 1.

    Args:
        name: Its name.
        kind: `"float"`, `"int"`, `"choice"`, `"boolean"` or `"fixed"`.
        low: Lower end of the range of a number.
        high: Upper end.
        scale: `"linear"`, `"log"` or `"reverse_log"` of a number.
        options: The values it can take, in order; `()` where they lie densely.
        ordered: Bool. Whether nearby places have alike values.
        conditions: Dicts of `name` and `values` that other hyperparameters must have.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    scale: str = "linear"
    options: tuple[Any, ...] = ()
    ordered: bool = False
    conditions: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_log(self) -> bool:
        """Whether equal factors are equal steps."""
        return self.kind in NUMBERS and self.scale == "log"

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers in an order."""
        return self.ordered and (
            not self.options or all(_is_number(one) for one in self.options)
        )

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether a point has this hyperparameter."""
        return self.name in values and all(
            values.get(one["name"]) in one["values"] for one in self.conditions
        )

    def place(self, value: Any) -> float | None:
        """Returns where a value lies, in [0, 1]; None for what is no value of it.

        One of several options lies in the middle of its part of the range.
        """
        if self.options:
            return _place_among(self.options, value)
        if not _is_number(value) or not math.isfinite(value):
            return None
        if self.high <= self.low:
            return 0.5
        share = _share(self, float(value))
        return None if share is None else min(max(share, 0.0), 1.0)

    def value(self, place: float) -> float:
        """Returns the number at a place, which may lie outside [0, 1]."""
        low, high = self.low, self.high
        if self.options:
            low, high = float(self.options[0]), float(self.options[-1])
        factor = high / low if low > 0 else math.nan
        if self.scale == "log":
            return float(low * factor**place)
        if self.scale == "reverse_log":
            return float(high + low - low * factor ** (1.0 - place))
        return low + place * (high - low)


def axes_of(space: Sequence[Mapping[str, Any]]) -> list[Axis]:
    """Returns the axes of a space, without what has a single value.

    Args:
        space: List of dicts as `SearchRecord.space` holds them.

    Returns:
        List of `Axis`, in the order of the space. A name that stands there several
        times, under several conditions, has as many axes.
    """
    axes = [_axis(one) for one in space]
    return [one for one in axes if one is not None]


def axis_for(axes: Sequence[Axis], values: Mapping[str, Any], name: str) -> Axis | None:
    """Returns the axis that a name has at a point, None where it has none."""
    found = (one for one in axes if one.name == name and one.is_active(values))
    return next(found, None)


def places_of(axes: Sequence[Axis], values: Mapping[str, Any]) -> dict[str, float]:
    """Returns the place of each value of a point by name, where it has one."""
    places = {}
    for axis in axes:
        place = axis.place(values[axis.name]) if axis.is_active(values) else None
        if place is not None and axis.name not in places:
            places[axis.name] = place
    return places


def _axis(one):
    kind, name = one["kind"], one["name"]
    conditions = tuple(one.get("conditions") or ())
    if kind in NUMBERS:
        low, high = float(one["low"]), float(one["high"])
        scale = one.get("scale") or "linear"
        options = _stepped(low, high, one.get("step"), scale)
        if high <= low or len(options) == 1:
            return None
        return Axis(name, kind, low, high, scale, options, True, conditions)
    options = tuple(one.get("values") or ())
    if len(options) < 2:
        return None
    ordered = bool(one.get("ordered", all(map(_is_number, options))))
    rising = all(map(_is_number, options)) and list(options) == sorted(options)
    ordered = ordered and rising and kind == "choice"
    return Axis(name, kind, options=options, ordered=ordered, conditions=conditions)


def _stepped(low, high, step, scale):
    """The values of a range with a step; as keras-tuner counts them."""
    if step is None:
        return ()
    if scale == "linear":
        count = math.floor((high - low) / step + 1e-9) + 1
        return tuple(low + place * step for place in range(count))
    count = math.floor(math.log(high / low) / math.log(step) + 1e-8) + 1
    rising = [low * step**place for place in range(count)]
    if scale == "reverse_log":
        # Counted down from the upper end, but still from the lowest on.
        rising = sorted(high + low - value for value in rising)
    return tuple(rising)


def _place_among(options, value):
    if value in options:
        place = next(i for i, one in enumerate(options) if one == value)
    elif _is_number(value) and all(map(_is_number, options)):
        # A number that was rounded on its way.
        place = min(range(len(options)), key=lambda i: abs(options[i] - value))
    else:
        return None
    return (place + 0.5) / len(options)


def _share(axis, value):
    low, high = axis.low, axis.high
    if axis.scale == "linear":
        return (value - low) / (high - low)
    if axis.scale == "reverse_log":
        value = high + low - value
    if value <= 0:
        return None
    share = math.log(value / low) / math.log(high / low)
    return 1.0 - share if axis.scale == "reverse_log" else share


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)
