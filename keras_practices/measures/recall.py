"""How many rows of each class a trained model names."""

import keras
import numpy as np

from keras_practices.measures.modes import outputs_of
from keras_practices.measures.set_up import pair_outputs

ROWS = 256
MOST_CLASSES = 20


def measure_recall(model, sample, outputs):
    """Measures for each class the share of its rows that the model gives it.

    Args:
        model: Built Keras model with one output; it is not written.
        sample: A `Sample` with targets.
        outputs: From `figures_of_outputs`.

    Returns:
        Dict class → `[rows that were looked at, share of them]`; empty for several
        outputs, for numbers, for several labels a row, and for more than 20 classes.
    """
    if len(outputs) != 1 or sample.y is None:
        return {}
    ((output, y),) = pair_outputs(outputs, sample.y)
    classes = _classes(output, y)
    if classes is None:
        return {}
    names = np.unique(classes)
    if not 2 <= len(names) <= MOST_CLASSES:
        return {}
    # As many of each class: of a rare one a plain sample holds a row or two.
    most = ROWS // len(names)
    chosen = [np.flatnonzero(classes == name)[:most] for name in names]
    order = np.concatenate(chosen)
    x = keras.tree.map_structure(lambda array: np.asarray(array)[order], sample.x)
    (predictions,) = outputs_of(model, x)
    named = _named(output, predictions[0])
    if named is None or len(named) != len(order):
        return {}
    right = named == classes[order]
    return {
        str(int(name)): [len(rows), float(right[classes[order] == name].mean())]
        for name, rows in zip(names, chosen, strict=True)
    }


def _classes(output, y):
    """Class numbers of shape `(rows,)`, None for other targets."""
    kind = (output.get("target") or {}).get("kind")
    if y is None or not output["shape"] or len(output["shape"]) != 1:
        return None
    y = np.asarray(y)
    if kind == "one-hot" and y.ndim == 2:
        return y.argmax(axis=1)
    if kind in ("classes", "binary") and y.size == len(y):
        return y.reshape(-1)
    return None


def _named(output, prediction):
    """The class that each row is given; None where the scale of a score is unread."""
    if not np.isfinite(prediction).all() or prediction.ndim != 2:
        return None
    if prediction.shape[1] > 1:
        return prediction.argmax(axis=1)
    if output["loss"] != "binary_crossentropy":
        return None
    return (prediction[:, 0] > (0.0 if output["from_logits"] else 0.5)).astype(int)
