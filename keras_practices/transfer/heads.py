"""The head of the new task: built, and begun at the optimum of a linear probe."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.transfer.depths import cut_at
from keras_practices.transfer.features import MOST_FEATURES
from keras_practices.transfer.features import grid_for
from keras_practices.transfer.features import pooling_for
from keras_practices.transfer.probes import fitted

_OWNER = "transfer.fine_tune"
# A feature that hardly varies in the training rows may vary more in others.
_LEAST_VARIANCE = 1e-3
# Rows that the probe of the head is fitted on: it is not the bottleneck after that.
_MAX_ROWS = 5000


def checked_head(head, targets):
    """Returns units or a layer for a new head, None for the model's own.

    Raises:
        TypeError, ValueError: neither, or too few units for the classes.
    """
    if head is None or isinstance(head, keras.layers.Layer):
        return head
    if isinstance(head, bool) or not isinstance(head, int | np.integer):
        expected = "a number of units, a Keras layer, or None for the model's own"
        raise type_error(_OWNER, "head", expected, head)
    check_units("head", int(head), targets)
    return int(head)


def check_units(name, units, targets):
    """Raises where a head of that many units does not suit the targets."""
    if targets.classes is None or targets.one_hot:
        wrong = units != targets.outputs
        expected = f"of {targets.outputs} units, as y has columns"
    elif units == 1:
        wrong, expected = targets.classes > 2, f"for {targets.classes} classes"
    else:
        wrong = units < targets.classes
        expected = f"of {targets.classes} units, as the highest class number asks"
    if wrong:
        advice = (
            f"Pass head={targets.outputs} for a new head, or number the classes of y "
            "from 0."
        )
        raise value_error(_OWNER, name, expected, units, advice)


class Network:
    """The model that is trained, and its parts.

    Attributes:
        whole: Inputs to predictions.
        base: Inputs to features, None where it cannot be had by itself.
        top: Features to predictions, None where `base` is None.
        groups: Lists of layers with weights up to the cut, input first.
        head: Layers with weights behind it.
        scaler: `Normalization` of the features in a new head, or None.
        dense: The last layer of a new head, or None.
    """

    def __init__(self, model: Any, head: Any, plan: Any, places: Any, targets: Any):
        names = [depth.name for depth in places.depths]
        cut = names.index(plan.cut) if plan.cut in names else len(plan.groups) - 1
        self.scaler = self.dense = None
        if head is None:
            depths = places.depths
            self.whole, self.base, self.top = model, None, None
            self.head = places.head or depths[-1].layers
            self.groups = [d.layers for d in depths] if places.head else []
            self.groups = self.groups or [d.layers for d in depths[:-1]]
            return
        joined = bool(plan.joins) and not isinstance(head, keras.layers.Layer)
        last = names.index(plan.joins[-1]) if joined else cut
        self.groups = [depth.layers for depth in places.depths[: last + 1]]
        if joined:
            self.base = _joined(model, places, plan.joins)
        elif places.cuttable:
            self.base = cut_at(model, [places.depths[cut].trail])
        else:
            # What came behind the last place, the old head too, stays in front of it.
            self.base = model
            self.groups[-1] = [*self.groups[-1], *places.head]
        shape = _output_shape(self.base, plan)
        given = keras.Input(shape)
        layer = self._head(head, shape, plan, targets)
        self.top = keras.Model(given, layer(given), name="top")
        inputs = _inputs(self.base, plan)
        # Not through `top`: it is compiled too, and its optimizer would be saved there.
        made = layer(self.base(inputs))
        self.whole = keras.Model(inputs, made, name="transferred")
        self.head = [layer]

    def _head(self, head, shape, plan, targets):
        if isinstance(head, keras.layers.Layer):
            return head
        layers = _pooling(shape)
        self.scaler = keras.layers.Normalization(name="feature_scale")
        activation = None
        if targets.classes is not None:
            activation = "sigmoid" if head == 1 else "softmax"
        self.dense = keras.layers.Dense(
            head,
            activation,
            kernel_regularizer=keras.regularizers.L2(penalty(plan, targets)),
            name="head",
        )
        layers += [self.scaler, self.dense]
        return keras.Sequential(layers, name="new_head")

    def flat(self, features):
        """Returns features as the scaler of a new head gets them."""
        made = features
        for layer in self.head[0].layers:
            if layer is self.scaler:
                break
            made = layer(made)
        return ops.convert_to_numpy(made)


def _pooling(shape):
    """Layers from an output to the features that a probe of it reads."""
    if len(shape) == 1:
        return []
    pooling = pooling_for(grid_for((None, *shape), MOST_FEATURES))
    return [pooling, keras.layers.Flatten()]


def _joined(model, places, names):
    """The model up to the features of several places, side by side."""
    trails = [depth.trail for depth in places.depths if depth.name in names]
    inner = cut_at(model, trails)
    features = []
    for tensor in inner.outputs:
        for layer in _pooling(tensor.shape[1:]):
            tensor = layer(tensor)
        features.append(tensor)
    joined = keras.layers.Concatenate(name="places")(features)
    return keras.Model(inner.input, joined)


def penalty(plan, targets):
    """Returns the factor of `L2` that is as strong as the probe's penalty.

    scikit-learn's logistic regression minimises `C * sum of losses + |w|² / 2`, its
    ridge regression `sum of squares + alpha * |w|²`; Keras takes the mean over rows.
    """
    rows = max(1, plan.rows)
    if targets.classes is None:
        return 1 / (plan.strength * rows * targets.outputs)
    return 1 / (2 * plan.strength * rows)


def begin_head(network, features, values, plan, weights=None):
    """Writes scale and optimum of a linear probe into a new head.

    A linear head has one optimum, and steps of a small rate from random weights take
    long to come near it. What is unfrozen later then gets gradients of a head that
    knows its task (Kumar et al., "Fine-Tuning can Distort Pretrained Features",
    arXiv:2202.10054).
    """
    flat = features.reshape(len(features), -1)
    classes = plan.classes is not None
    rows = np.random.default_rng(0).permutation(len(flat))[:_MAX_ROWS]
    mean, variance = flat.mean(axis=0), flat.var(axis=0)
    usual = float(np.median(variance[variance > 0])) if (variance > 0).any() else 1.0
    variance = np.where(variance > 0, np.maximum(variance, _LEAST_VARIANCE * usual), 1)
    # `Normalization` has no setter; these are what it loads from a file.
    network.scaler.adapt_mean.assign(mean.reshape(network.scaler.adapt_mean.shape))
    network.scaler.adapt_variance.assign(
        variance.reshape(network.scaler.adapt_variance.shape)
    )
    network.scaler.finalize_state()
    scaled = (flat - mean) / np.sqrt(variance)
    if classes and len(np.unique(values[rows])) < 2:
        return
    weights = None if weights is None else weights[rows]
    probe = fitted(scaled[rows], values[rows], classes, plan.strength, weights)
    kernel, bias = _weights(probe, network.dense.units, classes)
    network.dense.kernel.assign(kernel)
    network.dense.bias.assign(bias)


def _weights(probe, units, classes):
    """Kernel and bias, with the probe's own standardisation multiplied in."""
    scale, linear = probe[0], probe[1]
    coefficients = np.atleast_2d(linear.coef_)
    intercepts = np.atleast_1d(linear.intercept_).astype(np.float64)
    coefficients = coefficients / scale.scale_
    intercepts = intercepts - coefficients @ scale.mean_
    if not classes or (units == 1 and len(coefficients) == 1):
        return coefficients.T, intercepts
    if len(coefficients) == 1:
        # Two classes in one row of coefficients: half of it each, with a sign.
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    kernel = np.zeros((coefficients.shape[1], units))
    # A class without a row stays a little behind the rarest.
    bias = np.full(units, intercepts.min() - 1.0)
    kernel[:, linear.classes_] = coefficients.T
    bias[linear.classes_] = intercepts
    return kernel, bias


def _output_shape(base, plan):
    outputs = getattr(base, "outputs", None)
    if outputs:
        return tuple(outputs[0].shape[1:])
    shapes = [(2, *shape) for shape in plan.input_shape]
    spec = [keras.KerasTensor(shape) for shape in shapes]
    made = base.compute_output_spec(spec[0] if len(spec) == 1 else spec)
    return tuple(keras.tree.flatten(made)[0].shape[1:])


def _inputs(base, plan):
    inputs = getattr(base, "inputs", None)
    if inputs:
        made = [keras.Input(t.shape[1:], dtype=t.dtype) for t in inputs]
        return made[0] if len(made) == 1 else made
    made = [keras.Input(shape) for shape in plan.input_shape]
    return made[0] if len(made) == 1 else made
