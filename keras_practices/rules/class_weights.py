"""Class weights that do the opposite of what they are for."""

# Rows, and weight, of the rarest class beside the commonest one: weights that help it
# raise the second where the first is low. Both far from 1, so that weights of another
# purpose pass.
RARER, WEIGHED_LESS = 0.25, 0.5


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
    if counts[rare] > RARER * counts[most]:
        return
    if known[rare] > WEIGHED_LESS * known[most]:
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
