"""What fine-tuning is given, checked before anything is trained."""

import keras
import numpy as np
from keras import ops

from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.part import Part
from keras_practices.errors import UsageError
from keras_practices.measures.capture import activation_name
from keras_practices.measures.heads import read_heads
from keras_practices.measures.modes import outputs_of
from keras_practices.measures.sample import as_arrays
from keras_practices.measures.sample import row_count
from keras_practices.transfer.depths import structure_of
from keras_practices.transfer.depths import weights_of
from keras_practices.transfer.heads import check_units
from keras_practices.transfer.plan_values import Plan

_ROWS = 2
_HEADS = (None, "linear", "softmax", "sigmoid")


def rows_of(owner, name, data):
    """Returns `(x, y[, weights])` as NumPy arrays, or a dataset as it is."""
    if isinstance(data, Part):
        data = (data.x, data.y)
    if isinstance(data, list):
        data = tuple(data)
    if isinstance(data, tuple):
        if len(data) not in (2, 3) or data[1] is None:
            expected = "(x, y), (x, y, sample_weight), a Part or a dataset"
            raise value_error(owner, name, expected, f"{len(data)} parts")
        parts = tuple(as_arrays(part, owner, name) for part in data)
        rows = row_count(parts[0], owner, name)
        for part in parts[1:]:
            if row_count(part, owner, name) != rows:
                expected = f"of {rows} rows in each part"
                found = row_count(part, owner, name)
                raise value_error(owner, name, expected, f"{found} rows")
        return parts
    if hasattr(data, "shape") or isinstance(data, dict):
        expected = "(x, y), a Part or a dataset of such batches"
        raise type_error(owner, name, expected, type(data).__name__, "Add the targets.")
    return data


def check_plan(owner, plan, model, targets):
    """Raises where a plan is of another model, other weights or another task."""
    if not isinstance(plan, Plan):
        raise type_error(owner, "plan", "what transfer.plan returned", plan)
    if plan.structure != structure_of(model):
        raise UsageError(
            f"{owner}: the plan is of another model than {model.name!r}: kinds or "
            "shapes of its layers differ. Make one with transfer.plan(model, …)."
        )
    if plan.weights != weights_of(model):
        raise UsageError(
            f"{owner}: the plan was measured with other weights than {model.name!r} "
            "has now: another checkpoint, or training since. Load those of the plan, "
            "or make a new plan."
        )
    if (plan.classes is None) != (targets.classes is None) or (
        targets.outputs > plan.outputs
    ):
        expected = f"for targets of {targets.outputs} outputs"
        received = f"a plan for {plan.outputs}"
        advice = "Make a plan with the targets that are trained on."
        raise value_error(owner, "plan", expected, received, advice)


def default_loss(whole, targets):
    """Returns the loss for targets and the activation of the last layer."""
    if targets.classes is None:
        return "mean_squared_error"
    layer = read_heads(whole)[0][2]
    logits = layer is not None and activation_name(layer) in (None, "linear")
    units = whole.output_shape[-1] if getattr(whole, "outputs", None) else None
    if units == 1:
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    if targets.one_hot:
        return keras.losses.CategoricalCrossentropy(from_logits=logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def check_predictions(owner, whole, sample, targets, settings, own):
    """Runs two rows through model and loss, so that a misfit shows before training."""
    x, y, _ = sample.head(_ROWS)
    with restore_rng():
        (made,) = outputs_of(whole, x)
    if len(made) != 1 or made[0].ndim != 2:
        expected = "with one output of shape (rows, units)"
        received = f"{len(made)} outputs, the first of shape {made[0].shape}"
        advice = "Pass head= with a number of units for a new one."
        raise value_error(owner, "model", expected, received, advice)
    check_units("head", made[0].shape[1], targets)
    if own:
        _check_own_head(owner, whole, made[0].shape[1], targets)
    loss = keras.losses.get(settings["arguments"]["loss"])
    if isinstance(settings["arguments"]["loss"], dict | list):
        raise type_error(owner, "loss", "one loss", settings["arguments"]["loss"])
    predicted = made[0].astype("float32")
    try:
        value = loss(ops.convert_to_tensor(y), ops.convert_to_tensor(predicted))
        value = float(np.mean(ops.convert_to_numpy(value)))
    except Exception as error:
        expected = "a loss for these targets and this head"
        advice = f"It raised {type(error).__name__}: {str(error)[:200]}"
        raise value_error(owner, "loss", expected, loss, advice) from error
    if not np.isfinite(value):
        expected = "a loss that is finite on the first rows"
        advice = "Check the inputs and the pretrained weights for NaN."
        raise value_error(owner, "loss", expected, value, advice)


def _check_own_head(owner, model, units, targets):
    """Raises where the end of a model is no head for these classes."""
    layer = read_heads(model)[0][2]
    name = None if layer is None else activation_name(layer)
    if targets.classes is None:
        return
    if units > max(2, targets.classes) or name not in _HEADS:
        expected = f"a number of units: {model.name!r} ends in {units} ({name})"
        advice = (
            f"y has {targets.classes} classes. Pass head={targets.classes}; where "
            "classes are only missing in y, give it as one-hot rows."
        )
        raise value_error(owner, "head", expected, None, advice)
