"""Rules about the gradient itself: right, and reaching every weight."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import learned

GRADIENT_CHECKS = "CS231n, Neural Networks Part 3: Gradient checks"


@rule(
    "gradient-check-failed",
    stage="before",
    needs=("gradient_check",),
    source=GRADIENT_CHECKS,
)
def gradient_check_failed(figures):
    """The gradient of autodiff is not the slope of the loss.

    What it sees: for a few entries of every trainable variable, the gradient that
    training uses beside the slope of the loss that is measured by moving the entry
    both ways, in float64, with noise off; loss and weight penalty apart. Kinks (ReLU,
    max pooling, hinge) are told apart by a smaller step and by each side, and models
    that call `keras.ops.stop_gradient` are not compared.

    Why it matters: a gradient that is slightly wrong still trains, only worse, and no
    curve shows why. A gradient that is cut off leaves weights where they began.

    Example: a custom gradient that forgets the factor 2 of a square; values taken to
    NumPy and back in the midst of a layer.

    Fix: look at the first layer after the variable that is named. All variables before
    a wrong gradient are off, those behind it are right; the one named is the last.

    Threshold: relative error above 1e-4; float64 gives 1e-7. Silent for categorical
    cross-entropy on other targets than one-hot rows: TensorFlow computes its gradient
    as if every row summed to 1.
    """
    found = figures["gradient_check"]
    if _fused_loss_on_other_rows(figures):
        return
    wrong = [
        {"variable": name, **one}
        for name, one in (found.get("variables") or {}).items()
        if _is_wrong(one)
    ]
    if wrong:
        last = wrong[-1]
        yield {
            **_wrong(last, "loss", len(found["variables"]), len(wrong)),
            "cause": "A gradient written by hand, a value that left the graph "
            "(NumPy, an assignment), or a stop_gradient of the backend's own.",
            "advice": "Check the custom gradient behind this variable, or remove it "
            "and let keras.ops be differentiated; keep a difference that is meant "
            "with keras.ops.stop_gradient.",
        }
    penalty = (found.get("regularization") or {}).get("worst")
    if penalty and _is_wrong(penalty):
        yield {
            **_wrong(penalty, "weight penalty", None, 1),
            "cause": "A regularizer whose gradient is written by hand or cut off.",
            "advice": "Write the regularizer with keras.ops only, or use "
            "keras.regularizers.L2(1e-4).",
        }


def _fused_loss_on_other_rows(figures):
    return any(
        output["loss"] == "categorical_crossentropy"
        and (output.get("target") or {}).get("kind") != "one-hot"
        for output in figures.get("outputs") or []
    )


def _is_wrong(one):
    error = one.get("relative_error")
    return error is not None and error > thresholds.GRADIENT_ERROR


def _wrong(one, what, count, wrong):
    among = f"; {wrong} of {count} variables are off" if count else ""
    return {
        "severity": "error",
        "subject": one["variable"],
        "message": f"The gradient of the {what} by {one['variable']} is "
        f"{one['analytic']:.6g}, the measured slope {one['numeric']:.6g}: a relative "
        f"error of {one['relative_error']:.2g}{among}.",
        "evidence": {
            "relative_error": one["relative_error"],
            "analytic": one["analytic"],
            "numeric": one["numeric"],
            "variables_off": wrong,
        },
    }


@rule(
    "gradient-disconnected",
    stage="before",
    needs=("gradient_check",),
    source=GRADIENT_CHECKS,
)
def gradient_disconnected(figures):
    """The loss hands no gradient back to a trainable variable.

    What it sees: trainable variables to which no way leads back from the loss. A
    gradient that is zero this time (dead units, a zero output layer, words that are
    not in the batch) has a way and is not reported.

    Why it matters: such a variable keeps its first value for ever, however long
    training takes, and nothing fails.

    Example: a layer that is built and never called; an output without a loss;
    `argmax`, rounding or `stop_gradient` between a layer and the loss.

    Fix: connect it, set `trainable = False` on its layer, or remove it.

    Threshold: none: there is a way or there is none. After training that worked it is
    a note.
    """
    paths = figures["gradient_check"].get("disconnected") or []
    if not paths:
        return
    shown = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    yield {
        "severity": "note" if learned(figures) else "warning",
        "subject": paths[0],
        "message": f"No gradient of the loss can reach {len(paths)} trainable "
        f"variables ({shown}).",
        "cause": "Their layer is never called, its output has no loss, or something "
        "without a gradient (argmax, rounding, stop_gradient) stands behind it.",
        "advice": "Connect the layer to the loss, or set layer.trainable = False "
        "if it is meant to keep its weights.",
        "evidence": {"variables": paths},
    }
