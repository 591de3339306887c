"""What a classifier's output is, logits or probabilities, and how to get logits."""

import keras
import numpy as np
from keras import ops

from keras_practices.errors import UsageError
from keras_practices.measures.capture import activation_name
from keras_practices.measures.heads import read_heads
from keras_practices.measures.heads import run_heads
from keras_practices.measures.model_card import measure_loss

# Heads: of classes that exclude each other, and of units that are each yes or no.
SOFTMAX, CLASS_LOGITS = "softmax", "class logits"
SIGMOID, UNIT_LOGITS = "sigmoid", "unit logits"
_LOGITS_OF = {SOFTMAX: CLASS_LOGITS, SIGMOID: UNIT_LOGITS}
# The least normal number of float32, and the least distance from one.
_TINY, _STEP = 1.2e-38, 1.2e-7


def as_logits(outputs, head):
    """Returns logits over the last axis, in float32.

    Args:
        outputs: Tensor of shape `(rows, ..., units)`.
        head: One of the four heads.

    Returns:
        Tensor of the same shape; of units that are each yes or no one of
        `(rows, ..., units, 2)`.
    """
    outputs = ops.cast(outputs, "float32")
    if head == SOFTMAX:
        # Logits but for a constant, which softmax does not see.
        return ops.log(ops.maximum(outputs, _TINY))
    if head == SIGMOID:
        outputs = ops.clip(outputs, _STEP, 1.0 - _STEP)
        outputs = ops.log(outputs) - ops.log1p(-outputs)
    if head in (SIGMOID, UNIT_LOGITS):
        return ops.stack([ops.zeros_like(outputs), outputs], axis=-1)
    return outputs


def head_of_student(model, sample, output):
    """Finds the head of a compiled classifier; refuses one that is at odds with it."""
    loss = measure_loss(model.loss)
    name = loss["loss"] or ""
    if "crossentropy" not in name or loss["from_logits"] is None:
        raise UsageError(
            f"distill: the student's loss must be a crossentropy of Keras. It is "
            f"{name or None!r}. For a regression train the student on "
            "teacher.predict(x)."
        )
    probable = SIGMOID if "binary" in name else SOFTMAX
    if loss["from_logits"]:
        seen = _last_activation(model, sample)
        if seen in ("softmax", "sigmoid"):
            raise UsageError(
                f"distill: the student ends in {seen} and its loss has "
                "from_logits=True, so it is applied twice. Take one of them off."
            )
        return _LOGITS_OF[probable]
    if not _is_probable(output, probable):
        raise UsageError(
            f"distill: the student's loss has from_logits=False, and its outputs are "
            f"no {probable} probabilities. End it in activation={probable!r}, or "
            "compile it with from_logits=True."
        )
    _check_precision(output, "student")
    return probable


def head_of_teacher(model, sample, output, student, declared):
    """Finds the head of a model that need not be compiled."""
    probable = SIGMOID if student in (SIGMOID, UNIT_LOGITS) else SOFTMAX
    logits = _LOGITS_OF[probable]
    could = _is_probable(output, probable)
    if declared == "probabilities" and not could:
        raise UsageError(
            f"distill: teacher_output='probabilities', and the teacher's outputs are "
            f"no {probable} probabilities. Pass teacher_output='logits'."
        )
    if declared == "logits" or not could:
        head = logits
    elif declared == "probabilities" or probable == SOFTMAX:
        # Logits are not all positive with the sum one, on each of many rows.
        head = SOFTMAX if probable == SOFTMAX else SIGMOID
    else:
        # Logits of one unit may well lie between zero and one.
        head = logits if _last_activation(model, sample) == "linear" else SIGMOID
    if head == probable:
        _check_precision(output, "teacher")
    return head


def _is_probable(output, head):
    values = np.asarray(ops.convert_to_numpy(ops.cast(output, "float32")), "float64")
    inside = bool(((values >= 0) & (values <= 1)).all())
    if head == SIGMOID:
        return inside
    # Half precision adds up its thousandths.
    near = np.allclose(values.sum(axis=-1), 1, atol=1e-2 if _is_half(output) else 1e-3)
    return inside and values.shape[-1] > 1 and bool(near)


def _is_half(output):
    return keras.backend.standardize_dtype(output.dtype) in ("float16", "bfloat16")


def _check_precision(output, name):
    if _is_half(output):
        raise UsageError(
            f"distill: the {name} gives probabilities in half precision, which has "
            "no small ones. Give its last layer dtype='float32'."
        )


def _last_activation(model, sample):
    graph = getattr(model, "outputs", None)
    heads = read_heads(model) if graph else run_heads(model, sample)
    layer = heads[0][2] if len(heads) == 1 else None
    if layer is None or isinstance(layer, str):
        return layer
    if isinstance(layer, keras.layers.Layer):
        return activation_name(layer)
    return type(layer).__name__.lower()
