"""Loss and rate of every step, fetched from the device late and in blocks."""

import math

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.fit_internals import rate_schedule
from keras_practices._core.fit_internals import raw_iterations

# Rates of a schedule are computed in blocks of this many steps, so that one
# compilation serves all.
_BLOCK = 50


class StepLog:
    """Takes `Step` objects as they come and gives plain numbers when asked.

    Keras reports the mean loss of the epoch so far. With the weights of the batches
    the loss of each batch follows from two means; the error is that of the float32
    mean times the number of batches in the epoch.

    Args:
        model: The model in `fit`, at its beginning.
    """

    def __init__(self, model):
        self._rates = _Rates(model)
        self._waiting = []
        self.begin_epoch()

    def begin_epoch(self):
        """Begins a new mean; what waits must have been taken."""
        self._mean, self._weight = 0.0, 0.0
        self._rates.begin_epoch()

    def __len__(self):
        return len(self._waiting)

    def add(self, step, place, steps):
        """Notes one call of the train function.

        Args:
            step: A `Step`.
            place: Position that goes into the record, see `take`.
            steps: Steps of the optimizer in this call.
        """
        self._waiting.append((step, place, self._rates.note(step, steps)))

    def take(self, keep=0):
        """Returns what has waited longest, oldest first.

        Args:
            keep: Number of newest steps to leave, as the device may not have
                computed them yet.

        Returns:
            `(places, losses, rates)`, three lists.
        """
        count = max(0, len(self._waiting) - keep)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if not taken:
            return [], [], []
        steps, places, rates = zip(*taken, strict=True)
        means = _fetched([step.loss for step in steps])
        weights = _fetched([step.weight for step in steps])
        losses = [
            self._loss_of(mean, weight, step)
            for mean, weight, step in zip(means, weights, steps, strict=True)
        ]
        return list(places), losses, self._rates.values(list(rates))

    def _loss_of(self, mean, weight, step):
        if mean is None:
            return float("nan")
        if weight is None:
            return mean  # the model reports each batch by itself
        if step.base is not None:
            total, self._weight = step.base
            self._mean = total / self._weight if self._weight else 0.0
        elif step.cumulative and weight <= self._weight:
            self._mean, self._weight = 0.0, 0.0  # somebody has reset the metric
        total = weight if step.cumulative else self._weight + weight
        added = total - self._weight
        if added <= 0:
            return float("nan")
        loss = (mean * total - self._mean * self._weight) / added
        self._mean, self._weight = mean, total
        return loss


class _Rates:
    """The rate of each step, whichever way the optimizer holds it."""

    def __init__(self, model):
        optimizer = model.optimizer
        self._schedule = rate_schedule(optimizer)
        self._optimizer = optimizer
        self._next = raw_iterations(optimizer)
        self._compiled = None
        if self._schedule is not None:
            schedule = self._schedule
            self._compiled = backend.compiled(lambda steps: ops.map(schedule, steps))

    def begin_epoch(self):
        """Counts anew: an optimizer may have passed over steps (loss scaling)."""
        if self._schedule is not None:
            self._next = raw_iterations(self._optimizer)

    def note(self, step, steps):
        """Returns what `values` needs to know of a step."""
        self._next += steps
        return step.rate if self._schedule is None else self._next - 1

    def values(self, notes):
        """Returns rates as floats; NaN where an optimizer has several."""
        if self._schedule is None:
            found = _fetched(notes)
            return [float("nan") if rate is None else rate for rate in found]
        padded = -(-len(notes) // _BLOCK) * _BLOCK
        steps = np.array(notes + [notes[-1]] * (padded - len(notes)), "int32")
        rates = []
        try:
            for block in np.split(steps, padded // _BLOCK):
                found = self._compiled(ops.convert_to_tensor(block))
                rates.extend(np.asarray(ops.convert_to_numpy(found), "float64"))
        except Exception:  # a schedule in plain Python
            rates = [self._in_python(int(step)) for step in notes]
        return [float(rate) for rate in rates[: len(notes)]]

    def _in_python(self, step):
        try:
            return float(keras.ops.convert_to_numpy(self._schedule(step)))
        except Exception:
            return math.nan


def _fetched(scalars):
    """Floats of scalars of any kind; None stays None."""
    away = [s for s in scalars if s is not None and type(s) is not float]
    values = iter(backend.floats(away))
    return [s if s is None or type(s) is float else next(values) for s in scalars]
