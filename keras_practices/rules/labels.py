"""Rules about class labels: coding, shares, and whether the inputs tell them."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.class_weights import weighed_less
from keras_practices.rules.losses import NUMBER_LOSSES
from keras_practices.rules.memorised import only_by_heart
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned
from keras_practices.rules.outputs import CLASS_LOSSES
from keras_practices.rules.partition import generalises
from keras_practices.rules.partition import input_shift

LABELS = "Ben Braiek and Khomh 2023, TheDeepChecker: checks of the data"
PROBES = "Alain and Bengio 2016, Understanding intermediate layers using linear probes"
BALANCE = "He and Garcia 2009, Learning from Imbalanced Data"

# Classes of which a message lists all.
_FEW_CLASSES = 6
_ONE_HOT_LOSSES = ("categorical_crossentropy", "categorical_focal_crossentropy")


@rule(
    "labels-wrong-format",
    stage="before",
    needs=("outputs", "label_format"),
    source=LABELS,
)
def labels_wrong_format(figures):
    """The class labels are not written as the loss reads them.

    What it sees: one-hot rows without a one or with several, one-hot rows that were
    multiplied, one-hot coding applied twice, labels that are all of one class, numbers
    that are all the same, and two-class labels other than 0 and 1 under binary
    cross-entropy.

    Why it matters: the loss is still a number, but its lowest point is not the right
    answer.

    Example: labels -1 and +1 with a sigmoid and `binary_crossentropy`.

    Fix: what the finding names; look at the first rows of `y`.

    Threshold: more than 5 % of the rows; 98 % of 32 numbers or more (all: an error);
    none for the other forms.
    """
    pairs = zip(figures["outputs"], figures["label_format"], strict=False)
    counts = figures.get("class_counts")
    for output, coding in pairs:
        found = coding and (
            _two_other_values(output, coding)
            or _one_class(output, counts)
            or _one_number(output, coding)
            or _one_hot_twice(output)
            or _one_hot_rows(output, coding)
        )
        if not found:
            continue
        severity, message, cause, advice = found
        # Rows without a class cost nothing: that the loss fell says nothing of them.
        blind = coding.get("zero_rows", 0.0) > thresholds.BAD_TARGETS
        milder = severity == "warning" and learned(figures) and not blind
        yield {
            "severity": "note" if milder else severity,
            "subject": output["name"],
            "message": message,
            "cause": cause,
            "advice": advice,
            "evidence": {"loss": output["loss"], "values": coding["values"]},
        }


def _two_other_values(output, coding):
    if output["loss"] != "binary_crossentropy" or coding["distinct"] != 2:
        return None
    low, high = coding["values"][:2]
    # Smoothed labels lie within 0…1 and are no other coding.
    if low >= 0 and high <= 1:
        return None
    # Masks of 0 and 255 were not scaled: a question of their range.
    if low == 0 and math.prod((output.get("target") or {}).get("shape") or [1]) > 1:
        return None
    return (
        "error",
        f"binary_crossentropy reads labels as 0 and 1; these are {low:g} and {high:g}.",
        "The two classes are coded for another loss.",
        f"Code them as 0 and 1: y = (y == {high:g}).astype('float32').",
    )


def _one_class(output, counts):
    loss, several = output["loss"], output.get("several")
    if counts is None or several or not counts["complete"] or len(counts["counts"]) > 1:
        return None
    if loss not in (*CLASS_LOSSES, "binary_crossentropy"):
        return None
    label = next(iter(counts["counts"]))
    return (
        "error",
        f"All {counts['rows']} labels are of one class ({label}).",
        "The labels were lost while they were read or coded.",
        "Print numpy.unique(y, return_counts=True) after each step of preprocessing.",
    )


def _one_number(output, coding):
    # A loss of one's own may take no notice of its targets.
    if output["loss"] not in NUMBER_LOSSES or output.get("several"):
        return None
    if coding["rows"] < thresholds.ONE_NUMBER_ROWS or coding["low"] != coding["high"]:
        return None
    one = coding["distinct"] == 1
    return (
        # Rare claims are nearly all zero by nature, and may still be learned.
        "error" if one else "warning",
        f"{'All' if one else 'Nearly all'} of {coding['rows']} targets are the same "
        f"number ({coding['low']:g}).",
        "What they measured was lost: whole numbers made of shares, a join, a default.",
        "Print numpy.unique(y, return_counts=True) after each step of preprocessing.",
    )


def _one_hot_twice(output):
    target, shape = output.get("target") or {}, output["shape"]
    if target.get("kind") != "one-hot" or not shape or len(target["shape"]) < 2:
        return None
    if target["shape"][-1] != 2 or target["shape"][:-1] != shape:
        return None
    return (
        "error",
        f"The targets have shape {target['shape']} a row and the output {shape}: "
        f"one-hot rows were coded one-hot again.",
        "to_categorical was applied to labels that were one-hot already.",
        "Call keras.utils.to_categorical once.",
    )


def _one_hot_rows(output, coding):
    if output["loss"] not in _ONE_HOT_LOSSES:
        return None
    value = coding.get("one_value")
    if value is not None and value != 1:
        return (
            "error",
            f"The one-hot rows hold {value:.4g} in place of 1.",
            "The labels were scaled together with the inputs.",
            f"Undo it: y = y / {value:.4g}.",
        )
    share = max(coding.get("zero_rows", 0.0), coding.get("several_rows", 0.0))
    # Sigmoids are there for several labels at once: then the loss is wrong.
    if share <= thresholds.BAD_TARGETS or output["activation"] == "sigmoid":
        return None
    several = coding["several_rows"] >= coding["zero_rows"]
    if several and share > 0.5 and output["activation"] == "softmax":
        return None  # several labels by nature: a question of the last activation
    return (
        "error" if share > 0.5 else "warning",
        f"{share:.0%} of the one-hot rows hold "
        f"{'more than one 1' if several else 'no 1 at all'}.",
        "Several classes may be right at once."
        if several
        else "The class of these rows was lost while it was coded.",
        "Use activation='sigmoid' with loss='binary_crossentropy'."
        if several
        else "Drop these rows or give them a class; check the list of class names.",
    )


@rule(
    "labels-independent-of-inputs",
    stage="before",
    needs=("label_signal",),
    source=PROBES,
)
def labels_independent_of_inputs(figures):
    """The targets cannot be told from the inputs at all.

    What it sees: how well nearest neighbours, a linear model, random features and the
    roughness of images predict rows they were not fitted to, beside the same for
    shuffled targets.

    Why it matters: where inputs and labels do not belong together, a network can only
    learn its rows by heart, and validation stays at guessing.

    Example: `x` was shuffled and `y` was not.

    Fix: shuffle both with one permutation; check that files and labels are in one
    order; look at ten rows with their labels.

    Threshold: every simple model within 2.5 standard deviations of luck, on 200 rows
    or more, 60 of them outside the largest class. Validation that is better than
    guessing makes it a note. Where the inputs are names: 1,000 rows or more, training
    that left 70 % of the loss of guessing or less, and validation that was never
    better than guessing and ended a tenth worse.
    """
    found = figures["label_signal"]
    probes = found.get("probes")
    if not probes:
        yield from only_by_heart(figures)
        return
    if found["rows"] < thresholds.SIGNAL_MIN_ROWS:
        return
    if found.get("outside_largest", math.inf) < thresholds.SIGNAL_MIN_OUTSIDE:
        return
    # What was destroyed in the inputs has a rule of its own.
    if not _judged(figures, found) or input_shift(figures):
        return
    if max(abs(probe["z"]) for probe in probes.values()) > thresholds.SIGNAL_Z:
        return
    best = max(probes, key=lambda name: probes[name]["z"])
    yield {
        "severity": _severity_of_signal(figures, found),
        "subject": "targets",
        "message": f"{len(probes)} simple models on {found['rows']} rows predict the "
        f"targets no better than shuffled ones (best: {best}, "
        f"{probes[best]['z']:.1f} standard deviations above luck).",
        "cause": "Inputs and targets are not in the same order, or the inputs do not "
        "hold what decides the target.",
        "advice": "Shuffle x and y with one permutation: order = "
        "numpy.random.permutation(len(x)); x, y = x[order], y[order].",
        "evidence": {name: probe["z"] for name, probe in probes.items()},
    }


def _judged(figures, found):
    """Numbers under a loss of the user's own may be no targets at all."""
    losses = [output["loss"] for output in figures.get("outputs") or []]
    if len(losses) != 1 or losses[0] is None:
        return False
    return found["task"] == "classes" or losses[0] in NUMBER_LOSSES


