"""Traits of a loss, read off its values: nothing here knows what it is called."""

import math

import numpy as np

# Two values of a loss are the same but for the rounding of float32 sums.
_SAME = 1e-5
# Made-up predictions, drawn so often.
_DRAWS = 3
# Rounding of a softmax in float16.
_UNIT_SUM = 5e-3
# How far a prediction is moved towards its target.
_STEP = 0.05


def probe_loss(loss, y, prediction, target):
    """Finds out what a loss does.

    Args:
        loss: Function `(targets, predictions) -> float` of NumPy arrays.
        y: Targets of some rows, NumPy array.
        prediction: What the model gives for these rows, NumPy array, rows first.
        target: `measure_targets` of all targets at hand.

    Returns:
        Dict of `rows`; `prediction` (`min`, `max`, `probabilities`: True where the
        model's own outputs lie in 0…1; `sums_to_one`: the axes along which they add
        up to 1); `broadcast` (`prediction` and `target`:
        shapes without rows that differ and that NumPy would broadcast, else None);
        `repeated` (the same where Keras's losses would, which add a last axis).
        And, None where it cannot be said:

        - `value`, `value_at_targets`: the loss of made-up and of right predictions.
        - `row_growth`: loss of the rows taken twice ÷ loss of the rows (1 for a
          mean, 2 for a sum over the batch).
        - `pairing`: loss with targets in another order ÷ in theirs (1: rows are not
          compared with their own target).
        - `ignores_targets`: other targets give the same loss.
        - `softmax_inside`: the loss takes scores and applies a softmax by itself.
        - `clips_scores`, `clips_scores_above`: scores below 0 (above 1) of the true
          class change nothing, those between do.
        - `undefined_on_scores`: not finite for scores below 0, finite above.
        - `decreases_towards_targets`: a small move towards the targets lowers it
          every time (True), raises it every time (False).
        - `finite`: finite at predictions of exactly 0 and 1, right and wrong.
    """
    random = np.random.default_rng(0)
    goal, classes = _goal(y, prediction.shape, target)
    guesses = [
        _guess(goal, classes, prediction.shape, target, random) for _ in range(_DRAWS)
    ]
    guess = guesses[0]
    base = _tried(lambda: loss(y, guess))
    figures = {
        "rows": len(y),
        "prediction": _range(prediction),
        "broadcast": _broadcast(y.shape, prediction.shape),
        "repeated": _repeated(y.shape, prediction.shape),
        "value": base,
        "row_growth": _tried(
            lambda: _ratio(loss(np.concatenate([y, y]), _twice(guess)), base)
        ),
        "pairing": _tried(lambda: _pairing(loss, y, guess, base, random)),
        "ignores_targets": _tried(
            lambda: _same(loss(_others(y, prediction.shape, classes), guess), base)
        ),
    }
    probes = {
        "value_at_targets": lambda: loss(y, _kept_inside(goal, classes)),
        "decreases_towards_targets": lambda: _decreases(loss, y, goal, guesses),
        "softmax_inside": lambda: _softmax_inside(loss, y, goal, random),
        "finite": lambda: _finite(loss(y, goal), loss(y, 1 - goal)),
    }
    needs_classes = ("softmax_inside", "finite")
    for name, probe in probes.items():
        known = goal is not None and (classes or name not in needs_classes)
        figures[name] = _tried(probe) if known else None
    return {**figures, **(_clips(loss, y, goal) if classes else _NO_CLIPS)}


def _tried(probe):
    try:
        return probe()
    except Exception:
        # A loss of the user's own may raise anything on made-up predictions.
        return None


def _same(one, two, tolerance=_SAME):
    if not (math.isfinite(one) and math.isfinite(two)):
        return False
    return abs(one - two) <= tolerance * max(abs(one), abs(two), 1e-12)


def _finite(*values):
    return all(math.isfinite(value) for value in values)


def _ratio(one, two):
    return one / two if _finite(one, two) and abs(two) > 1e-12 else None


def _twice(array):
    return np.concatenate([array, array])


def _range(prediction):
    if not prediction.size or not np.isfinite(prediction).all():
        return None
    low, high = float(prediction.min()), float(prediction.max())
    inside = low >= 0 and high <= 1 + 1e-5
    sums = [prediction.sum(axis=axis) for axis in range(prediction.ndim)]
    return {
        "min": low,
        "max": high,
        "probabilities": bool(inside),
        "sums_to_one": [
            axis
            for axis, found in enumerate(sums)
            if inside and prediction.shape[axis] > 1 and _is_one(found)
        ],
    }


def _is_one(sums):
    return bool((np.abs(sums - 1) <= _UNIT_SUM).all())


def _broadcast(y, prediction):
    if y == prediction:
        return None
    try:
        np.broadcast_shapes(y, prediction)
    except ValueError:
        return None
    return {"prediction": list(prediction[1:]), "target": list(y[1:])}


