"""A mean of weights that stays on the device."""

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend


class WeightAverage:
    """Exponential or plain mean of the values that variables take.

    Args:
        variables: List of Keras variables.
        decay: Number in [0, 1) of the exponential mean for one step, None for the
            plain mean.
        warmup: Bool. The decay of step t is at most (1 + t) / (10 + t).
    """

    def __init__(self, variables, decay, warmup):
        self.variables = list(variables)
        self._decay, self._warmup = decay, warmup
        self._dtypes = [v.dtype for v in self.variables]
        # Half precision would lose a thousandth of a difference.
        kinds = [keras.backend.result_type(d, "float32") for d in self._dtypes]
        self._mean = [
            ops.zeros(v.shape, kind)
            for v, kind in zip(self.variables, kinds, strict=True)
        ]
        self._counters = None
        self._mix_compiled = backend.compiled(self._mix)
        self._copy_compiled = backend.compiled(_copied)

    @property
    def count(self):
        """Number of values in the mean; waits for the device."""
        return 0 if self._counters is None else int(self._counters["count"])

    def begin(self, iterations):
        """Notes the number of steps at which the mean begins."""
        zero = np.zeros((), "int32")
        counters = {"last": iterations, "count": zero, "steps": zero}
        keys, values = zip(*counters.items(), strict=True)
        # Computed, not passed on: JAX gives the optimizer's own value away.
        values = self._copy_compiled([_integer(value) for value in values])
        self._counters = dict(zip(keys, values, strict=True))

    def add(self, iterations):
        """Adds the values as they are, if there were steps since the last time."""
        values = [ops.convert_to_tensor(v.value) for v in self.variables]
        self._mean, self._counters = self._mix_compiled(
            self._mean, values, self._counters, _integer(iterations)
        )

    def write(self):
        """Writes the mean into the variables."""
        # A copy each time: JAX may write the next values into what it is given.
        values = self._copy_compiled(self._mean)
        pairs = zip(self.variables, values, self._dtypes, strict=True)
        for variable, value, dtype in pairs:
            variable.assign(ops.cast(value, dtype))

    def copies(self, variables):
        """Returns what variables hold, in memory of its own."""
        return self._copy_compiled([ops.convert_to_tensor(v.value) for v in variables])

    def get_state(self):
        """Returns arrays and numbers."""
        counters = self._counters and {k: int(v) for k, v in self._counters.items()}
        return {
            "counters": counters,
            "mean": [np.array(ops.convert_to_numpy(value)) for value in self._mean],
        }

    def set_state(self, state):
        """Takes over what `get_state` returned."""
        self._mean = [ops.convert_to_tensor(value) for value in state["mean"]]
        counters = state["counters"]
        self._counters = counters and {k: _integer(v) for k, v in counters.items()}

    def _mix(self, mean, values, counters, iterations):
        passed = iterations - counters["last"]
        moved = passed > 0
        weight = self._weight(ops.cast(passed, "float32"), counters)
        mixed = []
        for old, value in zip(mean, values, strict=True):
            value = ops.cast(value, old.dtype)
            new = old + (value - old) * ops.cast(weight, old.dtype)
            # Not a weight of zero: zero times infinity is NaN.
            mixed.append(ops.where(moved, new, old))
        after = {
            "last": ops.copy(iterations),  # on PyTorch the optimizer writes into it
            "count": counters["count"] + ops.cast(moved, "int32"),
            "steps": counters["steps"] + passed,
        }
        return mixed, after

    def _weight(self, passed, counters):
        """What the newest values weigh in the mean."""
        count = ops.cast(counters["count"], "float32")
        if self._decay is None:
            return 1.0 / (count + 1.0)
        if self._warmup:
            steps = ops.cast(counters["steps"], "float32")
            rate = ops.maximum(1.0 - self._decay, 9.0 / (10.0 + steps))
        else:
            rate = ops.maximum(1.0 - self._decay, 0.0 * count)
        # 1 - (1 - rate) ** passed: the difference of two near numbers, in float32.
        weight = -ops.expm1(passed * ops.log1p(-rate))
        return ops.where(count > 0, weight, 1.0)


def _integer(value):
    return ops.cast(ops.convert_to_tensor(value), "int32")


def _copied(values):
    return [ops.copy(value) for value in values]
