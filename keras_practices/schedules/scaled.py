"""A schedule times a number."""

from typing import Any

import keras

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error


@register
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """Multiplies another schedule by `factor`.

    Args:
        schedule: Keras schedule.
        factor: Float of at least 0.

    Call arguments:
        step: Int scalar, from 0.

    Returns:
        Float scalar tensor.

    Raises:
        TypeError, ValueError: bad arguments.

    Example:

    >>> halved = Scaled(keras.optimizers.schedules.CosineDecay(0.2, 100), 0.5)
    >>> round(float(halved(0)), 3)
    0.1

    References:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification"
        (2018), arXiv:1801.06146, discriminative fine-tuning.
    """

    def __init__(self, schedule: Any, factor: float):
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            raise type_error(self, "schedule", "a Keras schedule", schedule)
        self.schedule = schedule
        self.factor = check_number(self, "factor", factor, low=0)

    @property
    def accumulation_steps(self) -> int:
        """Batches of an update, as the schedule inside counts them."""
        return getattr(self.schedule, "accumulation_steps", 1)

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        inner = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": inner, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Scaled":
        """Builds the schedule from what `get_config` returned."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["factor"])
