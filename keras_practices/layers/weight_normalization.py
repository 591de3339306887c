"""Weight normalisation: length and direction of each unit's weights, learnt apart."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.model_layers import all_layers
from keras_practices._core.registration import register
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.layers.kernels import check_kind
from keras_practices.layers.kernels import input_axes
from keras_practices.layers.kernels import kernel_of
from keras_practices.layers.kernels import replaced
from keras_practices.layers.kernels import without_activation

# Least square norm, as in `tf.nn.l2_normalize`, and least variance.
_SQUARE_NORM = 1e-12
_VARIANCE = 1e-10


@register
class WeightNormalization(keras.layers.Wrapper):
    """Gives a layer the kernel `g * v / ‖v‖`, one norm and one `g` for each unit.

    `v` is the kernel of the layer, `g` a weight of the wrapper. Both are trained, so
    that a step in `v` turns the weights of a unit and a step in `g` scales them. At
    first `g = ‖v‖`: the layer computes what it computed unwrapped. For the start
    that the paper advises, by the data, call `initialize_weight_normalization`.

    The norm runs over all inputs of one unit: of `Dense` and convolutions all axes
    but the last, of transposed ones all but the second last, of depthwise ones the
    spatial axes. A regulariser or constraint of the layer acts on `v`, where L2 no
    longer limits what the layer computes.

    Args:
        layer: `Dense`, `Conv1D` to `Conv3D`, their transposes, or a depthwise
            convolution of Keras.
        **kwargs: Arguments of `keras.layers.Layer`; `dtype` is by default that of
            `layer`.

    Call arguments:
        inputs: As for `layer`.

    Returns:
        Tensor, as from `layer`.

    Raises:
        TypeError: another kind of layer.
        RuntimeError: the layer is quantized or adapted by LoRA.

    Example:

    >>> layer = WeightNormalization(keras.layers.Dense(3))
    >>> tuple(layer(np.ones((2, 4))).shape), tuple(layer.g.shape)
    ((2, 3), (3,))

    References:
        Salimans and Kingma, "Weight Normalization: A Simple Reparameterization to
        Accelerate Training of Deep Neural Networks", 2016, arXiv:1602.07868.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any):
        check_kind(self, layer)
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(layer, **kwargs)
        self.supports_masking = True
        self._starts_by_data = False

    def build(self, input_shape=None):
        """Builds the wrapped layer and `g`, the norms of its kernel."""
        super().build(input_shape)
        kernel = kernel_of(self, self.layer)
        self._input_axes = input_axes(self.layer, len(kernel.shape))
        units = [n for i, n in enumerate(kernel.shape) if i not in self._input_axes]

        def norms(shape, dtype):
            value = ops.cast(ops.stop_gradient(kernel.value), dtype)
            return ops.reshape(ops.sqrt(self._square_norms(value)), shape)

        # Not cast to float16: the product with the direction is rounded at its end.
        self.g = self.add_weight(
            name="g", shape=(math.prod(units),), initializer=norms, autocast=False
        )

    def _square_norms(self, value):
        return ops.sum(ops.square(value), axis=self._input_axes, keepdims=True)

    def _scaled_kernel(self, scale):
        """Returns the kernel, each unit's weights of the length that `scale` says."""
        # float16 would overflow in the squares.
        wide = keras.backend.result_type(self.layer.compute_dtype, "float32")
        value = ops.cast(self.layer.kernel.value, wide)
        square = self._square_norms(value)
        factor = ops.reshape(ops.cast(scale, wide), square.shape)
        factor = factor * ops.rsqrt(ops.maximum(square, _SQUARE_NORM))
        return ops.cast(value * factor, self.layer.compute_dtype)

    def call(self, inputs):
        """Returns the output of the layer with the normalised kernel."""
        kernel = kernel_of(self, self.layer)
        if self._starts_by_data:
            self._start_by_data(inputs, kernel)
        with replaced(self.layer, kernel, self._scaled_kernel(self.g.value)):
            return self.layer(inputs)

    def _start_by_data(self, inputs, kernel):
        """Sets `g` and bias so that these inputs come out with mean 0, deviation 1."""
        self._starts_by_data = False  # a layer that is shared starts at its first call
        layer = self.layer
        directions = self._scaled_kernel(ops.ones_like(self.g.value))
        with without_activation(layer), replaced(layer, kernel, directions):
            outputs = np.float64(ops.convert_to_numpy(layer(inputs)))
        first = getattr(layer, "data_format", None) == "channels_first"
        units = 1 if first else outputs.ndim - 1
        rest = tuple(axis for axis in range(outputs.ndim) if axis != units)
        mean, variance = outputs.mean(rest), outputs.var(rest)
        # tensorflow-addons measures with `v` where the paper has `v / ‖v‖`, so its
        # outputs have deviation 1 only where the norm is 1.
        g = np.float64(ops.convert_to_numpy(self.g.value))
        varies = variance > _VARIANCE
        g = np.where(varies, 1.0 / np.sqrt(np.where(varies, variance, 1.0)), g)
        self.g.assign(g.astype("float32"))
        if layer.use_bias:
            bias = np.float64(ops.convert_to_numpy(layer.bias.value))
            layer.bias.assign((-(mean - bias) * g).astype("float32"))

    def remove(self) -> keras.layers.Layer:
        """Writes the normalised kernel into the layer and returns the layer.

        The wrapper computes the same as before.

        Raises:
            RuntimeError: the wrapper is not built.
        """
        if not self.built:
            raise UsageError(
                "WeightNormalization: `remove` needs a layer that is built."
            )
        self.layer.kernel.assign(self._scaled_kernel(self.g.value))
        # The direction has turned round where `g` was negative.
        self.g.assign(ops.abs(self.g.value))
        return self.layer

    def compute_output_shape(self, input_shape):
        """Returns the shape that the layer gives."""
        return tuple(self.layer.compute_output_shape(input_shape))


