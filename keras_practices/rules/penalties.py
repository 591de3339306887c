"""Rules about weight penalties."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

SOURCE = "CS231n, Neural Networks Part 2: Regularization; Part 3: Sanity checks"


@rule(
    "regularization-dominates",
    stage="before",
    needs=("initial_loss",),
    source=SOURCE,
)
def regularization_dominates(figures):
    """The penalty of weights or activities outweighs the loss of the data.

    What it sees: the penalty before training beside the loss of guessing; after a
    poor training also a short trial at the same rate without penalties.

    Why it matters: the steps shrink the weights, or silence the units, instead of
    fitting the data. The reported loss falls, since the penalty does, and accuracy
    stays behind.

    Example: `L2(0.1)` on every layer of a convolutional network: a penalty of 123
    beside a loss of 2.3.

    Fix: a strength that brings the penalty well below the loss of the data, often
    1e-4.

    Threshold: 3 times the loss of guessing and of the first loss (10 times where
    training went half-way or is not known; half of it where the penalty fell to a tenth
    and the loss of the data stayed), a note where training learned. An error
    when a trial of 50 steps without the penalty goes clearly lower than the whole
    training did.
    """
    first = figures["initial_loss"]
    activity, data = first.get("activity_loss", 0.0), first["data_loss"]
    penalty = first["regularization_loss"] + activity
    if not penalty or not math.isfinite(penalty) or not math.isfinite(data):
        return
    known = [first.get("chance"), figures.get("constant_loss")]
    known = [loss for loss in known if loss is not None and loss > 0]
    # A summed loss, or one that begins far off, is no smaller than what it is.
    guessing = max([*known, abs(data)])
    times = penalty / guessing if guessing > 0 else math.inf
    trial = _trial_without(figures, penalty, data)
    severity = "error" if trial is not None else _severity(figures, times)
    if severity is None:
        return
    evidence = {
        "regularization_loss": penalty,
        "data_loss": data,
        "loss of guessing": guessing,
    }
    of_weights = penalty > 2 * activity
    kind = "weight penalty" if of_weights else "penalty of layer outputs"
    message = f"Before training the {kind} is {penalty:.4g}, {times:.3g} times "
    message += f"the loss of guessing, that of one answer for all ({guessing:.4g})."
    if trial is not None:
        evidence |= {"trial_loss": trial["last_loss"], "trial_steps": trial["steps"]}
        message = message[:-1] + (
            f"; without it {trial['steps']} steps at the same rate reach "
            f"{trial['last_loss']:.4g}, the training ended at "
            f"{figures['training']['last_loss']:.4g}."
        )
    # A penalty of a tenth of the loss of guessing still shrinks what is not needed.
    less = 10 ** math.ceil(math.log10(max(10.0, 10 * times)))
    if of_weights:
        named = (figures.get("model") or {}).get("regularized") or []
        cause = "The strength of kernel_regularizer is too large for so many weights."
    else:
        named = first["activity_penalized"]
        cause = "The strength of activity_regularizer is too large for so many units."
    example = "L2(1e-4)" if of_weights else "L1(1e-5)"
    yield {
        "severity": severity,
        "subject": named[0] if named else kind,
        "message": message,
        "cause": cause,
        "advice": f"Divide the strength of the regularisers by {less:.0f}, for example "
        f"keras.regularizers.{example}.",
        "evidence": evidence,
    }


def _severity(figures, times):
    """What size and course of the penalty say, None for nothing."""
    if times > thresholds.PENALTY_TIMES_SHRUNK and _took_the_weights(figures):
        return "warning"
    if not times > thresholds.PENALTY_TIMES:
        return None
    if learned(figures):
        return "note"
    if got_nowhere(figures) or times > thresholds.PENALTY_TIMES_ALONE:
        return "warning"
    return "note"


def _took_the_weights(figures):
    """True where the weights went with the penalty and nothing was learned."""
    course = (figures.get("training") or {}).get("regularization_losses") or [0.0]
    gone = course[-1] < thresholds.PENALTY_LEFT * course[0]
    return gone and got_nowhere(figures)


def _trial_without(figures, penalty, data):
    """The trial at the own rate, where leaving the penalty out plainly helped."""
    training = figures.get("training")
    trials = figures.get("rate_trials") or []
    own = [trial for trial in trials if trial["factor"] == 1.0]
    if training is None or not own or penalty < data or learned(figures):
        return None
    last, end = training["last_loss"], own[0]["last_loss"]
    if last is None or not math.isfinite(end):
        return None
    short = own[0]["steps"] <= thresholds.PENALTY_TRIAL_STEPS < training["steps"]
    possible = own[0]["first_loss"] - (training.get("floor") or 0.0)
    gained = last - end > thresholds.TRIAL_ADVANTAGE * possible
    return own[0] if short and possible > 0 and gained else None
