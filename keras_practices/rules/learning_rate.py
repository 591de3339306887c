"""Rules about the learning rate, settled by short trials at other rates."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.curves import losses_of_guessing
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import kept_of_guessing
from keras_practices.rules.outcome import kept_share
from keras_practices.rules.outcome import learned

RATES = "CS231n, Neural Networks Part 3: Ratio of weights:updates, loss function"


@rule("learning-rate-too-high", stage="during", needs=("training",), source=RATES)
def learning_rate_too_high(figures):
    """The steps are too long.

    What it sees: short trials on a copy from the initial weights at 1/10 and 1/100
    of the rate, noise and penalties off. When a few dozen such steps end lower than
    the whole training did, and as many at the own rate do not, the rate is too high.
    Where no trial tells: updates of more than a tenth of the weights while the loss
    does not fall, a smoothed loss far above its start on the way, or units that died
    in a training that led nowhere.

    Why it matters: too long steps jump over the valley: the loss is erratic, rises,
    or ends in NaN; ReLU units die on the way.

    Example: Adam with 0.1.

    Fix: the rate of the best trial.

    Threshold: a trial keeps at least 15 points less of the loss of guessing than the
    training did (or no more, and 30 points less than a trial at the own rate: a
    warning), and gains twice what a trial at the own rate gains; ratio of update to
    weight above 0.1; a rise to 5 times the start. A training that learned is not
    reported.
    """
    yield from _judge(figures, higher=False)


@rule("learning-rate-too-low", stage="during", needs=("training",), source=RATES)
def learning_rate_too_low(figures):
    """The steps are too short.

    What it sees: short trials on a copy from the initial weights at 10 and 100 times
    the rate, noise and penalties off. When a few dozen such steps end lower than the
    whole training did, and as many at the own rate do not, the rate is too low. Where
    no trial is possible: updates of less than 1e-4 of the weights while the loss
    hardly falls. And a schedule under which the rate is gone early.

    Why it matters: the training would get there, in days.

    Example: SGD with 1e-4.

    Fix: the rate of the best trial.

    Threshold: a trial keeps at least 15 points less of the loss of guessing than the
    training did, and gains twice what a trial at the own rate gains; a rate that stays
    below 1 % of its highest for 60 % of the steps, where a trial ended a tenth lower
    than the training; ratio of update to weight below
    1e-4 (1e-5 where trials led nowhere, and then with a gradient of a thousandth of
    the weights). A training that lost half of the loss of guessing, or whose loss fell
    and came to rest, is not reported: short steps do not rest.
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
    if reached is None or learned(figures):
        return
    if figures.get("class_weighted"):
        trials = None  # they know nothing of these weights
    if higher and (faded := _from_schedule(training, trials, reached)) is not None:
        yield faded
        return
    if trials and not any(map(_tells, trials)):
        trials = None  # the time did not do
    if trials:
        found = _from_trials(figures, trials, reached, higher)
        if found is None and higher and _stands_still(training, trials):
            found = _from_ratio(figures, start, reached, higher)
    else:
        found = _from_ratio(figures, start, reached, higher)
    if found is None and not higher:
        found = _from_curve(figures, trials or [])
    if found is None and not higher and not trials:
        found = _from_units(figures)
    if found is not None:
        yield found


def _tells(trial):
    """True for a trial at another rate that was not cut short by the time."""
    whole = trial["steps"] >= thresholds.TRIAL_MIN_STEPS
    blown_up = not math.isfinite(trial["last_loss"])
    return (whole or blown_up) and trial["factor"] != 1.0


