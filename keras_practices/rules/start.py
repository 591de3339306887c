"""Rules about the moment before the first step: weights, loss, a tiny subset."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import kept_share
from keras_practices.rules.outcome import learned

SANITY = "CS231n, Neural Networks Part 3: Before learning, sanity checks"
INIT = "CS231n, Neural Networks Part 2: Weight initialization"


@rule("initialization-symmetric", stage="before", needs=("tiny_subset",), source=INIT)
def initialization_symmetric(figures):
    """All units of a layer began equal and stayed equal.

    What it sees: kernels whose units all hold the same weights, and whose units
    changed by the same amount in a short trial on a copy.

    Why it matters: equal units get equal gradients, so they stay equal for ever: a
    layer of 512 such units is one unit. With zero weights under a ReLU the gradient
    is zero and nothing moves at all. A zero kernel that other random weights tell
    apart (an output layer, the last layer of a residual branch) is sound and is not
    reported; nor is a table of embeddings at zero that something moves.

    Example: `Dense(64, kernel_initializer="zeros")` in every layer.

    Fix: the default (Glorot) or `"he_normal"` in front of ReLU.

    Threshold: none: the spread over units stays below rounding.
    """
    stuck = figures["tiny_subset"]["stuck_units"]
    steps = figures["tiny_subset"]["steps"]
    if stuck:
        shown = ", ".join(stuck[:3]) + (", …" if len(stuck) > 3 else "")
        yield {
            "severity": "error",
            "subject": stuck[0],
            "message": f"In {len(stuck)} kernels ({shown}) all units began with the "
            f"same weights and were still alike after {steps} trial steps.",
            "cause": "A constant or zero kernel_initializer: equal units get equal "
            "gradients.",
            "advice": "Set embeddings_initializer='uniform'."
            if stuck[0].endswith("embeddings")
            else "Set kernel_initializer='he_normal' in front of ReLU, "
            "'glorot_uniform' elsewhere.",
            "evidence": {"kernels": stuck, "steps": steps},
        }


@rule("initial-loss-off-chance", stage="before", needs=("initial_loss",), source=SANITY)
def initial_loss_off_chance(figures):
    """The loss before training is far above that of guessing.

    What it sees: the data loss on the first rows with noise and weight penalties
    off, beside the loss of guessing: ln K for K classes, the mean square of the
    targets for squared error.

    Why it matters: a fresh network knows nothing and should say so. A much larger
    loss means confident wrong answers: inputs or initial weights are too large, or
    loss and output do not fit.

    Example: 10 classes, loss 37 instead of 2.303, because pixels run to 255.

    Fix: what the finding's cause names; scale inputs, use calibrated initial weights.

    Threshold: twice the loss of guessing, plus what calibrated weights may add to it:
    1 for classes, 4 for squared and absolute error. A note where the same weights in
    another order, three times, stay below it: these weights were trained on something
    else, or are an unlucky draw.
    """
    found = figures["initial_loss"]
    chance = found.get("chance")
    if chance is None:
        return
    unbounded = found.get("unbounded")
    limit = thresholds.INITIAL_LOSS_FACTOR * chance + (
        thresholds.INITIAL_LOSS_MARGIN if unbounded else thresholds.INITIAL_LOSS_SCORES
    )
    loss = found["data_loss"]
    if math.isfinite(loss) and loss <= limit:
        return
    evidence = {key: found[key] for key in ("data_loss", "chance", "rows")}
    draws = figures.get("initial_loss_draws") or []
    if draws:
        evidence["other_draws"] = draws
    if draws and max(draws) <= limit:
        yield {
            "severity": "note",
            "subject": "loss",
            "message": f"Before training the loss is {loss:.4g}; guessing gives "
            f"{chance:.4g} ({found['words']}). With the same weights in another order "
            f"it is {max(draws):.4g} at most.",
            "cause": "The weights were trained on other targets, or are an unlucky "
            "draw.",
            "advice": "",
            "evidence": evidence,
        }
        return
    yield {
        "severity": "warning",
        "subject": "loss",
        "message": f"Before training the loss is {loss:.4g}; guessing gives "
        f"{chance:.4g} ({found['words']}).",
        "cause": "Inputs or initial weights are too large, or the loss does not fit "
        "the output.",
        "advice": f"Bring the first loss down to about {chance:.3g}: scale the inputs "
        f"to unit variance and use calibrated initial weights.",
        "evidence": evidence,
    }


@rule(
    "regularization-has-no-effect",
    stage="before",
    needs=("initial_loss", "model"),
    source=SANITY,
)
def regularization_has_no_effect(figures):
    """A weight penalty was asked for and does not raise the loss.

    What it sees: layers that hold a regulariser, and the penalty in the loss.

    Why it matters: Keras reads a layer's regulariser when it makes the weights. One
    that is set on a built or loaded layer adds nothing, in silence.

    Example: `layer.kernel_regularizer = "l2"` on a pretrained model.

    Fix: give the regulariser to the constructor, or set it on the variable too
    (`layer.kernel.regularizer = …`).

    Threshold: a penalty of exactly 0.
    """
    lost = figures["model"]["regularizers_lost"]
    penalty = figures["initial_loss"]["regularization_loss"]
    dead = figures["model"]["regularized"] and penalty == 0
    if not lost and not dead:
        return
    subject = lost[0] if lost else figures["model"]["regularized"][0]
    yield {
        "severity": "warning",
        "subject": subject,
        "message": f"{len(lost)} layers hold a regulariser that Keras does not apply "
        f"({', '.join(lost[:3])})."
        if lost
        else f"{len(figures['model']['regularized'])} weights are regularised and the "
        f"penalty is 0.",
        "cause": "The regulariser was set after the layer was built."
        if lost
        else "Its strength is 0, or the weights are all zero.",
        "advice": "Give kernel_regularizer to the layer's constructor, or set it on "
        "the variable: layer.kernel.regularizer = keras.regularizers.L2(1e-4)."
        if lost
        else "Set a strength above 0, such as keras.regularizers.L2(1e-4), or remove "
        "the regulariser.",
        "evidence": {"lost": lost, "regularization_loss": penalty},
    }


@rule(
    "cannot-overfit-tiny-subset", stage="before", needs=("tiny_subset",), source=SANITY
)
def cannot_overfit_tiny_subset(figures):
    """The model cannot learn a handful of rows by heart.

    What it sees: the loss on 20 rows after a short training on them alone, on a
    copy, with dropout, augmentation and weight penalties off and the compiled
    optimizer.

    Why it matters: what cannot fit 20 rows cannot fit 20,000. It is a fault of the
    set-up, not of the data, and costs seconds to see.

    Example: a loss that gets raw scores and expects probabilities.

    Fix: what the finding's cause names; else check targets, learning rate and
    capacity in this order.

    Threshold: more than half of what can be lost is kept. A loss that still falls, or
    a training that learned, makes it a note: such a model fits slowly. Passing proves
    little: a network can also learn random rows by heart. The report shows the loss on
    as many other rows beside it, which then stays at that of guessing or above.
    """
    found = figures["tiny_subset"]
    kept = kept_share(found["first_loss"], found["best_loss"], found.get("floor"))
    if kept is None or kept <= thresholds.TINY_SUBSET_KEPT:
        return
    # A trial that ran out of time has shown nothing; one that blew up has.
    planned = found.get("planned_steps", thresholds.TINY_SUBSET_STEPS)
    in_time = found["steps"] >= min(thresholds.TINY_SUBSET_STEPS, planned)
    if not in_time and math.isfinite(found["last_loss"]):
        return
    falling = found.get("still_falling")
    helps = _change_that_helps(figures.get("tiny_changes") or [])
    cause = "Loss and output, targets, or the learning rate are wrong."
    advice = "Check the pair of loss and last activation first, then the targets, then "
    advice += f"try learning_rate={found['learning_rate'] / 10:.2g}."
    if helps is not None:
        cause = f"With {helps['change']} a copy reached {helps['best_loss']:.4g}."
        advice = f"Use {helps['change']} (learning_rate={helps['learning_rate']:.2g})."
    elif falling:
        cause = "It still falls: the steps are too small."
        advice = f"Raise the learning rate: try {10 * found['learning_rate']:.3g}."
    yield {
        "severity": "note" if falling or learned(figures) else "error",
        "subject": "trial on 20 rows",
        "message": f"After {found['steps']} steps on {found['rows']} rows alone the "
        f"loss is still {found['last_loss']:.4g} (it began at "
        f"{found['first_loss']:.4g}, learning rate {found['learning_rate']:.3g}).",
        "cause": cause,
        "advice": advice,
        "evidence": {
            key: found[key]
            for key in ("rows", "steps", "first_loss", "last_loss", "best_loss")
        },
    }


def _change_that_helps(changes):
    """The trial that fitted the rows best, None where none did."""
    kept = [
        (kept_share(trial["first_loss"], trial["best_loss"], trial["floor"]), place)
        for place, trial in enumerate(changes)
    ]
    known = [pair for pair in kept if pair[0] is not None]
    if not known or min(known)[0] > thresholds.TINY_SUBSET_KEPT:
        return None
    return changes[min(known)[1]]
