"""The one-cycle learning rate."""

import math
from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.schedules.steps import UpdateSchedule
from keras_practices.schedules.steps import as_float


@register
class OneCycle(UpdateSchedule):
    """Rises once to the highest rate, then falls far below where it began.

    The same numbers as PyTorch's `OneCycleLR`: from `highest / start_divisor` at update
    0 to `highest` at update `warmup_share * total_steps - 1`, then to `highest /
    start_divisor / end_divisor` at the last one, `total_steps - 1`; there it stays.
    `LRFinder` suggests the highest rate. `callbacks.MomentumSchedule` lets the
    momentum mirror it.

    Args:
        max_learning_rate: Float above 0. Highest rate.
        total_steps: Integer of at least 2. Updates of the whole training: batches an
            epoch times epochs, divided by `accumulation_steps`.
        warmup_share: Float in (0, 1). Share of the updates in which the rate rises.
        start_divisor: Float above 0. Highest rate over first rate.
        end_divisor: Float above 0. First rate over last rate.
        anneal: `"cosine"` or `"linear"`.
        accumulation_steps: Integer of at least 1: `gradient_accumulation_steps` of the
            optimizer.

    Call arguments:
        step: Int scalar, from 0.

    Returns:
        Float scalar tensor.

    Raises:
        TypeError, ValueError: bad arguments.

    Example:

    >>> schedule = OneCycle(1.0, total_steps=100)
    >>> [round(float(schedule(step)), 3) for step in (0, 29, 99)]
    [0.04, 1.0, 0.0]

    References:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using
        Large Learning Rates" (2017), arXiv:1708.07120.
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        warmup_share: float = 0.3,
        start_divisor: float = 25.0,
        end_divisor: float = 1e4,
        anneal: str = "cosine",
        accumulation_steps: int = 1,
    ):
        super().__init__(accumulation_steps)
        self.max_learning_rate = check_number(
            self, "max_learning_rate", max_learning_rate, low=0, closed="neither"
        )
        self.total_steps = check_integer(self, "total_steps", total_steps, low=2)
        self.warmup_share = check_number(
            self, "warmup_share", warmup_share, low=0, high=1, closed="neither"
        )
        self.start_divisor = check_number(
            self, "start_divisor", start_divisor, low=0, closed="neither"
        )
        self.end_divisor = check_number(
            self, "end_divisor", end_divisor, low=0, closed="neither"
        )
        self.anneal = check_choice(self, "anneal", anneal, ("cosine", "linear"))

    def rate_at(self, update):
        """Returns the rate of an update."""
        first = self.max_learning_rate / self.start_divisor
        last = first / self.end_divisor
        rising, falling = self._shares(update)
        rise = self._between(first, self.max_learning_rate, rising)
        fall = self._between(self.max_learning_rate, last, falling)
        return ops.where(rising < 1, rise, fall)

    def _shares(self, update):
        """How far the rise and the fall have come, each from 0 to 1."""
        end = self.total_steps - 1
        # With very few steps there is no whole step to rise in.
        peak = max(self.warmup_share * self.total_steps - 1, 1e-6)
        time = as_float(ops.minimum(update, end))
        return time / peak, ops.clip((time - peak) / (end - peak), 0.0, 1.0)

    def _between(self, low, high, share):
        if self.anneal == "linear":
            return low + (high - low) * share
        return high + (low - high) * (1 + ops.cos(math.pi * share)) / 2

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "max_learning_rate": self.max_learning_rate,
            "total_steps": self.total_steps,
            "warmup_share": self.warmup_share,
            "start_divisor": self.start_divisor,
            "end_divisor": self.end_divisor,
            "anneal": self.anneal,
            **super().get_config(),
        }
