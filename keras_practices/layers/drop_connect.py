"""DropConnect: single weights are dropped, not units."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number
from keras_practices.layers.kernels import check_kind
from keras_practices.layers.kernels import kernel_of
from keras_practices.layers.kernels import replaced


@register
class DropConnect(keras.layers.Wrapper):
    """Drops entries of a layer's kernel at random while training.

    Each entry is zero with probability `rate`, the others are divided by `1 - rate`,
    so the expected kernel is the kernel itself and inference needs no scaling. One
    mask is drawn for each batch. The paper draws one for each sample, which is as
    many kernels as samples; it drops biases too, which stay here; and in inference
    it samples from a moment-matched Gaussian, where we take the mean kernel (for an
    average over masks see `predict_mc`).

    Args:
        layer: `Dense`, `Conv1D` to `Conv3D`, their transposes, or a depthwise
            convolution of Keras.
        rate: Float in [0, 1). Share of the kernel's entries that are dropped.
        seed: Integer or None. Same seed, same masks.
        **kwargs: Arguments of `keras.layers.Layer`; `dtype` is by default that of
            `layer`.

    Call arguments:
        inputs: As for `layer`.
        training: Bool. Entries are dropped only when true.

    Returns:
        Tensor, as from `layer`.

    Raises:
        TypeError: another kind of layer; `rate` not a number.
        ValueError: `rate` outside [0, 1).
        RuntimeError: the layer is quantized or adapted by LoRA.

    Example:

    >>> layer = DropConnect(keras.layers.Dense(2, kernel_initializer="ones"), rate=0.5)
    >>> outputs = layer(np.ones((1, 3)), training=False)
    >>> keras.ops.convert_to_numpy(outputs).tolist()
    [[3.0, 3.0]]

    References:
        Wan et al., "Regularization of Neural Networks using DropConnect", 2013, ICML;
        CS231n, "Neural Networks Part 2", theme of noise in the forward pass.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        rate: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_kind(self, layer)
        check_number(
            self,
            "rate",
            rate,
            low=0,
            high=1,
            closed="left",
            advice="It is the chance to drop an entry, not to keep it.",
        )
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(layer, **kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape=None):
        """Builds the wrapped layer."""
        super().build(input_shape)
        kernel_of(self, self.layer)

    def call(self, inputs, training=False):
        """Returns the output of the layer, in training with a kernel of its own."""
        if not training or self.rate == 0:
            return self.layer(inputs)
        kernel = kernel_of(self, self.layer)
        # Drawn in float32: float16 would round the chance.
        draws = keras.random.uniform(
            kernel.shape, dtype="float32", seed=self.seed_generator
        )
        value = ops.cast(kernel.value, self.layer.compute_dtype)
        value = ops.where(draws < self.rate, ops.zeros_like(value), value)
        with replaced(self.layer, kernel, value / (1.0 - self.rate)):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        """Returns the shape that the layer gives."""
        return tuple(self.layer.compute_output_shape(input_shape))

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
