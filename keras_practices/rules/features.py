"""Rules about the inputs: nearly zero, or the same in every row."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import learned

DATA = "CS231n, Neural Networks Part 2: Data preprocessing"
CHECKS = "Ben Braiek and Khomh 2023, TheDeepChecker: checks of the data"


@rule("inputs-scaled-twice", stage="before", needs=("first_inputs",), source=DATA)
def inputs_scaled_twice(figures):
    """What reaches the first kernel is nearly zero.

    What it sees: root mean square and largest size of the numbers that reach the first
    layers with a kernel, after any `Rescaling` or `BatchNormalization` inside.

    Why it matters: the gradient of a kernel is proportional to its input. Inputs of
    0.004 make its steps hundreds of times too short: only biases learn.

    Example: `x / 255` in the program and `Rescaling(1 / 255)` in the model.

    Fix: remove one of the two.

    Threshold: root mean square below 0.01 and no number above 0.02 in size.
    """
    for layer, found in figures["first_inputs"].items():
        largest = max(abs(found.get("min", 1.0)), abs(found.get("max", 1.0)))
        small = found["rms"] < thresholds.TINY_INPUT_RMS
        if not small or largest >= thresholds.TINY_INPUT_LARGEST or largest == 0:
            continue
        if found.get("std") == 0:
            continue
        severity = "error" if got_nowhere(figures) else "warning"
        pixels = found["min"] >= 0 and 0.9 / 255 <= largest <= 1.1 / 255
        yield {
            "severity": "note" if learned(figures) else severity,
            "subject": layer,
            "message": f"The inputs that reach layer {layer!r} are nearly zero: root "
            f"mean square {found['rms']:.3g}, largest {largest:.3g}; weights and "
            f"learning rates are made for about 1.",
            "cause": "Pixels were divided by 255 twice."
            if pixels
            else "The inputs were scaled twice, or are given in too large a unit.",
            "advice": "Divide by 255 once: in the data or by Rescaling, not both."
            if pixels
            else f"Scale the inputs once; as they are, multiply them by "
            f"{1 / max(found['rms'], 1e-12):.2g}.",
            "evidence": found,
        }


@rule(
    "inputs-constant-features",
    stage="before",
    needs=("input_features",),
    source=CHECKS,
)
def inputs_constant_features(figures):
    """Features are the same in every row, or rows are.

    What it sees: the share of the features of each input that do not change over the
    rows of the sample, and the share of the rows that equal the most common one.

    Why it matters: a feature that never changes says nothing, and one that all share
    hides the data: the model gives one answer for all rows.

    Example: an array that was made by `numpy.zeros` and never filled; a table that was
    scaled to 0 to 1 and then stored as whole numbers.

    Fix: look at ten rows of `x` as they enter `fit`; drop constant columns.

    Threshold: all features (error). Nine in ten of a floating input that training got
    nowhere with (warning). Half of the rows one and the same where training got nowhere
    (warning). A constant column of a table is a note; the constant border of images is
    silent.
    """
    for name, found in figures["input_features"].items():
        severity = _severity_of_constant(figures, found)
        if severity != "error" and _rows_are_alike(figures, found):
            yield _alike(name, found)
            continue
        if severity is None:
            continue
        constant, features = found["constant"], found["features"]
        whole = constant == features
        shown = ", ".join(str(column) for column in found["columns"])
        yield {
            "severity": severity,
            "subject": name,
            "message": f"{constant} of {features} features of {name} are the same in "
            f"all {found['rows']} rows that were looked at.",
            "cause": "The rows are all alike: the data were not filled in, or "
            "preprocessing cut them to one value."
            if whole
            else "They carry no information, or preprocessing cut them to one value.",
            "advice": "Print ten rows of x as they enter fit, and find the step of "
            "preprocessing that makes them equal."
            if whole
            else f"Drop what does not change (columns {shown}): "
            f"x = x[:, x.std(axis=0) > 0].",
            "evidence": {"constant": constant, "features": features},
        }


def _rows_are_alike(figures, found):
    return found["same_rows"] > thresholds.SAME_ROWS and got_nowhere(figures)


def _alike(name, found):
    share = found["same_rows"]
    return {
        "severity": "warning",
        "subject": name,
        "message": f"{share:.0%} of the rows of {name} are one and the same row.",
        "cause": "Preprocessing made different rows equal, as a cast to whole numbers "
        "after scaling to 0 to 1 does.",
        "advice": "Print ten rows of x as they enter fit, and find the step that makes "
        "them equal; keep scaled numbers as float32.",
        "evidence": {"same_rows": share, "rows": found["rows"]},
    }


def _severity_of_constant(figures, found):
    if found["constant"] == found["features"]:
        return "error"
    many = found["share"] > thresholds.CONSTANT_SHARE and not found["integer"]
    if many and got_nowhere(figures):
        return "warning"
    return "note" if found["table"] and found["constant"] else None
