"""What teacher and student of a distillation give: the kinds of `outputs`, from rows.

`outputs.find_kinds` reads a model's last activation and loss. Here the rows that it
gives have a say too, as a student taught with the wrong kind learns nothing.
"""

import keras
import numpy as np
from keras import ops

from keras_practices.ensembles.outputs import FAMILIES
from keras_practices.ensembles.outputs import contribution
from keras_practices.errors import UsageError
from keras_practices.measures.capture import activation_name
from keras_practices.measures.heads import read_heads
from keras_practices.measures.heads import run_heads
from keras_practices.measures.model_card import measure_loss

_LOGITS_OF = {"softmax": "softmax_logits", "sigmoid": "sigmoid_logits"}


def as_logits(outputs, kind):
    """Returns logits over the last axis, in float32.

    Args:
        outputs: Tensor of shape `(rows, ..., units)`.
        kind: `"softmax"`, `"sigmoid"`, or the logits of one of them.

    Returns:
        Tensor of the same shape; of labels, which are each true or not, one of
        `(rows, ..., units, 2)`.
    """
    # Those of classes but for a constant, which softmax does not see.
    logits = contribution(ops.cast(outputs, "float32"), kind, "logits")
    if FAMILIES[kind] == "classes":
        return logits
    return ops.stack([ops.zeros_like(logits), logits], axis=-1)


def kind_of_student(model, sample, output):
    """Finds the kind of a compiled classifier; refuses one that is at odds with it."""
    loss = measure_loss(model.loss)
    name = loss["loss"] or ""
    if "crossentropy" not in name or loss["from_logits"] is None:
        raise UsageError(
            f"distill: the student's loss must be a crossentropy of Keras. It is "
            f"{name or None!r}. For a regression train the student on "
            "teacher.predict(x)."
        )
    probable = "sigmoid" if "binary" in name else "softmax"
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


def kind_of_teacher(model, sample, output, student, declared):
    """Finds the kind of a model that need not be compiled."""
    probable = "softmax" if FAMILIES[student] == "classes" else "sigmoid"
    logits = _LOGITS_OF[probable]
    could = _is_probable(output, probable)
    if declared == "probabilities" and not could:
        raise UsageError(
            f"distill: teacher_output='probabilities', and the teacher's outputs are "
            f"no {probable} probabilities. Pass teacher_output='logits'."
        )
    if declared == "logits" or not could:
        kind = logits
    elif declared == "probabilities" or probable == "softmax":
        # Logits are not all positive with the sum one, on each of many rows.
        kind = probable
    else:
        # Logits of one unit may well lie between zero and one.
        kind = logits if _last_activation(model, sample) == "linear" else "sigmoid"
    if kind == probable:
        _check_precision(output, "teacher")
    return kind


def _is_probable(output, kind):
    values = np.asarray(ops.convert_to_numpy(ops.cast(output, "float32")), "float64")
    inside = bool(((values >= 0) & (values <= 1)).all())
    if kind == "sigmoid":
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
