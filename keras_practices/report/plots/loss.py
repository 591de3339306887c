"""Pictures of the loss of every batch and epoch, and of the learning rate."""

import math

import numpy as np

from keras_practices.report.plots import canvas as draw
from keras_practices.report.plots import series
from keras_practices.report.plots.captions import change
from keras_practices.report.plots.captions import last
from keras_practices.report.plots.picture import Key
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.picture import Panel
from keras_practices.report.plots.picture import Picture
from keras_practices.report.words import shown

LOSS = "Loss"
RATE = "Learning rate"
PENALTY = "regularization_loss"
# A batch this many times above every median and epoch would flatten a linear axis.
SPIKE = 4.0


def train_curve(record):
    """Returns `(epochs, values, words)` of the training loss at epoch ends.

    The loss of the probe batch in inference mode where the record holds it, with the
    penalty of the weights: only that is comparable with the validation loss.
    """
    epochs, values = series.epoch_curve(record, "probe_loss")
    if np.isfinite(values).any():
        penalties = dict(zip(*series.epoch_curve(record, PENALTY), strict=True))
        values = values + [penalties.get(epoch, 0.0) for epoch in epochs]
        return epochs, values, "training loss at epoch end (inference mode)"
    epochs, values = series.epoch_curve(record, "logs", "loss")
    return epochs, values, "training loss, mean over the epoch while it changed"


def loss_picture(canvas, record):
    """The loss of every batch and of every epoch, on a linear and a log axis."""
    steps = tuple(series.numbers(values) for values in record.curve("loss"))
    train = train_curve(record)
    validation = series.epoch_curve(record, "logs", "val_loss")
    pairs = [steps, train[:2], validation]
    known = np.concatenate([series.finite(*pair)[1] for pair in pairs])
    if not known.size:
        return Missing(LOSS, "the record holds no finite loss.")
    draw_one = _LossPanel(canvas, steps, train, validation)
    panels = [draw_one.linear(known)]
    note = ""
    if known.min() > 0:
        panels.append(draw_one.log(known))
    else:
        note = " There is no log axis: the loss is not positive everywhere."
    penalties = series.epoch_curve(record, PENALTY)[1]
    if penalties.any():
        note += f" All include the penalty of the weights, {change(penalties)}."
    return Picture(
        title=LOSS,
        fact=_loss_fact(steps, train, validation),
        panels=tuple(panels),
        legend=draw_one.legend(),
        reading="Each dot is the true loss of one batch, the thin line their running "
        "median. The log axis shows whether late training still gains by a constant "
        f"factor.{note}",
        bad="A line that stays flat from the start (learning rate too low), that drops "
        "and then stays flat high up (too high), that rises or ends in a red zone "
        "(diverged), or a cloud far wider than the progress made (batch too small).",
    )


def _loss_fact(steps, train, validation):
    broken = series.find_broken(*steps)
    if broken is not None:
        return broken.text
    if not len(train[1]):
        return f"Batch loss {change(steps[1])}."
    text = f"Training {change(train[1])}"
    epochs, values = series.finite(*validation)
    if not len(values):
        return f"{text}; no finite validation loss was recorded."
    best = int(np.argmin(values))
    return (
        f"{text}, validation {change(validation[1])}; its best is "
        f"{shown(float(values[best]))} after epoch {epochs[best]:g}."
    )


class _LossPanel:
    """Draws the same series on either axis."""

    def __init__(self, canvas, steps, train, validation):
        self.canvas = canvas
        self.steps = steps
        self.train = train
        self.validation = validation
        ends = [x[-1] for x, *_ in (steps, train, validation) if len(x)]
        self.end = float(max(ends, default=1.0))

    def linear(self, known):
        axes = self._series()
        high, note = known.max(), ""
        usual = self._usual(high)
        if usual > 0 and high > SPIKE * usual:
            cut = 1.6 * usual
            above = int(np.count_nonzero(series.finite(*self.steps)[1] > cut))
            note = f"{above} of the losses above, up to {shown(float(high))}"
            high = cut
        draw.linear_axis(axes, min(0.0, known.min()), high)
        if note:
            axes.set_title(f"↑ {note}", loc="right", fontsize=draw.FONT_SIZE)
        return self._panel(axes, "Linear axis")

    def _usual(self, high):
        """The highest value that is more than one batch gone astray."""
        x, y = series.finite(*self.steps)
        if not len(y):
            return high
        tops = [series.running_median(x, y)[1].max()]
        for curve in (self.train[:2], self.validation):
            tops += series.finite(*curve)[1].tolist()
        return max(tops)

    def log(self, known):
        axes = self._series()
        draw.log_axis(axes, known.min(), known.max())
        return self._panel(axes, "Log axis")

    def legend(self):
        keys = []
        if len(self.steps[0]):
            keys.append(Key("dots", "batch", "loss of one batch"))
            keys.append(Key("thin", "train", "running median"))
        if len(self.train[0]):
            keys.append(Key("line", "train", self.train[2], last(self.train[1])))
        if len(self.validation[0]):
            value = last(self.validation[1])
            keys.append(Key("line", "validation", "validation loss", value))
        return tuple(keys)

    def _series(self):
        axes = self.canvas.axes()
        x, y = series.finite(*self.steps)
        if len(y):
            draw.dots(axes, *series.sample(x, y), "batch")
            draw.line(axes, *series.running_median(x, y), "train", 1.1, False)
        draw.line(axes, *series.thin(*series.finite(*self.train[:2])), "train")
        draw.line(axes, *series.thin(*series.finite(*self.validation)), "validation")
        broken = series.find_broken(*self.steps)
        if broken is not None:
            draw.mark_broken(axes, broken, self.end)
        return axes

    def _panel(self, axes, label):
        draw.epoch_axis(axes, self.end)
        alt = f"{label}: loss over {self.end:g} epochs."
        return Panel(self.canvas.svg(axes, alt), label, alt=alt)


def rate_picture(canvas, record):
    """The learning rate of every step, where it changes."""
    x, y = series.finite(*map(series.numbers, record.curve("learning_rate")))
    if not len(y):
        return Missing(RATE, "the record holds no learning rate.")
    if math.isclose(y.min(), y.max(), rel_tol=1e-6):
        return Missing(RATE, f"it stayed at {shown(float(y[0]))} throughout.")
    axes = canvas.axes()
    draw.line(axes, *series.thin(x, y), "train", mark=False, drawstyle="steps-post")
    if y.min() > 0 and y.max() > 8 * y.min():
        draw.log_axis(axes, y.min(), y.max())
    else:
        draw.linear_axis(axes, min(0.0, y.min()), y.max())
    draw.epoch_axis(axes, float(x[-1]))
    alt = f"Learning rate over {x[-1]:g} epochs."
    return Picture(
        title=RATE,
        fact=f"From {change(y)}, between {shown(float(y.min()))} and "
        f"{shown(float(y.max()))}.",
        panels=(Panel(canvas.svg(axes, alt), alt=alt),),
        legend=(Key("line", "train", "learning rate", last(y)),),
        reading="The rate each step was made with. A decay should show as a drop in "
        "the loss at the same epoch.",
        bad="A decay while the loss still falls at full speed (too early: progress "
        "stops there), or a rate that never falls while the loss only swings.",
    )
