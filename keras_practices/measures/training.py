"""From the record of a run to the figures its rules read."""

import bisect
import math

import numpy as np

from keras_practices.measures.training_curves import measure_curve
from keras_practices.measures.training_layers import measure_filters
from keras_practices.measures.training_layers import measure_gradients
from keras_practices.measures.training_layers import measure_saturation
from keras_practices.measures.training_layers import measure_weights

# Share of the highest learning rate below which steps hardly move anything.
_FADED = 0.01


def measure_training(record, *, floor=None, chance=None, class_weighted=False):
    """Summarises the record of a training run.

    Args:
        record: A `Record`, also of a run that was interrupted.
        floor: Lowest loss that is possible, None where not known.
        chance: Loss of guessing, None where not known.
        class_weighted: Whether `fit` got class weights. The probe has none: with them
            the batches are believed, and `chance` and `probe_losses` are left out.

    Returns:
        Dict with `steps`, `start_loss` and `last_loss` (data loss in inference mode
        on the probe; the smoothed batch loss where there is no probe), `kept` (share
        of what can be lost that is still there), `first_not_finite` (index of the
        first step whose loss or weights are not) and `first_not_finite_epoch`,
        `training_losses` and `validation_losses` (one an epoch), `probe_losses` (the
        start first), `regularization_losses` (beside `probe_losses`),
        `validation_data_losses` (validation losses less the weight penalty, where
        that is known), `epochs` (finished), `update_ratio` (median over kernels and
        samples), `learning_rate` (highest: behind a warm-up or before a decay),
        `rate_faded_at` (step from which it stays below 1 % of that, None),
        `rate_negative_at` (first step at which it lies below zero by as much, None),
        `planned_steps`, `floor`, `chance`, `saturation` and `filters`; and all of
        `measure_curve`, `measure_gradients` and `measure_weights`. None for a record
        without a step.
    """
    positions, losses = record.curve("loss")
    if not losses:
        return None
    # As arrays: while training runs this is asked at every epoch.
    losses, rates = np.array(losses), np.array(record.curve("learning_rate")[1])
    steady = rates[np.isfinite(rates)]
    numbers = record.step_numbers
    bad = _first_not_finite(record, numbers, losses)
    of_epochs, probes = _of_epochs(record), _probe_losses(record)
    if class_weighted:
        of_epochs["probe_losses"], probes, chance = [], [], None
    start, last = _start_and_last(probes, losses)
    fit = record.start.get("fit", {})
    per_epoch, epochs = fit.get("steps_per_epoch"), fit.get("epochs")
    return {
        "steps": numbers[-1] + 1,
        "planned_steps": per_epoch * epochs if per_epoch and epochs else None,
        "start_loss": start,
        "last_loss": last,
        "kept": _kept(start, last, floor),
        "first_not_finite": bad,
        "first_not_finite_epoch": None
        if bad is None
        else positions[bisect.bisect_left(numbers, bad)],
        "training_losses": _training_losses(record),
        "validation_losses": _logged(record, "val_loss"),
        **of_epochs,
        **measure_curve(positions, losses),
        "update_ratio": _median_update_ratio(record),
        "learning_rate": float(steady.max()) if steady.size else None,
        "rate_faded_at": _faded_at(numbers, rates, steady.max(initial=0.0)),
        "rate_negative_at": _negative_at(
            numbers, rates, np.abs(steady).max(initial=0.0)
        ),
        "floor": floor,
        "chance": chance,
        **measure_gradients(record),
        **measure_weights(record),
        "saturation": measure_saturation(record),
        "filters": measure_filters(record),
    }


def _faded_at(numbers, rates, peak):
    seen = np.flatnonzero(~(rates < _FADED * peak))
    last = seen[-1] if seen.size and peak > 0 else len(rates)
    return numbers[last + 1] if last + 1 < len(numbers) else None


def _negative_at(numbers, rates, peak):
    below = np.flatnonzero(rates < -_FADED * peak)
    return numbers[below[0]] if below.size else None


def _first_not_finite(record, numbers, losses):
    """Index of the first step with a loss, or weights after it, that are not finite.

    On TensorFlow a cross-entropy can be a finite 0 while every weight is NaN.
    """
    steps = [numbers[place] for place in np.flatnonzero(~np.isfinite(losses))[:1]]
    for sample in record.samples:
        shares = [w.get("finite", 1.0) for w in sample.get("weights", {}).values()]
        if shares and float(min(shares)) < 1:
            steps.append(min(max(0, sample["step"] - 1), numbers[-1]))
            break
    return min(steps, default=None)


def _probe_losses(record):
    return [
        float(line["probe_loss"])
        for line in record.epochs
        if line.get("probe_loss") is not None
    ]


def _start_and_last(probes, losses):
    if len(probes) >= 2:
        return _finite(probes[0]), _finite(probes[-1])
    width = max(1, len(losses) // 10)
    return _finite(np.median(losses[: min(width, 5)])), _finite(
        np.median(losses[-width:])
    )


def _finite(value):
    return float(value) if math.isfinite(value) else None


def _kept(start, last, floor):
    if start is None:
        return 1.0
    if last is None:
        return 1.0
    possible = start - (0.0 if floor is None else floor)
    return (last - (floor or 0.0)) / possible if possible > 0 else 0.0


def _training_losses(record):
    """One value for each finished epoch, all of one kind: on the probe, or as logged.

    In inference mode a loss differs from the one with dropout: a mix would swing.
    """
    lines = [line for line in record.epochs if line["epoch"] > 0]
    own = [line.get("probe_loss") for line in lines]
    if not own or None in own:
        own = _logged(record, "loss") or [value for value in own if value is not None]
    return [float(value) for value in own if math.isfinite(float(value))]


def _logged(record, name):
    # The line of epoch 0 was measured before the first step.
    logs = [line.get("logs", {}) for line in record.epochs if line["epoch"] > 0]
    values = [float(log[name]) for log in logs if log.get(name) is not None]
    return [value for value in values if math.isfinite(value)]


def _of_epochs(record):
    """Losses on the probe, weight penalties, and validation losses without these."""
    probes, penalties, validation, penalty = [], [], [], None
    for line in record.epochs:
        data = line.get("probe_loss")
        if data is not None and math.isfinite(float(data)):
            probes.append(float(data))
            penalty = _finite(float(line.get("regularization_loss") or 0.0))
            penalties.append(penalty)
        held = line.get("logs", {}).get("val_loss")
        if line["epoch"] > 0 and held is not None and math.isfinite(float(held)):
            validation.append(float(held) - (penalty or 0.0))
    return {
        "epochs": sum(line["epoch"] > 0 for line in record.epochs),
        "probe_losses": probes,
        "regularization_losses": penalties,
        "validation_data_losses": validation,
    }


def _median_update_ratio(record):
    kernels = record.kernels
    ratios = [
        float(figures["update_ratio"])
        for line in record.samples
        for path, figures in line.get("weights", {}).items()
        if figures.get("update_ratio") is not None and (path in kernels or not kernels)
    ]
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return float(np.median(finite)) if finite else None


def latest_layers(record):
    """Returns the layer figures of the first and of the last probe that has them."""
    found = [line["layers"] for line in record.probes if line.get("layers")]
    return (found[0], found[-1]) if found else ({}, {})
