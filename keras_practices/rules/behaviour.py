"""Rules about what loss and optimizer do: tried out, not read off names."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.losses import NUMBER_LOSSES
from keras_practices.rules.losses import PROBABILITIES
from keras_practices.rules.outcome import kept_share
from keras_practices.rules.outcome import learned

LOSSES = "Goodfellow et al. 2016, section 8.1.3: Batch and minibatch algorithms"
CS231N = "CS231n, Neural Networks Part 3: Gradient checks, Sanity checks"

# Steps of these do not grow with the loss.
ADAPTIVE = (
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Adafactor",
    "Adadelta",
    "Adagrad",
    "RMSprop",
    "Lion",
    "Lamb",
    "Muon",
)


def _behaviours(figures):
    """Pairs of output name and how its loss behaves, of those that are known."""
    found = figures["loss_behaviour"].items()
    return [(name, behaviour) for name, behaviour in found if behaviour]


@rule("loss-reduction", stage="before", needs=("loss_behaviour",), source=LOSSES)
def loss_reduction(figures):
    """The loss is summed over the rows of a batch.

    What it sees: the loss of some rows and of the same rows taken twice. A mean stays
    as it is, a sum doubles; so does a loss that sums over the rows by a wrong axis.

    Why it matters: gradients grow with the batch, so the steps are as many times too
    long as the batch has rows, and every other batch size needs another rate.

    Example: `CategoricalCrossentropy(reduction="sum")`, or
    `mean(-sum(y * log(p), axis=0))`.

    Fix: `reduction="sum_over_batch_size"` (the default); `axis=-1` in a loss of your
    own.

    Threshold: 1.9 times the loss for twice the rows. A note where training learned
    all the same, and with an optimizer whose steps do not grow with the gradient.
    """
    optimizer = (figures.get("model") or {}).get("optimizer") or {}
    severity = _severity_of_sum(figures, optimizer.get("class") in ADAPTIVE)
    for name, behaviour in _behaviours(figures):
        growth = behaviour.get("row_growth")
        if growth is None or growth < thresholds.LOSS_ROW_GROWTH:
            continue
        yield {
            "severity": severity,
            "subject": name,
            "message": f"The loss of output {name!r} grows {growth:.3g} times when "
            f"the same {behaviour['rows']} rows are taken twice: it is summed over "
            f"the batch.",
            "cause": "reduction='sum', or a sum over axis 0, the rows.",
            "advice": "Average over the rows: reduction='sum_over_batch_size', and "
            "axis=-1 for sums inside a loss of your own.",
            "evidence": {"row_growth": growth, "rows": behaviour["rows"]},
        }


def _severity_of_sum(figures, adaptive):
    kept = _kept_of_start(figures.get("training"))
    failed = kept is not None and kept > thresholds.NOWHERE_KEPT
    if adaptive:
        return "warning" if failed else "note"
    if failed:
        return "error"
    fine = kept is not None and kept <= thresholds.LEARNED_KEPT
    return "note" if fine else "warning"


def _kept_of_start(training):
    # The loss of guessing is that of a row; start and end are both sums.
    if training is None:
        return None
    if training["first_not_finite"] is not None or training["last_loss"] is None:
        return 1.0
    return kept_share(training["start_loss"], training["last_loss"], 0.0)


@rule(
    "prediction-target-broadcast",
    stage="before",
    needs=("loss_behaviour",),
    source=CS231N,
)
def prediction_target_broadcast(figures):
    """Predictions and targets differ in shape, and one is repeated to fit the other.

    What it sees: the shapes of both, and the loss with the targets in another order.
    Where that changes nothing although other targets do, each prediction is compared
    with the targets of all rows; with equal shapes this needs a loss that is no lower
    where every prediction is right.

    Why it matters: `(n, 1)` against `(n,)` gives an n×n table. The best answer to it
    is the mean of all targets, and that is what the model learns.

    Example: `mean((y - p) ** 2)` in a `keras.losses.Loss` of one's own, `y` of shape
    `(n,)` under `Dense(1)`.

    Fix: give the targets the shape of the predictions, `y = y[:, None]`.

    Threshold: none beyond rounding. One column of targets under several units counts
    for Keras's own losses for numbers; losses of one's own may mean it (quantiles).
    """
    outputs = {output["name"]: output for output in figures.get("outputs") or []}
    for name, behaviour in _behaviours(figures):
        loss = outputs.get(name, {}).get("loss")
        shapes = behaviour.get("broadcast")
        if not shapes and loss in (*NUMBER_LOSSES, "binary_crossentropy"):
            shapes = behaviour.get("repeated")
        if not shapes:
            if loss == "custom" and _rows_are_mixed_inside(behaviour):
                yield _mixed_inside(name, behaviour)
            continue
        if _rows_are_mixed(behaviour, shapes):
            what = "each prediction is compared with the targets of all rows"
            severity = "error"
        elif _columns_are_repeated(shapes) and loss in NUMBER_LOSSES:
            what = "each unit is compared with the one target"
            severity = "note" if learned(figures) else "error"
        elif shapes == behaviour.get("repeated"):
            count = math.prod(shapes["prediction"]) // math.prod(shapes["target"])
            what = f"each of {count} outputs is compared with the same target"
            severity = "note" if learned(figures) else "error"
        else:
            continue
        prediction, target = (
            ("n", *shapes["prediction"]),
            ("n", *shapes["target"]),
        )
        yield {
            "severity": severity,
            "subject": name,
            "message": f"Predictions of shape {_shape(prediction)} meet targets of "
            f"shape {_shape(target)} in the loss: {what}.",
            "cause": "NumPy's rules stretch the smaller shape in silence.",
            "advice": "Give targets and predictions one shape: end with one output a "
            "row (Flatten, pooling, or return_sequences=False in front of the last "
            "layer)."
            if len(shapes["prediction"]) > 1
            else "Give targets and predictions one shape, such as y = y[:, None] "
            "under Dense(1)."
            if severity == "error" and shapes["prediction"][-1:] in ([], [1])
            else "Give targets and predictions one shape: as many units as the targets "
            "have columns, or a loss for classes.",
            "evidence": {**shapes, "pairing": behaviour.get("pairing")},
        }


def _rows_are_mixed(behaviour, shapes):
    pairing = behaviour.get("pairing")
    if pairing is None or behaviour.get("ignores_targets") is not False:
        return False
    # With as many axes on both sides, the rows stand side by side.
    if len(shapes["prediction"]) == len(shapes["target"]):
        return False
    return abs(pairing - 1) < thresholds.PAIRING_SAME


def _rows_are_mixed_inside(behaviour):
    """True for a loss that flattens one side itself: shapes outside agree.

    A loss may compare whole sets of rows and be right, but then it is lower where
    the predictions are the targets.
    """
    pairing = behaviour.get("pairing")
    if pairing is None or behaviour.get("ignores_targets") is not False:
        return False
    right, now = behaviour.get("value_at_targets"), behaviour.get("value")
    if right is None or now is None or right < now:
        return False
    return abs(pairing - 1) < thresholds.PAIRING_SAME


def _mixed_inside(name, behaviour):
    right, now = behaviour["value_at_targets"], behaviour["value"]
    return {
        "severity": "error",
        "subject": name,
        "message": f"The loss of {name} compares each prediction with the targets of "
        f"all rows: it is the same for targets in another order, and would be "
        f"{right:.4g} if every prediction were right ({now:.4g} for random ones).",
        "cause": "Inside the loss one side was flattened and the other was not.",
        "advice": "Bring both to one shape where the loss begins, before anything is "
        "flattened: y_true = keras.ops.reshape(y_true, keras.ops.shape(y_pred)).",
        "evidence": {"pairing": behaviour["pairing"], "value_at_targets": right},
    }


def _columns_are_repeated(shapes):
    prediction, target = shapes["prediction"], shapes["target"]
    same_rank = len(prediction) == len(target)
    return same_rank and target[-1:] == [1] and prediction[-1] > 1


def _shape(parts):
    inner = ", ".join(str(part) for part in parts)
    return f"({inner},)" if len(parts) == 1 else f"({inner})"


@rule("loss-uphill", stage="before", needs=("loss_behaviour",), source=CS231N)
def loss_uphill(figures):
    """The loss is largest where the predictions are right.

    What it sees: the loss of made-up predictions, of ones moved a little towards the
    targets, and of right ones.

    Why it matters: training lowers the loss, so it drives the predictions away from
    the targets, and faster the longer it goes on.

    Example: `mean(sum(y * log(p), axis=-1))` without the minus sign.

    Fix: put the minus sign back.

    Threshold: every small move towards the targets raises a loss that is below zero,
    and right predictions raise it further. A loss above zero is judged for several
    probabilities a row (masks, classes); for a distance between pairs, 1 may mean
    "alike".
    """
    outputs = {output["name"]: output for output in figures.get("outputs") or []}
    for name, behaviour in _behaviours(figures):
        value, best = behaviour.get("value"), behaviour.get("value_at_targets")
        if behaviour.get("decreases_towards_targets") is not False:
            continue
        if value is None or best is None or not best > value:
            continue
        if not (value < 0 or _several_probabilities(outputs.get(name))):
            continue
        yield {
            "severity": "error",
            "subject": name,
            "message": f"The loss of output {name!r} is {value:.4g} for random "
            f"predictions and {best:.4g} for right ones: training drives the "
            f"predictions away from the targets.",
            "cause": "A minus sign is missing in the loss.",
            "advice": "Return the negative of the loss, -ops.mean(…); of a score such "
            "as the Dice coefficient return 1 - score.",
            "evidence": {"value": value, "value_at_targets": best},
        }


def _several_probabilities(output):
    if output is None or not output["shape"]:
        return False
    several = math.prod(n or 1 for n in output["shape"]) > 1
    target = (output.get("target") or {}).get("kind")
    return several and output["activation"] in PROBABILITIES and target != "numbers"


def scores_in_probability_loss(output, behaviour):
    """Says where a loss of the user's own gets scores and needs probabilities.

    Args:
        output: One of the figures "outputs".
        behaviour: Its figures of "loss_behaviour", or None.

    Returns:
        Fields of a finding, or None.
    """
    if not behaviour or output["loss"] != "custom" or output["activation"] != "linear":
        return None
    seen = behaviour.get("prediction")
    if not seen or seen["probabilities"]:
        return None
    clips = behaviour.get("clips_scores")
    if not clips and not behaviour.get("undefined_on_scores"):
        return None
    what = (
        "scores below 0 are clipped and learn nothing"
        if clips
        else "it is not finite for scores below 0"
    )
    return {
        "severity": "error",
        "subject": output["name"],
        "message": f"The loss needs probabilities and the output {output['name']!r} "
        f"gives raw scores (from {seen['min']:.3g} to {seen['max']:.3g}): {what}.",
        "cause": "The last layer has no activation.",
        "advice": "Set activation='softmax' (one unit: 'sigmoid') in the last layer, "
        "or use a loss of Keras with from_logits=True.",
        "evidence": {
            "loss": output["loss"],
            "activation": output["activation"],
            "clips_scores": clips,
            "undefined_on_scores": behaviour.get("undefined_on_scores"),
            "prediction": seen,
        },
    }


def uphill_optimizer(figures):
    """Says where an optimizer goes up a positive gradient at a positive rate.

    Args:
        figures: Dict of figures; reads "optimizer_behaviour" and "model".

    Returns:
        Fields of a finding, or None. A negative rate is left to the rule on settings.
    """
    found = figures.get("optimizer_behaviour")
    if not found or not found["uphill"] or found["rate_negative"]:
        return None
    optimizer = (figures.get("model") or {}).get("optimizer") or {}
    name = optimizer.get("class") or "optimizer"
    return {
        "severity": "error",
        "subject": name,
        "message": f"In {found['steps']} steps with a gradient of 1 the optimizer "
        f"{name} raised the weights by {found['moved']:.3g}: it climbs the loss.",
        "cause": "The update adds the gradient instead of taking it away.",
        "advice": "Subtract the gradient in the update: variable.assign_sub("
        "learning_rate * gradient).",
        "evidence": dict(found),
    }
