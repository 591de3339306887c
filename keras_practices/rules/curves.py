"""Rules about a loss curve that shakes."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import kept_of_guessing
from keras_practices.rules.outcome import learned

SHAPE = "CS231n, Neural Networks Part 3: Loss function"


@rule("loss-oscillating", stage="during", needs=("training",), source=SHAPE)
def loss_oscillating(figures):
    """The loss goes up and down by a lot and gets nowhere.

    What it sees: the batch losses smoothed to 20 points, the loss on the probe after
    each epoch, and how far single batches lie from their neighbours; rises are
    measured against what there was to learn. Trainings that learned, and training
    steps of the user's own, are not judged.

    Why it matters: each step throws away what the one before it gained.

    Example: SGD with momentum 0.9 and a rate of 0.5.

    Fix: a learning rate ten times lower, larger batches, `clipnorm=1.0`.

    Threshold: 3 rises of the smoothed curve or 2 of the loss on the probe by 20 % of
    what there was to learn and by 4 standard errors; or, when training got nowhere,
    batch losses that deviate by half of what there was to learn (at 32 rows a batch).
    """
    training = figures["training"]
    possible = to_learn(figures)
    if not _is_judged(figures, training, possible):
        return
    swing = thresholds.SWING_SHARE * possible
    noise = training.get("noise") or 0.0
    width = max(1, training.get("curve_width") or 1)
    error = thresholds.SWING_ERRORS * noise / math.sqrt(width)
    of_curve = upswings(training.get("median_curve") or [], max(swing, error))
    of_probe = upswings(training.get("probe_losses") or [], swing)
    shaking = noise / possible > thresholds.NOISE_SHARE * _noise_of_batch(figures)
    if of_curve >= thresholds.SWINGS_OF_CURVE:
        how = f"rose {of_curve} times by more than {max(swing, error):.3g}"
    elif of_probe >= thresholds.SWINGS_OF_EPOCHS:
        how = f"rose {of_probe} times by more than {swing:.3g} between epochs"
    elif shaking and got_nowhere(figures):
        how = f"jumped by {noise:.3g} from batch to batch"
    else:
        return
    yield {
        "severity": "warning",
        "subject": "loss",
        "message": f"The training loss {how} in {training['steps']} steps; there was "
        f"{possible:.3g} to be lost.",
        "cause": "The steps are too long for this loss, or the batches too small.",
        "advice": _lower_rate(training),
        "evidence": {
            "rises_of_curve": of_curve,
            "rises_between_epochs": of_probe,
            "noise": noise,
            "to_learn": possible,
        },
    }


@rule("noisy-loss", stage="during", needs=("training", "fit"), source=SHAPE)
def noisy_loss(figures):
    """Batches of a few rows shake the training more than it gains.

    What it sees: the rows a batch, how far the batch losses lie from their
    neighbours, and the loss on the probe after each epoch.

    Why it matters: the gradient of one row points anywhere; with a rate that suits
    larger batches the weights follow the noise.

    Example: `batch_size=1` with momentum 0.9.

    Fix: `batch_size=32`; or a rate as many times lower as the batch is smaller.

    Threshold: at most 4 rows a batch and noise larger than what was gained on
    guessing, when the loss on the probe rose twice by a fifth of what there was to
    learn, or once by a tenth with 70 % of the loss of guessing left. Batches of one row
    under which training works are not reported, nor are noisy targets.
    """
    training, rows = figures["training"], figures["fit"].get("batch_size")
    possible, noise = to_learn(figures), training.get("noise")
    kept = kept_of_guessing(figures)
    if not rows or rows > thresholds.SMALL_BATCH or noise is None or not possible:
        return
    gained = max(0.0, 1 - kept) * possible
    if noise <= thresholds.NOISE_TO_GAIN * gained:
        return
    # The start may lie far above guessing: what counts is how it goes on from there.
    losses = (training.get("probe_losses") or [])[1:]
    rises = upswings(losses, thresholds.SWING_SHARE * possible)
    poor = kept > thresholds.NOISY_KEPT
    poor = poor and upswings(losses, thresholds.NOISY_SWING * possible) > 0
    if not poor and rises < thresholds.SWINGS_OF_EPOCHS:
        return
    yield {
        "severity": "warning",
        "subject": "batch size",
        "message": f"With {rows} rows a batch the loss jumps by {noise:.3g} from batch "
        f"to batch; the training gained {gained:.3g} on guessing.",
        "cause": "The gradient of so few rows is mostly noise.",
        "advice": "Set batch_size=32 in fit, or divide the learning rate by "
        f"{32 // rows}.",
        "evidence": {
            "batch_size": rows,
            "noise": noise,
            "gained": gained,
            "kept": kept,
        },
    }


def to_learn(figures):
    """Loss of guessing less the lowest loss that is possible, None where not known.

    Args:
        figures: Dict of measured figures.

    Returns:
        A positive float or None.
    """
    training = figures["training"]
    start = training.get("start_loss")
    known = [*losses_of_guessing(figures), *([] if start is None else [start])]
    possible = min(known) - (training.get("floor") or 0.0) if known else 0.0
    return possible if possible > 0 else None


def losses_of_guessing(figures):
    """What answers cost that know nothing of the inputs.

    Args:
        figures: Dict of measured figures.

    Returns:
        List of the known ones: the best constant answer, and what a fresh model gives.
        Empty for weighted and summed losses, which these are not.
    """
    summed = any(o.get("reduction") == "sum" for o in figures.get("outputs") or ())
    if summed or figures.get("class_weighted"):
        return []
    known = (figures.get("constant_loss"), figures["training"].get("chance"))
    return [loss for loss in known if loss is not None]


def upswings(values, size):
    """Counts the rises of at least `size` between one low and the next.

    Args:
        values: List of losses in their order.
        size: Positive float.

    Returns:
        Number of rises; a second one needs a fall of `size` before it.
    """
    count, rising, low, high = 0, False, math.inf, -math.inf
    for value in values:
        low, high = min(low, value), max(high, value)
        if not rising and value >= low + size:
            count, rising, high = count + 1, True, value
        elif rising and value <= high - size:
            rising, low = False, value
    return count


def _is_judged(figures, training, possible):
    custom = (figures.get("model") or {}).get("custom_train_step")
    short = training["steps"] < thresholds.STUCK_MIN_STEPS
    ended = training["first_not_finite"] is not None
    return not (custom or short or ended or not possible or learned(figures))


def _noise_of_batch(figures):
    """How much larger than with 32 rows the noise of a batch may be."""
    rows = (figures.get("fit") or {}).get("batch_size")
    return math.sqrt(32 / min(rows, 32)) if rows else 1.0


def _lower_rate(training):
    rate = training.get("learning_rate")
    better = "" if rate is None else f" (learning_rate={rate / 10:.2g})"
    return f"Divide the learning rate by 10{better}; with batches below 8 rows, use 32."
