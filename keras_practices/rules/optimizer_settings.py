"""Rules about the settings of the optimizer, as they are read off it."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.behaviour import uphill_optimizer
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

RATES = "CS231n, Neural Networks Part 3: Parameter updates; Kingma and Ba 2015, Adam"

# Their steps have about the length of the rate, whatever the gradient is.
ADAPTIVE = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Lion", "Lamb")
# Those that divide by a root of mean squares plus epsilon.
WITH_EPSILON = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Lamb")
MOMENTA = ("momentum", "beta_1")
CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


@rule("learning-rate-out-of-range", stage="before", needs=("parts",), source=RATES)
def learning_rate_out_of_range(figures):
    """The learning rate lies where this optimizer cannot work.

    What it sees: class and learning rate of the optimizer, the largest one of a
    schedule.

    Why it matters: a rate of 0 trains nothing. A step of Adam is about as long as its
    rate, and weights are about 0.1 in size: a rate of 1 throws them away in one step.

    Example: `Adam(10)`; `SGD(1e-9)`.

    Fix: Adam 0.001, SGD 0.01 to 0.1.

    Threshold: 0, below 1e-8, above 0.5 for Adam and its kin, above 20 for SGD without
    clipping. A note where training learned.
    """
    settings = figures["parts"]["optimizer"]
    rate = None if settings is None else settings["learning_rate"]
    if rate is None or rate < 0:
        return
    name = settings["class"]
    clipped = any(settings.get(clip) for clip in CLIPS)
    highest = None
    if name in ADAPTIVE:
        highest = thresholds.RATE_ADAPTIVE
    elif name == "SGD" and not clipped:
        highest = thresholds.RATE_SGD
    high = highest is not None and rate > highest
    if not high and rate >= thresholds.RATE_LOW:
        return
    wanted = 0.001 if name in ADAPTIVE else 0.01
    yield {
        "severity": "note" if learned(figures) else "warning",
        "subject": "learning rate",
        "message": f"{name} has a learning rate of {rate:.3g}"
        + (f"; above {highest:g} its steps throw the weights away." if high else "."),
        "cause": "The steps are too long for any weights."
        if high
        else "The steps are too short to change a weight.",
        "advice": f"Set learning_rate={wanted:g}.",
        "evidence": {"class": name, "learning_rate": rate},
    }


@rule("optimizer-settings", stage="before", needs=("parts",), source=RATES)
def optimizer_settings(figures):
    """A setting of the optimizer other than the size of its rate is at fault.

    What it sees: sign of the rate, direction of a trial step, epsilon, momentum and
    betas, clipping, weight decay, the momentum of averaged weights (`use_ema`), and the
    rate of optimizers whose default in Keras is far from that of their papers.

    Why it matters: a negative rate climbs the loss. With epsilon far below what
    float32 gradients need, units without gradient take full steps of noise; with a
    momentum of 0.9999 the steps of the first epochs are never forgotten.

    Example: `Adam(epsilon=1e-16)`; `SGD(-0.01)`; `Adadelta()` at its rate of 0.001.

    Fix: the defaults of Keras (epsilon 1e-7, momentum 0.9, beta_2 0.999).

    Threshold: an error for steps uphill, also where a schedule runs below zero (by 1 %
    of its height), and where more than half of the averaged weights are those of the
    beginning. A warning unless training learned: epsilon of 1e-12, momentum of 0.999,
    beta_2 below 0.5 or below beta_1, clipping at 1e-4 (rate times clip below 1e-4), a
    tenth of each weight decayed in a step. A warning where training did not learn:
    epsilon of 0.1, clipping that low under Adam or its kin, a norm cut 30 times while
    updates move less than 1e-4 of the weights or training got nowhere,
    Adadelta below 0.05, Adagrad below 0.005.
    """
    uphill = uphill_optimizer(figures)
    settings = figures["parts"]["optimizer"]
    if uphill is not None:
        yield uphill
        return
    if settings is None:
        return
    rate = settings["learning_rate"]
    if rate < 0:
        yield {
            "severity": "error",
            "subject": "learning rate",
            "message": f"The learning rate is {rate:.3g}: each step climbs the loss.",
            "cause": "The rate has the wrong sign.",
            "advice": f"Set learning_rate={min(abs(rate), 0.01):.3g}.",
            "evidence": {"class": settings["class"], "learning_rate": rate},
        }
        return
    below = _below_zero(figures)
    if below is not None:
        yield below
        return
    averaged = _early_average(settings, figures)
    if averaged is not None:
        yield averaged
        return
    outcome = learned(figures)
    for name, value, words, advice in _unusual(settings):
        yield _finding("note" if outcome else "warning", name, value, words, advice)
        return
    if outcome is False and settings["class"] not in ADAPTIVE:
        for name, value, words, advice in _cut(settings, figures):
            yield _finding("warning", name, value, words, advice)
            return
    for name, value, words, advice in _slow(settings):
        severity = "warning" if outcome is False else "note"
        yield _finding(severity, name, value, words, advice)
        return


def _below_zero(figures):
    """A schedule that runs on below zero."""
    training = figures.get("training") or {}
    at, steps = training.get("rate_negative_at"), training.get("steps")
    if at is None:
        return None
    return {
        # The last few steps of many may do little harm.
        "severity": "warning" if learned(figures) else "error",
        "subject": "learning rate",
        "message": f"From step {at} of {steps} on the learning rate is negative: each "
        f"step climbs the loss.",
        "cause": "The schedule was made for fewer steps than the training has.",
        "advice": f"Let the schedule reach its end after {steps} steps, or bound it "
        f"from below: keras.ops.maximum(rate, 0).",
        "evidence": {"negative_at": at, "steps": steps},
    }


def _early_average(settings, figures):
    """Averaged weights that are mostly those of the beginning when `fit` ends."""
    momentum = settings.get("ema_momentum")
    steps = (figures.get("fit") or {}).get("steps")
    if momentum is None or not steps:
        return None
    # After the first step Keras sets the average to the weights.
    share = momentum ** (steps - 1)
    if share <= thresholds.EMA_SHARE:
        return None
    return {
        # Curves are of the weights in training: that they fell says nothing.
        "severity": "error",
        "subject": "ema_momentum",
        "message": f"When fit ends after {steps} steps, the model is to "
        f"{100 * share:.0f} % the untrained one: ema_momentum={momentum:g} forgets too "
        f"slowly.",
        "cause": "With use_ema, fit ends by putting the average of the weights in "
        "their place. The curves are of the weights in training and do not show it.",
        "advice": f"Set ema_momentum={_rounded(steps)}, an average over about a tenth "
        f"of the steps, or leave use_ema out.",
        "evidence": {"ema_momentum": momentum, "steps": steps, "share": share},
    }


def _rounded(steps):
    """The momentum of an average over a tenth of the steps, to one digit."""
    rest = min(10 / steps, 0.9)
    digits = math.ceil(-math.log10(rest))
    return f"{1 - round(rest, digits):.{digits}f}"


def _finding(severity, name, value, words, advice):
    return {
        "severity": severity,
        "subject": name,
        "message": f"{name} is {value:.3g}: {words}.",
        "cause": "A setting far from what the optimizer was made for.",
        "advice": advice,
        "evidence": {name: value},
    }


def _unusual(settings):
    """Settings that hardly ever do good: name, value, words, advice."""
    epsilon = settings.get("epsilon")
    if settings["class"] in WITH_EPSILON and epsilon is not None:
        if epsilon <= thresholds.EPSILON_LOW:
            words = "far below float32 gradients, so noise takes full steps"
            yield "epsilon", epsilon, words, "Set epsilon=1e-7."
    for name in MOMENTA:
        value = settings.get(name)
        if value is not None and value >= thresholds.MOMENTUM_HIGH:
            words = f"the steps of the last {1 / max(1e-9, 1 - value):.0f} gradients "
            words += "add up"
            yield name, value, words, f"Set {name}=0.9."
    first, second = settings.get("beta_1"), settings.get("beta_2")
    if second is not None and first is not None and settings["class"] != "Lion":
        if second < thresholds.BETA_2_LOW or second < first:
            words = "the scale of the steps forgets faster than their direction"
            yield "beta_2", second, words, "Set beta_2=0.999."
    # Adam divides by the size of the gradient, clipped or not.
    if settings["class"] not in ADAPTIVE:
        yield from _clipped(settings)
    decay = settings.get("weight_decay")
    taken = 0 if not decay else decay * settings["learning_rate"]
    if taken >= thresholds.DECAY_STEP:
        words = f"each step takes {taken:.0%} of every weight away"
        yield "weight_decay", decay, words, "Set weight_decay=0.004."


def _clipped(settings):
    for name in CLIPS:
        value = settings.get(name)
        short = value is not None and value <= thresholds.CLIP_LOW
        # A large rate may make up for it.
        if short and value * settings["learning_rate"] < thresholds.CLIP_LOW:
            words = "gradients are cut down to next to nothing"
            yield name, value, words, f"Set {name}=1.0."


def _cut(settings, figures):
    """A bound on the gradient's norm far below the norms that were measured."""
    training = figures.get("training") or {}
    norm, ratio = training.get("first_gradient"), training.get("update_ratio")
    still = ratio is not None and ratio < thresholds.UPDATE_RATIO_LOW
    still = still or (ratio is not None and got_nowhere(figures))
    for name in ("clipnorm", "global_clipnorm"):
        value = settings.get(name)
        if value and norm and still and norm > thresholds.CLIP_CUTS * value:
            words = f"gradients of {norm:.2g} are cut {norm / value:.0f} times, and an "
            words += f"update moves {ratio:.1g} of the weights"
            yield name, value, words, f"Set {name}={max(1.0, round(norm)):.3g}."


def _slow(settings):
    """Settings that some programs use on purpose: name, value, words, advice."""
    epsilon, rate = settings.get("epsilon"), settings["learning_rate"]
    if settings["class"] in WITH_EPSILON and (epsilon or 0) >= thresholds.EPSILON_HIGH:
        words = "larger than most gradients, so the steps shrink with them"
        yield "epsilon", epsilon, words, "Set epsilon=1e-7."
    if settings["class"] in ADAPTIVE:
        yield from _clipped(settings)
    limits = {
        "Adadelta": (thresholds.ADADELTA_RATE, 1.0),
        "Adagrad": (thresholds.ADAGRAD_RATE, 0.01),
    }
    limit, wanted = limits.get(settings["class"], (0, None))
    if thresholds.RATE_LOW <= rate < limit:
        words = f"{settings['class']} is made for rates of about {wanted:g}"
        yield "learning_rate", rate, words, f"Set learning_rate={wanted:g}."
