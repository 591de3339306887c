"""Rules about the size of the batches."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import learned

BATCHES = "Keskar et al. 2017, On Large-Batch Training; Bengio 2012, section 3.1.1"


@rule("batch-size-extreme", stage="during", needs=("fit", "training"), source=BATCHES)
def batch_size_extreme(figures):
    """The batches are too small, or so large that hardly a step is made.

    What it sees: the batch size, the number of steps of the whole training, and how
    the losses of the epochs went.

    Why it matters: one row says little of the whole: steps of one row each go back and
    forth at a rate that suits 32. A batch of all rows makes one step an epoch, and ten
    steps lead nowhere.

    Example: `batch_size=1` with momentum; `batch_size=len(x)` for ten epochs.

    Fix: `batch_size=32`.

    Threshold: at most 2 rows and a training that did not learn, or whose loss rose
    again by a tenth of that of guessing in the later half of its epochs; at least 128
    rows, at most 2 steps an epoch and fewer than 30 in all, and nothing learned.
    """
    fit, training = figures["fit"], figures["training"]
    size, steps, epochs = fit.get("batch_size"), fit.get("steps"), fit.get("epochs")
    if not size:
        return
    outcome = learned(figures)
    if size <= thresholds.BATCH_SMALL:
        rise = _late_rise(training, figures.get("constant_loss"))
        if outcome is not False and not rise > thresholds.BATCH_RISE:
            return
        many = training["steps"] >= thresholds.STUCK_MIN_STEPS
        if many:
            yield _finding(size, _small(size, rise), steps)
    elif outcome is False and steps and epochs and size >= thresholds.BATCH_LARGE:
        few = steps < thresholds.BATCH_FEW_STEPS and steps <= 2 * epochs
        # Where there are few epochs too, it is these that are missing.
        if few and (epochs >= 5 or size >= 4 * thresholds.BATCH_LARGE):
            yield _finding(size, _large(steps, epochs), steps)


def _late_rise(training, guess):
    """Largest rise from one epoch to the next, in losses of guessing."""
    rises = [0.0]
    for name in ("training_losses", "validation_losses"):
        losses = training.get(name) or []
        late = losses[len(losses) // 2 - 1 :] if len(losses) >= 4 else []
        rises += [after - before for before, after in zip(late, late[1:], strict=False)]
    return max(rises) / guess if guess else 0.0


def _small(size, rise):
    rows = "one row" if size == 1 else f"{size} rows"
    rose = f"; late in training the loss rose by {rise:.0%} of that of guessing"
    return (
        f"Each step sees {rows}{rose if rise > 0 else ''}.",
        "The gradient of so few rows is mostly noise.",
    )


def _large(steps, epochs):
    return (
        f"The training made {steps} steps in {epochs} epochs and did not learn.",
        "A batch holds nearly all rows, so an epoch is a step or two.",
    )


def _finding(size, words, steps):
    message, cause = words
    return {
        "severity": "warning",
        "subject": "batch_size",
        "message": f"batch_size={size}: {message}",
        "cause": cause,
        "advice": "Set batch_size=32.",
        "evidence": {"batch_size": size, "steps": steps},
    }
