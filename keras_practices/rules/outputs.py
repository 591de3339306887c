"""Rules about output head, loss and targets: do the three fit together?"""

from keras_practices.rules.behaviour import scores_in_probability_loss
from keras_practices.rules.catalogue import rule
from keras_practices.rules.loss_domains import outside_the_domain
from keras_practices.rules.losses import NUMBER_LOSSES
from keras_practices.rules.losses import PROBABILITIES

SOURCE = "CS231n, Neural Networks Part 2: Losses; Goodfellow et al. 2016, section 6.2.2"

CLASS_LOSSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")


def _named(output):
    return f"output {output['name']!r}" if output.get("several") else "the output"


@rule("softmax-degenerate", stage="before", needs=("outputs",), source=SOURCE)
def softmax_degenerate(figures):
    """A softmax that cannot say anything: over one unit, or over the batch.

    What it sees: a softmax output with a single unit, a `Softmax` layer whose axis is
    the batch, and outputs that add up to 1 along another axis than that of the classes.

    Why it matters: a softmax over one value is always 1: loss and accuracy never
    move. Over the batch axis the answer for a row depends on the rows beside it.

    Example: `Dense(1, activation="softmax")` for a yes/no question.

    Fix: `Dense(1, activation="sigmoid")` with `binary_crossentropy`, or one unit a
    class.

    Threshold: none, it holds by definition.
    """
    behaviours = figures.get("loss_behaviour") or {}
    for output in figures["outputs"]:
        axis = _wrong_axis(output, behaviours.get(output["name"]))
        if axis:
            yield {
                "severity": "error",
                "subject": output["layer"] or output["name"],
                "message": f"{_named(output).capitalize()} adds up to 1 along axis "
                f"{axis} and not along the last one, which holds the classes.",
                "cause": f"A softmax over axis {axis}.",
                "advice": "Take the softmax over the last axis: axis=-1.",
                "evidence": {"axis": axis, "shape": output["shape"]},
            }
            continue
        if output["activation"] != "softmax":
            continue
        units = output["shape"][-1] if output["shape"] else None
        if units == 1:
            yield {
                "severity": "error",
                "subject": output["layer"],
                "message": f"{_named(output).capitalize()} is a softmax over 1 unit, "
                f"which is 1.0 for every input.",
                "cause": "A softmax needs one unit for each class.",
                "advice": "For two classes use Dense(1, activation='sigmoid') with "
                "loss='binary_crossentropy'; else give one unit a class.",
                "evidence": {"units": 1, "activation": "softmax"},
            }
        elif _all_ones(behaviours.get(output["name"])):
            yield {
                "severity": "error",
                "subject": output["layer"],
                "message": f"Every value of {_named(output)} is 1, for all {units} "
                f"classes: its softmax runs over an axis of length 1.",
                "cause": "The softmax runs over another axis than that of the classes.",
                "advice": "Set axis=-1 in the Softmax layer.",
                "evidence": {"axis": output.get("softmax_axis"), "units": units},
            }
        elif output.get("softmax_axis") == 0:
            yield {
                "severity": "error",
                "subject": output["layer"],
                "message": "The softmax runs over axis 0, the rows of the batch: the "
                "answer for one row depends on the others.",
                "cause": "axis=0 in the Softmax layer.",
                "advice": "Set axis=-1 in the Softmax layer.",
                "evidence": {"axis": 0},
            }


def _wrong_axis(output, behaviour):
    """The axis behind the rows that a softmax ran over in error, else None."""
    sums = ((behaviour or {}).get("prediction") or {}).get("sums_to_one") or []
    last = len(output["shape"] or ())
    inner = [axis for axis in sums if 0 < axis < last]
    if output["loss"] not in CLASS_LOSSES or output["from_logits"] or last in sums:
        return None
    return inner[0] if inner else None


def _all_ones(behaviour):
    seen = (behaviour or {}).get("prediction") or {}
    return seen.get("min") == seen.get("max") == 1.0


