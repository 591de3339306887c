"""Max-norm: the weights into one unit never grow longer than a limit."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number


@register
class MaxNorm(keras.constraints.MaxNorm):
    """Scales the weights into each unit down to a norm of at most `max_value`.

    The optimizer calls it after every update (projected gradient descent), so a
    learning rate that is too high cannot make the weights explode. Weights within
    the limit are returned unchanged, to the bit; Keras's own `MaxNorm` multiplies
    them by `norm / (norm + 1e-7)` at every step, which halves a unit of norm 1e-7
    each time.

    For a model that is built already, and for layers whose units do not lie on the
    last axis of the kernel, use `apply_max_norm`: it knows the axis of every layer.

    Args:
        max_value: Float above 0. Largest norm of the weights into one unit. CS231n
            gives 3 or 4 as typical.
        axis: `"auto"`, integer, or list of integers: axes that one norm is taken
            over. `"auto"` takes all axes but the last, which is right for the kernels
            of `Dense`, `Conv1D` to `Conv3D` and recurrent layers (Keras's default of
            0 is right for `Dense` only); of a vector it takes one norm. Transposed
            and depthwise convolutions, embeddings and `EinsumDense` need other axes.

    Returns:
        When called with weights: tensor of their shape and dtype.

    Raises:
        ValueError: `max_value` not above 0, another string as `axis`.
        TypeError: of the wrong kind.

    Example:

    >>> kernel = np.array([[3.0, 0.5], [4.0, 0.0]])  # norms 5 and 0.5
    >>> keras.ops.convert_to_numpy(MaxNorm(2.0)(kernel)).round(2).astype(str).tolist()
    [['1.2', '0.5'], ['1.6', '0.0']]

    References:
        CS231n, "Neural Networks Part 2", regularization (max norm constraints);
        Srivastava et al., "Dropout", 2014, JMLR 15, section 5.1.
    """

    def __init__(
        self, max_value: float = 3.0, axis: int | Sequence[int] | str = "auto"
    ):
        check_number(self, "max_value", max_value, low=0, closed="neither")
        super().__init__(max_value=max_value, axis=_checked_axis(self, axis))

    def __call__(self, w):
        """Returns the weights with every norm at most `max_value`."""
        w = ops.convert_to_tensor(w)
        # float32 at least: squares of float16 weights overflow from 256 on.
        wide = ops.cast(w, keras.backend.result_type(w.dtype, "float32"))
        axis = self._axis_for(len(w.shape))
        norms = ops.sqrt(ops.sum(ops.square(wide), axis=axis, keepdims=True))
        scale = ops.minimum(self.max_value / norms, 1.0)  # of zero weights: 1
        return ops.cast(wide * scale, w.dtype)

    def _axis_for(self, rank):
        if self.axis == "auto":
            return tuple(range(rank - 1)) or None
        return self.axis

    def get_config(self):
        """Returns the configuration: exactly the constructor's arguments."""
        return {"max_value": self.max_value, "axis": self.axis}


def _checked_axis(owner, axis):
    """Returns `axis` as `"auto"`, an integer, or a list of integers."""
    if isinstance(axis, str):
        return check_choice(owner, "axis", axis, ("auto",))
    if isinstance(axis, list | tuple):
        return [int(check_integer(owner, "axis", item)) for item in axis]
    return int(check_integer(owner, "axis", axis))
