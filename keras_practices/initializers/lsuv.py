"""Layer-sequential unit variance: an initialization that looks at the data."""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_practices._core.model_layers import all_layers
from keras_practices._core.randomness import derive_seeds
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError

_KINDS = (
    layers.Dense,
    layers.EinsumDense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
)


class LSUV:
    """Makes the outputs of every dense and convolution layer have variance 1 on data.

    Each kernel becomes an orthonormal matrix; then one batch goes through the model,
    and each layer in turn divides its kernel by the standard deviation of what it
    computes (before bias and activation), so that what the next layer sees is scaled
    already. It needs no formula for the activation, and works where He and Glorot do
    not fit: residual connections, pooling, unusual activations, inputs that are not
    standardized. Use it on a new model, before `fit`; trained kernels would be lost.

    Unlike the initializers of Keras it takes a model and data, not a shape. Treated
    are `Dense`, `EinsumDense` (attention too), convolutions of every kind, also in
    nested and subclassed models; recurrent layers are left alone. Of two layers with
    one kernel, or a layer that is called twice, the first call counts. Biases stay
    as they are, and dropout is off.

    Args:
        orthonormal: Bool. False keeps the kernels that are there and only scales
            them.
        seed: Integer or None. Same seed, same orthonormal kernels.

    Call arguments:
        model: A built `keras.Model`.
        x: Input of one batch, as the model takes it: array, or list or dict of
            arrays. A few hundred rows, preprocessed as in training.

    Returns:
        When called: dict from the path of each kernel to the standard deviation that
        its layer's outputs had before they were scaled, in the order of the calls.

    Raises:
        TypeError: `model` is not a Keras model, an argument of the wrong kind.
        RuntimeError: the model is not built; kernels are quantized or adapted by
            LoRA.
        ValueError: a layer's outputs do not vary, or are not finite, on this batch.
            The model is then as it was before.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((20,)), keras.layers.Dense(30, "relu"), keras.layers.Dense(4)]
    ... )
    >>> x = np.random.default_rng(0).normal(5.0, 3.0, (200, 20))
    >>> _ = LSUV(seed=1)(model, x)
    >>> round(float(np.std(model.predict(x, verbose=0))), 3)
    1.0

    References:
        Mishkin and Matas, "All you need is a good init", ICLR 2016, algorithm 1.
        Differs: outputs are linear in the kernel, so one division is exact, where
        the paper repeats; and one pass treats all layers.
    """

    def __init__(self, *, orthonormal: bool = True, seed: int | None = None):
        if not isinstance(orthonormal, bool):
            raise type_error(self, "orthonormal", "True or False", orthonormal)
        if seed is not None:
            check_integer(self, "seed", seed, low=0)
        self.orthonormal = orthonormal
        self.seed = seed

    def __call__(self, model: keras.Model, x: Any) -> dict[str, float]:
        """Initializes the model; see the class."""
        if not isinstance(model, keras.Model):
            raise type_error(self, "model", "a keras.Model", model)
        if not model.built:
            raise UsageError(
                f"LSUV: argument `model` must be built, so that it has weights. "
                f"Received: model={model.name!r}, not built. Give it a keras.Input, "
                f"or call it on a batch first."
            )
        treated = [
            layer for layer in all_layers(model, itself=True) if _is_treated(layer)
        ]
        kernels = [_kernels(layer) for layer in treated]
        before = [
            [ops.convert_to_numpy(one).copy() for one in group] for group in kernels
        ]
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        scaling = _Scaling(self)
        done = False
        try:
            if self.orthonormal:
                self._draw(kernels)
            for layer, group in zip(treated, kernels, strict=True):
                scaling.watch(layer, group)
            model(x, training=False)
            done = True
        finally:
            scaling.take_off()
            if not done:
                for group, values in zip(kernels, before, strict=True):
                    for kernel, value in zip(group, values, strict=True):
                        kernel.assign(value)
        return scaling.scale_kernels()

    def _draw(self, kernels):
        flat = list({id(one): one for group in kernels for one in group}.values())
        for kernel, seed in zip(flat, derive_seeds(self.seed, len(flat)), strict=True):
            if len(kernel.shape) > 1:
                draw = keras.initializers.Orthogonal(seed=seed)
                kernel.assign(draw(kernel.shape, dtype="float32"))


def _is_treated(layer):
    if not isinstance(layer, _KINDS) or not layer.built:
        return False
    if layer.quantization_mode is not None or getattr(layer, "lora_enabled", False):
        raise UsageError(
            f"LSUV: the kernel of layer {layer.path!r} is quantized, or adapted by "
            f"LoRA. Use LSUV before that."
        )
    return True


def _kernels(layer):
    """Returns the kernels of a layer, the one that is scaled last."""
    names = ("depthwise_kernel", "pointwise_kernel", "kernel")
    found = [getattr(layer, name, None) for name in names]
    return [kernel for kernel in found if isinstance(kernel, keras.Variable)]


class _Scaling:
    """Stands in the place of activations while one batch goes through the model."""

    def __init__(self, owner):
        self._owner = owner
        self._places = []
        self._found = {}  # id of a kernel -> (kernel, standard deviation)

    def watch(self, layer, kernels):
        activation = layer.activation
        # Not setattr: a built layer lets no layer, such as PReLU(), be put back.
        own = vars(layer)
        self._places.append((own, own.get("activation")))

        def scaled(outputs):
            return activation(self._scaled(layer, kernels[-1], outputs))

        # The one place where every layer hands over its outputs before activation,
        # whoever calls it; Keras has no hook for that.
        own["activation"] = scaled

    def take_off(self):
        for own, activation in self._places:
            if activation is None:  # PyTorch keeps layers elsewhere
                del own["activation"]
            else:
                own["activation"] = activation

    def _scaled(self, layer, kernel, outputs):
        bias = _bias_like(layer, outputs)
        linear = outputs - bias
        if id(kernel) not in self._found:
            self._found[id(kernel)] = (kernel, self._deviation(layer, linear))
        # In the place of outputs of the scaled kernel: under mixed precision an
        # assignment within a call is lost on PyTorch.
        return linear / ops.cast(self._found[id(kernel)][1], outputs.dtype) + bias

    def _deviation(self, layer, outputs):
        # float32: the squares of float16 outputs overflow from 256 on.
        deviation = float(ops.convert_to_numpy(ops.std(ops.cast(outputs, "float32"))))
        if np.isfinite(deviation) and deviation > np.finfo("float32").tiny:
            return deviation
        raise value_error(
            self._owner,
            "x",
            f"a batch on which the outputs of layer {layer.path!r} vary and are finite",
            f"standard deviation {deviation:g}",
            "Look at the inputs, and at what stands before that layer.",
        )

    def scale_kernels(self):
        for kernel, deviation in self._found.values():
            kernel.assign(kernel / deviation)
        return {kernel.path: deviation for kernel, deviation in self._found.values()}


def _bias_like(layer, outputs):
    """Returns the bias of a layer so that it can be added to its outputs, or 0."""
    if layer.bias is None:
        return ops.zeros((), dtype=outputs.dtype)
    bias = ops.cast(layer.bias, outputs.dtype)
    if getattr(layer, "data_format", None) == "channels_first":
        bias = ops.reshape(bias, (-1,) + (1,) * (len(outputs.shape) - 2))
    return bias
