"""Learning rates that go up and down again and again."""

import math
from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error
from keras_practices.schedules.steps import UpdateSchedule
from keras_practices.schedules.steps import as_float

_POLICIES = ("triangular", "triangular2", "exponential")


@register
class Cyclical(UpdateSchedule):
    """Rises and falls linearly between two rates, `step_size` updates each way.

    The numbers of TensorFlow Addons' `TriangularCyclicalLearningRate`,
    `Triangular2CyclicalLearningRate` and `ExponentialCyclicalLearningRate`.

    Args:
        initial_learning_rate: Float of at least 0. Lowest rate.
        maximal_learning_rate: Float, at least the lowest. Rate at the first peak.
        step_size: Integer of at least 1. Updates from lowest to highest rate, two to
            eight times those of an epoch.
        policy: `"triangular"`: all peaks are the same. `"triangular2"`: each is half
            as far above the lowest rate as the one before. `"exponential"`: the
            distance shrinks by `gamma` with each update.
        gamma: Float in (0, 1], read by `"exponential"` only.
        accumulation_steps: Integer of at least 1: `gradient_accumulation_steps` of the
            optimizer.

    Call arguments:
        step: Int scalar, from 0.

    Returns:
        Float scalar tensor.

    Raises:
        TypeError, ValueError: bad arguments.

    Example:

    >>> schedule = Cyclical(1.0, 3.0, step_size=2)
    >>> [float(schedule(step)) for step in range(5)]
    [1.0, 2.0, 3.0, 2.0, 1.0]

    References:
        Smith, "Cyclical Learning Rates for Training Neural Networks" (2017),
        arXiv:1506.01186; TensorFlow Addons 0.23.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        maximal_learning_rate: float,
        step_size: int,
        policy: str = "triangular",
        gamma: float = 1.0,
        accumulation_steps: int = 1,
    ):
        super().__init__(accumulation_steps)
        self.initial_learning_rate = check_number(
            self, "initial_learning_rate", initial_learning_rate, low=0
        )
        self.maximal_learning_rate = check_number(
            self, "maximal_learning_rate", maximal_learning_rate, low=0
        )
        if maximal_learning_rate < initial_learning_rate:
            expected = f"at least initial_learning_rate ({initial_learning_rate!r})"
            raise value_error(
                self, "maximal_learning_rate", expected, maximal_learning_rate
            )
        self.step_size = check_integer(self, "step_size", step_size, low=1)
        self.policy = check_choice(self, "policy", policy, _POLICIES)
        self.gamma = check_number(self, "gamma", gamma, low=0, high=1, closed="right")

    def rate_at(self, update):
        """Returns the rate of an update."""
        # The place in the cycle is a small whole number, also after many steps.
        place = as_float(update % (2 * self.step_size))
        height = 1 - ops.abs(place / self.step_size - 1)
        width = self.maximal_learning_rate - self.initial_learning_rate
        return self.initial_learning_rate + width * height * self._scale(update)

    def _scale(self, update):
        if self.policy == "triangular":
            return 1.0
        if self.policy == "triangular2":
            cycle = ops.floor_divide(update, 2 * self.step_size)
            return ops.exp(-math.log(2) * as_float(cycle))
        # A power of a base near 1 would lose digits with every step.
        return ops.exp(math.log(self.gamma) * as_float(update))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "maximal_learning_rate": self.maximal_learning_rate,
            "step_size": self.step_size,
            "policy": self.policy,
            "gamma": self.gamma,
            **super().get_config(),
        }
