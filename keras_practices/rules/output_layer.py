"""Rules about the last activation: applied twice, or of the wrong range."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.chains import SQUASHING
from keras_practices.rules.chains import came_from
from keras_practices.rules.chains import gives_output
from keras_practices.rules.chains import is_neutral
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned
from keras_practices.rules.output_ranges import beyond_activation
from keras_practices.rules.output_ranges import head_is_at_fault
from keras_practices.rules.outputs import CLASS_LOSSES

SOURCE = "Goodfellow et al. 2016, section 6.2.2: Output units"

# Losses of Keras that take probabilities and are not crossentropies.
PROBABILITY_LOSSES = ("kl_divergence", "dice", "tversky")
# Activations that other rules on outputs do not know.
ODD_HEADS = ("gelu", "silu", "swish", "mish", "softsign", "hard_tanh", "exponential")
# Activations that keep what a loss on raw scores needs to see: their values are cut
# off on one side or bounded.
CUT_SCORES = ("relu", "relu6", "tanh", "softsign", "hard_tanh", "softplus")
PLAIN_ERRORS = (
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "log_cosh",
    "mean_squared_logarithmic_error",
    "mean_absolute_percentage_error",
)


@rule("double-softmax", stage="before", needs=("outputs",), source=SOURCE)
def double_softmax(figures):
    """A softmax is applied to what a softmax or sigmoid already gave.

    What it sees: a softmax output under a loss with `from_logits=True`; a softmax
    output under a loss of the user's own that is seen to apply one; two squashing
    layers at the end with nothing between them that has weights.

    Why it matters: a softmax of numbers between 0 and 1 is nearly flat. With ten
    classes the largest probability it can give is 0.23, so the loss cannot fall below
    1.46 and its gradients are small.

    Example: `Dense(10, activation="softmax")` followed by `Softmax()`, or with
    `SparseCategoricalCrossentropy(from_logits=True)`.

    Fix: remove one of the two.

    Threshold: none, it is read off the model.
    """
    twice = _squashed_twice(figures)
    behaviours = figures.get("loss_behaviour") or {}
    for number, output in enumerate(figures["outputs"]):
        subject = output["layer"] or output["name"]
        inside = (behaviours.get(output["name"]) or {}).get("softmax_inside") is True
        soft = output["activation"] == "softmax"
        if number in twice:
            first, second = twice[number]
            subject, words = second, f"{second} squashes what {first} already squashed"
            advice = f"Remove the activation of {first}."
        elif soft and output["from_logits"]:
            words = f"{output['loss']} with from_logits=True applies a softmax to the "
            words += "outputs of a softmax"
            advice = "Remove the softmax of the last layer, or set from_logits=False."
        elif output["from_logits"] and _gives_shares(output, behaviours):
            words = f"{output['loss']} with from_logits=True applies a softmax to "
            words += "outputs that add up to 1"
            advice = "Set from_logits=False in the loss."
        elif soft and inside and output["loss"] == "custom":
            words = "the loss applies a softmax to the outputs of a softmax"
            advice = "Remove the softmax of the last layer (activation=None)."
        else:
            continue
        yield {
            "severity": "error",
            "subject": subject,
            "message": f"{words[0].upper()}{words[1:]}: the answer stays nearly flat.",
            "cause": "Probabilities are treated as if they were raw scores.",
            "advice": advice,
            "evidence": {
                "activation": output["activation"],
                "loss": output["loss"],
                "from_logits": output["from_logits"],
            },
        }


def _gives_shares(output, behaviours):
    """True where what the model gave are probabilities, whichever layer made them."""
    seen = (behaviours.get(output["name"]) or {}).get("prediction") or {}
    last = len(output["shape"] or ())
    several = bool(last) and output["shape"][-1] not in (None, 1)
    adds_up = last in (seen.get("sums_to_one") or ())
    return several and adds_up and bool(seen.get("probabilities"))


def _squashed_twice(figures):
    """Number of the output → names of the two layers that squash it."""
    nodes = (figures.get("graph") or {}).get("nodes") or []
    found = {}
    for place, node in enumerate(nodes):
        if node["activation"] not in SQUASHING or node["kind"] != "activation":
            continue
        if not gives_output(nodes, place):
            continue
        before = (nodes[p] for p in came_from(nodes, place))
        first = next((one for one in before if not is_neutral(one)), None)
        if first is not None and first["activation"] in SQUASHING:
            for number in _outputs_of(nodes, place):
                found[number] = (first["name"], node["name"])
    return found


def _outputs_of(nodes, place):
    while not nodes[place]["gives"]:
        place = nodes[place]["outputs"][0]
    return nodes[place]["gives"]


@rule("output-activation-mismatch", stage="before", needs=("outputs",), source=SOURCE)
def output_activation_mismatch(figures):
    """The last activation cannot give what loss and targets ask for.

    What it sees: last activation, loss and kind of targets of each output, where the
    loss itself suits the task: a softmax for measurements or for several labels at
    once, numbers beyond the range of the activation under an error that asks for a
    linear output, activations of another range under a loss on probabilities or scores,
    independent sigmoids for classes that exclude each other, a sigmoid that never falls
    below a half.

    Why it matters: what the output cannot say, no training teaches. A softmax of
    measurements is bound to a sum of 1; a ReLU in front of a loss on scores has no
    gradient for every score below 0.

    Example: `Dense(3, activation="softmax")` with `mse` on three measurements.

    Fix: softmax for one class of several, sigmoid for two classes or several labels,
    no activation for measurements.

    Threshold: none, it is read off the set-up. What may work by luck is a note where
    training learned; a softmax on rows with several labels does not.
    """
    for output in figures["outputs"]:
        target = output.get("target") or {}
        if output["loss"] is None or not target.get("distinct"):
            continue
        for check in _CHECKS:
            found = check(figures, output, target)
            if found is None:
                continue
            severity, words, cause, advice = found
            # Several labels of 0.9 are beyond a softmax, however far the loss fell.
            bound = (target["kind"], output["loss"]) == (
                "multi-label",
                "binary_crossentropy",
            )
            yield {
                "severity": "note" if learned(figures) and not bound else severity,
                "subject": output["layer"] or output["name"],
                "message": f"Output {output['name']!r}: {words}.",
                "cause": cause,
                "advice": advice,
                "evidence": {
                    "activation": output["activation"],
                    "loss": output["loss"],
                    "targets": target["kind"],
                },
            }
            break


def _softmax_head(figures, output, target):
    units = output["shape"][-1] if output["shape"] else None
    if output["activation"] != "softmax" or not units or units < 2:
        return None
    beyond = (
        target["kind"] == "numbers" and not 0 <= target["min"] <= target["max"] <= 1
    )
    if beyond and output["loss"] in PLAIN_ERRORS:
        return (
            "error",
            f"a softmax gives shares of 1, the targets run from {target['min']:.4g} to "
            f"{target['max']:.4g}",
            "A softmax is for classes; these targets are measurements.",
            "Set activation=None in the last layer.",
        )
    if target["kind"] == "multi-label" and output["loss"] != "custom":
        return (
            "warning",
            f"a softmax shares 1 among {units} labels, and rows may have several or "
            f"none",
            "A softmax is for classes that exclude each other.",
            "Set activation='sigmoid' in the last layer with "
            "loss='binary_crossentropy'.",
        )
    return None


def _bounded_numbers(figures, output, target):
    """Numbers that the last activation cannot give, where the loss asks for any."""
    pairs = zip(figures["outputs"], figures.get("label_format") or (), strict=False)
    coding = next((coding for one, coding in pairs if one is output), None)
    if coding is None or not head_is_at_fault(output, coding):
        return None
    _, message, cause, advice = beyond_activation(output, coding)
    return "error", message[0].lower() + message[1:-1], cause, advice


def _odd_head(figures, output, target):
    activation, loss = output["activation"], output["loss"]
    if output["from_logits"] or activation is None:
        return None
    # The usual heads of crossentropies are judged with the loss.
    unfit = (*ODD_HEADS, *CUT_SCORES, "leaky_relu", "elu", "selu", "linear")
    named = loss in PROBABILITY_LOSSES and activation in unfit
    odd = "crossentropy" in loss and activation in ODD_HEADS
    if not named and not odd and not _unfit_for_own_loss(figures, output):
        return None
    several = (output["shape"] or [1])[-1] > 1 and "binary" not in loss
    wanted = "softmax" if several else "sigmoid"
    return (
        "error",
        f"the loss ({loss}) expects probabilities and the last activation is "
        f"{activation}",
        "The values of this activation do not stay between 0 and 1.",
        f"Set activation='{wanted}' in the last layer.",
    )


def _unfit_for_own_loss(figures, output):
    """A loss of the user's own that was seen to clip what this head gives."""
    found = (figures.get("loss_behaviour") or {}).get(output["name"]) or {}
    seen = found.get("prediction")
    if output["loss"] != "custom" or not seen or seen["probabilities"]:
        return False
    clips = found.get("clips_scores") or found.get("undefined_on_scores")
    return bool(clips) and output["activation"] in (*CUT_SCORES, *ODD_HEADS)


