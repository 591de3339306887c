"""Class weights that do the opposite of what they are for."""

from keras_practices.rules import thresholds


def weighed_less(counts, weights):
    """Finds a rare class that `class_weight` makes rarer still.

    Args:
        counts: Dict label → rows.
        weights: Dict label → weight, or None.

    Yields:
        Fields of a finding, once at most.
    """
    known = {label: weights.get(label) for label in counts} if weights else {}
    if len(known) < 2 or None in known.values():
        return
    most, rare = max(counts, key=counts.get), min(counts, key=counts.get)
    if counts[rare] > thresholds.RARER * counts[most]:
        return
    if known[rare] > thresholds.WEIGHED_LESS * known[most]:
        return
    each = sum(counts.values()) / len(counts)
    yield {
        "severity": "warning",
        "subject": "class_weight",
        "message": f"class_weight gives class {rare} ({counts[rare]} rows) "
        f"{known[rare]:.3g} and class {most} ({counts[most]} rows) "
        f"{known[most]:.3g}: the rare one counts even less.",
        "cause": "The weights are the wrong way round: shares of the classes perhaps.",
        "advice": f"Weigh a class by rows / classes / rows of the class: "
        f"{rare}: {each / counts[rare]:.3g}, {most}: {each / counts[most]:.3g}.",
        "evidence": {"counts": counts, "weights": weights},
    }
