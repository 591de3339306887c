"""Rules about what stands between the layers: activations and widths."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.chains import came_from
from keras_practices.rules.chains import hidden_runs
from keras_practices.rules.chains import next_kernel
from keras_practices.rules.chains import next_layer
from keras_practices.rules.chains import normalised
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

LAYERS = "Goodfellow et al. 2016, section 6.3: Hidden units"
CS231N = "CS231n, Neural Networks Part 1: Commonly used activation functions"


@rule("activation-missing", stage="before", needs=("graph",), source=LAYERS)
def activation_missing(figures):
    """Linear layers follow each other without an activation between them.

    What it sees: hidden dense and convolution layers without an activation that feed
    another such layer directly, or through layers that are linear too (dropout,
    flatten, average pooling, batch normalisation). Layers of your own count where
    they prove linear on made-up numbers. Deliberate bottlenecks (fewer
    units than what comes in and what goes out), depthwise and separable parts,
    branches that are merged and projections of embeddings are sound.

    Why it matters: a linear map of a linear map is one linear map. However many such
    layers there are, the network can do no more than one of them.

    Example: `Dense(128)`, `Dense(64)`, `Dense(10)`, each without `activation`.

    Fix: `activation="relu"` in every hidden layer.

    Threshold: no hidden layer has an activation: a warning, an error where training
    did not learn, a note where it did. One layer among others: a note, a warning where
    training got nowhere; none where a normalisation follows it.
    """
    nodes = figures["graph"]["nodes"]
    missing = [place for place in range(len(nodes)) if _lacks(nodes, place)]
    whole = not any(_bends(node) for node in nodes if node["hidden"])
    if not whole:
        # A linear bottleneck among others ends with a normalisation.
        missing = [place for place in missing if not normalised(nodes, place)]
    if not missing:
        return
    names = [nodes[place]["name"] for place in missing]
    outcome = learned(figures)
    if outcome or not whole:
        severity = "note" if outcome or not got_nowhere(figures) else "warning"
    else:
        severity = "warning" if outcome is None else "error"
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    own = any(nodes[place].get("own") for place in missing)
    own = ", in a layer of your own apply it in `call`" if own else ""
    what = "No hidden layer has an activation" if whole else "Without activation"
    yield {
        "severity": severity,
        "subject": names[0],
        "message": f"{what}: {len(names)} of {figures['graph']['depth']} layers with a "
        f"kernel ({shown}) feed the next one linearly.",
        "cause": "Linear layers in a row are together one linear layer.",
        "advice": f"Set activation='relu' in {shown}{own}.",
        "evidence": {"layers": names, "whole network": whole},
    }


def _lacks(nodes, place):
    node = nodes[place]
    linear = node["kind"] == "kernel" and node["activation"] in (None, "linear")
    if not linear or node["part"] or not node["units"] or not node["width_in"]:
        return False
    following = next_layer(nodes, place)
    if following is None or nodes[following]["kind"] != "kernel":
        return False
    after = nodes[following]
    if after["part"] or not after["units"]:
        return False
    if node["units"] < min(node["width_in"], after["units"]):
        return False
    # A one-by-one product after an embedding is its projection to another width.
    before = next((p for p in came_from(nodes, place)), None)
    return before is None or nodes[before]["kind"] != "embedding"


def _bends(node):
    """True for what makes the network more than a linear map (or a choice of one)."""
    if node["kind"] in ("neutral", "pool-max"):
        return node["norm"] == "row"
    return node["kind"] != "kernel" or node["activation"] not in (None, "linear")


@rule("activation-saturating", stage="before", needs=("graph",), source=CS231N)
def activation_saturating(figures):
    """An activation between layers that lets hardly any gradient through.

    What it sees: a softmax or an exponential whose values feed the next dense or
    convolution layer; sigmoid or tanh layers in a row without normalisation between.
    Gates and attention, whose values are multiplied with others, are sound.

    Why it matters: the outputs of a softmax share a sum of 1, so with 512 units each
    is about 0.002 and all rows look alike. A sigmoid passes on a quarter of the
    gradient at best: five layers leave a thousandth.

    Example: `Dense(512, activation="softmax")` between layers; twelve sigmoid layers.

    Fix: `activation="relu"` between layers; softmax and sigmoid belong at the end.

    Threshold: one softmax (error); 5 sigmoids in a row (warning), 3 where training
    has not run or got nowhere, one where it got nowhere at any rate tried; 6 tanh
    layers where training did not learn. A note where training learned.
    """
    nodes = figures["graph"]["nodes"]
    for name in ("softmax", "exponential"):
        found = [node for node in _hidden_of(nodes, name)]
        if found:
            yield _saturating(figures, name, found, name == "softmax")
            return
    for names in (("sigmoid", "hard_sigmoid"), ("tanh",)):
        runs = hidden_runs(nodes, names)
        longest = [nodes[place] for place in max(runs, key=len, default=[])]
        severity = _run_severity(figures, names[0], len(longest))
        if severity is not None:
            yield {**_saturating(figures, names[0], longest), "severity": severity}
            return


def _hidden_of(nodes, name):
    for place, node in enumerate(nodes):
        if node["activation"] == name and node["kind"] in ("kernel", "activation"):
            if next_kernel(nodes, place) is not None:
                yield node


def _run_severity(figures, name, length):
    outcome, nowhere = learned(figures), got_nowhere(figures)
    if not length or outcome:
        return None
    if name == "tanh":
        bad = length >= thresholds.TANH_LAYERS and outcome is False
        return "warning" if bad else None
    if length >= thresholds.SIGMOID_LAYERS_ALONE:
        return "warning"
    if length >= thresholds.SIGMOID_LAYERS and outcome is None:
        return "warning"
    return "warning" if nowhere and not _another_rate_works(figures) else None


def _another_rate_works(figures):
    return any(
        math.isfinite(trial["last_loss"])
        and trial["last_loss"] < thresholds.TRIAL_CLEARS * trial["first_loss"]
        for trial in figures.get("rate_trials") or []
    )


def _saturating(figures, name, found, hard=False):
    names = [node["name"] for node in found]
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    severity = "error" if hard else "warning"
    several = f"{len(names)} hidden layers" if len(names) > 1 else "A hidden layer"
    return {
        "severity": "note" if learned(figures) else severity,
        "subject": names[0],
        "message": f"{several} ({shown}) with activation {name}: hardly any gradient "
        f"gets through.",
        "cause": f"{name} between layers squeezes its values together."
        if name != "exponential"
        else "An exponential between layers makes large values larger without bound.",
        "advice": f"Set activation='relu' in {shown}.",
        "evidence": {"layers": names, "activation": name},
    }


@rule("capacity-too-small", stage="before", needs=("graph", "outputs"), source=LAYERS)
def capacity_too_small(figures):
    """A layer so narrow that what is asked of the network cannot pass.

    What it sees: the units of the layers on the only way to an output, beside the
    number of classes or of features.

    Why it matters: what is not passed on is lost. One unit in front of ten classes
    can only rank them; two units can hardly hold what a regression on eight features
    needs.

    Example: `Dense(2, activation="relu")` in front of `Dense(10)`.

    Fix: at least as many units as classes; 32 is a usual start.

    Threshold: one unit, or fewer units than log2 of the classes; at most 2 units on 8
    features or more for regression, one where the targets are as wide as the inputs
    (an autoencoder). Only where training ran and did not learn.
    """
    if learned(figures) is not False:
        return
    nodes = figures["graph"]["nodes"]
    features = _features(figures)
    for number, output in enumerate(figures["outputs"]):
        limit = _fewest_units(output, features)
        head = _head_of(nodes, number)
        if limit is None or head is None:
            continue
        for place in came_from(nodes, head):
            node = nodes[place]
            narrow = node["kind"] in ("kernel", "recurrent") and node["units"]
            if narrow and not node["part"] and node["units"] < limit:
                yield {
                    "severity": "warning",
                    "subject": node["name"],
                    "message": f"{node['name']} has {node['units']} units on the only "
                    f"way to an output of {output['shape'][-1]}; training did not "
                    f"learn.",
                    "cause": "What this layer does not pass on is lost.",
                    "advice": f"Give {node['name']} 32 units, at least {limit}.",
                    "evidence": {"units": node["units"], "at least": limit},
                }
                return


def _features(figures):
    known = [f.get("features", 0) for f in (figures.get("first_inputs") or {}).values()]
    return max(known, default=0)


def _fewest_units(output, features):
    target, shape = output.get("target") or {}, output["shape"]
    if not target.get("kind") or not shape:
        return None
    if shape[-1] == features:
        # An autoencoder is narrow on purpose; one unit says one number of a row.
        return 2 if features >= thresholds.CAPACITY_FEATURES else None
    if target["kind"] in ("one-hot", "classes") and shape[-1] > 2:
        return max(2, math.ceil(math.log2(shape[-1])))
    if target["kind"] == "numbers" and features >= thresholds.CAPACITY_FEATURES:
        return thresholds.CAPACITY_UNITS + 1
    return None


def _head_of(nodes, number):
    """Place of the last layer with a kernel before an output, None where merged."""
    place = next((p for p, node in enumerate(nodes) if number in node["gives"]), None)
    if place is None:
        return None
    for step in (place, *came_from(nodes, place)):
        if nodes[step]["kind"] == "kernel":
            return step
    return None
