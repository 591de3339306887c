"""Training mode against inference mode, and what the outputs depend on."""

import keras
import numpy as np
from keras import ops

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import run_forward
from keras_practices.measures.loss_behaviour import leaves_by_output
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.set_up import pair_outputs
from keras_practices.measures.side_state import measure_losses

ROWS = 256
# Rows of the passes that compare one batch with another: a number that no other axis
# is likely to have.
DEPENDENCE_ROWS = 61
# Changes of an output, as a share of its size: rounding of float32 sums is far below
# the first, what another batch does by design of float16 kernels below the second.
_VARIES = 1e-6
_MIXES = 1e-2
# Predictions for numbers whose spread is this share of that of the targets are one.
_COLLAPSED = 0.01


def measure_modes(model, x, y, sample_weight=None, rows=ROWS):
    """Measures the data loss of the same rows in both modes, noise off in both.

    Args:
        model: Built and compiled Keras model; it is not written.
        x: Inputs, NumPy arrays (structures of them), rows first.
        y: Targets, or None.
        sample_weight: Weights, or None.
        rows: Rows to look at, the first ones.

    Returns:
        Dict with `inference_loss` (BatchNorm with its moving statistics),
        `training_loss` (with those of the batch), `rows`.
    """
    part = [_head(p, rows) for p in (x, y, sample_weight)]
    inference, _ = measure_losses(model, *part, training=False)
    training, _ = measure_losses(model, *part, training=True)
    return {
        "inference_loss": inference,
        "training_loss": training,
        "rows": len(keras.tree.flatten(part[0])[0]),
    }


def measure_output_dependence(model, x, rows=DEPENDENCE_ROWS):
    """Finds out whether the outputs of a row depend on it, and on other rows.

    Args:
        model: Built Keras model; it is not written.
        x: Inputs, NumPy arrays (structures of them), rows first.
        rows: Rows to look at, the first ones.

    Returns:
        Dict with `rows`; `inputs_vary`; `spread` (largest standard deviation of one
        output over rows, as a share of the largest output); `outputs_vary`;
        `rows_mix` (True where the outputs of a row are others when other rows of the
        batch are left out, in inference mode). The last three are None where outputs
        are not finite or not one a row, `rows_mix` also where the model draws random
        numbers or takes batches of one size only.
    """
    x = _head(x, rows)
    arrays = keras.tree.flatten(x)
    count = len(arrays[0])
    found = {
        "rows": count,
        "inputs_vary": any((np.asarray(a) != np.asarray(a)[:1]).any() for a in arrays),
        "spread": None,
        "outputs_vary": None,
        "rows_mix": None,
    }
    with restore_rng():
        first, second = outputs_of(model, x, times=2)
        if not all(_one_a_row(array, count) for array in first):
            return found
        found["spread"] = max(_spread(array) for array in first)
        found["outputs_vary"] = found["spread"] > _VARIES
        drawn = any(_differ(a, b) for a, b in zip(first, second, strict=True))
        half = count // 2
        if drawn or half < 1:
            return found
        try:
            (alone,) = outputs_of(model, _head(x, half), times=1)
        except Exception:
            # A model made for one batch size; nothing is known then.
            return found
    if all(_one_a_row(array, half) for array in alone):
        pairs = zip(alone, first, strict=True)
        found["rows_mix"] = any(_differ(a, b[:half]) for a, b in pairs)
    return found


def measure_predictions(model, x, y, outputs=None, rows=ROWS):
    """Describes what a model predicts for rows with different targets.

    Args:
        model: Built Keras model; it is not written.
        x: Inputs, NumPy arrays (structures of them), rows first.
        y: Targets: array, list in the order of the outputs, or dict by name.
        outputs: The figures "outputs" of the model, None to read them here.
        rows: Rows to look at, the first ones.

    Returns:
        Dict output name → dict with `rows`, `distinct_classes` (predicted; None for
        numbers), `std` (of the predictions over rows, mean over units), `low` (lowest),
        `target_distinct`, `target_std`, `largest_share` (of the most frequent class
        of the targets; None for numbers) and `collapsed` (True where every row gets
        the same class though the targets hold several, or the same number). None for
        an output without targets or whose predictions are not finite.
    """
    outputs = measure_outputs(model) if outputs is None else outputs
    x, y = _head(x, rows), _head(y, rows)
    with restore_rng():
        (predictions,) = outputs_of(model, x, outputs=outputs)
    pairs = pair_outputs(outputs, y)
    if len(pairs) != len(predictions):
        return {}
    return {
        output["name"]: _described(prediction, targets)
        for (output, targets), prediction in zip(pairs, predictions, strict=True)
    }


