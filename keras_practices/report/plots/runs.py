"""Picture of several runs: their loss and accuracy at each epoch end."""

import numpy as np

from keras_practices.report.palette import depth_colour
from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import last
from keras_practices.report.plots.loss import train_curve
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture

TITLE = "Runs side by side"
# Above this ratio of the highest to the lowest value a linear axis shows little.
WIDE = 20.0


def runs_picture(canvas, records):
    """The curves of several runs, each run in one colour.

    Args:
        canvas: A `Canvas`.
        records: Dict of name to `Record`.
    """
    curves = {
        "Training loss": {n: train_curve(record)[:2] for n, record in records.items()}
    }
    for figure in _validated(records):
        label = figure.removeprefix("val_").replace("_", " ")
        curves[f"Validation {label}"] = {
            name: series.epoch_curve(record, "logs", figure)
            for name, record in records.items()
        }
    colours = {
        name: depth_colour(place, len(records)) for place, name in enumerate(records)
    }
    panels = [
        _panel(canvas, label, runs, colours)
        for label, runs in curves.items()
        if any(len(values) for _, values in runs.values())
    ]
    if not panels:
        return Missing(TITLE, "no run has finished an epoch.")
    ends = {name: values for name, (_, values) in list(curves.values())[-1].items()}
    return Picture(
        title=TITLE,
        fact="",
        panels=tuple(panels),
        legend=tuple(
            Key(
                "line", colours[name], name, last(ends[name]) if len(ends[name]) else ""
            )
            for name in records
        ),
        reading="One colour a run, at each epoch end; the figures are the last ones of "
        "the last drawing. Losses compare only where loss function and data are the "
        "same.",
        bad="A run whose training loss is lower than another's while its validation is "
        "worse: it overfits more, and is not the better one.",
    )


def _validated(records):
    """The validation loss, and the first other figure that every run validated."""
    logs = [
        {name for line in record.epochs for name in line.get("logs") or {}}
        for record in records.values()
    ]
    shared = sorted(set.intersection(*logs)) if logs else []
    others = [n for n in shared if n.startswith("val_") and n != "val_loss"]
    return ["val_loss", *others[:1]]


def _panel(canvas, label, runs, colours):
    axes = canvas.axes()
    known = np.concatenate([series.finite(*curve)[1] for curve in runs.values()])
    end = max(float(epochs[-1]) for epochs, _ in runs.values() if len(epochs))
    for name, curve in runs.items():
        draw.line(axes, *series.thin(*series.finite(*curve)), colours[name])
    if not len(known):
        draw.say(axes, "not finite in any run")
    elif "loss" in label and known.min() > 0 and known.max() > WIDE * known.min():
        draw.log_axis(axes, known.min(), known.max())
    else:
        draw.linear_axis(axes, known.min(), known.max())
    if len(known):
        draw.epoch_axis(axes, end)
    alt = f"{label} of {len(runs)} runs over {end:g} epochs."
    return Panel(canvas.svg(axes, alt), label, alt=alt)
