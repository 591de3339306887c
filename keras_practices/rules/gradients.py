"""Rules about gradients and weights that fade or blow up on the way."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

FLOW = "CS231n, Neural Networks Part 1: sigmoid; Part 3: gradient magnitudes"


@rule("vanishing-gradients", stage="during", needs=("training",), source=FLOW)
def vanishing_gradients(figures):
    """The gradient fades on its way to the first layers.

    What it sees: the gradient per weight of every kernel in the first samples, in the
    order of the network, embeddings left out; the first third beside the last third.

    Why it matters: the first layers hardly move, and what they pass on is what their
    initial weights make of the inputs.

    Example: twelve sigmoid layers: each one multiplies the gradient by a quarter at
    most.

    Fix: ReLU (or tanh) between layers with `he_normal` weights, BatchNormalization,
    or residual connections.

    Threshold: below 1/1000 over at least 4 kernels. A training that learned is not
    reported.
    """
    training = figures["training"]
    ratio, flow = training.get("gradient_ratio"), training.get("kernel_gradients")
    if ratio is None or not flow or len(flow) < thresholds.VANISHING_MIN_KERNELS:
        return
    if ratio >= thresholds.VANISHING_RATIO or learned(figures) is not False:
        return
    first, last = list(flow)[0], list(flow)[-1]
    yield {
        "severity": "error" if got_nowhere(figures) else "warning",
        "subject": first,
        "message": f"In the first layers the gradient per weight is {ratio:.2g} of "
        f"that in the last ones ({first} {flow[first]:.2g}, {last} {flow[last]:.2g}; "
        f"{len(flow)} kernels).",
        "cause": "Each layer on the way back makes it smaller: flat activations, or "
        "weights that begin too small.",
        "advice": "Use activation='relu' with kernel_initializer='he_normal' between "
        "the layers; in deep networks add keras.layers.BatchNormalization or residual "
        "connections.",
        "evidence": {"ratio": ratio, "kernels": len(flow)},
    }


@rule("exploding-gradients", stage="during", needs=("training",), source=FLOW)
def exploding_gradients(figures):
    """Gradients are far larger than the weights they change.

    What it sees: the gradient norm of every kernel and of all weights together in the
    samples, beside the norm of the weights.

    Why it matters: one such step throws the weights out of any region where the
    network can learn; the next one ends in NaN.

    Example: inputs of 1000 with a squared error; a recurrent network over 500 steps.

    Fix: scale inputs and targets; `clipnorm=1.0` on the optimizer; a lower rate.

    Threshold: a kernel's gradient 1000 times its norm, or the norm of all gradients
    100 times what it began with while a kernel's gradient is 10 times its norm, or a
    gradient that is not finite under a finite loss; and training got nowhere.
    """
    training = figures["training"]
    if not got_nowhere(figures):
        return
    ratio = training.get("gradient_to_weight") or 0.0
    growth = training.get("gradient_growth") or 0.0
    bad, ended = training.get("gradient_not_finite_step"), training["first_not_finite"]
    # Samples count steps from 1, losses from 0. After a NaN loss all is NaN.
    first = bad is not None and (ended is None or bad <= ended)
    grown = growth > thresholds.EXPLODING_GROWTH
    grown = grown and ratio > thresholds.EXPLODING_GROWN_RATIO
    if first:
        message = f"The gradient of step {bad} is not finite, its loss is."
    elif ratio > thresholds.EXPLODING_RATIO:
        message = f"A kernel's gradient is {ratio:.3g} times as large as the kernel."
    elif grown:
        message = (
            f"The gradient norm grew from {training['first_gradient']:.3g} to "
            f"{training['largest_gradient']:.3g} "
            f"(step {training['largest_gradient_step']})."
        )
    else:
        return
    yield {
        "severity": "error",
        "subject": "gradients",
        "message": message,
        "cause": "A function without a finite slope in the loss or in a layer (the "
        "root or the logarithm of 0)."
        if first
        else "The scale of inputs, targets or weights, or steps that are too long.",
        "advice": "Put keras.ops.maximum(…, 1e-7) in front of the root, logarithm or "
        "division."
        if first
        else "Scale inputs and targets to unit variance, and give the optimizer "
        "clipnorm=1.0 and a tenth of the learning rate.",
        "evidence": {
            "gradient_to_weight": ratio,
            "growth": growth,
            "not_finite_step": bad,
        },
    }


@rule("weights-diverging", stage="during", needs=("training",), source=FLOW)
def weights_diverging(figures):
    """Weights grew out of all proportion.

    What it sees: the norm of every kernel in the samples, beside its first norm and
    beside the scale of Glorot's initial weights.

    Why it matters: large weights make large outputs: activations saturate, softmax
    is sure of wrong answers, gradients explode.

    Example: Adam with a rate of 1.

    Fix: a learning rate ten times lower; `clipnorm=1.0`; a small L2 penalty.

    Threshold: 10 times the first norm, or three doublings from one sample to the
    next, with an end 5 times above Glorot's scale. A training that learned is not
    reported.
    """
    training = figures["training"]
    grown = {
        path: found
        for path, found in (training.get("weight_growth") or {}).items()
        if (found["to_glorot"] or 0.0) > thresholds.WEIGHT_TO_GLOROT
        and (
            found["growth"] > thresholds.WEIGHT_GROWTH
            or found["doublings"] >= thresholds.WEIGHT_DOUBLINGS
        )
    }
    if not grown or learned(figures) is not False:
        return
    path = max(grown, key=lambda name: grown[name]["growth"])
    found, rate = grown[path], training.get("learning_rate")
    better = "" if rate is None else f" (learning_rate={rate / 10:.2g})"
    yield {
        "severity": "error" if got_nowhere(figures) else "warning",
        "subject": path,
        "message": f"The norm of {path} grew from {found['first']:.3g} to "
        f"{found['last']:.3g} in {training['steps']} steps"
        + (f"; so did {len(grown) - 1} more kernels." if len(grown) > 1 else "."),
        "cause": "The steps are too long, or the outputs are driven to infinity.",
        "advice": f"Divide the learning rate by 10{better} and give the optimizer "
        f"clipnorm=1.0.",
        "evidence": {**found, "kernels": len(grown)},
    }