def _severity_of_signal(figures, found):
    better = generalises(figures, thresholds.SIGNAL_KEPT)
    if better or (better is None and learned(figures)):
        return "note"
    if better is False or got_nowhere(figures):
        return "error"
    return "note" if found["sequences"] else "warning"


@rule(
    "class-imbalance", stage="before", needs=("outputs", "class_counts"), source=BALANCE
)
def class_imbalance(figures):
    """Some class is almost absent from the training rows.

    What it sees: the rows of each class (all rows of arrays, the sample of datasets).

    Why it matters: the loss is a mean over rows. A class of 5 rows in 1,000 moves it by
    half a percent: the model gains by never naming it, and accuracy hides that.

    Example: 2 rows of the digit 0 beside 150 of the digit 9.

    Fix: collect rows, draw the rare class more often, or give `fit` a `class_weight`.

    Threshold: a share below 0.02 / K for K classes, or below 0.1 / K and fewer than 30
    rows, or below 0.1 / K where the trained model names fewer than a quarter of its
    rows. Silent with class or sample weights, but where they halve what a class counts
    that has a quarter of the commonest one's rows. With more than 20 classes rare ones
    are natural: a note, unless validation holds five times their share. A note too
    where two were learned: the loss of guessing is then that of the rare one.
    """
    counts = figures["class_counts"]
    outputs = figures["outputs"]
    classes = (*CLASS_LOSSES, *_ONE_HOT_LOSSES, "binary_crossentropy")
    yield from weighed_less(counts["counts"], figures.get("class_weight"))
    if figures.get("class_weighted") or len(outputs) != 1:
        return
    if outputs[0]["loss"] not in classes and not _one_hot(outputs[0]):
        return
    if len(counts["counts"]) < 2 or _first_of_a_sorted_stream(figures):
        return
    neglected = _neglected(counts, figures.get("recall_after"))
    if neglected:
        yield _never_named(counts, neglected, figures["recall_after"])
        return
    rare = _rare(counts, figures.get("fit"))
    if not rare:
        return
    lacking = _held_more_often(rare, counts, figures.get("validation_class_counts"))
    natural = len(counts["counts"]) > thresholds.RARE_MAX_CLASSES and not lacking
    natural = natural or (len(counts["counts"]) == 2 and learned(figures))
    named = ", ".join(f"{label}: {counts['counts'][label]}" for label in rare[:4])
    yield {
        "severity": "note" if natural else "warning",
        "subject": "targets",
        "message": f"{len(rare)} of {len(counts['counts'])} classes are almost absent "
        f"from {counts['rows']} rows (rows of class {named}).",
        "cause": "Too few rows of these classes were collected or kept.",
        "advice": f"Give fit {_weights(counts, rare[0])} (rows / classes / rows of the "
        f"class), or collect more rows of these classes.",
        "evidence": {"rare": rare[:20], "rows": counts["rows"]},
    }


