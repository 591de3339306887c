"""Rules about how rows are parted: order, batches, training and validation."""

from keras_practices.rules import thresholds
from keras_practices.rules.catalogue import rule
from keras_practices.rules.curves import losses_of_guessing
from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import kept_of_guessing
from keras_practices.rules.outcome import kept_share
from keras_practices.rules.outcome import learned

SPLITS = "CS231n, Image Classification: Validation sets; Kapoor and Narayanan 2023"
ORDER = "Bengio 2012, Practical recommendations for gradient-based training, 3.1"


def generalises(figures, kept):
    """True when validation lost enough of the loss of guessing, None where not known.

    Args:
        figures: Dict of measured figures.
        kept: Share of the loss of guessing that may be left in the best epoch.
    """
    training = figures.get("training") or {}
    losses, guess = training.get("validation_losses"), figures.get("constant_loss")
    if not losses or guess is None:
        return None
    share = kept_share(guess, min(losses), training.get("floor") or 0.0)
    return None if share is None else share <= kept


def input_shift(figures):
    """How the inputs of validation differ from those of training, None if alike.

    Returns:
        Dict with `name`, `kind` (`"scale"` or `"statistics"`) and `words`.
    """
    for name, found in (figures.get("input_shift") or {}).items():
        ours, theirs = found["rms"], found["other_rms"]
        small, large = sorted((ours, theirs))
        far = small > 0 and large > thresholds.SHIFT_RMS_FACTOR * small
        columns = found["off_scale"]
        if far or (columns is not None and columns > thresholds.SHIFT_COLUMNS):
            words = f"their root mean square is {theirs:.3g}, that of training "
            return {"name": name, "kind": "scale", "words": f"{words}{ours:.3g}"}
        for statistic, figure in found["statistics"].items():
            rough = statistic == "roughness"
            limit = thresholds.SHIFT_ROUGHNESS if rough else thresholds.SHIFT_EFFECT
            apart = figure["distance"] > thresholds.SHIFT_DISTANCE
            if apart and figure["effect"] > limit:
                words = f"the {statistic} of an image is {figure['other_median']:.3g} "
                words += f"in the middle, in training {figure['median']:.3g}"
                return {"name": name, "kind": "statistics", "words": words}
    return None


@rule("data-sorted", stage="before", needs=("order",), source=ORDER)
def data_sorted(figures):
    """The training rows are in the order of their classes.

    What it sees: how often the class changes from row to row, the classes in each
    batch of a dataset, what `validation_split` cuts off the end, and classes that
    only validation holds.

    Why it matters: `validation_split` takes the last rows before `fit` shuffles. Of
    sorted rows these are classes that training never sees. Batches of one class each
    pull the model from one class to the next.

    Example: iris as it is delivered, with `validation_split=0.2`.

    Fix: shuffle `x` and `y` with one permutation first; `shuffle(len(data))` ahead of
    `batch` in a dataset.

    Threshold: a fifth of the changes of random order, and a tail whose classes differ
    by more than 40 %; 5 % of validation rows of classes without a training row; at
    most 1.2 classes a batch. Sorted arrays that `fit` shuffles are silent.
    """
    order = figures["order"]
    found = _unseen_classes(figures) or _tail(figures, order) or _batches(figures)
    if found is None:
        return
    severity, message, cause, advice = found
    yield {
        "severity": severity,
        "subject": "training rows",
        "message": message,
        "cause": cause,
        "advice": advice,
        "evidence": {
            key: order.get(key)
            for key in ("rows", "classes", "changes", "expected_changes", "tail")
        },
    }


_TOGETHER = "Shuffle x and y with one permutation first: order = "
_TOGETHER += "numpy.random.permutation(len(x)); x, y = x[order], y[order]."


def _is_sorted(order):
    limit = thresholds.SORTED_CHANGES * order["expected_changes"]
    return order["changes"] <= limit and order["rows"] >= thresholds.SORTED_MIN_ROWS


