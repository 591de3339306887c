"""What the schedules share: updates counted as the paper counts them."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.validation import check_integer


class UpdateSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule over the updates of the weights.

    With `gradient_accumulation_steps` Keras 3.15 asks a schedule with the number of
    batches, not of updates: eight batches in groups of four are step 8 after two
    updates. `accumulation_steps` divides that out.

    Subclasses give `rate_at(update)` for a scalar int tensor.
    """

    def __init__(self, accumulation_steps: int):
        self.accumulation_steps = check_integer(
            self, "accumulation_steps", accumulation_steps, low=1
        )

    def rate_at(self, update):
        """Returns the rate of an update, counted from 0, as a float scalar."""
        raise NotImplementedError

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate.

        Args:
            step: Int scalar, what Keras counts, from 0.

        Returns:
            Float scalar tensor.
        """
        # Kept whole: float32 has no odd numbers above 2 ** 24.
        step = ops.cast(step, "int32")
        if self.accumulation_steps > 1:
            step = ops.floor_divide(step, self.accumulation_steps)
        return self.rate_at(step)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"accumulation_steps": self.accumulation_steps}


def as_float(number):
    """Returns an int tensor as float, of Keras's float type."""
    return ops.cast(number, keras.config.floatx())