@rule("loss-output-mismatch", stage="before", needs=("outputs",), source=SOURCE)
def loss_output_mismatch(figures):
    """The loss does not fit what the output gives or what the targets are.

    What it sees: loss, last activation and targets of each output. Scores given to a
    loss that expects probabilities, probabilities given to a loss that expects
    scores, class targets under a loss for numbers, numbers under a loss for classes,
    one-hot targets under a sparse loss and the other way round; targets that a
    logarithmic, relative, Poisson or Kullback-Leibler loss is not made for.

    Why it matters: Keras accepts most of these. Scores in a probability loss are
    clipped to 0…1, so nearly every gradient is zero; probabilities in a score loss
    are squashed twice and the loss has a floor; squared error on a softmax has
    vanishing gradients just where the answer is most wrong; a logarithmic error takes
    all negative targets for 0.

    Example: `Dense(10)` with `SparseCategoricalCrossentropy()`, whose `from_logits`
    is False unless said otherwise.

    Fix: softmax + (sparse) categorical cross-entropy, sigmoid + binary cross-entropy,
    linear + squared error; or linear outputs with `from_logits=True`.

    Threshold: none, it is read off the set-up; a loss of the user's own is tried out.
    Up to 5 % of negative targets are passed over.
    """
    behaviours = figures.get("loss_behaviour") or {}
    codings = dict(enumerate(figures.get("label_format") or ()))
    for number, output in enumerate(figures["outputs"]):
        measured = scores_in_probability_loss(output, behaviours.get(output["name"]))
        if measured is not None:
            yield measured
            continue
        checks = (
            _scores_or_probabilities(output),
            _task_and_loss(output),
            outside_the_domain(output, codings.get(number), figures),
        )
        found = next((one for one in checks if one is not None), None)
        if found is not None:
            yield _mismatch(output, *found)


def _mismatch(output, severity, message, cause, advice):
    return {
        "severity": severity,
        "subject": output["name"],
        "message": message,
        "cause": cause,
        "advice": advice,
        "evidence": {
            "loss": output["loss"],
            "from_logits": output["from_logits"],
            "activation": output["activation"],
            "targets": (output.get("target") or {}).get("kind"),
        },
    }


def _scores_or_probabilities(output):
    loss, activation = output["loss"], output["activation"]
    if loss is None or "crossentropy" not in loss or activation is None:
        return None
    where = _named(output)
    wanted = "sigmoid" if loss.startswith("binary") else "softmax"
    if output["from_logits"]:
        if activation == "softmax":
            return None  # double-softmax says so
        if activation in PROBABILITIES:
            return (
                "error",
                f"{loss} with from_logits=True expects raw scores and {where} is a "
                f"{activation}: it is squashed twice.",
                "The activation and from_logits=True do the same work.",
                "Remove the activation, or set from_logits=False.",
            )
        return None
    if activation in PROBABILITIES:
        return None
    if activation == "linear":
        return (
            "error",
            f"{loss} expects probabilities (from_logits=False) and {where} gives raw "
            f"scores: values outside 0…1 are clipped and learn nothing.",
            "The last layer has no activation and the loss was not told so.",
            f"Set from_logits=True in the loss, or activation='{wanted}' in the last "
            f"layer.",
        )
    if activation in ("relu", "tanh", "leaky_relu", "elu", "selu", "relu6", "softplus"):
        return (
            "error",
            f"{loss} expects probabilities and {where} is a {activation}, which gives "
            f"values outside 0…1.",
            f"{activation} belongs between layers, not at the end of a classifier.",
            f"Use activation='{wanted}' in the last layer.",
        )
    return None


def _task_and_loss(output):
    loss, target = output["loss"], output.get("target")
    # Targets without a finite entry have no range to judge.
    if loss is None or not target or not target["distinct"]:
        return None
    if loss in NUMBER_LOSSES:
        return _number_loss(output, target)
    if loss == "binary_crossentropy":
        return _binary_loss(output, target)
    if loss in CLASS_LOSSES:
        return _class_loss(output, target)
    return None


def _number_loss(output, target):
    loss, activation, kind = output["loss"], output["activation"], target["kind"]
    if activation == "softmax":
        return (
            "warning" if kind in ("one-hot", "classes", "binary") else "note",
            f"{loss} on a softmax: where the answer is most wrong its gradient "
            f"vanishes.",
            "A loss for numbers is used for classes.",
            "Use loss='categorical_crossentropy' for one-hot targets, "
            "'sparse_categorical_crossentropy' for class numbers.",
        )
    if kind == "one-hot" and activation != "sigmoid":
        return (
            "warning",
            f"{loss} on one-hot targets with {activation or 'an unread'} output.",
            "A loss for numbers is used for classes.",
            "Use activation='softmax' with loss='categorical_crossentropy'.",
        )
    return None


def _binary_loss(output, target):
    units = output["shape"][-1] if output["shape"] else None
    if output["activation"] == "softmax" and target["kind"] == "one-hot":
        return (
            "warning",
            f"binary_crossentropy on a softmax over {units} classes counts each class "
            f"as a question of its own.",
            "A two-class loss is used for several classes.",
            "Use loss='categorical_crossentropy'.",
        )
    if target.get("min", 0) < 0 or target.get("max", 1) > 1:
        return (
            "error",
            f"binary_crossentropy needs targets between 0 and 1; those of "
            f"{_named(output)} run from {target['min']:.4g} to {target['max']:.4g}.",
            "The targets are class numbers or measurements, not probabilities.",
            "For class numbers use one unit a class, softmax and "
            "'sparse_categorical_crossentropy'; for measurements a linear output and "
            "'mean_squared_error'.",
        )
    return None