def _tail(figures, order):
    tail, split = order["tail"], figures.get("validation_split")
    if not tail or not split or not _is_sorted(order) or order["classes"] < 2:
        return None
    unseen = tail["unseen_share"] > thresholds.UNSEEN_SHARE
    if not unseen and tail["distance"] <= thresholds.TAIL_DISTANCE:
        return None
    named = ", ".join(str(label) for label in tail["unseen"][:5])
    return (
        "error" if unseen or tail["classes"] == 1 else "warning",
        f"validation_split={split:g} cuts off the last {tail['rows']} rows: they hold "
        f"{tail['classes']} of {order['classes']} classes"
        + (f", and training none of class {named}." if unseen else "."),
        "The rows are sorted by class, and the split is made before fit shuffles.",
        _TOGETHER,
    )


def _unseen_classes(figures):
    ours, held = figures.get("class_counts"), figures.get("validation_class_counts")
    if not ours or not held or not ours["complete"]:
        return None
    unseen = [label for label in held["counts"] if label not in ours["counts"]]
    rows = sum(held["counts"][label] for label in unseen)
    if rows < 3 or rows <= thresholds.UNSEEN_SHARE * held["rows"]:
        return None
    return (
        "error",
        f"{rows} of {held['rows']} validation rows are of classes that no training row "
        f"has ({', '.join(unseen[:5])}).",
        "A sorted set was cut in two, or the two parts number their classes in "
        "different ways.",
        "Shuffle the rows before they are parted, or part each class by itself: "
        "sklearn.model_selection.train_test_split(x, y, stratify=y).",
    )


def _batches(figures):
    order = figures["order"]
    held = (figures.get("validation_class_counts") or {}).get("counts", ())
    severity = "error" if got_nowhere(figures) else "warning"
    severity = "note" if learned(figures) else severity
    if order.get("batches"):
        one_class = order["batch_classes"] <= thresholds.ONE_CLASS_BATCH
        several = order["expected_batch_classes"] >= 1.8
        # Or a stream that has not come to its second class yet.
        several = several or (order["classes"] == 1 and len(held) > 1)
        if one_class and several and order["batches"] >= 4:
            return (
                severity,
                f"The batches hold {order['batch_classes']:.1f} classes each; in "
                f"random order it would be "
                f"{max(order['expected_batch_classes'], 2):.1f} or more.",
                "The dataset is sorted by class and not shuffled enough.",
                "Shuffle ahead of batching, over all rows: "
                "data.shuffle(number_of_rows).batch(32).",
            )
        return None
    size = (figures.get("fit") or {}).get("batch_size") or 32
    long_runs = order["rows"] / (order["changes"] + 1) > size / 2
    unmixed = figures.get("shuffled") is False and _is_sorted(order)
    if not unmixed or not long_runs or order["rows"] < 4 * size:
        return None
    return (
        severity,
        f"fit gets shuffle=False and rows sorted by class: {order['changes']} changes "
        f"of class in {order['rows']} rows, {order['expected_changes']:.0f} in random "
        f"order.",
        "Batch after batch holds one class.",
        "Remove shuffle=False from fit.",
    )


@rule("validation-overlaps-training", stage="before", needs=("overlap",), source=SPLITS)
def validation_overlaps_training(figures):
    """Validation rows are also training rows.

    What it sees: how many rows of the validation inputs are exactly rows of the
    training inputs, and how many training rows are there more than once.

    Why it matters: what was learned by heart scores as if it were understood.
    Validation then says nothing of new rows, and overfitting cannot be seen.

    Example: `validation_data=(x_train[:100], y_train[:100])`.

    Fix: cut validation off before training, and train on the rest only.

    Threshold: 5 % of the validation rows (error: half) above the share of training
    rows that have a twin by nature. Rows of measurements have none: where these are
    there twice, they were copied before validation was cut off; so were wide rows of
    whole numbers of which 90 % are.
    """
    found = figures["overlap"]
    share, twins = found["share"], found["twins"]
    copied = bool(found.get("continuous")) and twins > thresholds.OVERLAP_SHARE
    # Whole numbers may be equal by nature (games, idle machines), but not nearly all.
    copied = copied or (bool(found.get("wide")) and twins > thresholds.OVERLAP_COPIES)
    if copied:
        twins = 0.0
    if found["validation_rows"] < thresholds.OVERLAP_MIN_ROWS:
        return
    noise = 3 * (twins * (1 - twins) / found["validation_rows"]) ** 0.5
    if share <= twins + noise + thresholds.OVERLAP_SHARE:
        return
    yield {
        "severity": "error" if share > thresholds.OVERLAP_ERROR else "warning",
        "subject": "validation data",
        "message": f"{found['shared']} of {found['validation_rows']} validation rows "
        f"({share:.0%}) are exactly rows of the training inputs.",
        "cause": "Training rows occur several times too: they were copied "
        "(oversampled) before validation was cut off. The validation score is too good."
        if copied
        else "Validation was taken from the rows that are trained on, or rows occur "
        "twice. The validation score is too good.",
        "advice": "Cut validation off the rows as they were collected, shuffled once, "
        "and oversample the training part only: kp.Split(x, y) gives the parts."
        if copied
        else "Cut validation off first and train on the rest: kp.Split(x, y) gives the "
        "parts.",
        "evidence": found,
    }


