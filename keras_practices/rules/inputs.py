"""Rules about the data: finite and scaled."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule

CS231N_DATA = "CS231n, Neural Networks Part 2: Setting up the Data and the Model"


@rule("inputs-not-finite", stage="before", needs=("inputs_finite",), source=CS231N_DATA)
def inputs_not_finite(figures):
    """Inputs hold NaN or infinite entries.

    What it sees: the number of entries of `x` that are NaN or infinite, over all
    rows of arrays, over the sample of datasets.

    Why it matters: one such entry turns the loss, then every weight, into NaN.
    Nothing learned after that step can be saved.

    Example: a missing age in a table, read as NaN.

    Fix: drop or fill the rows (`numpy.nan_to_num`, a column mean of the training
    part), and find out where they came from.

    Threshold: one entry.
    """
    for name, found in figures["inputs_finite"].items():
        if found["bad_rows"]:
            yield _not_finite(name, found, "x")


@rule(
    "targets-not-finite", stage="before", needs=("targets_finite",), source=CS231N_DATA
)
def targets_not_finite(figures):
    """Targets hold NaN or infinite entries.

    What it sees: the number of entries of `y` that are NaN or infinite.

    Why it matters: the loss of such a row is NaN, and so is every weight after it.

    Example: the logarithm of a price that was zero.

    Fix: drop the rows, or mask them with `sample_weight` **and** a finite filler.

    Threshold: one entry.
    """
    for name, found in figures["targets_finite"].items():
        if found["bad_rows"]:
            yield _not_finite(name, found, "y")


def _not_finite(name, found, argument):
    rows, bad = found["rows"], found["bad_rows"]
    return {
        "severity": "error",
        "subject": name,
        "message": f"{bad} of {rows} rows of {name} hold NaN or infinity "
        f"({found['nan']} NaN, {found['inf']} infinite entries; the first in row "
        f"{found['first_bad_row']}).",
        "cause": "Missing values, a division by zero or a logarithm in preprocessing.",
        "advice": f"Drop or fill these rows before training, for example "
        f"{argument} = numpy.nan_to_num({argument}).",
        "evidence": found,
    }


@rule("inputs-not-scaled", stage="before", needs=("first_inputs",), source=CS231N_DATA)
def inputs_not_scaled(figures):
    """What reaches the first kernel is far from unit scale.

    What it sees: the root mean square of the numbers that reach the first layers
    with a kernel, after any `Rescaling`, `Normalization` or `BatchNormalization`
    inside the model.

    Why it matters: the gradient of a kernel is proportional to its input. Inputs of
    100 make steps 100 times too long for the rate that suits unit inputs: the loss
    jumps, ReLU units die, or the first layer saturates.

    Example: pixels 0–255 fed as they are.

    Fix: `x / 255`, or a `keras.layers.Normalization` (here
    `kp.data.Standardization`) adapted on the training part only.

    Threshold: root mean square above 20 (warning) or 50 (error); unit scale is 1.
    """
    for layer, found in figures["first_inputs"].items():
        rms = found["rms"]
        if not rms > thresholds.INPUT_RMS_WARNING:
            continue
        severity = "error" if rms > thresholds.INPUT_RMS_ERROR else "warning"
        low, high = found["min"], found["max"]
        pixels = low >= 0 and 200 <= high <= 255
        yield {
            "severity": severity,
            "subject": layer,
            "message": f"The inputs that reach layer {layer!r} have a root mean square "
            f"of {rms:.3g} (range {low:.3g} to {high:.3g}); weights and learning rates "
            f"are made for about 1.",
            "cause": "Pixels 0–255 are fed as they are."
            if pixels
            else "The features are fed in their own units.",
            "advice": "Divide the inputs by 255: keras.layers.Rescaling(1 / 255) first."
            if pixels
            else "Standardise the inputs with training statistics: adapt a "
            "kp.data.Standardization layer on the training part and put it first.",
            "evidence": found,
        }