def _class_loss(output, target):
    kind, where = target["kind"], _named(output)
    low, high = target.get("min", 0), target.get("max", 0)
    if output["loss"] == "categorical_crossentropy":
        one_column = not target["shape"] or target["shape"][-1] == 1
        if kind in ("classes", "binary") and one_column:
            return (
                "error",
                f"categorical_crossentropy expects one-hot rows; the targets of "
                f"{where} are class numbers from {low:.0f} to {high:.0f}.",
                "Targets and loss use different codings of the classes.",
                "Use loss='sparse_categorical_crossentropy'.",
            )
        if kind == "multi-label" and output["activation"] == "sigmoid":
            return (
                "error",
                f"categorical_crossentropy on sigmoids and rows with several labels "
                f"({where}): it lets one class win and never lowers the others.",
                "A loss for one class of several is used for several labels at once.",
                "Use loss='binary_crossentropy'.",
            )
        return None
    if kind == "one-hot" and target["shape"] == (output["shape"] or target["shape"]):
        return (
            "error",
            f"sparse_categorical_crossentropy expects class numbers; the targets of "
            f"{where} are one-hot rows of {target['shape'][-1]}.",
            "Targets and loss use different codings of the classes.",
            "Use loss='categorical_crossentropy'.",
        )
    if kind in ("numbers", "unit-interval"):
        return (
            "error",
            f"sparse_categorical_crossentropy expects whole class numbers from 0; the "
            f"targets of {where} run from {low:.4g} to {high:.4g}.",
            "A loss for classes is used for numbers.",
            "Use a linear output with loss='mean_squared_error', or number the classes "
            "from 0.",
        )
    return None


@rule("output-units-mismatch", stage="before", needs=("outputs",), source=SOURCE)
def output_units_mismatch(figures):
    """The number of output units does not fit the targets.

    What it sees: units of the last layer, the largest class number, the width of
    one-hot and numeric targets.

    Why it matters: a class number that no unit stands for raises an error on
    TensorFlow and PyTorch and is **silently learned as nothing** on JAX. A width that
    differs is broadcast or refused.

    Example: ten classes numbered 1…10 and `Dense(10)`.

    Fix: one unit a class, classes numbered from 0.

    Threshold: none, it is counted. The width is silent under a loss of one's own.
    """
    for output in figures["outputs"]:
        target = output.get("target")
        units = output["shape"][-1] if output["shape"] else None
        if not target or not units:
            continue
        found = _units_against(output, target, units)
        if found is not None:
            severity, message, advice = found
            yield {
                "severity": severity,
                "subject": output["layer"] or output["name"],
                "message": message,
                "cause": "The last layer was made for another number of classes.",
                "advice": advice,
                "evidence": {
                    "units": units,
                    "targets": target["kind"],
                    "largest": target.get("max"),
                    "width": target["shape"][-1] if target["shape"] else 1,
                },
            }


def _units_against(output, target, units):
    where, width = _named(output), target["shape"][-1] if target["shape"] else 1
    sparse = output["loss"] == "sparse_categorical_crossentropy"
    if sparse and target["kind"] in ("classes", "binary"):
        top, low = int(target["max"]), int(target["min"])
        if top >= units:
            shifted = low == 1 and top == units
            return (
                "error",
                f"Class number {top} has no unit: {where} has {units} units (classes 0 "
                f"to {units - 1}).",
                "Number the classes from 0: y = y - 1."
                if shifted
                else f"Give the last layer {top + 1} units.",
            )
    one_unit = units == 1 and output["activation"] == "sigmoid"
    if one_unit and target["kind"] == "classes" and width == 1 and target["max"] > 1:
        classes = int(target["max"]) + 1
        return (
            "error",
            f"{where.capitalize()} is one sigmoid unit and the targets hold {classes} "
            f"classes (0 to {classes - 1}).",
            f"Use Dense({classes}, activation='softmax') with "
            f"loss='sparse_categorical_crossentropy'.",
        )
    wide = target["kind"] in ("one-hot", "multi-label") or (
        width > 1 and not sparse and len(target["shape"]) == len(output["shape"])
    )
    # A loss of the user's own may read columns as it likes: time and event, say.
    if wide and width != units and output["loss"] not in (None, "custom"):
        return (
            "error",
            f"The targets have width {width} and {where} has {units} units.",
            f"Give the last layer {width} units.",
        )
    return None
