"""Rules about the loss curve of a training run."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.curves import losses_of_guessing
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import kept_share

CURVES = "CS231n, Neural Networks Part 3: Loss function, Train/Val accuracy"


@rule("training-raised", stage="during", needs=("exception",), source=CURVES)
def training_raised(figures):
    """`fit` ended in an exception.

    What it sees: the exception that `fit` raised under `kp.diagnose`.

    Why it matters: the run ended there; what was found before it usually says why.

    Example: one-hot targets under a sparse loss.

    Fix: act on the findings before this one, else on the exception's own text.

    Threshold: none.
    """
    found = figures["exception"]
    yield {
        "severity": "error",
        "subject": "fit",
        "message": f"fit raised {found['text']}",
        "cause": "See the findings above, else the text of the exception.",
        "advice": "Repair what the exception names and run again.",
        "evidence": {"type": found["type"], "after_steps": found["steps"]},
    }


@rule("loss-not-finite", stage="during", needs=("training",), source=CURVES)
def loss_not_finite(figures):
    """The loss became NaN or infinite.

    What it sees: the true loss of every batch.

    Why it matters: from that step on every weight is NaN; the epochs after it are
    wasted.

    Example: a learning rate of 10; the logarithm of zero in a custom loss.

    Fix: what the finding's cause names; else a learning rate ten times lower and
    `clipnorm=1.0`.

    Threshold: one batch.
    """
    found = figures["training"]
    step = found["first_not_finite"]
    if step is None:
        return
    yield {
        "severity": "error",
        "subject": "loss",
        "message": f"The loss is not finite after step {step} of {found['steps']} "
        f"(epoch {found['first_not_finite_epoch']:.2f}).",
        "cause": "Weights or activations overflowed, or the data hold NaN.",
        "advice": "Check the data for NaN, then divide the learning rate by 10.",
        "evidence": {"step": step, "steps": found["steps"]},
    }


@rule("loss-diverging", stage="during", needs=("training",), source=CURVES)
def loss_diverging(figures):
    """The training loss ends far above its start.

    What it sees: the loss in inference mode on a fixed probe at the start and at the
    end of training (the smoothed batch loss where there is no probe).

    Why it matters: the steps lead uphill: too long, or of the wrong sign.

    Example: SGD with a rate of 0.5 on a wide network.

    Fix: a learning rate ten times lower; check the sign of a custom loss.

    Threshold: 2 × the start, and not below the loss of guessing. Where the losses of
    the batches fell, training and inference disagree and another rule speaks.
    """
    found = figures["training"]
    start, last = found["start_loss"], found["last_loss"]
    if start is None or last is None or found["steps"] < thresholds.STUCK_MIN_STEPS:
        return
    rise = last - start
    if not got_nowhere(figures) or _batches_learned(figures):
        return
    if rise > (thresholds.DIVERGED_FACTOR - 1) * max(abs(start), 1e-3):
        yield {
            "severity": "error",
            "subject": "loss",
            "message": f"The training loss rose from {start:.4g} to {last:.4g} in "
            f"{found['steps']} steps.",
            "cause": "The steps are too long or lead uphill.",
            "advice": "Divide the learning rate by 10; check the sign of the loss.",
            "evidence": {"start_loss": start, "last_loss": last},
        }


@rule("loss-not-decreasing", stage="during", needs=("training",), source=CURVES)
def loss_not_decreasing(figures):
    """The training loss hardly fell.

    What it sees: the loss in inference mode on a fixed probe at the start and at the
    end of training (the smoothed batch loss where there is no probe).

    Why it matters: nothing was learned, whatever the accuracy says.

    Example: accuracy stuck at 10 % for ten classes.

    Fix: what the finding's cause names.

    Threshold: less than 3 % of what can be lost is lost, from the start or (then a
    warning) from the loss of guessing: to get there takes no input. A model that begins
    far below the loss of guessing (pretrained) is not judged. Where the losses of the
    batches fell, training and inference disagree and another rule speaks.
    """
    found = figures["training"]
    start, last = found["start_loss"], found["last_loss"]
    if start is None or last is None or found["steps"] < thresholds.STUCK_MIN_STEPS:
        return
    chance = found.get("chance")
    if chance is not None and start < 0.5 * chance:
        return
    floor = found["floor"]
    lowest = min(0.0, last) if floor is None else floor
    guess = _guessing(figures)
    of_start, of_guess = (kept_share(base, last, lowest) for base in (start, guess))
    limit = 1 - thresholds.STUCK_SHARE
    stands = of_start is not None and of_start >= limit
    guesses = of_guess is not None and of_guess >= limit
    if not (stands or guesses) or _batches_learned(figures):
        return
    beside = "" if guess is None else f" (guessing gives {guess:.4g})"
    yield {
        "severity": "error" if stands else "warning",
        "subject": "loss",
        "message": f"The training loss went from {start:.4g} to {last:.4g} in "
        f"{found['steps']} steps{beside}: nothing was learned.",
        "cause": "The gradients say nothing, or the steps are of the wrong size.",
        "advice": "Run kp.check and act on its first finding; then try the learning "
        "rate ×10 and ÷10.",
        "evidence": {"start_loss": start, "last_loss": last, "steps": found["steps"]},
    }


def _guessing(figures):
    """Loss of a constant answer, on the side of caution; None where not known.

    Of the two losses of guessing the larger one is taken for classes; for numbers the
    better guess is the mean.
    """
    known = losses_of_guessing(figures)
    unbounded = (figures.get("initial_loss") or {}).get("unbounded")
    return (min if unbounded else max)(known, default=None)


def _batches_learned(figures):
    """True when the losses of the batches fell by half of what guessing costs."""
    found = figures["training"]
    curve, guess = found.get("curve"), _guessing(figures)
    if not curve:
        return False
    start = curve[0] if guess is None else min(curve[0], guess)
    kept = kept_share(start, curve[-1], found["floor"] or 0.0)
    return kept is not None and kept < 0.5 and found["first_not_finite"] is None


@rule("overfitting", stage="during", needs=("training",), source=CURVES)
def overfitting(figures):
    """Validation turned while training went on falling.

    What it sees: validation loss without weight penalties and training loss
    (inference mode on the probe, else as reported) of each epoch; the loss of
    guessing.

    Why it matters: from the best epoch on the model learns its rows by heart.

    Example: 150 rows and a network of 100,000 weights.

    Fix: stop at the best epoch (`EarlyStopping(restore_best_weights=True)`), more
    data or augmentation, dropout, L2.

    Threshold: validation loss ends 20 % above its minimum (and by a tenth of the first
    loss), at least 3 epochs after it, while training loss fell further. Or the rows
    are known by heart (a tenth of the loss of guessing left) and validation ends 20 %
    above its minimum and above the loss of guessing.
    """
    found = figures["training"]
    validation = found.get("validation_data_losses") or found["validation_losses"]
    training = found["training_losses"]
    epochs = min(len(validation), len(training))
    if epochs < 2:
        return
    best = min(range(epochs), key=lambda epoch: validation[epoch])
    if not (
        _turned(found, validation, training, best, epochs)
        or _by_heart(figures, validation, training, best, epochs)
    ):
        return
    yield {
        "severity": "warning",
        "subject": "validation loss",
        "message": f"Validation loss was lowest in epoch {best + 1} "
        f"({validation[best]:.4g}) and ended at {validation[epochs - 1]:.4g}, while "
        f"training loss fell from {training[best]:.4g} to {training[epochs - 1]:.4g}.",
        "cause": "The model learns its training rows by heart.",
        "advice": f"Stop near epoch {best + 1}: keras.callbacks.EarlyStopping("
        f"patience=3, restore_best_weights=True); then add dropout or L2.",
        "evidence": {
            "best_epoch": best + 1,
            "best_validation_loss": validation[best],
            "last_validation_loss": validation[epochs - 1],
            "last_training_loss": training[epochs - 1],
        },
    }


def _turned(found, validation, training, best, epochs):
    tail = validation[max(best + 1, epochs - 3) : epochs]
    if epochs - 1 - best < thresholds.OVERFIT_MIN_EPOCHS or not tail:
        return False
    rise = min(tail) - validation[best]
    large = rise > thresholds.OVERFIT_RISE * abs(validation[best])
    first = abs(found["start_loss"] or validation[0])
    large = large and rise > thresholds.OVERFIT_RISE_OF_FIRST * first
    return large and training[epochs - 1] < training[best]


def _by_heart(figures, validation, training, best, epochs):
    found, guess = figures["training"], _guessing(figures)
    floor = found["floor"]
    if guess is None or floor is None or validation[epochs - 1] <= guess:
        return False
    kept = kept_share(guess, training[epochs - 1], floor)
    rise = validation[epochs - 1] - validation[best]
    return (
        kept is not None
        and kept <= thresholds.BY_HEART_KEPT
        and rise > thresholds.OVERFIT_RISE * abs(validation[best])
    )
