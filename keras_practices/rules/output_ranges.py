"""Which values a last activation can give, and which targets lie beyond."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.losses import NUMBER_LOSSES

_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
}


def head_is_at_fault(output, coding):
    """True where targets beyond the activation ask for a linear output.

    An error of numbers is usually taken of a linear output; only of pixels is it
    likelier that they were to be divided by 255.
    """
    numbers = (output["target"] or {}).get("kind") == "numbers"
    asks = numbers and output["loss"] in NUMBER_LOSSES and not _are_pixels(coding)
    return asks and beyond_activation(output, coding) is not None


def _are_pixels(coding):
    return coding["low"] >= 0 and 200 <= coding["high"] <= 255


def beyond_activation(output, coding):
    """What to say of targets that the last activation cannot give, or None.

    Args:
        output: One of the figures `outputs`.
        coding: That of `label_format` for it.

    Returns:
        `(whether it stays an error where training learned, message, cause, advice)`.
    """
    loss, activation = output["loss"], output["activation"]
    if activation not in _RANGES or _numbered_classes(output):
        return None
    if loss == "binary_crossentropy":
        # One column of other numbers is a question of the loss, which has its rule.
        if not output["target"] or math.prod(output["target"]["shape"]) <= 1:
            return None
    elif loss not in NUMBER_LOSSES and loss != "categorical_crossentropy":
        return None
    lowest, highest = _RANGES[activation]
    spread = highest - lowest if math.isfinite(highest) else coding["high"]
    slack = thresholds.RANGE_SLACK * max(abs(spread), 1e-6)
    low, high = coding["low"], coding["high"]
    if low >= lowest - slack and high <= highest + slack:
        return None
    top = "up" if math.isinf(highest) else f"to {highest:.4g}"
    return (
        # With other targets its loss has no lowest value: that it falls says nothing.
        loss == "binary_crossentropy",
        f"The targets run from {low:.4g} to {high:.4g}; a {activation} gives "
        f"{lowest:.4g} {top}.",
        "Targets were not scaled into the range of the output, or its activation is "
        "one for other targets.",
        f"Divide the targets by 255, or use activation='linear' in place of "
        f"'{activation}'."
        if _are_pixels(coding)
        else f"Use activation='linear' in the last layer in place of '{activation}', "
        f"or scale the targets into its range.",
    )


def _numbered_classes(output):
    """True for class numbers under a softmax: the fault is the loss, not the range."""
    target, shape = output["target"] or {}, output["shape"]
    if output["activation"] != "softmax" or not shape or shape[-1] < 2:
        return False
    if target.get("kind") not in ("classes", "binary"):
        return False
    return math.prod(target["shape"]) == 1 and target["max"] <= shape[-1]
