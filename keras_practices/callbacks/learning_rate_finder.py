"""The learning-rate range test, as a fit of its own that leaves no trace."""

import math
import os
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.model_layers import all_layers
from keras_practices._core.optional import require
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error
from keras_practices.callbacks.batch_loss import BatchLoss
from keras_practices.callbacks.guard import guarded
from keras_practices.callbacks.learning_rate import plain_rate
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError
from keras_practices.measures.set_up import check_model

KINDS = ("steepest", "minimum_over_10", "valley")
# In standard errors of the smoothed loss. Pure noise passes for a fall in about one
# test of 25, for a rise hardly ever unless its tails are heavy.
FALL, RISE = 4, 10


class LRFinder(keras.callbacks.Callback):
    """Finds a learning rate: raises it step by step and looks at the loss.

    For a `fit` of its own, as the only callback. The rate grows by one factor a step,
    over as many epochs as it takes (`epochs=steps` is always enough); the fit ends
    after `steps` steps or when the loss rises for good. Then the model is what it was,
    bit for bit: weights, BatchNorm statistics, seeds, optimizer with slots, counter
    and rate. The process's random state, which shuffles rows and on PyTorch draws for
    dropout without a seed, moves on as in any fit.

    After an interrupt or an error `fit` calls no callback: call `restore()`. The next
    fit with the same finder does so too, unless the model was trained in between.

    A step is an update of the weights: a group of accumulated batches is one, and so
    is an execution of several batches (`steps_per_execution`).

    Suggestions come from the true batch losses in an exponential mean without bias,
    each mean placed at the same mean of the log rates, so that smoothing shifts
    nothing. They look from a tenth of the steps on, up to the lowest smoothed loss.
    `"steepest"` is the steepest least-squares slope over an eighth of the steps, once
    a tenth of the fall is done; `"minimum_over_10"` a tenth of the rate at the lowest
    loss; `"valley"` the middle, in logarithms, of the stretch where the loss falls.
    (fastai takes the longest falling sequence. Without noise that begins at the first
    step, far too low.)

    State: `history`. Cost: one copy of model and optimizer in host memory; a look at
    the loss and a write of the rate each step.

    Args:
        min_rate: Float above 0. Learning rate of the first step.
        max_rate: Float above `min_rate`. Learning rate of the last step.
        steps: Int of at least 10. Steps from the first rate to the last.
        stop_factor: Float above 1. Multiple of its lowest value at which the smoothed
            loss ends the fit, if it is outside the noise too.
        smoothing: Float in [0, 1). Weight of the past; None for `1 - 20 / steps`.

    Attributes:
        suggestion: Float, the middle of the three suggestions. None where the loss
            did not fall by more than its noise.
        suggestions: Dict of the three, floats or None.
        history: Dict of lists, one entry a step: `"learning_rate"`, `"loss"` (of the
            batch, before its update), `"smoothed"`.

    Raises:
        TypeError, ValueError: bad arguments; in `fit`, before the first step, a model
            that is not built, an optimizer with a schedule, or several optimizers.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> finder = LRFinder(steps=40)
    >>> history = model.fit(x, x[:, :1], epochs=40, callbacks=[finder], verbose=0)
    >>> 1e-3 < finder.suggestion < 0.7  # 2 / largest curvature
    True

    References:
        Smith, "Cyclical Learning Rates for Training Neural Networks", 2017,
        arXiv:1506.01186. Gugger, "How Do You Find A Good Learning Rate", 2018.
    """

    def __init__(
        self,
        min_rate: float = 1e-7,
        max_rate: float = 10.0,
        steps: int = 100,
        *,
        stop_factor: float = 4.0,
        smoothing: float | None = None,
    ):
        super().__init__()
        check_number(self, "min_rate", min_rate, low=0, closed="neither")
        check_number(self, "max_rate", max_rate, low=min_rate, closed="neither")
        self.steps = check_integer(self, "steps", steps, low=10)
        check_number(self, "stop_factor", stop_factor, low=1, closed="neither")
        self.stop_factor = stop_factor
        if smoothing is None:
            smoothing = max(0.0, 1 - 20 / steps)
        check_number(self, "smoothing", smoothing, low=0, high=1, closed="left")
        self.smoothing = smoothing
        self._rates = np.geomspace(min_rate, max_rate, steps).tolist()
        self._kept: _Kept | None = None
        self._begin(1)

    def _begin(self, group_size):
        self.history = {"learning_rate": [], "loss": [], "smoothed": []}
        self.suggestions = dict.fromkeys(KINDS)
        self.suggestion = None
        self.broken = False
        self._group, self._group_size = [], group_size
        self._batch_loss = BatchLoss()
        self._ended = ""

    def on_train_begin(self, logs=None):
        """Keeps a copy of everything that the test will change."""
        model = check_model("LRFinder", self.model)
        optimizer = model.optimizer
        plain_rate(self, optimizer, "Compile with a float as learning_rate for it.")
        if not optimizer.built:
            _check_layers(model)
            optimizer.build(model.trainable_variables)
        self._settle()
        self._kept = _Kept(model)
        # On JAX an average that Keras has written into a weight shares its buffer;
        # a step refuses to take one buffer twice.
        self._kept.put_back()
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        batches = getattr(inner, "gradient_accumulation_steps", None) or 1
        self._begin(math.ceil(batches / self._kept.execution))

    def on_epoch_begin(self, epoch, logs=None):
        """Notes that Keras's running mean of the loss begins anew."""
        self._batch_loss.reset()

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the rate of the next step."""
        model = self.model
        if self.broken or self._ended:
            model.stop_training = True
        elif not self._group:
            rate = self._rates[len(self.history["loss"])]
            model.optimizer.learning_rate.assign(rate)

    @guarded
    def on_train_batch_end(self, batch, logs=None):
        """Notes the loss of the batch; ends the fit when enough is seen."""
        model = self.model
        self._kept.updates = _updates_of(model.optimizer)
        self._group.append(self._batch_loss.read(model, logs, batch))
        if len(self._group) == self._group_size:
            loss, self._group = sum(self._group) / self._group_size, []
            self._note(loss)
        if self._ended:
            model.stop_training = True

    def on_train_end(self, logs=None):
        """Puts the model back, then looks at the curve."""
        # Not earlier: an optimizer that averages weights writes them into the model
        # after the last epoch.
        self.restore()
        self.model.stop_training = False
        if not self.broken:
            self._conclude()

    def restore(self) -> None:
        """Puts the model back to where it was before a test that was interrupted.

        `fit` does this by itself when it ends. After a KeyboardInterrupt or an error
        call it before anything else is done with the model.
        """
        if self._kept is not None:
            self._kept.put_back()
            self._kept = None

    def _settle(self):
        """Puts back what an interrupted test has left behind."""
        if self._kept is None:
            return
        text = "the test before this one was interrupted."
        if self._kept.is_trained_since():
            self._kept = None
            _warn(f"{text} The model was trained since and stays as it is.")
        else:
            self.restore()
            _warn(f"{text} The model is put back to where it was before that test.")

    def _note(self, loss):
        rates, losses, means = self.history.values()
        rates.append(self._rates[len(rates)])
        losses.append(loss)
        means.append(_mean(losses, self.smoothing))
        if not math.isfinite(means[-1]) or self._has_risen(losses, means):
            self._ended = "diverged"
        elif len(losses) == self.steps:
            self._ended = "complete"

    def _has_risen(self, losses, means):
        # The first means are those of a few batches: no measure for the others.
        past = means[self.steps // 10 :] or means[-1:]
        lowest = min(past)
        # For a positive loss: smoothed > stop_factor * lowest.
        if past[-1] - lowest <= (self.stop_factor - 1) * abs(lowest):
            return False
        before = losses[: means.index(lowest) + 1]
        return past[-1] - lowest > RISE * _noise(before, self.smoothing)

    def _conclude(self):
        found = _suggest(self.history, self.smoothing, self.steps)
        if found is not None:
            self.suggestions = dict(zip(KINDS, found, strict=True))
            self.suggestion = sorted(found)[1]
        text = f"the test took {len(self.history['loss'])} of {self.steps} steps"
        if not self._ended:
            text += f", then fit ended. Pass more epochs; epochs={self.steps} is enough"
        elif self._ended == "diverged":
            text += ", then the loss rose for good or was not finite"
        if found is None:
            text += ". No suggestion: the loss did not fall by more than its noise. "
            _warn(f"{text}Take more steps, larger batches, or other rates.")
        elif not self._ended:
            _warn(f"{text}. The suggestions may be too low.")

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws the loss over the rate, with the suggestions marked.

        Args:
            path: File to write, its ending names the format; None to write none.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            UsageError: no test has been run.
            ImportError: matplotlib is not installed (extra `report`).
        """
        if not self.history["loss"]:
            raise UsageError("LRFinder.plot: no test yet. Pass the finder to fit.")
        module = require("matplotlib.figure", "report", "LRFinder.plot")
        figure = module.Figure(figsize=(6.5, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="learning rate", ylabel="loss", xscale="log")
        rates, losses, smoothed = map(np.array, self.history.values())
        axes.plot(rates, losses, color="0.75", label="batch")
        axes.plot(_places(rates, self.smoothing), smoothed, label="smoothed")
        for place, (kind, rate) in enumerate(self.suggestions.items(), 1):
            if rate is not None:
                style = "-" if rate == self.suggestion else ":"
                label = f"{kind.replace('_', ' ')}: {rate:.1e}"
                axes.axvline(rate, color=f"C{place}", linestyle=style, label=label)
        # The end of a test that diverged would press the rest into a line.
        finite = smoothed[np.isfinite(smoothed)]
        height = np.ptp(finite[: np.argmin(finite) + 1]) if finite.size else 0.0
        if height > 0:
            axes.set_ylim(finite.min() - 0.3 * height, finite.min() + 1.5 * height)
        axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure


class _Kept:
    """Every value that a model and its optimizer hold."""

    def __init__(self, model):
        self.model, self.optimizer = model, model.optimizer
        self.execution = model.steps_per_execution or 1
        self.updates = _updates_of(model.optimizer)
        variables = [*model.variables, *model.optimizer.variables]
        self._values = [(v, np.array(ops.convert_to_numpy(v.value))) for v in variables]
        self._buffers = []
        if keras.backend.backend() == "torch":
            # Statistics of PyTorch modules inside the model are no Keras variables.
            for layer in (model, *all_layers(model)):
                self._buffers += [(b, b.detach().clone()) for b in layer.buffers()]

    def put_back(self):
        for variable, value in self._values:
            variable.assign(value.copy())
        for buffer, value in self._buffers:
            buffer.copy_(value)

    def is_trained_since(self):
        """Whether more updates were made than in the step that was interrupted."""
        optimizer = self.model.optimizer
        same = optimizer is self.optimizer
        known = self.updates + self.execution if same else 0
        return _updates_of(optimizer) > known


def _check_layers(model):
    """Refuses layers whose weights TensorFlow would make in the first step."""
    names = [layer.name for layer in all_layers(model) if not layer.built]
    if names:
        raise value_error(
            "LRFinder",
            "model",
            "built in all its layers, so that there is something to put back",
            names,
            "Call it on one batch first: model(x[:1]).",
        )


def _suggest(history, smoothing, steps):
    """Returns the three suggestions in the order of `KINDS`, or None."""
    losses, loss = history["loss"], np.array(history["smoothed"])
    burn_in, loss = steps // 10, loss[np.isfinite(loss)]
    if len(loss) < burn_in + 3:
        return None
    last = int(np.argmin(loss[burn_in:])) + burn_in + 1
    x = np.log(_places(history["learning_rate"], smoothing)[burn_in:last])
    y = loss[burn_in:last]
    top = y[: max(1, min(burn_in, len(y) // 4))].mean()
    fall = top - y[-1]
    # Below 1e-5 a difference of float32 sums is rounding.
    enough = max(FALL * _noise(losses[:last], smoothing), 1e-5 * abs(top))
    if len(y) < 3 or fall <= enough:
        return None
    # Before the fall the slopes are those of the noise.
    first = int(np.flatnonzero(y >= top - 0.1 * fall)[-1])
    half = max(2, steps // 16)
    slopes = []
    for place in range(first, len(y)):
        near = slice(max(0, place - half), place + half + 1)
        slopes.append(np.polyfit(x[near], y[near], 1)[0])
    steepest = x[first + int(np.argmin(slopes))]
    valley = (x[first] + x[-1]) / 2
    return np.exp([steepest, x[-1] - math.log(10), valley]).tolist()


def _places(rates, smoothing):
    """The rates that the smoothed losses belong to."""
    logs = np.log(rates)
    return np.exp([_mean(logs[: n + 1], smoothing) for n in range(len(logs))])


def _mean(values, smoothing):
    """Exponential mean, divided by the sum of its weights."""
    weights = smoothing ** np.arange(len(values))[::-1]
    return float(np.average(values, weights=weights))


def _noise(losses, smoothing):
    """Standard error of the smoothed loss, from the steps between neighbours."""
    if len(losses) < 2:
        return 0.0
    # Mean distance of two draws of one normal distribution: 2 / sqrt(pi) deviations.
    deviation = np.abs(np.diff(losses)).mean() * math.sqrt(math.pi) / 2
    return deviation * math.sqrt((1 - smoothing) / (1 + smoothing))


def _updates_of(optimizer):
    try:
        return int(optimizer.iterations)
    except RuntimeError:  # JAX gave the buffer to a step that was interrupted
        return 0


def _warn(text):
    warnings.warn(f"LRFinder: {text}", KerasPracticesWarning, stacklevel=3)
