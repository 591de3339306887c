"""The part of a space around its best points."""

from collections.abc import Sequence
from typing import Any

from keras_practices.tuners.strategy import fits
from keras_practices.tuners.strategy import is_ordered
from keras_practices.tuners.strategy import option_count
from keras_practices.tuners.strategy import share_of
from keras_practices.tuners.strategy import stream
from keras_practices.tuners.strategy import value_at

# Width below which no range is narrowed, as a share of the range: a few good points
# lie close together by chance as well.
NARROWEST = 0.2
# Chance of a kind of which no good point is, beside that of one good point.
_UNSEEN = 0.5


class Box:
    """Draws points near some good ones.

    Every numeric hyperparameter, and every choice of numbers, is drawn uniformly (on
    its own scale, so log-uniformly where it has one) between the smallest and the
    largest of the good points. Each end is moved outwards by what the ends of as many
    uniform draws fall short of the range that they come from, so that the box does not
    shrink by counting few points; no box is narrower than a fifth of the range, nor
    than two neighbouring steps. Kinds are drawn as often as good points have them, and
    each at least half as often as one good point would be.

    Args:
        space: `keras_tuner.HyperParameters` with the whole space.
        points: Dicts of values, the good points.
        *seeds: Integers that the draws follow from.
    """

    def __init__(self, space: Any, points: Sequence[dict[str, Any]], *seeds: int):
        self.space = space
        self.points = list(points)
        self.seeds = seeds

    @property
    def is_whole(self) -> bool:
        """Whether too few points are there to narrow anything."""
        return len(self.points) < 2

    def value_of(self, parameter: Any) -> Any:
        """Draws the value of one hyperparameter."""
        random = stream(parameter, *self.seeds)
        seen = self._seen(parameter)
        if len(seen) < 2:
            return value_at(parameter, random.random())
        if is_ordered(parameter):
            low, high = self.range_of(parameter)
            return value_at(parameter, low + (high - low) * random.random())
        options = list(parameter.values)
        weights = [max(seen.count(option), _UNSEEN) for option in options]
        total = sum(weights)
        return options[random.choice(len(options), p=[w / total for w in weights])]

    def range_of(self, parameter: Any) -> tuple[float, float]:
        """Returns the ends of the box along a number, as shares of its range."""
        shares = sorted(share_of(parameter, value) for value in self._seen(parameter))
        if len(shares) < 2:
            return 0.0, 1.0
        low, high = shares[0], shares[-1]
        # The ends of n uniform draws lie 1/(n+1) of the range inside of it, on average.
        margin = (high - low) / (len(shares) - 1)
        count = option_count(parameter)
        narrowest = NARROWEST if count is None else max(NARROWEST, 2 / count)
        margin = max(margin, (narrowest - (high - low)) / 2)
        low, high = low - margin, high + margin
        # At a border of the range it is moved inside, not cut off.
        if low < 0:
            low, high = 0.0, max(high, min(1.0, narrowest))
        if high > 1:
            low, high = min(low, max(0.0, 1.0 - narrowest)), 1.0
        return max(low, 0.0), min(high, 1.0)

    def _seen(self, parameter):
        return [
            point[parameter.name] for point in self.points if fits(parameter, point)
        ]
