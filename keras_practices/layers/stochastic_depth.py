"""Stochastic depth: residual branches that are left out at random."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error


@register
class StochasticDepth(keras.layers.Layer):
    """Adds a residual branch to its shortcut, and in training leaves it out at random.

    Each sample of a batch keeps the branch with probability `survival_probability`,
    and a kept branch is divided by it. So inference is the plain sum, and removing
    the layer for `keras.layers.Add` changes no prediction. It stands where
    tensorflow-addons' layer stood, which drew once for the whole batch and scaled
    in inference instead: weights trained with that one expect a branch scaled by
    the probability.

    Args:
        survival_probability: Float in (0, 1]. Chance that a sample keeps the branch;
            1 makes the layer a sum. The paper lowers it linearly with depth, from 1
            to 0.5.
        seed: Integer or None. Same seed, same draws.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: List `[shortcut, residual]` of two float tensors of the same shape,
            the batch first.
        training: Bool. Branches are left out only when true.

    Returns:
        Tensor, shape and dtype of `shortcut`.

    Raises:
        TypeError, ValueError: bad `survival_probability`, or inputs that are no two
            tensors of one shape.

    Example:

    >>> shortcut, residual = np.ones((2, 3)), np.full((2, 3), 4.0)
    >>> float(StochasticDepth(0.8)([shortcut, residual])[0, 0])
    5.0

    References:
        Huang et al., "Deep Networks with Stochastic Depth", 2016, arXiv:1603.09382.
    """

    def __init__(
        self,
        survival_probability: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.survival_probability = check_number(
            self,
            "survival_probability",
            survival_probability,
            low=0,
            high=1,
            closed="right",
            advice="It is the chance to keep the branch, not to leave it out.",
        )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _check(self, shapes):
        expected = "[shortcut, residual], two tensors of the same shape"
        shapes = list(shapes) if isinstance(shapes, list | tuple) else [shapes]
        pair = len(shapes) == 2 and all(isinstance(s, list | tuple) for s in shapes)
        if not pair or len(shapes[0]) != len(shapes[1]):
            raise value_error(self, "inputs", expected, shapes)
        for one, other in zip(*shapes, strict=True):
            if None not in (one, other) and one != other:
                raise value_error(self, "inputs", expected, shapes)

    def build(self, input_shape):
        """Checks the shapes; the layer has no weights."""
        self._check(input_shape)

    def call(self, inputs, training=False):
        """Returns `shortcut + residual`, in training with branches left out."""
        shortcut, residual = inputs
        if not training or self.survival_probability == 1:
            return shortcut + residual
        shape = (ops.shape(residual)[0], *[1] * (len(residual.shape) - 1))
        # Drawn in float32: float16 would round the chance.
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        # Not a product: a branch that is left out may hold infinities.
        kept = draws < self.survival_probability
        scaled = residual / self.survival_probability
        return shortcut + ops.where(kept, scaled, ops.zeros_like(residual))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the shortcut."""
        self._check(input_shape)
        return tuple(input_shape[0])

    def get_config(self):
        """Returns the arguments."""
        return {
            **super().get_config(),
            "survival_probability": self.survival_probability,
            "seed": self.seed,
        }
