"""Rules about settings of layers: dropout, normalisation, penalties, metrics."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.chains import SQUASHING
from keras_practices.rules.chains import came_from
from keras_practices.rules.chains import gives_output
from keras_practices.rules.losses import NUMBER_LOSSES
from keras_practices.rules.outcome import learned

DROPOUT = "Srivastava et al. 2014, Dropout, appendix A.4"
BATCH_NORM = "Ioffe and Szegedy 2015, Batch Normalization, section 3.1"
PENALTY = "Goodfellow et al. 2016, section 7.1: Parameter norm penalties"
METRICS = "Goodfellow et al. 2016, section 11.1: Performance metrics"

# Losses by which the outputs are compared with targets entry by entry.
ENTRYWISE = ("crossentropy", "mean_", "huber", "log_cosh", "hinge", "poisson")
HITS = (
    "accuracy",
    "acc",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "binary_accuracy",
    "categorical_accuracy",
)


@rule("dropout-misused", stage="before", needs=("parts",), source=DROPOUT)
def dropout_misused(figures):
    """Dropout takes nearly everything away, or stands at the very end.

    What it sees: the rate of every dropout layer and of dropout inside recurrent
    layers, and whether a layer with weights comes after it.

    Why it matters: with a rate of 0.8 each step sees a fifth of the units, so little
    is learned. Behind the last layer dropout sets answers to zero at random: the loss
    cannot tell a wrong answer from a dropped one.

    Example: `Dropout(0.8)`, meant as "keep 80 %"; `Dense(10, "softmax")` and then
    `Dropout(0.5)`.

    Fix: a rate of 0.2 to 0.5 between hidden layers, none behind the last.

    Threshold: a rate of 0.75 (a warning; a note where training learned); above 0.05
    on the outputs (an error; a warning where training learned, since no loss that
    compares entry by entry has a use for it).
    """
    worked = learned(figures)
    on_outputs = _dropout_on_outputs(figures)
    for found in on_outputs:
        yield {
            "severity": "warning" if worked else "error",
            "subject": found["name"],
            "message": f"{found['name']} drops {found['rate']:.0%} of the outputs "
            f"themselves.",
            "cause": "No layer with weights comes after this dropout.",
            "advice": f"Remove {found['name']}, or move it in front of the last layer.",
            "evidence": {"rate": found["rate"]},
        }
    outputs = [found["name"] for found in on_outputs]
    high = [
        one
        for one in figures["parts"]["dropout"]
        if one["rate"] >= thresholds.DROPOUT_RATE and one["layer"] not in outputs
    ]
    if high:
        worst = max(high, key=lambda one: one["rate"])
        keep = 1 - worst["rate"]
        yield {
            "severity": "note" if worked else "warning",
            "subject": high[0]["layer"],
            "message": f"{len(high)} times dropout takes {worst['rate']:.0%} of the "
            f"values away ({', '.join(one['layer'] for one in high[:4])}).",
            "cause": "The rate is the share to drop, not the share to keep.",
            "advice": f"Set {worst['argument']}={min(0.5, max(0.1, keep)):.2g}.",
            "evidence": {one["layer"]: one["rate"] for one in high},
        }


def _dropout_on_outputs(figures):
    nodes = (figures.get("graph") or {}).get("nodes") or []
    losses = [output["loss"] or "" for output in figures.get("outputs") or []]
    # A loss of the user's own may compare features, where dropout at the end is sound.
    if not losses or not all(any(w in loss for w in ENTRYWISE) for loss in losses):
        return []
    return [
        node
        for place, node in enumerate(nodes)
        if (node["rate"] or 0) > thresholds.DROPOUT_ON_OUTPUTS
        and not node["hidden"]
        and _ends(nodes, place)
    ]


def _ends(nodes, place):
    """True when only neutral layers and activations come between it and an output."""
    while not nodes[place]["gives"]:
        if len(nodes[place]["outputs"]) != 1:
            return False
        place = nodes[place]["outputs"][0]
        if nodes[place]["kind"] not in ("neutral", "activation"):
            return False
    return True


@rule("batchnorm-misused", stage="before", needs=("parts",), source=BATCH_NORM)
def batchnorm_misused(figures):
    """Batch normalisation whose statistics cannot be right.

    What it sees: the momentum beside the number of steps, the batch size, and what
    stands before a batch normalisation at the end of the network.

    Why it matters: in use the layer works with moving statistics. They need about
    1 / (1 - momentum) steps to settle; before that the trained model predicts with
    wrong ones. In a batch of one row every value is its own mean, so all become equal.

    Example: `momentum=0.9999` in a training of 500 steps; `momentum=0.1` copied from
    PyTorch, where the word means the opposite share.

    Fix: `momentum=0.9` for short trainings, 0.99 (the default) for long ones; batches
    of 16 rows or more.

    Threshold: 30 % of the first statistics left at the end and the loss in inference
    mode twice that in training mode, or momentum of 0.9995; momentum below 0.3; one
    row a batch; behind a softmax or sigmoid. A note where training learned.
    """
    fit = figures.get("fit") or {}
    # A frozen one has its statistics from elsewhere.
    layers = [one for one in figures["parts"]["batchnorm"] if one["trainable"]]
    for one in layers:
        found = _momentum(figures, one, fit.get("steps"))
        if found is not None:
            yield _batchnorm(figures, one["layer"], *found)
            break
    if layers and fit.get("batch_size") == 1:
        yield _batchnorm(
            figures,
            layers[0]["layer"],
            "Batch normalisation with batches of one row: every value is its own mean",
            "batch_size=1.",
            "Set batch_size=32, or use keras.layers.LayerNormalization.",
        )
    nodes = (figures.get("graph") or {}).get("nodes") or []
    for place, node in enumerate(nodes):
        before = next(came_from(nodes, place), None)
        squashed = before is not None and nodes[before]["activation"] in SQUASHING
        if node["norm"] == "batch" and squashed and gives_output(nodes, place):
            yield _batchnorm(
                figures,
                node["name"],
                f"{node['name']} normalises the {nodes[before]['activation']} outputs "
                f"of the last layer: they are no probabilities any more",
                "Batch normalisation stands behind the last activation.",
                f"Remove {node['name']}, or move it in front of the last layer.",
            )


def _momentum(figures, one, steps):
    momentum = one["momentum"]
    left = None if not steps else momentum**steps
    unsettled = left is not None and left > thresholds.BATCHNORM_KEPT
    high = momentum >= thresholds.BATCHNORM_MOMENTUM_HIGH
    if (high and (left is None or unsettled)) or (unsettled and _worse_in_use(figures)):
        after = "" if left is None else f"; after {steps} steps {left:.0%} of the "
        after += "" if left is None else "statistics are still what they began with"
        return (
            f"{one['layer']} has momentum={momentum:g}{after}",
            "The moving statistics need about 1 / (1 - momentum) steps to settle.",
            "Set momentum=0.9 in BatchNormalization.",
        )
    if momentum < thresholds.BATCHNORM_MOMENTUM_LOW:
        return (
            f"{one['layer']} has momentum={momentum:g}: its statistics are those of "
            f"the last batch",
            "In Keras momentum is the share that stays, in PyTorch the share that is "
            "new.",
            f"Set momentum={1 - momentum:g} in BatchNormalization.",
        )
    return None


def _worse_in_use(figures):
    found = figures.get("modes_after")
    if not found or not math.isfinite(found["training_loss"]):
        return False
    guessing = figures.get("constant_loss") or found["training_loss"]
    gap = found["inference_loss"] - found["training_loss"]
    twice = found["inference_loss"] > thresholds.MODES_FACTOR * found["training_loss"]
    return twice and gap > thresholds.MODES_SHARE * guessing


def _batchnorm(figures, layer, words, cause, advice):
    return {
        "severity": "note" if learned(figures) else "warning",
        "subject": layer,
        "message": f"{words}.",
        "cause": cause,
        "advice": advice,
        "evidence": {
            "momentum": [one["momentum"] for one in figures["parts"]["batchnorm"]],
            "steps": (figures.get("fit") or {}).get("steps"),
        },
    }


@rule("regularization-on-bias", stage="before", needs=("parts",), source=PENALTY)
def regularization_on_bias(figures):
    """A weight penalty pulls at biases.

    What it sees: biases with a regulariser.

    Why it matters: a bias only shifts; it does not make a function rougher, and few
    rows are enough to fit it. Pulling it to zero costs fit and gains nothing.

    Example: `Dense(64, bias_regularizer="l2")`.

    Fix: leave `bias_regularizer` out and keep `kernel_regularizer`.

    Threshold: none; always a note.
    """
    found = figures["parts"]["regularized_biases"]
    if found:
        yield {
            "severity": "note",
            "subject": found[0],
            "message": f"{len(found)} biases have a weight penalty "
            f"({', '.join(found[:3])}).",
            "cause": "bias_regularizer is set.",
            "advice": "Leave bias_regularizer out: bias_regularizer=None.",
            "evidence": {"biases": found},
        }


@rule("metric-mismatch", stage="before", needs=("parts", "outputs"), source=METRICS)
def metric_mismatch(figures):
    """Accuracy is reported for a task without right and wrong answers.

    What it sees: the compiled metrics of a model whose only output learns numbers.

    Why it matters: accuracy counts answers that are exactly equal to the target. For
    measurements that is about zero whatever the model learned, and says nothing.

    Example: `model.compile("adam", "mse", metrics=["accuracy"])` on prices.

    Fix: `metrics=["mae"]` or `keras.metrics.R2Score()`.

    Threshold: none; a note, since training does not use metrics.
    """
    outputs, metrics = figures["outputs"], figures["parts"]["metrics"] or []
    hits = [name for name in metrics if name in HITS]
    if len(outputs) != 1 or not hits:
        return
    (output,) = outputs
    kind = (output.get("target") or {}).get("kind")
    if kind == "numbers" and output["loss"] in NUMBER_LOSSES:
        yield {
            "severity": "note",
            "subject": hits[0],
            "message": f"{hits[0]} is reported for targets that are measurements, with "
            f"the loss {output['loss']}.",
            "cause": "Accuracy counts exactly equal answers.",
            "advice": "Use metrics=['mae'] or keras.metrics.R2Score().",
            "evidence": {"metrics": metrics, "loss": output["loss"]},
        }
