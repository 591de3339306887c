"""A sum in two float32 numbers, for counts that one of them cannot hold.

A float32 stops counting at 2**24 = 16,777,216: adding 1 changes nothing any more. A
model that labels pixels is there within an epoch. 64-bit numbers would do, but JAX has
none unless it is told. So what each addition rounds away is itself summed up.
"""

import keras
from keras import ops


class LongSum:
    """Sums of any shape, held in two variables of a metric.

    The error of an addition is found exactly by six more additions (Knuth's
    two-sum) and goes into the second variable. Compilers keep the order of float
    additions, so it holds in compiled steps too. The sums are as good as in float64:
    about 48 bits, of which a single batch uses the 24 of a float32.

    Args:
        metric: Metric that owns the variables, so that it resets and saves them.
        shape: Tuple of integers.
        name: Name of the variables.
    """

    def __init__(self, metric: keras.metrics.Metric, shape: tuple, name: str):
        dtype = keras.backend.result_type(metric.dtype, "float32")
        self.high = metric.add_variable(shape, "zeros", dtype, name=name)
        self.low = metric.add_variable(shape, "zeros", dtype, name=f"{name}_low")

    def add(self, amounts):
        """Adds a tensor of the shape of the sums."""
        high = ops.convert_to_tensor(self.high)
        amounts = ops.cast(amounts, high.dtype)
        total = high + amounts
        added = total - high
        lost = (high - (total - added)) + (amounts - added)
        self.low.assign(self.low + lost)
        self.high.assign(total)

    def value(self):
        """Returns the sums as a tensor, rounded once."""
        return self.high + self.low

    def exact(self):
        """Returns the sums as a float64 NumPy array, not rounded."""
        high = ops.convert_to_numpy(self.high).astype("float64")
        return high + ops.convert_to_numpy(self.low)
