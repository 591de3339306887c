"""Rules about the learning rate, settled by short trials at other rates."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.start import kept_share

RATES = "CS231n, Neural Networks Part 3: Ratio of weights:updates, loss function"


@rule("learning-rate-too-high", stage="during", needs=("training",), source=RATES)
def learning_rate_too_high(figures):
    """The steps are too long.

    What it sees: short trials on a copy from the initial weights at 1/10 and 1/100
    of the rate. When a few dozen such steps end lower than the whole training did,
    the rate is too high. Where no trial is possible: updates of more than a tenth of
    the weights while the loss does not fall.

    Why it matters: too long steps jump over the valley: the loss is erratic, rises,
    or ends in NaN; ReLU units die on the way.

    Example: Adam with 0.1.

    Fix: the rate of the best trial.

    Threshold: a trial keeps at least 15 points less of the loss than the training
    did; ratio of update to weight above 0.1.
    """
    yield from _judge(figures, higher=False)


@rule("learning-rate-too-low", stage="during", needs=("training",), source=RATES)
def learning_rate_too_low(figures):
    """The steps are too short.

    What it sees: short trials on a copy from the initial weights at 10 and 100 times
    the rate. When a few dozen such steps end lower than the whole training did, the
    rate is too low. Where no trial is possible: updates of less than 1e-4 of the
    weights while the loss hardly falls.

    Why it matters: the training would get there, in days.

    Example: SGD with 1e-4.

    Fix: the rate of the best trial.

    Threshold: as for `learning-rate-too-high`; ratio of update to weight below 1e-4.
    """
    yield from _judge(figures, higher=True)


def _judge(figures, *, higher):
    training, trials = figures["training"], figures.get("rate_trials")
    # A trial is longer than such a training: it would always end lower.
    short = training["steps"] < thresholds.STUCK_MIN_STEPS
    if short and training["first_not_finite"] is None:
        return
    reached = training["last_loss"]
    start = training["start_loss"]
    if reached is None or start is None:
        reached = math.inf if training["first_not_finite"] is not None else None
    if reached is None:
        return
    if trials:
        found = _from_trials(trials, training, reached, higher)
    else:
        found = _from_ratio(training, start, reached, higher)
    if found is not None:
        yield found


def _from_trials(trials, training, reached, higher):
    own = next((t for t in trials if t["factor"] == 1.0), None)
    if own is None:
        return None
    best = min(trials, key=lambda t: _end(t))
    if (best["factor"] > 1) != higher or best["factor"] == 1.0:
        return None
    start, floor = own["first_loss"], training["floor"] or 0.0
    # Shares, not losses: a summed loss depends on the rows it is taken over.
    kept_training = training["kept"] if math.isfinite(reached) else 1.0
    kept_best = kept_share(start, _end(best), floor)
    kept_own = kept_share(start, _end(own), floor)
    if kept_best is None or kept_own is None:
        return None
    gain, own_gain = 1 - kept_best, max(0.0, 1 - kept_own)
    clearly = kept_best < kept_training - thresholds.TRIAL_ADVANTAGE
    if not clearly or gain < thresholds.TRIAL_FACTOR * own_gain:
        return None
    word = "low" if higher else "high"
    rate, better = own["learning_rate"], best["learning_rate"]
    times = max(best["factor"], 1 / best["factor"])
    end = "not finite" if not math.isfinite(reached) else f"{reached:.4g}"
    return {
        "severity": "error",
        "subject": "optimizer",
        "message": f"The learning rate of {rate:.2g} is too {word}: with {better:.2g} "
        f"a copy went from a loss of {start:.4g} to {_end(best):.4g} in "
        f"{best['steps']} steps, with yours to {_shown(_end(own))}; the training "
        f"ended at {end} after {training['steps']} steps.",
        "cause": f"It is about {times:.0f} times too {word} for this model and batch.",
        "advice": f"Set learning_rate={better:.2g}.",
        "evidence": {
            "learning_rate": rate,
            "better_learning_rate": better,
            "trial_loss": _end(best),
            "own_trial_loss": _end(own),
            "training_loss": reached,
            "update_ratio": training["update_ratio"],
        },
    }


def _from_ratio(training, start, reached, higher):
    ratio = training["update_ratio"]
    if higher and training["first_not_finite"] is not None:
        return None  # weights that are NaN do not move either
    if ratio is None or start is None or not math.isfinite(start):
        return None
    kept = 1.0 if not math.isfinite(reached) else reached / start if start > 0 else None
    if kept is None or kept < 0.9:
        return None
    low, high = thresholds.UPDATE_RATIO_LOW, thresholds.UPDATE_RATIO_HIGH
    if (ratio >= low) if higher else (ratio <= high):
        return None
    rate = training["learning_rate"]
    better = None if rate is None else rate * (10 if higher else 0.1)
    word = "low" if higher else "high"
    return {
        "severity": "warning",
        "subject": "optimizer",
        "message": f"An update changes the weights by {ratio:.2g} of their size (about "
        f"1e-3 is usual) and the loss keeps {kept:.0%} of its start.",
        "cause": f"The learning rate is too {word}.",
        "advice": f"Set learning_rate={better:.2g}."
        if better is not None
        else f"Change the learning rate {'×10' if higher else '÷10'}.",
        "evidence": {"update_ratio": ratio, "learning_rate": rate},
    }


def _end(trial):
    last = trial["last_loss"]
    return last if math.isfinite(last) else math.inf


def _shown(loss):
    return f"{loss:.4g}" if math.isfinite(loss) else "NaN or infinity"
