"""Loss and metrics of each row of a test set, where they are means over rows."""

import keras
import numpy as np
from keras import ops


def figures_of_rows(model, x, y, reported, batch_size):
    """Predicts once, and finds the values that reported figures are means of.

    Each is held against what was reported: what is no mean over rows, or is weighted
    in some other way, does not agree and is left out.

    Args:
        model: A compiled Keras model with one output.
        x: Inputs: an array, or a structure of arrays.
        y: Targets, an array.
        reported: Dict of figures, from `model.evaluate(return_dict=True)`.
        batch_size: Rows a step.

    Returns:
        Dict from names in `reported` to `(values, offset)`: a float64 array with a
        value a row, and the penalty that is in the figure beside their mean.
    """
    if not hasattr(y, "shape"):
        return {}  # several outputs
    functions = {
        name: function
        for name, function in _functions(model).items()
        if name in reported and function is not None
    }
    found = _values(model, functions, x, y, batch_size) if functions else {}
    penalty = sum(float(ops.convert_to_numpy(one)) for one in model.losses)
    agreeing = {}
    for name, values in found.items():
        offset = penalty if name == "loss" else 0.0
        figure = np.asarray(reported[name])
        # The running mean of `evaluate` is in float32.
        if figure.size == 1 and np.isclose(
            values.mean() + offset, figure.reshape(()), rtol=1e-4, atol=1e-6
        ):
            agreeing[name] = values, offset
    return agreeing


def _values(model, functions, x, y, batch_size):
    rows = len(y)
    parts = {name: [] for name in functions}
    for first in range(0, rows, batch_size):
        chosen = slice(first, first + batch_size)
        inputs = keras.tree.map_structure(lambda a, chosen=chosen: a[chosen], x)
        outputs = model.predict_on_batch(inputs)
        if not hasattr(outputs, "shape"):
            return {}  # several
        targets = y[chosen]
        if targets.dtype == "float64":
            targets = targets.astype(keras.config.floatx())
        targets = ops.convert_to_tensor(targets)
        outputs = ops.convert_to_tensor(outputs)
        for name, function in functions.items():
            values = ops.convert_to_numpy(function(targets, outputs))
            parts[name].append(np.asarray(values, "float64"))
    whole = {}
    for name, pieces in parts.items():
        if all(piece.ndim for piece in pieces):
            values = np.concatenate(pieces)
            if len(values) == rows:
                whole[name] = values.reshape(rows, -1).mean(axis=1)
    return whole


def _functions(model):
    """Name in the logs → function of targets and outputs that keeps the rows."""
    functions = {"loss": _loss_function(model.loss)}
    for metric in model.metrics:
        for one in getattr(metric, "metrics", None) or [metric]:
            if isinstance(one, keras.metrics.MeanMetricWrapper):
                functions[one.name] = _metric_function(one)
    return functions


def _loss_function(loss):
    if isinstance(loss, str):
        # Of a name `keras.losses.get` makes a function, which does not align shapes.
        function = keras.losses.get(loss)
        name = getattr(function, "__name__", "").title().replace("_", "")
        kind = getattr(keras.losses, name, None)
        return function if kind is None else kind(reduction=None)
    if isinstance(loss, keras.losses.Loss):
        return type(loss).from_config({**loss.get_config(), "reduction": None})
    return loss if callable(loss) else None


def _metric_function(metric):
    # Keras 3.15 has no public name for it; without it there is no interval.
    function = getattr(metric, "_fn", None)
    arguments = getattr(metric, "_fn_kwargs", None) or {}
    if function is None:
        return None
    return lambda targets, outputs: function(targets, outputs, **arguments)
