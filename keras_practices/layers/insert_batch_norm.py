"""Puts batch normalization into a model that was built without it."""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_practices._core.model_layers import all_layers
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.layers.output_layers import KERNELS
from keras_practices.layers.output_layers import NORMALIZATIONS
from keras_practices.layers.output_layers import output_layers


def insert_batch_norm(
    model: keras.Model,
    *,
    skip: Sequence[str] | None = None,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
) -> keras.Model:
    """Returns a copy of a model with batch normalization before its non-linearities.

    After each `Dense` and convolution comes a `BatchNormalization`, then the
    activation as a layer of its own. Kernels are copied. The bias, which the
    normalization would subtract again, becomes its shift `beta` (with the bias's
    regularizer and constraint), so the copy predicts what the model predicts, also
    when that is trained; from the first training batch on it normalizes.

    Left as they are: the layers that make the outputs (with no other such layer after
    them), layers that are normalized already, and dense layers inside of others
    (recurrent, attention, `TimeDistributed`). The models inside a model are rebuilt
    as well. A layer that is called several times has one normalization for all calls.

    The copy is not compiled. The notes' companions: a higher learning rate that
    decays faster, less dropout, an L2 penalty of a fifth (`regularize`).

    Args:
        model: A functional or sequential `keras.Model` that is built.
        skip: Names of layers to leave as they are, instead of those that make the
            outputs. An empty list normalizes these too.
        momentum: Float in [0, 1). Of the moving statistics. With few steps (less
            than about 500) take 0.9: inference uses these statistics.
        epsilon: Float above 0. Added to the variance.

    Returns:
        A new model of the same class, with the same inputs and layer names.

    Raises:
        TypeError: `model` is not a Keras model, `skip` not a list of names.
        ValueError: a model that cannot be rebuilt from its layers (subclassed), an
            unknown name in `skip`, a number out of range.
        RuntimeError: the model is not built, or a layer is quantized or adapted by
            LoRA.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(8, "relu", name="hidden"),
    ...      keras.layers.Dense(2, name="head")]
    ... )
    >>> [layer.name for layer in insert_batch_norm(model).layers]
    ['hidden', 'hidden_batch_norm', 'hidden_activation', 'head']

    References:
        Ioffe and Szegedy, "Batch Normalization", ICML 2015, sections 3.2 (placement,
        bias) and 4.2.1 (companions); CS231n, "Neural Networks Part 2", batch
        normalization.
    """
    _check_model(model)
    check_number(
        "insert_batch_norm", "momentum", momentum, low=0, high=1, closed="left"
    )
    check_number("insert_batch_norm", "epsilon", epsilon, low=0, closed="neither")
    names = {layer.name for layer in all_layers(model, itself=True)}
    if skip is None:
        left = output_layers(model.outputs)
    else:
        left = {
            id(layer)
            for layer in all_layers(model, itself=True)
            if layer.name in _checked_skip(skip, names)
        }
    return _Rebuild(left, names, {"momentum": momentum, "epsilon": epsilon}).run(model)


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise type_error("insert_batch_norm", "model", "a keras.Model", model)
    for layer in all_layers(model, itself=True):
        if not isinstance(layer, keras.Model):
            continue
        if not isinstance(layer, keras.Sequential | keras.Function):
            raise value_error(
                "insert_batch_norm",
                "model",
                "made of functional and sequential models",
                layer,
                "The layers of a subclassed model are called by its own code: put "
                "keras.layers.BatchNormalization there.",
            )
        if not layer.built or not layer.outputs:
            raise UsageError(
                f"insert_batch_norm: model {layer.name!r} is not built, so it has no "
                f"weights to keep. Give it a keras.Input first."
            )


def _checked_skip(skip, names):
    if isinstance(skip, str) or not isinstance(skip, Sequence):
        raise type_error("insert_batch_norm", "skip", "a list of layer names", skip)
    unknown = [name for name in skip if name not in names]
    if unknown:
        expected = f"names of layers of the model ({', '.join(sorted(names))})"
        raise value_error("insert_batch_norm", "skip", expected, unknown)
    return set(skip)


