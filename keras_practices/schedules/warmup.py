"""A slow start in front of any learning rate."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.schedules.steps import UpdateSchedule
from keras_practices.schedules.steps import as_float


@register
class Warmup(UpdateSchedule):
    """Raises the rate linearly over the first `steps` updates, then hands over.

    Update `t < steps` gets `(t + 1) / steps` of the first rate that follows, so that no
    update is lost on a rate of zero; update `steps` is step 0 of `schedule`.

    With `steps=0` it only counts right: any Keras schedule, asked with updates instead
    of batches where the optimizer accumulates gradients.

    Args:
        schedule: Float above 0, or a Keras schedule.
        steps: Integer of at least 0. Updates of the warm-up.
        accumulation_steps: Integer of at least 1: `gradient_accumulation_steps` of the
            optimizer. Leave it out of the schedule inside.

    Call arguments:
        step: Int scalar, from 0.

    Returns:
        Float scalar tensor.

    Raises:
        TypeError: `schedule` is neither; a number of another kind.
        ValueError: a number out of range; accumulation counted twice.

    Example:

    >>> schedule = Warmup(0.5, steps=4)
    >>> [float(schedule(step)) for step in range(6)]
    [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]

    References:
        Goyal et al., "Accurate, Large Minibatch SGD" (2017), arXiv:1706.02677, gradual
        warmup.
    """

    def __init__(self, schedule: Any, steps: int, accumulation_steps: int = 1):
        super().__init__(accumulation_steps)
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            if not isinstance(schedule, int | float):
                raise type_error(
                    self, "schedule", "a number or a Keras schedule", schedule
                )
            check_number(self, "schedule", schedule, low=0, closed="neither")
        elif getattr(schedule, "accumulation_steps", 1) > 1:
            raise value_error(
                self,
                "schedule",
                "without accumulation_steps of its own",
                schedule,
                "Pass accumulation_steps to Warmup alone.",
            )
        self.schedule = schedule
        self.steps = check_integer(self, "steps", steps, low=0)

    def rate_at(self, update):
        """Returns the rate of an update."""
        after = ops.maximum(update - self.steps, 0)
        rate = self.schedule(after) if callable(self.schedule) else self.schedule
        share = as_float(update + 1) / max(1, self.steps)
        return rate * ops.minimum(share, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "steps": self.steps,
            **super().get_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Warmup":
        """Builds the schedule from what `get_config` returned."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})