def _neglected(counts, recalls):
    """Labels of the rare classes that the trained model hardly ever names."""
    recalls = recalls or {}
    largest = max(counts["counts"], key=counts["counts"].get)
    others = recalls.get(str(largest), (0, 0.0))[1]
    if others < thresholds.NEGLECTED_OTHERS:
        return []
    limit = thresholds.RARE_SHARE_FEW / len(counts["counts"]) * counts["rows"]
    return [
        label
        for label, count in sorted(counts["counts"].items(), key=lambda pair: pair[1])
        if count < limit
        and recalls.get(str(label), (0, 1.0))[0] >= thresholds.NEGLECTED_ROWS
        and recalls[str(label)][1] < thresholds.NEGLECTED_RECALL
    ]


def _never_named(counts, neglected, recalls):
    label = neglected[0]
    count, rows = counts["counts"][label], counts["rows"]
    return {
        "severity": "warning",
        "subject": "targets",
        "message": f"Class {label} has {count} of {rows} rows, and the trained model "
        f"finds {recalls[str(label)][1]:.0%} of those.",
        "cause": "The loss is a mean over rows: so few of them do not move it.",
        "advice": f"Give fit {_weights(counts, label)} (rows / classes / rows of the "
        f"class), or draw these rows more often.",
        "evidence": {"rare": neglected[:20], "rows": rows, "recall": recalls},
    }


def _weights(counts, label):
    """The argument to write, with all classes where they are few."""
    each = counts["rows"] / len(counts["counts"])
    few = len(counts["counts"]) <= _FEW_CLASSES
    shown = sorted(counts["counts"]) if few else [label]
    pairs = ", ".join(f"{one}: {each / counts['counts'][one]:.3g}" for one in shown)
    return f"class_weight={{{pairs}{'' if few else ', …'}}}"


def _one_hot(output):
    return (output.get("target") or {}).get("kind") == "one-hot"


def _first_of_a_sorted_stream(figures):
    """True where the rows that were seen are no fair part of the whole."""
    order = figures.get("order")
    if figures["class_counts"]["complete"] or not order:
        return False
    return order["changes"] < thresholds.UNMIXED_CHANGES * order["expected_changes"]


def _rare(counts, fit):
    """Labels of the rare classes, rarest first."""
    rows, total = counts["rows"], counts["rows"]
    if not counts["complete"]:
        steps, epochs, size = (
            (fit or {}).get(name) for name in ("steps", "epochs", "batch_size")
        )
        total = steps * size / epochs if steps and epochs and size else None
    number = len(counts["counts"])
    found = []
    for label, count in sorted(counts["counts"].items(), key=lambda pair: pair[1]):
        share = count / rows
        few = total is not None and share * total < thresholds.RARE_ROWS
        if share < thresholds.RARE_SHARE / number or (
            few and share < thresholds.RARE_SHARE_FEW / number
        ):
            found.append(label)
    return found


def _held_more_often(rare, counts, held):
    """True when validation holds the rare classes far more often than training."""
    if not held:
        return False
    ours = sum(counts["counts"][label] for label in rare) / counts["rows"]
    theirs = sum(held["counts"].get(label, 0) for label in rare) / held["rows"]
    return theirs > 5 * ours
