"""Rules about bounded activations at their flat ends."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

ENDS = "CS231n, Neural Networks Part 1: sigmoid; Part 3: Activation distributions"


@rule("saturated-units", stage="during", needs=("training",), source=ENDS)
def saturated_units(figures):
    """Sigmoid or tanh units stand at their flat ends.

    What it sees: the share of the outputs of every hidden layer with a bounded
    activation that lie within 1 % of one of its ends, on the probe at the end of the
    training (in the last samples where there is no probe). Output layers are left
    out: there it is what a sure answer looks like.

    Why it matters: at the flat ends the slope is nearly zero, so neither the unit nor
    what stands before it learns.

    Example: sigmoid layers behind inputs of 0–255; tanh with initial weights of
    deviation 1.

    Fix: scaled inputs, Glorot weights, ReLU, a lower learning rate.

    Threshold: 70 % of the outputs. A training that learned is not reported.
    """
    training = figures["training"]
    if learned(figures) is not False:
        return
    hidden = _hidden(figures, training.get("saturation") or {})
    flat = {
        name: found
        for name, found in hidden.items()
        if found["last"] >= thresholds.SATURATED_SHARE
    }
    if not flat:
        return
    name = max(flat, key=lambda layer: flat[layer]["last"])
    found = flat[name]
    at_start = found["first"] >= thresholds.SATURATED_SHARE
    shown = ", ".join(f"{n} {f['last']:.0%}" for n, f in list(flat.items())[:4])
    yield {
        "severity": "error" if got_nowhere(figures) else "warning",
        "subject": name,
        "message": f"Outputs at the flat ends of their activation: {shown} "
        f"({found['activation']}; before training {found['first']:.0%}).",
        "cause": "They stood there from the start: inputs or initial weights are too "
        "large."
        if at_start
        else "The steps drove them there.",
        "advice": "Standardise the inputs and use kernel_initializer='glorot_uniform', "
        "or activation='relu'."
        if at_start
        else "Divide the learning rate by 10, or use activation='relu' with "
        "kernel_initializer='he_normal'.",
        "evidence": {"saturated": {n: f["last"] for n, f in flat.items()}},
    }


def _hidden(figures, layers):
    """The layers that are no output; without a list of outputs the last one is it."""
    outputs = {output.get("layer") for output in figures.get("outputs") or ()}
    if not outputs - {None}:
        outputs = set(list(layers)[-1:])
    return {name: found for name, found in layers.items() if name not in outputs}
