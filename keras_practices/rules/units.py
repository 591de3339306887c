"""Rules about units that no longer take part."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

UNITS = "CS231n, Neural Networks Part 1: ReLU; Part 3: Activation distributions"


@rule("dead-units", stage="before", needs=("layers",), source=UNITS)
def dead_units(figures):
    """ReLU units that give zero on every row.

    What it sees: the output of every ReLU layer on a probe of at least 32 rows; a
    unit (a channel, for images) is inactive when it is zero everywhere. Measured
    before training and, under the monitor, at its samples.

    Why it matters: the gradient through an inactive unit is zero: it never comes
    back, and a layer of them lets nothing through to the layers before it.

    Example: a bias that starts at -10; a learning rate that threw the weights far
    off.

    Fix: bias from 0, `he_normal` weights, a lower learning rate, or a leaky ReLU.

    Threshold: 90 % of a layer; 50 % of a layer when more than half of the loss of
    guessing is left after training. A note where training learned: a trained network
    whose ReLUs are sparse is healthy.
    """
    if figures.get("probe_rows", 0) < thresholds.DEAD_MIN_ROWS:
        return
    dead = {
        name: layer["inactive"]
        for name, layer in figures["layers"].items()
        if layer.get("inactive", 0) > thresholds.DEAD_SHARE_WARNING
    }
    training = figures.get("training")
    nowhere = got_nowhere(figures)
    worst = {n: s for n, s in dead.items() if s >= thresholds.DEAD_SHARE_ERROR}
    if not worst and not nowhere:
        return
    if not dead:
        return
    before = figures.get("layers_before") or {}
    at_start = [
        n
        for n in (worst or dead)
        if before.get(n, {}).get("inactive", 0) > thresholds.DEAD_SHARE_WARNING
    ]
    first = next(iter(worst or dead))
    shown = ", ".join(f"{n} {s:.0%}" for n, s in list((worst or dead).items())[:4])
    untrained = training is None or bool(at_start)
    yield {
        "severity": "note"
        if learned(figures)
        else "error"
        if worst and (nowhere or training is None)
        else "warning",
        "stage": "before" if untrained else "during",
        "subject": first,
        "message": f"Units that give zero on each of {figures['probe_rows']} rows: "
        f"{shown}.",
        "cause": _cause_at_start(figures, first)
        if untrained
        else "They died during training: the steps were too long.",
        "advice": f"Start the biases of {first} at 0 (bias_initializer='zeros') with "
        "kernel_initializer='he_normal'."
        if untrained
        else "Divide the learning rate by 10, or use keras.layers.LeakyReLU.",
        "evidence": {"inactive": worst or dead, "dead_at_start": at_start},
    }


def _cause_at_start(figures, layer):
    weights = (figures.get("initial_weights") or {}).get(layer) or {}
    bias = weights.get("bias_mean", 0.0)
    if bias < -thresholds.BIAS_HIGH * max(1.0, weights.get("gain", 1.0)):
        return (
            f"The biases of {layer} begin at {bias:.3g}, where its weights add about "
            f"{weights['gain']:.2g}; what stands behind it gets nothing."
        )
    return "They are dead before the first step: the bias or the weights begin too low."