def _class_head(figures, output, target):
    """Classes learned as numbers, or by a loss of the user's own, from cut values."""
    units = output["shape"][-1] if output["shape"] else None
    shape = target["shape"]
    two = target["kind"] == "binary" and units == 1 and output["loss"] in PLAIN_ERRORS
    own = output["loss"] == "custom" and target["kind"] == "one-hot"
    fits = own and shape and shape[-1] == units
    if output["activation"] not in CUT_SCORES or not (two or fits):
        return None
    wanted = "sigmoid" if two else "softmax"
    return (
        "warning" if learned(figures) is False else "note",
        f"classes are answered by {output['activation']}, which is no probability",
        f"{output['activation']} belongs between layers.",
        f"Set activation='{wanted}' in the last layer.",
    )


def _cut_scores(figures, output, target):
    activation, loss = output["activation"], output["loss"]
    scores = output["from_logits"] and "crossentropy" in loss
    hinge = loss in ("hinge", "squared_hinge")
    one_sided = hinge and activation in ("sigmoid", "relu", "softmax")
    if not (scores and activation in CUT_SCORES) and not one_sided:
        return None
    return (
        "warning",
        f"{loss} needs raw scores of any size and sign, {activation} cuts them off",
        "The activation takes away what the loss reads.",
        "Set activation=None in the last layer.",
    )


