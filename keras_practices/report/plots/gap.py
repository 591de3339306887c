"""Picture of training against validation at each epoch end."""

import numpy as np

from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import change
from keras_practices.report.plots.captions import last
from keras_practices.report.plots.loss import train_curve
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture

TITLE = "Gap between training and validation"


def gap_picture(canvas, record):
    """Training against validation at each epoch end: loss and accuracy."""
    pairs = {"loss": (train_curve(record)[:2], _validation(record, "loss"))}
    for name in _accuracies(record):
        train = series.epoch_curve(record, "logs", name)
        pairs[name] = (train, _validation(record, name))
    panels, values, fact = [], {"training": [], "validation": []}, ""
    for name, (train, validation) in pairs.items():
        epochs, at_train, at_validation = _common(train, validation)
        if not len(epochs):
            continue
        panels.append(_panel(canvas, epochs, at_train, at_validation, name))
        values["training"].append(f"{name} {last(at_train)}")
        values["validation"].append(f"{name} {last(at_validation)}")
        if name == "loss":
            with np.errstate(invalid="ignore", over="ignore"):  # inf - inf
                gap = change(at_validation - at_train)
            fact = f"The gap in loss (validation minus training): {gap}."
    if not panels:
        return Missing(TITLE, "no validation loss was recorded; pass validation_data.")
    return Picture(
        title=TITLE,
        fact=fact,
        panels=tuple(panels),
        legend=(
            Key("line", "train", "training", ", ".join(values["training"])),
            Key("line", "validation", "validation", ", ".join(values["validation"])),
        ),
        reading="The shaded area is the gap. Training accuracy is Keras's own: a mean "
        "over the epoch with dropout on, so validation may lie above it early on.",
        bad="Validation that turns back while training goes on improving (overfitting: "
        "more data, more regularisation, or stop at the turn); or two lines on top of "
        "each other at a poor value (underfitting: a larger model, longer training).",
    )


def _validation(record, name):
    return series.epoch_curve(record, "logs", f"val_{name}")


def _accuracies(record):
    """Names of the first metric that is an accuracy of both parts, if any."""
    logs = [epoch.get("logs") or {} for epoch in record.epochs]
    names = dict.fromkeys(name for one in logs for name in one)
    both = [name for name in names if f"val_{name}" in names]
    return [name for name in both if name.endswith(("accuracy", "acc"))][:1]


def _common(train, validation):
    """Returns both series at the epochs they share."""
    epochs, left, right = np.intersect1d(
        train[0], validation[0], assume_unique=True, return_indices=True
    )
    return epochs, train[1][left], validation[1][right]


def _panel(canvas, epochs, train, validation, name):
    axes = canvas.axes()
    end = float(epochs[-1])
    good = series.drawable(train) & series.drawable(validation)
    broken = series.find_broken(epochs, np.where(good, 0.0, np.nan))
    x, train, validation = epochs[good], train[good], validation[good]
    if len(x):
        kept = series.extremes(train) | series.extremes(validation)
        x, train, validation = (each[sorted(kept)] for each in (x, train, validation))
        shade = draw.placeholder("validation")
        axes.fill_between(x, train, validation, color=shade, alpha=0.12, linewidth=0)
        draw.line(axes, x, train, "train")
        draw.line(axes, x, validation, "validation")
        known = np.concatenate([train, validation])
        draw.linear_axis(axes, known.min(), known.max())
    if broken is not None:
        draw.mark_broken(axes, broken, end)
    draw.epoch_axis(axes, end)
    alt = f"{name} of training and validation over {end:g} epochs."
    return Panel(canvas.svg(axes, alt), name.replace("_", " ").capitalize(), alt=alt)