def _augmented_away(figures):
    """Layers in the model that change training rows until nothing can be learned."""
    layers = (figures.get("parts") or {}).get("augmentation")
    trials = figures.get("rate_trials") or []
    own = next((trial for trial in trials if trial["factor"] == 1.0), None)
    training = figures.get("training")
    if not layers or own is None or training is None or not got_nowhere(figures):
        return
    guess = losses_of_guessing(figures)
    kept = (
        kept_share(min(guess), own["last_loss"], training["floor"]) if guess else None
    )
    if kept is None or kept > thresholds.AUGMENTED_KEPT:
        return
    if own["steps"] > training["steps"]:
        return
    yield {
        "severity": "warning",
        "subject": layers[0],
        "message": f"With {', '.join(layers[:3])} the training kept "
        f"{kept_of_guessing(figures):.0%} of the loss of guessing in "
        f"{training['steps']} steps; without augmentation and dropout a copy was down "
        f"to {kept:.0%} after {own['steps']}.",
        "cause": "The augmentation changes rows beyond what real ones look like, or "
        "changes what their labels say.",
        "advice": f"Weaken {layers[0]} (factors are shares of a full turn or of the "
        "size, not degrees or pixels), and look at 16 images of a training batch.",
        "evidence": {"layers": layers, "kept_without": kept, "steps": own["steps"]},
    }


@rule(
    "validation-preprocessed-differently",
    stage="before",
    needs=(),
    source=SPLITS,
)
def validation_preprocessed_differently(figures):
    """The inputs of validation do not look like those of training.

    What it sees: the scale of each input in both parts; for images also how mean,
    deviation and roughness of single images are spread; and what a trial without the
    model's augmenting layers learns.

    Why it matters: a model is good at what it was trained on. Where one part was
    scaled, noised or covered in another way, validation measures another task.

    Example: training images divided by 255 and validation images not; augmentation so
    strong that nothing is left to see.

    Fix: one function of preprocessing for both; augmentation that leaves images as
    they could occur.

    Threshold: augmenting layers under which training kept 80 % of the loss of guessing,
    and without which as many steps or fewer, at the same rate, lost a third of it; root
    mean squares 20 times apart, or half of the columns 10 times; for
    images a Kolmogorov-Smirnov distance above 0.65 with medians half a deviation of
    the pixels apart (roughness: 5 times). A model that generalises makes it a note.
    """
    found = input_shift(figures)
    if found is None:
        yield from _augmented_away(figures)
        return
    scale = found["kind"] == "scale"
    fine = generalises(figures, thresholds.SHIFT_KEPT)
    severity = "error" if scale or got_nowhere(figures) else "warning"
    yield {
        "severity": "note" if fine else severity,
        "subject": found["name"],
        "message": f"Validation inputs do not look like training inputs: "
        f"{found['words']}.",
        "cause": "One part was scaled and the other was not."
        if scale
        else "Preprocessing or augmentation changes the training images beyond what "
        "real ones look like, or treats the parts differently.",
        "advice": "Send both parts through one function of preprocessing: x_val = "
        "preprocess(x_val)."
        if scale
        else "Send both parts through one function of preprocessing, and weaken the "
        "augmentation: look at 16 images of a training batch.",
        "evidence": figures["input_shift"][found["name"]],
    }
