"""How a training ended, in one word, for rules whose finding depends on it."""

import math

from keras_practices.rules import thresholds


def kept_share(first, last, floor):
    """Share of what can be lost that is still there; None where not known.

    Args:
        first: Loss at the start.
        last: Loss at the end; not finite counts as all kept.
        floor: Lowest loss that is possible, None where not known.

    Returns:
        0 when all that can be lost is lost, 1 when nothing is, above 1 when it rose.
    """
    if first is None or floor is None or not math.isfinite(first):
        return None
    if not math.isfinite(last):
        return 1.0
    possible = first - floor
    if possible <= 1e-6 * max(1.0, abs(first)):
        return 0.0
    return (last - floor) / possible


def is_summed(figures):
    """True where a loss is summed over the batch: losses a row do not compare."""
    found = (figures.get("loss_behaviour") or {}).values()
    growths = [behaviour.get("row_growth") for behaviour in found if behaviour]
    return any(
        growth is not None and growth >= thresholds.LOSS_ROW_GROWTH
        for growth in growths
    )


def kept_of_guessing(figures):
    """Share of the loss of guessing that is still there after training.

    The start of a training says little by itself: from a first loss of 50, ten classes
    reach the 2.3 of guessing by shrinking their scores alone.

    Args:
        figures: Dict of measured figures.

    Returns:
        0 for a loss at its floor, 1 for one no better than the best constant answer;
        None before training, or where no loss is known.
    """
    training = figures.get("training")
    if training is None:
        return None
    if training["first_not_finite"] is not None or training["last_loss"] is None:
        return 1.0
    start, floor = training["start_loss"], training.get("floor") or 0.0
    known = []
    # Weights change the loss of guessing, and a sum over the batch its unit.
    if not is_summed(figures) and not figures.get("class_weighted"):
        known += [figures.get("constant_loss"), training.get("chance")]
    known = [loss for loss in known if loss is not None]
    if start is not None and not _knew_before(start, known, floor):
        known.append(start)
    return kept_share(min(known), training["last_loss"], floor) if known else None


def _knew_before(start, guesses, floor):
    """True for a model that was trained before: fine-tuning need not gain much."""
    kept = kept_share(min(guesses), start, floor) if guesses else None
    return kept is not None and kept <= thresholds.LEARNED_KEPT


def learned(figures):
    """True when training learned well, False when not, None when not known."""
    kept = kept_of_guessing(figures)
    return None if kept is None else kept <= thresholds.LEARNED_KEPT


def got_nowhere(figures):
    """True when training ended about where guessing is; False too when not known."""
    kept = kept_of_guessing(figures)
    return kept is not None and kept > thresholds.NOWHERE_KEPT