def initialize_weight_normalization(model: keras.layers.Layer, x: Any) -> list[str]:
    """Starts all weight-normalised layers of a model by a batch of data.

    Layer by layer, `g` and bias are set so that each unit's outputs, before the
    activation, have mean 0 and standard deviation 1 over the batch; without a bias
    only the deviation. Units that give the same for all of it keep their `g`. The
    model is run once, in inference mode, before training: on all backends, whereas
    a start inside of the first training step would be lost on JAX.

    Args:
        model: A built model or layer with `WeightNormalization` layers in it.
        x: A batch of inputs, as the model is called with; some hundred rows.

    Returns:
        Paths of the layers that were started.

    Raises:
        TypeError: `model` is no Keras layer or model.
        ValueError: nothing in it is weight-normalised.
        RuntimeError: the model is not built.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), WeightNormalization(keras.layers.Dense(3))]
    ... )
    >>> x = np.random.default_rng(0).normal(5.0, 2.0, (100, 4))
    >>> len(initialize_weight_normalization(model, x))
    1
    >>> outputs = np.asarray(model.predict(x, verbose=0))
    >>> bool(abs(outputs.std(axis=0) - 1).max() < 1e-3)
    True

    References:
        Salimans and Kingma (2016), section 3.
    """
    owner = "initialize_weight_normalization"
    if not isinstance(model, keras.layers.Layer):
        raise type_error(owner, "model", "a Keras model or layer", model)
    if not model.built:
        raise UsageError(
            f"{owner}: argument `model` must be built, so that it has weights. "
            f"Received: model={model.name!r}, not built."
        )
    found = [
        x for x in all_layers(model, itself=True) if isinstance(x, WeightNormalization)
    ]
    if not found:
        raise value_error(owner, "model", "with WeightNormalization layers", model.name)
    try:
        for layer in found:
            layer._starts_by_data = True
        model(x)
        return [layer.path for layer in found if not layer._starts_by_data]
    finally:
        for layer in found:
            layer._starts_by_data = False