class _Rebuild:
    """One copy: which layers were copied, and what comes after them."""

    def __init__(self, left, names, settings):
        self._left = left
        self._names = set(names)
        self._settings = settings
        self._copies = {}  # id of a layer -> (layer, copy)
        self._after = {}  # id of a copy -> new layers after it

    def run(self, model):
        copy = self._copied_model(model)
        for layer, layer_copy in self._copies.values():
            if id(layer_copy) in self._after:
                self._take_over(layer, layer_copy, self._after[id(layer_copy)])
            elif not isinstance(layer, keras.Model) and layer is not layer_copy:
                _copy_variables(layer, layer_copy)
        return copy

    def _copied_model(self, model):
        if isinstance(model, keras.Sequential):
            copies = [self._copied(layer) for layer in model.layers]
            chain = [
                part
                for copy in copies
                for part in (copy, *self._after.get(id(copy), ()))
            ]
            first = model.inputs[0]
            inputs = keras.Input(batch_shape=first.shape, dtype=first.dtype)
            copy = type(model)([inputs, *chain], name=model.name)
        else:
            compiled, model.compiled = model.compiled, False
            try:  # else Keras compiles the copy, and stumbles over losses of one's own
                copy = keras.models.clone_model(
                    model, clone_function=self._copied, call_function=self._called
                )
            finally:
                model.compiled = compiled
        if type(copy) is not type(model):
            raise value_error(
                "insert_batch_norm",
                "model",
                "of a class that is made from inputs and outputs alone",
                model,
                "Its constructor is its own, so it cannot be made anew.",
            )
        if not model.trainable:
            copy.trainable = False
        return copy

    def _copied(self, layer):
        if id(layer) not in self._copies:
            if isinstance(layer, keras.Model):
                copy = self._copied_model(layer)
            elif not isinstance(layer, layers.Layer):
                copy = layer  # a function of keras.ops, which has no state
            elif self._wants(layer):
                copy = self._linear_copy(layer)
            else:
                copy = type(layer).from_config(layer.get_config())
            self._copies[id(layer)] = (layer, copy)
        return self._copies[id(layer)][1]

    def _called(self, copy, *args, **kwargs):
        outputs = copy(*args, **kwargs)
        for layer in self._after.get(id(copy), ()):
            outputs = layer(outputs)
        return outputs

    def _wants(self, layer):
        # Subclasses may do anything after the activation.
        if type(layer) not in KERNELS or id(layer) in self._left:
            return False
        if layer.quantization_mode is not None or getattr(layer, "lora_enabled", False):
            raise UsageError(
                f"insert_batch_norm: layer {layer.name!r} is quantized or adapted by "
                f"LoRA. Insert batch normalization before that."
            )
        followers = [node.operation for node in layer._outbound_nodes]
        return not (
            layer.activation is keras.activations.linear
            and followers
            and all(isinstance(one, NORMALIZATIONS) for one in followers)
        )

    def _linear_copy(self, layer):
        """Returns the layer without bias and activation; notes what comes after."""
        config = layer.get_config()
        config |= {"activation": "linear", "use_bias": False}
        config |= {"bias_regularizer": None, "bias_constraint": None}
        config["activity_regularizer"] = None
        copy = type(layer).from_config(config)
        first = getattr(layer, "data_format", None) == "channels_first"
        common = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
        after = [
            layers.BatchNormalization(
                axis=1 if first else -1,
                beta_regularizer=layer.bias_regularizer,
                beta_constraint=layer.bias_constraint,
                name=self._new_name(layer.name, "batch_norm"),
                **self._settings,
                **common,
            )
        ]
        if layer.activation is not keras.activations.linear:
            name = self._new_name(layer.name, "activation")
            after.append(_activation_layer(layer.activation, name, common))
        after[-1].activity_regularizer = layer.activity_regularizer
        self._after[id(copy)] = after
        return copy

    def _new_name(self, stem, end):
        name, number = f"{stem}_{end}", 1
        while name in self._names:
            name, number = f"{stem}_{end}_{number}", number + 1
        self._names.add(name)
        return name

    def _take_over(self, layer, copy, after):
        kernels = [weight for weight in layer.weights if weight is not layer.bias]
        for old, new in zip(kernels, copy.weights, strict=True):
            _assign(new, old)
        norm = after[0]
        # With mean 0 and variance 1 this makes inference the identity plus the bias.
        scale = math.sqrt(1.0 + norm.epsilon)
        norm.gamma.assign(keras.ops.full(norm.gamma.shape, scale))
        if layer.bias is not None:
            _assign(norm.beta, layer.bias)
        if isinstance(layer.activation, layers.Layer):
            _copy_variables(layer.activation, after[1])


def _activation_layer(activation, name, common):
    if isinstance(activation, layers.Layer):
        config = {**activation.get_config(), "name": name}
        return type(activation).from_config(config)
    return layers.Activation(activation, name=name, **common)


def _assign(variable, other):
    # By way of NumPy: on JAX both would hold one buffer, and a training step of the
    # one model frees it under the other.
    variable.assign(keras.ops.convert_to_numpy(other).copy())


def _copy_variables(layer, copy):
    pairs = zip(
        all_layers(layer, itself=True), all_layers(copy, itself=True), strict=True
    )
    for old, new in pairs:
        store = {}
        old.save_own_variables(store)
        store = {
            name: keras.ops.convert_to_numpy(value).copy()
            for name, value in store.items()
        }
        if store:  # not set_weights: Normalization derives its figures from them
            new.load_own_variables(store)
