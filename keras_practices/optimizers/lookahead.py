"""Lookahead: an optimizer that walks fast, and slow weights that follow."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error


@register
class Lookahead(keras.optimizers.Optimizer):
    """Lets an optimizer take `sync_period` steps, then goes a part of that way.

    Every `sync_period` updates the weights become `slow + slow_step_size * (fast -
    slow)`, where `slow` are the weights after the last such moment. Takes the arguments
    of `tfa.optimizers.Lookahead`.

    Everything else is the optimizer's: rate and schedule, weight decay, clipping,
    accumulated gradients (a group of batches counts as one update). The weights of the
    model are the fast ones; train a multiple of `sync_period` updates to end on slow
    ones. Weights that are loaded in the midst of a period are drawn towards the slow
    ones of before, until the next one begins. A moving average of the optimizer's own
    (`use_ema`) is that of the fast weights.

    Args:
        optimizer: Keras optimizer, or its name; not one that scales the loss, which
            Keras puts around this one by itself in mixed precision.
        sync_period: Integer of at least 1. Updates between two moments.
        slow_step_size: Float in (0, 1]. Share of the way; 1 leaves the optimizer as it
            is.
        name: Name of the optimizer.

    Raises:
        TypeError: `optimizer` is none, or scales the loss; a number of another kind.
        ValueError: a number out of range.

    Cost:
        A copy of the weights, and two passes over them in each step.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(Lookahead(keras.optimizers.Adam(1e-3)), "mse")
    >>> model.optimizer.sync_period
    6

    References:
        Zhang, Lucas, Hinton and Ba, "Lookahead Optimizer: k steps forward, 1 step back"
        (2019), arXiv:1907.08610.
    """

    def __init__(
        self,
        optimizer: Any,
        sync_period: int = 6,
        slow_step_size: float = 0.5,
        name: str = "lookahead",
    ):
        inner = keras.optimizers.get(optimizer)
        if isinstance(inner, keras.optimizers.LossScaleOptimizer):
            raise type_error(
                self, "optimizer", "one that does not scale the loss", inner
            )
        check_integer(self, "sync_period", sync_period, low=1)
        check_number(
            self, "slow_step_size", slow_step_size, low=0, high=1, closed="right"
        )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner
        self.sync_period = int(sync_period)
        self.slow_step_size = float(slow_step_size)

    @property
    def variables(self):
        """Own variables (slow weights), then those of the optimizer inside."""
        return self._variables + self.inner_optimizer.variables

    @property
    def iterations(self):
        """Updates made so far."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self):
        """Rate of the optimizer inside."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    def build(self, variables):
        """Makes the slow weights and the state of the optimizer inside."""
        if self.built:
            return
        # A scaled loss is undone by the one that applies the gradients.
        self.inner_optimizer.loss_scale_factor = self.loss_scale_factor
        self.inner_optimizer.build(variables)
        self._slow = self.add_optimizer_variables(variables, "slow")
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        """Has the optimizer apply the gradients; at the end of a period, goes back.

        Args:
            grads: List of gradients.
            trainable_variables: Variables they belong to; None for those that it was
                built with.
        """
        if not self.built:
            self.build(list(trainable_variables))
        variables = trainable_variables or self._trainable_variables
        pairs = [
            (fast, self._slow[self._get_variable_index(fast)])
            for fast in self._trainable_variables
        ]
        pairs = [(fast, slow) for fast, slow in pairs if slow is not None]
        before = ops.convert_to_tensor(self.iterations)
        # The slow weights are noted where a period begins: what was loaded into the
        # model after this optimizer was built is a start like any other.
        begins = ops.equal(before % self.sync_period, 0)
        for fast, slow in pairs:
            slow.assign(ops.where(begins, fast.value, slow.value))
        # On PyTorch a counter is written in place.
        before = before + 0
        self.inner_optimizer.apply(grads, list(variables))
        after = ops.convert_to_tensor(self.iterations)
        ends = ops.logical_and(
            ops.equal(after % self.sync_period, 0), ops.not_equal(after, before)
        )
        for fast, slow in pairs:
            merged = slow + self.slow_step_size * (fast - slow)
            fast.assign(ops.where(ends, merged, fast.value))
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        """Lets the optimizer do what it does at the end of `fit`."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        inner = keras.saving.serialize_keras_object(self.inner_optimizer)
        return {
            "optimizer": inner,
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "Lookahead":
        """Builds the optimizer from what `get_config` returned."""
        inner = keras.saving.deserialize_keras_object(
            config["optimizer"], custom_objects=custom_objects
        )
        return cls(**{**config, "optimizer": inner})
