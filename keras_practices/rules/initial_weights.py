"""Rules about weights before the first step: their size, and whether they may move."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.chains import activation_after
from keras_practices.rules.chains import passed_on
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

INIT = "He et al. 2015; CS231n, Neural Networks Part 2: Weight initialization"
FROZEN = "Yosinski et al. 2014, How transferable are features in deep neural networks?"

# What of the root mean square of independent inputs an activation passes on.
PASSED = {
    "relu": math.sqrt(0.5),
    "relu6": math.sqrt(0.5),
    "leaky_relu": math.sqrt(0.5),
    "elu": 0.8,
    "selu": 1.0,
    "gelu": 0.65,
    "silu": 0.6,
    "swish": 0.6,
    "softplus": 0.7,
    "linear": 1.0,
}
BOUNDED = ("tanh", "sigmoid", "hard_sigmoid", "softsign", "hard_tanh")


@rule(
    "initialization-scale",
    stage="before",
    needs=("graph", "initial_weights"),
    source=INIT,
)
def initialization_scale(figures):
    """The first weights are far too large, or far too small.

    What it sees: the gain of each dense and convolution kernel, rms(w) · √(inputs), as
    a product over the layers between two normalisations or merges; kernels whose
    weights all have one sign; the share of tanh
    and sigmoid values at their flat ends on a probe; constant biases of hidden layers.
    Kernels in front of a normalisation, pretrained and frozen ones are left out.

    Why it matters: a gain of 10 in three layers makes a thousand of one: the first
    loss is enormous, its gradients too, and bounded activations are stuck at their
    ends. With gains far below one nothing arrives at the output.

    Example: `RandomNormal(stddev=0.25)` for `Dense(512)` on 3,136 inputs.

    Fix: `"he_normal"` in front of ReLU, `"glorot_uniform"` elsewhere, bias zero.

    Threshold: grown 30 × by a gain above 4, or 1,000 × over 8 layers; shrunk to 1e-3
    with a gain below 30 % of the calibrated one or where training did not learn, to
    1e-4 else, to 1e-2 where it got nowhere; half of a bounded layer at its ends by a
    gain above 4; one sign and a gain above 1.5; a hidden bias of 5. A note where
    training learned.
    """
    runs = _runs(figures["graph"]["nodes"], figures["initial_weights"])
    checks = (
        _biased(runs),
        _one_signed(figures["initial_weights"]),
        _grown(runs),
        _shrunk(runs, learned(figures), got_nowhere(figures)),
        _stuck(figures, runs),
    )
    found = next((one for one in checks if one is not None), None)
    if found is None:
        return
    run, message, advice = found
    biased = advice is not None
    wanted = advice or (
        "Set kernel_initializer='he_normal' in front of ReLU, 'glorot_uniform' "
        "elsewhere."
    )
    yield {
        "severity": "note" if learned(figures) else "warning",
        "subject": run[0]["name"],
        "message": message,
        "cause": "The initializer of the bias shifts every unit of the layer."
        if biased
        else "The initializers do not fit the number of inputs of their layers.",
        "advice": wanted,
        "evidence": {one["name"]: round(one["gain"], 3) for one in run},
    }


def _runs(nodes, weights):
    """Kernels in a row that hand their scale on, each with gain and what it passes.

    A run begins behind inputs, normalisations and merges and ends in front of them.
    """
    runs, seen = [], set()
    for start, node in enumerate(nodes):
        place, run = start, []
        while place is not None and place not in seen:
            node = nodes[place]
            if node["kind"] != "kernel":
                break
            seen.add(place)
            found = weights.get(node["name"])
            name, end = activation_after(nodes, place)
            known = name in PASSED or name in BOUNDED or not node["hidden"]
            if not found or not found["fresh"] or not found["trainable"] or not known:
                break
            following, normed = _following(nodes, place)
            if normed:
                break
            run.append({**found, **_said(node), "activation": name})
            place = following
        if run:
            runs.append(run)
    return runs


def _said(node):
    return {"name": node["name"], "hidden": node["hidden"]}


def _following(nodes, place):
    """Place of the next kernel (or None), and whether a normalisation comes first."""
    for step in passed_on(nodes, place):
        if nodes[step]["norm"]:
            return None, True
        if nodes[step]["kind"] == "kernel":
            return step, False
        if nodes[step]["kind"] not in ("neutral", "activation", "pool-max"):
            return None, False
    return None, False


def _factor(one):
    passed = PASSED.get(one["activation"], 1.0) if one["hidden"] else 1.0
    return one["gain"] * passed


def _grown(runs):
    for run in runs:
        # A bounded layer ends what came before it.
        bounded = [i for i, one in enumerate(run) if one["activation"] in BOUNDED]
        part = run[bounded[-1] + 1 if bounded else 0 :]
        grown = math.prod(_factor(one) for one in part)
        highest = max((one["gain"] for one in part), default=0)
        deep = len(part) >= thresholds.SIGNAL_DEEP
        steep = highest > thresholds.GAIN_HIGH and grown > thresholds.SIGNAL_GROWN
        if steep or (deep and grown > thresholds.SIGNAL_GROWN_DEEP):
            return (
                sorted(part, key=lambda one: -one["gain"]),
                f"The first weights make the signal {grown:.3g} times larger over "
                f"{len(part)} layers; the largest gain is {highest:.3g} (calibrated: "
                f"about 1.4).",
                None,
            )
    return None


def _shrunk(runs, outcome, nowhere):
    for run in runs:
        part = [one for one in run if one["hidden"]]
        left = math.prod(min(1.0, _factor(one)) for one in part)
        small = [
            one for one in part if one["gain"] < thresholds.GAIN_LOW * one["calibrated"]
        ]
        doubtful = bool(small) or outcome is False
        limit = thresholds.SIGNAL_LEFT if doubtful else thresholds.SIGNAL_LEFT_ALONE
        if nowhere:
            limit = thresholds.SIGNAL_LEFT_NOWHERE
        # Sigmoids add a half to everything: what is left of the signal is not known.
        known = all("sigmoid" not in one["activation"] for one in part)
        if part and known and left < limit:
            worst = ""
            if small:
                lowest = min(small, key=lambda one: one["gain"] / one["calibrated"])
                worst = f"; {lowest['name']} has a gain of {lowest['gain']:.2g} "
                worst += f"(calibrated: {lowest['calibrated']:.2g})"
            return (
                sorted(part, key=lambda one: one["gain"]),
                f"The first weights let {left:.2g} of the signal through {len(part)} "
                f"hidden layers, {left ** (1 / len(part)):.2g} a layer{worst}.",
                None,
            )
    return None


def _stuck(figures, runs):
    measured = figures.get("layers_before") or figures.get("layers") or {}
    for run in runs:
        for one in run:
            share = (measured.get(one["name"]) or {}).get("saturated") or 0
            bounded = one["hidden"] and one["activation"] in BOUNDED
            wide = one["gain"] > thresholds.GAIN_HIGH
            if bounded and wide and share > thresholds.SATURATED_AT_START:
                return (
                    [one],
                    f"Before training {share:.0%} of the values of {one['name']} are "
                    f"at the flat ends of its {one['activation']}; its gain is "
                    f"{one['gain']:.3g} (calibrated: about 1).",
                    None,
                )
    return None


def _one_signed(weights):
    """Weights of one sign: every unit gives about the sum of its inputs."""
    found = [
        {"name": name, **one}
        for name, one in weights.items()
        if one.get("one_sided")
        and one["trainable"]
        and one["gain"] > thresholds.GAIN_ONE_SIDED
    ]
    if not found:
        return None
    first = found[0]
    return (
        found,
        f"All first weights of {first['name']} have one sign, with a gain of "
        f"{first['gain']:.3g} (calibrated: about {first['calibrated']:.2g}): all its "
        f"units give nearly the same.",
        None,
    )


def _begin(one):
    # Of mixed signs the size says more than the mean.
    mean = one.get("bias_mean", one["bias"])
    return mean if abs(mean) > 0.5 * one["bias"] else one["bias"]


def _biased(runs):
    for run in runs:
        for one in run:
            scale = max(1.0, one["gain"])
            if one["hidden"] and one["bias"] > thresholds.BIAS_HIGH * scale:
                return (
                    [one],
                    f"The biases of {one['name']} begin at {_begin(one):.3g}, where "
                    f"its weights add about {one['gain']:.2g}.",
                    f"Set bias_initializer='zeros' in {one['name']}.",
                )
    return None


@rule("layers-frozen", stage="before", needs=("parts",), source=FROZEN)
def layers_frozen(figures):
    """Layers that never learned are kept from learning.

    What it sees: layers with `trainable=False` whose weights still look like a first
    draw from their own initializer, with a bias of zero; a model without any weight
    to train.

    Why it matters: a frozen pretrained layer is knowledge, a frozen fresh one is a
    random map that everything behind it has to live with.

    Example: `base = ResNet50(weights=None)` with `base.trainable = False`.

    Fix: `layer.trainable = True` and `compile` again, or load the pretrained weights.

    Threshold: mean, deviation and range within four standard errors of a fresh draw.
    Pretrained layers are not reported. A note where training learned.
    """
    found = figures["parts"]["frozen"]
    if found["parameters"] and not found["trainable"]:
        yield {
            "severity": "error",
            "subject": "model",
            "message": f"None of the {found['parameters']:,} weights is trainable.",
            "cause": "trainable=False on the model or on every layer.",
            "advice": "Set model.trainable = True and compile again.",
            "evidence": {"parameters": found["parameters"], "trainable": 0},
        }
        return
    fresh = found["fresh"]
    if fresh:
        shown = ", ".join(fresh[:4]) + (", …" if len(fresh) > 4 else "")
        yield {
            "severity": "note" if learned(figures) else "warning",
            "subject": fresh[0],
            "message": f"{len(fresh)} layers are frozen and still hold their first "
            f"random weights ({shown}).",
            "cause": "trainable=False was set before anything was learned or loaded.",
            "advice": f"Set trainable = True for {shown} and compile again, or load "
            f"pretrained weights.",
            "evidence": {"fresh": fresh, "frozen": len(found["layers"])},
        }