def _sigmoids(figures, output, target):
    units = output["shape"][-1] if output["shape"] else None
    classes = output["loss"] in CLASS_LOSSES and not output["from_logits"]
    if output["activation"] not in ("sigmoid", "hard_sigmoid") or not classes:
        return None
    if not units or units < 2 or target["kind"] not in ("one-hot", "classes", "binary"):
        return None
    nowhere = got_nowhere(figures) or learned(figures) is None
    return (
        "warning" if nowhere else "note",
        f"{units} sigmoids answer independently, {output['loss']} expects "
        f"probabilities that sum to 1",
        "Sigmoids are for labels that do not exclude each other.",
        "Set activation='softmax' in the last layer.",
    )


def _half_a_sigmoid(figures, output, target):
    """A sigmoid of what is never negative (a distance, a ReLU) says yes to all."""
    if output["activation"] != "sigmoid" or output["loss"] != "binary_crossentropy":
        return None
    if (
        output["from_logits"]
        or target["kind"] != "binary"
        or not 0 < target["mean"] < 1
    ):
        return None
    behaviours, after = figures.get("loss_behaviour"), figures.get("predictions_after")
    first = ((behaviours or {}).get(output["name"]) or {}).get("prediction")
    last = (after or {}).get(output["name"])
    if not first or not last or learned(figures):
        return None
    half = 0.5 - thresholds.HALF_ROUNDING
    varies = last["std"] > thresholds.HALF_VARIES
    if first["min"] < half or last["low"] < half or not varies:
        return None
    return (
        "warning",
        f"the sigmoid gave {last['low']:.3g} or more for every row, before training "
        f"and after it: what it gets is never negative",
        "A ReLU, a distance or another value from 0 up stands in front of the sigmoid.",
        "Put Dense(1, activation='sigmoid') behind it, or take the ReLU away.",
    )


_CHECKS = (
    _softmax_head,
    _bounded_numbers,
    _odd_head,
    _cut_scores,
    _sigmoids,
    _class_head,
    _half_a_sigmoid,
)
