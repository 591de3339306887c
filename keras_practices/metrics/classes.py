"""Which class each prediction and each label means, in the forms that Keras takes."""

import keras
from keras import ops

from keras_practices._core.validation import value_error


def predicted_classes(owner, y_pred, num_classes, from_logits):
    """Returns the class of each prediction as an int32 tensor.

    Args:
        owner: Metric that a message begins with.
        y_pred: Scores `(…, K)`; for two classes also one score each, `(…)` or
            `(…, 1)`; or integers that are classes, `(…)` or `(…, 1)`.
        num_classes: Integer K.
        from_logits: Bool. A single score means class 1 above 0, otherwise above 0.5.
    """
    rank = len(y_pred.shape)
    last = y_pred.shape[-1] if rank > 1 else None
    if last == num_classes:
        return ops.cast(ops.argmax(y_pred, axis=-1), "int32")
    scores = ops.squeeze(y_pred, -1) if last == 1 else y_pred
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(y_pred.dtype)):
        return ops.cast(scores, "int32")
    if num_classes == 2 and rank > 0:
        return ops.cast(scores > (0.0 if from_logits else 0.5), "int32")
    raise value_error(
        owner,
        "y_pred",
        f"scores with a last axis of num_classes={num_classes}, or integer classes",
        tuple(y_pred.shape),
    )


def true_classes(owner, y_true, classes, num_classes):
    """Returns the class of each label as an int32 tensor of the shape of `classes`.

    Args:
        owner: Metric that a message begins with.
        y_true: Integers (of any dtype) `(…)` or `(…, 1)`, or one-hot `(…, K)`.
        classes: What `predicted_classes` gave.
        num_classes: Integer K.
    """
    rank, last = len(y_true.shape), y_true.shape[-1] if len(y_true.shape) else None
    if rank == len(classes.shape) + 1 and last == num_classes:
        return ops.cast(ops.argmax(y_true, axis=-1), "int32")
    if rank == len(classes.shape) + 1 and last == 1:
        y_true, rank = ops.squeeze(y_true, -1), rank - 1
    if rank != len(classes.shape):
        raise value_error(
            owner,
            "y_true",
            f"classes of the shape {tuple(classes.shape)} of the predictions, or "
            f"one-hot with a last axis of num_classes={num_classes}",
            tuple(y_true.shape),
        )
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(y_true.dtype)):
        y_true = ops.round(y_true)  # a cast alone turns a smoothed label 0.95 into 0
    return ops.cast(y_true, "int32")


def weights_like(classes, sample_weight, dtype):
    """Returns one weight for each class of `classes`.

    Args:
        classes: Tensor of any shape.
        sample_weight: None, a number, one weight a row `(rows,)` or `(rows, 1)`, or
            one for each class.
        dtype: Float dtype of the weights.
    """
    if sample_weight is None:
        return ops.ones_like(classes, dtype=dtype)
    weights = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    rank = len(classes.shape)
    if len(weights.shape) == rank + 1 and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, -1)
    while 0 < len(weights.shape) < rank:
        weights = ops.expand_dims(weights, -1)
    return ops.broadcast_to(weights, ops.shape(classes))
