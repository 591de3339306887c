"""Rules about a training that ran well and ended too early, or too far from zero."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.curves import to_learn
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import kept_of_guessing
from keras_practices.rules.outcome import kept_share
from keras_practices.rules.outcome import learned

SITTING = "CS231n, Neural Networks Part 3: Babysitting the learning process"
FILTERS = "CS231n, Neural Networks Part 3: First-layer visualizations"


@rule("training-too-short", stage="during", needs=("training",), source=SITTING)
def training_too_short(figures):
    """Training ended while the loss still fell.

    What it sees: a straight line through the last third of the batch losses, beside
    the whole fall; what is left of the loss of guessing; how many steps there were;
    and, where other learning rates were tried, whether they would have helped.

    Why it matters: the model is fine, it was not given the time.

    Example: one epoch of ten steps.

    Fix: more epochs, with `EarlyStopping(restore_best_weights=True)` to end them.

    Threshold: 40 % of the loss of guessing left after fewer than 150 steps (400 in at
    most two epochs), while the last third lost 15 % of the fall, or the last of two to
    five epochs 8 % of the loss of guessing; or a trial at the
    same rate from the same weights that went on for longer got further. Where such a
    trial gains less than 10 % and another rate more, the rate is at fault. Or fewer
    than 60 steps that led nowhere, where more of them did learn a handful of rows.
    """
    training = figures["training"]
    kept, possible = kept_of_guessing(figures), to_learn(figures)
    # How much could be lost must be known.
    if kept is None or training.get("floor") is None or not possible:
        return
    if kept < thresholds.SHORT_KEPT or training["first_not_finite"] is not None:
        return
    steps, epochs = training["steps"], training.get("epochs") or math.inf
    few = epochs <= thresholds.SHORT_EPOCHS and steps < thresholds.SHORT_EPOCHS_STEPS
    if steps >= thresholds.SHORT_STEPS and not few:
        return
    own = _trial(figures, training, possible)
    if own["other rate is better"]:
        return
    longer = own["steps"] > steps and own["kept"] <= kept - thresholds.TRIAL_ADVANTAGE
    still_falls = _still_falls(training, possible) or _fell_last(training, possible)
    if not longer and not still_falls and not _hardly_began(figures, kept):
        return
    rows = (figures.get("fit") or {}).get("epochs") or training.get("epochs")
    more = max(10, 10 * (rows or 1))
    yield {
        "severity": "warning",
        "subject": "epochs",
        "message": f"After {steps} steps {kept:.0%} of the loss of guessing is left"
        + (
            f"; a copy that went on for {own['steps']} steps had {own['kept']:.0%}."
            if longer
            else ", and the loss still falls."
            if still_falls
            else "; a handful of rows was learned by heart in more steps than these."
        ),
        "cause": "Training ended before it could have learned.",
        "advice": f"Train for longer: epochs={more} with keras.callbacks.EarlyStopping("
        "patience=5, restore_best_weights=True).",
        "evidence": {
            "steps": steps,
            "kept": kept,
            "late_share": training.get("late_share"),
        },
    }


def _still_falls(training, possible):
    late, error = training.get("late_fall"), training.get("late_error")
    if late is None or error is None:
        return False
    return (
        training["late_share"] >= thresholds.STILL_FALLING_SHARE
        and late >= thresholds.STILL_FALLING_OF_ALL * possible
        and late >= thresholds.STILL_FALLING_ERRORS * error
    )


def _fell_last(training, possible):
    """True where the last of a few epochs still took much off the probe's loss."""
    losses = training.get("probe_losses") or []
    if not 3 <= len(losses) <= thresholds.SHORT_FEW_EPOCHS + 1:
        return False
    return losses[-2] - losses[-1] >= thresholds.SHORT_LAST_EPOCH * possible


def _hardly_began(figures, kept):
    """True where the model can learn, as its trial shows, and was given few steps."""
    tiny = figures.get("tiny_subset") or {}
    floor = figures["training"].get("floor") or 0.0
    first, last = tiny.get("first_loss"), tiny.get("last_loss")
    if first is None or last is None or kept <= thresholds.NOWHERE_KEPT:
        return False
    left = kept_share(first, last, floor)
    steps = figures["training"]["steps"]
    if left is None or left >= thresholds.TINY_SUBSET_KEPT:
        return False
    return steps < min(thresholds.SHORT_START, tiny.get("steps") or 0)