def _repeated(y, prediction):
    # Keras's own losses add an axis at the end of the side that lacks one.
    if len(y) + 1 != len(prediction) or _broadcast((*y, 1), prediction) is None:
        return None
    return {"prediction": list(prediction[1:]), "target": list(y[1:])}


def _goal(y, shape, target):
    """The predictions that would be right, and whether they stand for classes.

    Returns:
        `(array of the shape of the predictions or None, bool)`.
    """
    kind, units = target["kind"], shape[-1] if len(shape) > 1 else 1
    values = np.asarray(y, dtype=np.float64)
    if not np.isfinite(values).all():
        return None, False
    if units > 1 and y.shape in (shape[:-1], (*shape[:-1], 1)):
        numbers = values.reshape((*shape[:-1], 1))
        whole = bool((numbers == np.round(numbers)).all())
        if not whole or numbers.min() < 0 or numbers.max() >= units:
            return None, False
        goal = np.zeros(shape, dtype=np.float32)
        np.put_along_axis(goal, numbers.astype(np.int64), 1, axis=-1)
        return goal, True
    if y.shape == shape or (*y.shape, 1) == shape or y.shape == (*shape, 1):
        # −1 and 1 (or dummies) need not be what the predictions should become.
        if target["distinct"] <= 2 and kind == "numbers":
            return None, False
        classes = kind in ("one-hot", "binary", "multi-label")
        return values.reshape(shape).astype(np.float32), classes
    return None, False


def _guess(goal, classes, shape, target, random):
    """Predictions out of the range that fits the targets."""
    drawn, kind = random.normal(size=shape), target["kind"]
    if goal is not None and not classes and kind in ("numbers", "classes"):
        spread = math.sqrt(target["variance"]) or 1.0
        values = target["mean"] + spread * drawn
        values = np.abs(values) if target["min"] >= 0 else values
    elif classes and len(shape) > 1 and shape[-1] > 1 and kind != "multi-label":
        raised = np.exp(drawn)
        values = raised / raised.sum(axis=-1, keepdims=True)
    else:
        values = 1 / (1 + np.exp(-drawn))
    return values.astype(np.float32)


def _kept_inside(goal, classes):
    return np.clip(goal, 0.01, 0.99) if classes else goal


def _others(y, shape, classes):
    """Targets that differ from the given ones in every row."""
    if not classes:
        return y + np.asarray(1 + np.abs(y).max(), dtype=y.dtype)
    if len(shape) > 1 and shape[-1] > 1 and y.shape != shape:
        return ((y + 1) % shape[-1]).astype(y.dtype)
    if len(shape) > 1 and shape[-1] > 1:
        return np.roll(y, 1, axis=-1)
    return (1 - y.astype(np.float32)).astype(y.dtype)


def _pairing(loss, y, guess, base, random):
    order = random.permutation(len(y))
    if np.array_equal(y[order], y):
        return None
    return _ratio(loss(y[order], guess), base)


def _decreases(loss, y, goal, guesses):
    changes = []
    for guess in guesses:
        before, after = loss(y, guess), loss(y, guess + _STEP * (goal - guess))
        if not _finite(before, after) or _same(before, after, 1e-7):
            return None
        changes.append(after - before)
    if all(change < 0 for change in changes):
        return True
    return False if all(change > 0 for change in changes) else None


def _softmax_inside(loss, y, goal, random):
    """A softmax hears only differences of scores, and more of them lowers the loss."""
    if goal.ndim < 2 or goal.shape[-1] < 2:
        return None
    scores = (2 * random.normal(size=goal.shape)).astype(np.float32)
    shift = 3 * random.normal(size=(*goal.shape[:-1], 1))
    base = loss(y, scores)
    if not _finite(base):
        return False
    if not _same(loss(y, (scores + shift).astype(np.float32)), base, 1e-4):
        return False
    if _same(loss(y, 2 * scores), base, 1e-3):
        return False
    # A margin loss hears only differences too, but is content with a margin of 1.
    low, high = loss(y, 3 * goal), loss(y, goal)
    return bool(low < high - 1e-3 * abs(high))


_NO_CLIPS = {
    "clips_scores": None,
    "clips_scores_above": None,
    "undefined_on_scores": None,
}


def _clips(loss, y, goal):
    """What scores of the true class outside 0…1 do, the others staying as they are."""
    units = goal.shape[-1] if goal.ndim > 1 else 1
    # High enough that the scores of a row have a positive sum: Keras divides by it.
    other = 0.3 + (8 / (units - 1) if units > 1 else 0.0)

    def at(score):
        return loss(y, np.where(goal > 0.5, score, other).astype(np.float32))

    def read():
        low, high = at(0.2), at(0.6)
        if not _finite(low, high) or _same(low, high):
            return _NO_CLIPS
        below = at(-2.0)
        return {
            "clips_scores": _same(below, at(-5.0)),
            "clips_scores_above": _same(at(1.5), at(4.0)),
            "undefined_on_scores": not _finite(below),
        }

    return _tried(read) or _NO_CLIPS