def _head(part, rows):
    if part is None:
        return None
    return keras.tree.map_structure(lambda a: a[:rows], part)


def outputs_of(model, x, times=1, outputs=()):
    """Returns the outputs of a model, run so often in one scope, noise off.

    Args:
        model: Built Keras model; it is not written.
        x: Inputs, NumPy arrays (structures of them), rows first.
        times: How often. Random numbers go on in the scope.
        outputs: The figures "outputs" of the model, for their order.

    Returns:
        List of lists of float64 arrays: one list a run, one array an output.
    """
    inputs = input_tensors(x)
    runs = run_forward(model, inputs, times=times)
    return [
        [
            np.asarray(ops.convert_to_numpy(part), dtype=np.float64)
            for part in leaves_by_output(run, outputs)
        ]
        for run in runs
    ]


def _one_a_row(array, rows):
    # Outputs such as the likeness of each row to each other one are made of all rows.
    per_row = array.ndim > 0 and len(array) == rows and rows not in array.shape[1:]
    return per_row and bool(np.isfinite(array).all())


def _spread(array):
    size = float(np.abs(array).max(initial=0.0))
    return float(array.std(axis=0).max(initial=0.0)) / size if size > 0 else 0.0


def _differ(one, two):
    if one.shape != two.shape:
        return True
    size = max(np.abs(one).max(initial=0.0), np.abs(two).max(initial=0.0))
    return bool(np.abs(one - two).max(initial=0.0) > _MIXES * size)


def _described(prediction, targets):
    finite = bool(np.isfinite(prediction).all())
    if targets is None or not finite or len(targets) != len(prediction):
        return None
    targets = np.asarray(targets)
    kind = measure_targets(targets)
    units = prediction.shape[-1] if prediction.ndim > 1 else 1
    flat = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    classes = _classes(prediction, targets, kind["kind"], units)
    columns = prediction.reshape(len(prediction), -1)
    found = {
        "rows": len(targets),
        "std": float(columns.std(axis=0).mean()),
        "low": float(columns.min()),
        "target_std": float(flat.std(axis=0).mean()),
    }
    if classes is not None:
        given, wanted = classes
        _, counts = np.unique(wanted, return_counts=True)
        found |= {
            "distinct_classes": len(np.unique(given)),
            "target_distinct": len(counts),
            "largest_share": float(counts.max() / counts.sum()),
        }
        collapsed = found["distinct_classes"] == 1 and found["target_distinct"] > 1
    else:
        found |= {
            "distinct_classes": None,
            "target_distinct": kind["distinct"],
            "largest_share": None,
        }
        same_width = columns.shape == flat.shape
        collapsed = same_width and found["std"] < _COLLAPSED * found["target_std"]
    return {**found, "collapsed": bool(collapsed)}


def _classes(prediction, targets, kind, units):
    """Predicted and true classes, None where the targets are no classes."""
    if kind == "one-hot" and targets.shape == prediction.shape:
        return prediction.argmax(axis=-1), targets.argmax(axis=-1)
    one_a_place = targets.size * units == prediction.size
    if kind in ("classes", "binary") and units > 1 and one_a_place:
        return prediction.argmax(axis=-1), targets
    if kind == "binary" and units == 1 and one_a_place:
        # Scores and not probabilities reach beyond 0…1.
        probabilities = prediction.min() >= 0 and prediction.max() <= 1
        return prediction > (0.5 if probabilities else 0.0), targets
    return None