def _from_schedule(training, trials, reached):
    """A schedule that is over long before the training is, and before the learning."""
    at, steps = training.get("rate_faded_at"), training["steps"]
    if at is None or at > thresholds.RATE_FADED_SHARE * steps:
        return None
    if trials and min(map(_end, trials)) >= thresholds.RATE_FADED_GAIN * reached:
        return None  # nothing was left to learn
    rate = training["learning_rate"]
    return {
        "severity": "error" if trials else "warning",
        "subject": "optimizer",
        "message": f"From step {at} of {steps} on the learning rate is below 1 % of "
        f"the {rate:.2g} that it reached: the rest of the training moves nothing.",
        "cause": "The schedule counts steps, and was given a number of epochs, or it "
        "decays too fast.",
        "advice": f"Let the schedule last for the training: decay_steps={steps} for a "
        "cosine; for an exponential decay the steps of an epoch or more.",
        "evidence": {"faded_at": at, "steps": steps, "learning_rate": rate},
    }


def _from_trials(figures, trials, reached, higher):
    training = figures["training"]
    own = next((t for t in trials if t["factor"] == 1.0), None)
    if own is None:
        return None
    best = min(trials, key=lambda t: _end(t))
    if (best["factor"] > 1) != higher or best["factor"] == 1.0:
        return None
    if best["steps"] < thresholds.TRIAL_MIN_STEPS:
        return None
    start, floor = own["first_loss"], training["floor"] or 0.0
    guess, kept_training = _guess_and_kept(figures, start, reached)
    kept_best = kept_share(guess, _end(best), floor)
    kept_own = kept_share(guess, _end(own), floor)
    if kept_best is None or kept_own is None:
        return None
    gain, own_gain = 1 - kept_best, max(0.0, 1 - kept_own)
    clearly = kept_best < kept_training - thresholds.TRIAL_ADVANTAGE
    leads = kept_own - kept_best >= thresholds.TRIAL_LEAD
    leads = leads and kept_best <= kept_training and not higher
    if not (clearly or leads) or gain < thresholds.TRIAL_FACTOR * own_gain:
        return None
    slow = _came_to_rest(training, kept_training)
    slow = slow or kept_training <= thresholds.LOW_RATE_KEPT
    if gain < thresholds.TRIAL_ADVANTAGE or (higher and slow):
        return None
    # From a first loss of 50 the way to guessing is a fall too: not all went wrong.
    nowhere = not math.isfinite(reached) or training["kept"] > thresholds.NOWHERE_KEPT
    word = "low" if higher else "high"
    rate, better = own["learning_rate"], best["learning_rate"]
    times = max(best["factor"], 1 / best["factor"])
    end = "not finite" if not math.isfinite(reached) else f"{reached:.4g}"
    return {
        "severity": "error" if clearly and (higher or nowhere) else "warning",
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


def _stands_still(training, trials):
    """True where the gradient is there, the steps are not, and no trial can tell."""
    start = next((t["first_loss"] for t in trials if t["factor"] == 1.0), None)
    if start is None or start - min(map(_end, trials)) > (
        thresholds.TRIAL_ADVANTAGE * abs(start)
    ):
        return False
    ratio, pull = training["update_ratio"], training.get("gradient_to_weight")
    if ratio is None or pull is None:
        return False
    return ratio < thresholds.UPDATE_RATIO_STILL and pull > thresholds.GRADIENT_PULLS


def _guess_and_kept(figures, start, reached):
    """The loss of guessing on the rows of the trials, and what the training kept."""
    training, outputs = figures["training"], figures.get("outputs") or ()
    if not math.isfinite(reached):
        kept = 1.0
    elif any(output.get("reduction") == "sum" for output in outputs):
        # A summed loss depends on the rows it is taken over; its own start does too.
        return start, training["kept"]
    else:
        kept = kept_of_guessing(figures)
    return min([start, *losses_of_guessing(figures)]), kept


def _came_to_rest(training, kept):
    late = training.get("late_share")
    rests = late is not None and late < thresholds.PLATEAU_SHARE
    return rests and kept < 1 - thresholds.LOW_RATE_GAINED


def _from_ratio(figures, start, reached, higher):
    training = figures["training"]
    ratio = training["update_ratio"]
    if higher and training["first_not_finite"] is not None:
        return None  # weights that are NaN do not move either
    if ratio is None or start is None or not math.isfinite(start):
        return None
    kept = 1.0 if not math.isfinite(reached) else kept_of_guessing(figures)
    # A loss far below its start moved; what stands still now was thrown there.
    moved = higher and reached < 0.9 * start
    if kept is None or kept < 0.9 or moved:
        return None
    low, high = thresholds.UPDATE_RATIO_LOW, thresholds.UPDATE_RATIO_HIGH
    if (ratio >= low) if higher else (ratio <= high):
        return None
    rate = training["learning_rate"]
    if rate is not None and rate <= 0:
        return None
    better = None if rate is None else rate * (10 if higher else 0.1)
    word = "low" if higher else "high"
    return {
        "severity": "warning",
        "subject": "optimizer",
        "message": f"An update changes the weights by {ratio:.2g} of their size (about "
        f"1e-3 is usual) and {kept:.0%} of the loss of guessing is left.",
        "cause": f"The learning rate is too {word}.",
        "advice": f"Set learning_rate={better:.2g}."
        if better is not None
        else f"Change the learning rate {'×10' if higher else '÷10'}.",
        "evidence": {"update_ratio": ratio, "learning_rate": rate},
    }


def _from_curve(figures, trials):
    """A loss that rose far above its start and came back was thrown there."""
    training, rate = figures["training"], figures["training"]["learning_rate"]
    start, known = training["start_loss"], losses_of_guessing(figures)
    if start is None or not rate or rate <= 0:
        return None
    lower = [_end(trial) for trial in trials if trial["factor"] < 1]
    guess = min([start, *known])
    if lower and min(lower) > guess - thresholds.TRIAL_ADVANTAGE * abs(guess):
        return None  # a lower rate does not learn either
    # The losses of the batches hold the weight penalty, those of the probe do not.
    penalty = (training.get("regularization_losses") or [0.0])[0] or 0.0
    level = max(abs(loss) for loss in (start, *known)) + penalty
    highest = max(training.get("median_curve") or [0.0])
    spike = max(training.get("curve") or [0.0])
    if spike > thresholds.BLOWN_UP_SPIKE * level > 0:
        highest = spike
    if highest <= thresholds.BLOWN_UP_FACTOR * level:
        return None
    return {
        "severity": "warning",
        "subject": "optimizer",
        "message": f"On the way the training loss rose to {highest:.4g}; it began "
        f"at {start:.4g} and ended at {_shown(training['last_loss'])}.",
        "cause": "The learning rate is too high.",
        "advice": f"Set learning_rate={rate / 10:.2g}.",
        "evidence": {"highest_loss": highest, "learning_rate": rate},
    }


def _from_units(figures):
    """Units that were alive before a training that led nowhere."""
    rate = figures["training"]["learning_rate"]
    if not got_nowhere(figures) or not rate or rate <= 0:
        return None
    before = figures.get("layers_before") or {}
    for name, layer in (figures.get("layers") or {}).items():
        share = layer.get("inactive", 0)
        at_start = before.get(name, {}).get("inactive", 1)
        if share < thresholds.DEAD_SHARE_ERROR:
            continue
        if at_start > thresholds.DEAD_SHARE_WARNING:
            return None  # what is dead behind it may follow from it
        return {
            "severity": "warning",
            "subject": "optimizer",
            "message": f"Before training {at_start:.0%} of the units of {name} were "
            f"zero on every row, after it {share:.0%}, and nothing was learned.",
            "cause": "The learning rate is too high: long steps threw them off.",
            "advice": f"Set learning_rate={rate / 10:.2g}.",
            "evidence": {"inactive": share, "before": at_start, "learning_rate": rate},
        }
    return None


def _end(trial):
    last = trial["last_loss"]
    return last if math.isfinite(last) else math.inf


def _shown(loss):
    known = loss is not None and math.isfinite(loss)
    return f"{loss:.4g}" if known else "NaN or infinity"
