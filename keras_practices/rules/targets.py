"""Rules about the targets as numbers: their scale and their range."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned
from keras_practices.rules.output_ranges import beyond_activation
from keras_practices.rules.output_ranges import head_is_at_fault

TARGETS = "CS231n, Neural Networks Part 2: Losses, Regression"

# Losses that grow with the scale of the targets.
_SCALED_LOSSES = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")
_UNBOUNDED = ("linear", "relu", "leaky_relu", "elu", "softplus")


@rule("targets-not-scaled", stage="before", needs=("outputs",), source=TARGETS)
def targets_not_scaled(figures):
    """Regression targets are far from unit scale.

    What it sees: the root mean square of the targets of a linear output under a loss
    for numbers, beside that of the model's own first outputs.

    Why it matters: a fresh network gives numbers of about 1. Targets of 1,000 make
    errors, and so gradients of the squared error, a thousand times too long: plain
    gradient descent runs away, Adam crawls.

    Example: house prices in dollars.

    Fix: standardise the targets with training statistics and turn predictions back,
    or end with a `Rescaling` layer that does so.

    Threshold: root mean square above 50, and three times that of the first outputs.
    A training that got nowhere makes it an error, one that learned a note; so does,
    before training, a tiny subset learned to half the loss of guessing. Between
    the two it is a warning when simple means explain clearly more than the model.
    """
    for output in figures["outputs"]:
        size = _size_of(output)
        if size is None or size <= thresholds.TARGET_RMS:
            continue
        own = _own_size(figures, output)
        if own is not None and own * thresholds.TARGET_OWN_FACTOR > size:
            continue
        target = output["target"]
        mean, deviation = target["mean"], math.sqrt(max(0.0, target["variance"]))
        yield {
            "severity": _severity_of_scale(figures),
            "subject": output["name"],
            "message": f"The targets have a root mean square of {size:.4g} (mean "
            f"{mean:.4g}, deviation {deviation:.4g}); a fresh network gives about 1.",
            "cause": "The targets are given in their own units.",
            "advice": f"Train on y = (y - {mean:.4g}) / {deviation or 1:.4g} and turn "
            f"predictions back: y = y * {deviation or 1:.4g} + {mean:.4g}.",
            "evidence": {"rms": size, "mean": mean, "deviation": deviation, "own": own},
        }


def _size_of(output):
    target = output.get("target")
    plain = output["loss"] in _SCALED_LOSSES and output["activation"] in _UNBOUNDED
    if not plain or not target or target.get("mean_square") is None:
        return None
    return math.sqrt(target["mean_square"])


def _own_size(figures, output):
    """Root mean square of the first outputs of the model."""
    layers = figures.get("layers_before") or figures.get("layers") or {}
    found = layers.get(output["layer"])
    if not found or found.get("mean") is None or found.get("std") is None:
        return None
    size = math.hypot(found["mean"], found["std"])
    return size if math.isfinite(size) else None


def _severity_of_scale(figures):
    outcome = learned(figures)
    if got_nowhere(figures):
        return "error"
    guess = figures.get("constant_loss")
    if outcome is None:
        return "note" if _tiny_subset_fitted(figures, guess) else "warning"
    explained = (figures.get("label_signal") or {}).get("explained")
    if outcome or explained is None or not guess:
        return "note"
    left = figures["training"]["last_loss"] / guess
    if all(o["loss"] == "mean_absolute_error" for o in figures["outputs"]):
        left **= 2  # as a share of the variance, like what simple means explain
    behind = left - (1 - explained) > thresholds.TARGET_BEHIND
    return "warning" if behind else "note"


def _tiny_subset_fitted(figures, guess):
    """True where 200 steps at the own rate came to the targets from their scale."""
    tiny = figures.get("tiny_subset")
    if not tiny or not guess:
        return False
    return tiny["best_loss"] <= thresholds.TINY_SUBSET_KEPT * guess


@rule(
    "targets-out-of-range",
    stage="before",
    needs=("outputs", "label_format"),
    source=TARGETS,
)
def targets_out_of_range(figures):
    """The output cannot take the values of the targets.

    What it sees: the range of the targets (1 % cut off at both ends) and the range of
    the last activation; class numbers that are negative or no whole numbers.

    Why it matters: a sigmoid never says 3, a ReLU never says -1. The loss keeps a
    floor that no training can remove, and the units go to their flat ends.

    Example: prices of 5 to 50 and a sigmoid; class numbers divided by 255 together
    with the pixels.

    Fix: a linear output for numbers; targets scaled into the range of the output;
    class numbers 0, 1, 2, … as whole numbers.

    Threshold: 5 % of the range beyond it (label smoothing and rounding stay within).
    Numbers under an error that asks for a linear output are the fault of the last
    activation (`output-activation-mismatch`), unless they are pixels of 0 to 255.
    """
    pairs = zip(figures["outputs"], figures["label_format"], strict=False)
    for output, coding in pairs:
        if coding is None or head_is_at_fault(output, coding):
            continue
        found = beyond_activation(output, coding) or _bad_class_numbers(output, coding)
        if not found:
            continue
        always, message, cause, advice = found
        soft = learned(figures) and not always
        yield {
            "severity": "note" if soft else "error",
            "subject": output["name"],
            "message": message,
            "cause": cause,
            "advice": advice,
            "evidence": {
                "activation": output["activation"],
                "loss": output["loss"],
                "low": coding["low"],
                "high": coding["high"],
            },
        }


def _bad_class_numbers(output, coding):
    if output["loss"] != "sparse_categorical_crossentropy":
        return None
    if not coding["whole"] and 4 * coding["distinct"] <= coding["rows"]:
        shown = ", ".join(f"{value:.4g}" for value in coding["values"][:4])
        return (
            True,
            f"The class numbers are fractions ({shown}, …): cut to whole numbers, all "
            f"become one class or two.",
            "The class numbers were divided or standardised together with the inputs.",
            "Leave y as it was: whole class numbers, y.astype('int32').",
        )
    lowest = coding["values"][0]
    expected = coding.get("ignore_class")
    if coding["whole"] and lowest < 0 and lowest != expected:
        return (
            True,
            f"The class numbers begin at {lowest:.0f}; no unit stands for a negative "
            f"number.",
            "The classes are not numbered from 0.",
            f"Number the classes from 0: y = y + {-lowest:.0f}.",
        )
    return None
