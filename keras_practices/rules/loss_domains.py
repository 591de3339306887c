"""Losses of Keras that take a logarithm or divide: where they are blind or break."""

from keras_practices.rules import thresholds
from keras_practices.rules.outcome import learned

BELOW_ZERO = ("linear", "tanh", "leaky_relu", "elu", "selu", "softsign", "hard_tanh")
_SQUARED_ERROR = (
    "Use loss='mean_squared_error' or 'huber', or targets that are all above 0."
)


def outside_the_domain(output, coding, figures):
    """Says where the targets, or the outputs, lie outside what the loss is made for.

    Args:
        output: One of `figures["outputs"]`.
        coding: Its place in `figures["label_format"]`, or None.
        figures: All figures, for how the training ended.

    Returns:
        `(severity, message, cause, advice)`, or None.
    """
    check = _CHECKS.get(output["loss"])
    found = check(output, coding) if check and coding else None
    if found is None:
        return None
    blind, *words = found
    # Where the loss is blind, that it fell says nothing.
    return ("error" if blind or not learned(figures) else "note", *words)


def _logarithmic(output, coding):
    share = coding["negative"]
    if share <= thresholds.BAD_TARGETS:
        return None
    return (
        True,
        f"mean_squared_logarithmic_error takes each number below 0 for 0, and "
        f"{100 * share:.3g} % of the targets are below 0: it cannot tell them apart.",
        "A loss for positive numbers is used on numbers of both signs, standardised "
        "ones perhaps.",
        _SQUARED_ERROR,
    )


def _relative(output, coding):
    zeros, negative = coding.get("zeros", 0.0), coding["negative"]
    edge = thresholds.BAD_TARGETS
    crosses = coding["distinct"] > 2 and edge < negative < 1 - edge
    if not zeros and not crosses:
        return None
    seen = (
        f"{100 * zeros:.3g} % of the targets are 0"
        if zeros
        else f"{100 * negative:.3g} % of the targets are below 0 and the rest above"
    )
    return (
        False,
        f"mean_absolute_percentage_error divides by the target, and {seen}: the rows "
        f"next to 0 decide the loss alone.",
        "A relative error is used on targets that have no natural size.",
        _SQUARED_ERROR,
    )


def _counts(output, coding):
    share = coding["negative"]
    if share > thresholds.BAD_TARGETS:
        return (
            True,
            f"poisson is a loss for counts, and {100 * share:.3g} % of the targets are "
            f"below 0: for these it falls without end.",
            "The targets were standardised, or are no counts.",
            "Use the counts as they are, or loss='mean_squared_error'.",
        )
    if output["activation"] not in BELOW_ZERO:
        return None
    return (
        False,
        f"poisson takes the logarithm of the output, and a {output['activation']} "
        f"output goes below 0: the loss is NaN there.",
        "The output is to be the expected count, which is positive.",
        "Set activation='softplus' or 'exponential' in the last layer.",
    )


def _distributions(output, coding):
    slack = thresholds.RANGE_SLACK  # rounding, smoothing
    if coding["low"] >= -slack and coding["high"] <= 1 + slack:
        return None
    return (
        False,
        f"kl_divergence compares probabilities and cuts targets to 0…1; these run from "
        f"{coding['low']:.4g} to {coding['high']:.4g}.",
        "The targets are class numbers or measurements, not probabilities.",
        "For class numbers use loss='sparse_categorical_crossentropy', else "
        "'mean_squared_error'.",
    )


_CHECKS = {
    "mean_squared_logarithmic_error": _logarithmic,
    "mean_absolute_percentage_error": _relative,
    "poisson": _counts,
    "kl_divergence": _distributions,
}
