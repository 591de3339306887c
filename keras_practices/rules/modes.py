"""Rules about the model in use: what its outputs depend on, and in which mode."""

import math

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.outcome import is_summed
from keras_practices.rules.outcome import learned

CS231N = "CS231n, Neural Networks Part 3: Sanity checks"
BATCH_NORM = "Ioffe and Szegedy 2015, Batch Normalization, section 3.1"


@rule("rows-mixed", stage="before", needs=("output_dependence",), source=CS231N)
def rows_mixed(figures):
    """The outputs of a row depend on the other rows of the batch.

    What it sees: the outputs of the same rows in inference mode, with and without
    other rows beside them.

    Why it matters: one row alone gets another answer than in a batch. Validation and
    use no longer mean what training means.

    Example: `ops.softmax(x, axis=0)`, a reshape that merges the batch axis, or
    `BatchNormalization` called with `training=True`.

    Fix: keep axis 0 out of every sum, softmax and reshape; leave `training` to Keras.

    Threshold: a change of 1 % of the largest output; models that draw random numbers
    are not judged.
    """
    found = figures["output_dependence"]
    if not found.get("rows_mix"):
        return
    yield {
        "severity": "error",
        "subject": "outputs",
        "message": f"In inference mode the outputs of a row change when half of the "
        f"{found['rows']} rows of its batch are left out.",
        "cause": "An operation runs over axis 0, the rows, or a layer is called with "
        "training=True.",
        "advice": "Set axis=-1 in softmax, sums and normalisations, and begin reshapes "
        "with (-1, …) rows unchanged.",
        "evidence": {"rows": found["rows"], "spread": found["spread"]},
    }


@rule(
    "output-ignores-inputs",
    stage="during",
    needs=("output_dependence", "output_dependence_after"),
    source=CS231N,
)
def output_ignores_inputs(figures):
    """The model gives the same outputs for every row, before and after training.

    What it sees: the spread of the outputs over rows with different inputs. Before
    training alone it says nothing: a head may begin at zero.

    Why it matters: nothing of the inputs reaches the outputs, so no gradient tells
    one row from another.

    Example: every unit of a layer dead from the start, a multiplication by zero, a
    wrong tensor handed to the head.

    Fix: find the first layer whose outputs are the same for every row.

    Threshold: a spread below 1e-6 of the largest output, the rounding of float32, on
    16 rows or more.
    """
    after, before = figures["output_dependence_after"], figures["output_dependence"]
    if after["outputs_vary"] is not False or before["outputs_vary"] is not False:
        return
    few = after["rows"] < thresholds.DEPENDENCE_MIN_ROWS
    if few or not after["inputs_vary"] or learned(figures):
        return
    yield {
        "severity": "error",
        "subject": "outputs",
        "message": f"The outputs of {after['rows']} different rows were the same "
        f"before training and are the same after it (spread {after['spread']:.2g} of "
        f"their size).",
        "cause": "Nothing of the inputs gets through: dead units, equal weights, or a "
        "branch that is not connected.",
        "advice": "Look for the first layer whose outputs are the same for every row: "
        "keras.Model(model.inputs, layer.output).",
        "evidence": {"rows": after["rows"], "spread": after["spread"]},
    }


@rule(
    "predictions-collapsed", stage="during", needs=("predictions_after",), source=CS231N
)
def predictions_collapsed(figures):
    """The trained model gives every row the same class or the same number.

    What it sees: the predictions on training rows after training, beside the spread
    of their targets.

    Why it matters: such a model knows the targets and nothing of the inputs; its
    accuracy is the share of the largest class.

    Example: a rate so high that all units died; labels that were shuffled.

    Fix: what the other findings name; this one is a symptom.

    Threshold: one class for all of 32 rows or more, though no class has 90 % of them;
    numbers whose standard deviation is below 1 % of that of the targets. Silent where
    training learned.
    """
    if learned(figures):
        return
    for name, found in figures["predictions_after"].items():
        if not found or not found["collapsed"]:
            continue
        share = found["largest_share"]
        lopsided = share is not None and share >= thresholds.COLLAPSED_LARGEST_SHARE
        if found["rows"] < thresholds.COLLAPSED_MIN_ROWS or lopsided:
            continue
        what = (
            f"the same number (standard deviation {found['std']:.2g}; of the targets "
            f"{found['target_std']:.2g})"
            if share is None
            else f"the same class; the targets hold {found['target_distinct']}"
        )
        yield {
            "severity": "warning",
            "subject": name,
            "message": f"After training all {found['rows']} rows get {what}.",
            "cause": "A symptom: the model learned the targets' average only.",
            "advice": "Act on the other findings; if there are none, try the learning "
            "rate ÷10 and check that rows and targets belong together.",
            "evidence": dict(found),
        }


@rule(
    "train-inference-mismatch",
    stage="during",
    needs=("modes_after",),
    source=BATCH_NORM,
)
def train_inference_mismatch(figures):
    """The trained model is much worse in inference than in training mode.

    What it sees: the loss of the same rows after training in both modes, dropout and
    augmentation off in both. What is left is how normalisation takes its statistics.

    Why it matters: what was trained is not what predicts. Training loss looks fine,
    validation and use are poor.

    Example: `BatchNormalization` with momentum 0.99 after 50 steps, or with batches
    of two rows.

    Fix: more steps, a momentum of 0.9, larger batches; or `LayerNormalization`.

    Threshold: more than twice the loss in training mode, and by more than 30 % of the
    loss of guessing (10 %: a note), on 32 rows or more.
    """
    found = figures["modes_after"]
    inference, training = found["inference_loss"], found["training_loss"]
    run = figures.get("training") or {}
    guessing = _guessing(figures)
    few = found["rows"] < thresholds.MODES_MIN_ROWS
    if few or run.get("first_not_finite") is not None or guessing is None:
        return
    if not math.isfinite(training) or inference <= thresholds.MODES_FACTOR * training:
        return
    share = (inference - training) / guessing
    if not share > thresholds.MODES_NOTE_SHARE:
        return
    severity = "warning" if share > thresholds.MODES_SHARE else "note"
    yield {
        "severity": severity,
        "subject": "inference mode",
        "message": f"On the same {found['rows']} rows the loss is {training:.4g} with "
        f"the statistics of the batch and {inference:.4g} in inference mode.",
        "cause": "The moving statistics have not settled, or batches differ from each "
        "other.",
        "advice": "Set momentum=0.9 in BatchNormalization or train for more steps, and "
        "use batches of 32 shuffled rows.",
        "evidence": {**found, "loss of guessing": guessing},
    }


def _guessing(figures):
    training = figures.get("training") or {}
    known = [
        figures.get("constant_loss"),
        (figures.get("initial_loss") or {}).get("chance"),
        training.get("chance"),
        training.get("start_loss"),
    ]
    known = [loss for loss in known if loss is not None and loss > 0]
    if is_summed(figures):
        # The others are those of one row.
        return training.get("start_loss")
    return known[0] if known else None