def _trial(figures, training, possible):
    """What a trial at the own rate reached, and whether another rate would do more."""
    nothing = {"steps": 0, "kept": 1.0, "other rate is better": False}
    trials = figures.get("rate_trials") or []
    own = next((trial for trial in trials if trial["factor"] == 1.0), None)
    if own is None:
        return nothing
    floor = training.get("floor") or 0.0
    kept = {
        trial["factor"]: (trial["last_loss"] - floor) / possible
        for trial in trials
        if math.isfinite(trial["last_loss"])
    }
    gain = max(0.0, 1 - kept.get(1.0, 1.0))
    best = max(0.0, 1 - min(kept.values(), default=1.0))
    start = own["first_loss"]
    stands = start - own["last_loss"] < thresholds.SHORT_GAIN * (start - floor)
    better = stands and best > gain + thresholds.TRIAL_ADVANTAGE
    return {
        "steps": own["steps"],
        "kept": kept.get(1.0, 1.0),
        "other rate is better": better,
    }


@rule("underfitting", stage="during", needs=("training",), source=SITTING)
def underfitting(figures):
    """The training loss came to rest far above zero.

    What it sees: what is left of the loss of guessing, whether the loss still falls,
    and, from before training, whether 20 rows could be learned by heart.

    Why it matters: the model cannot express more, or the rows do not say more: noisy
    targets, language and chance look the same.

    Example: one layer of two units for ten classes.

    Fix: more units or layers, when 20 rows cannot be learned by heart either; else
    better features.

    Threshold: more than half of the loss of guessing left after 200 steps, and less
    than 5 % of the fall in the last third. A note, unless 20 rows alone could not be
    fitted either.
    """
    training = figures["training"]
    kept, late = kept_of_guessing(figures), training.get("late_share")
    if kept is None or late is None or training["steps"] < thresholds.PLATEAU_STEPS:
        return
    if learned(figures) or got_nowhere(figures) or kept <= thresholds.UNDERFITTED_KEPT:
        return
    if late >= thresholds.PLATEAU_SHARE:
        return
    tiny = figures.get("tiny_subset") or {}
    kept_tiny = None
    if tiny and not tiny.get("still_falling"):
        kept_tiny = kept_share(tiny["first_loss"], tiny["best_loss"], tiny.get("floor"))
    unfit = kept_tiny is not None and kept_tiny > thresholds.TINY_SUBSET_KEPT
    yield {
        "severity": "warning" if unfit else "note",
        "subject": "training loss",
        "message": f"The training loss came to rest at {training['last_loss']:.4g}: "
        f"{kept:.0%} of the loss of guessing is left after {training['steps']} steps.",
        "cause": "The model cannot fit 20 rows by themselves either."
        if unfit
        else "The model is too small, or the inputs say no more about the targets.",
        "advice": "Give the hidden layers four times as many units, and look at "
        "whether the training loss falls below "
        f"{training['last_loss']:.3g}.",
        "evidence": {"kept": kept, "late_share": late, "kept_of_20_rows": kept_tiny},
    }


@rule("first-layer-filters-noisy", stage="during", needs=("training",), source=FILTERS)
def first_layer_filters_noisy(figures):
    """The first layer's filters look like noise after training.

    What it sees: how alike neighbouring pixels of the first convolution's filters are
    at the end: 0 for white noise, as initial weights are, 1 for a constant.

    Why it matters: filters that see edges are smooth. Noise says that they were
    trained too little, at too high a rate, or with too weak a penalty.

    Example: a first layer that the gradient does not reach.

    Fix: train for longer, or with `kernel_regularizer=keras.regularizers.L2(1e-4)`.

    Threshold: a smoothness below 0.2 for kernels of at least 5 × 5, after 200 steps.
    A note: good networks have noisy filters too.
    """
    training = figures["training"]
    found = training.get("filters")
    if not found or training["steps"] < thresholds.PLATEAU_STEPS:
        return
    if min(found["shape"][:2]) < thresholds.FILTERS_MIN_SIZE:
        return
    if found["last"] >= thresholds.FILTERS_SMOOTH:
        return
    yield {
        "severity": "note",
        "subject": found["layer"],
        "message": f"The filters of {found['layer']} have a smoothness of "
        f"{found['last']:.2f} after {training['steps']} steps (0 is noise; they began "
        f"with {found['first']:.2f}).",
        "cause": "They were trained too little, at too high a rate, or without a "
        "penalty.",
        "advice": "Train for longer or set kernel_regularizer="
        "keras.regularizers.L2(1e-4), and look at the filters in the report.",
        "evidence": {"first": found["first"], "last": found["last"]},
    }
