"""Short training runs on state at the side: measure, do not guess."""

import contextlib
import functools
import math
import time

import keras
import numpy as np

from keras_practices.measures.side_state import SideState
from keras_practices.measures.side_state import fresh_optimizer

# The trials at the own rate, a tenth and ten times of it, and a part of the next.
_TRIALS = 3.5
_FEWEST_STEPS = 20
# Where time does not do for that: the own rate, the likelier side, and some room.
_TRIALS_IN_HASTE = 2.2
_FEWEST_STEPS_IN_HASTE = 12
# Units of a kernel that are compared in one go.
_UNITS = 64


def measure_tiny_subset(
    model,
    sample,
    *,
    rows=20,
    steps=200,
    seconds=10.0,
    learning_rate=None,
    target=0.0,
    within=contextlib.nullcontext,
):
    """Trains on a handful of rows only, noise and weight penalties off.

    Args:
        model: Built and compiled Keras model; it is not written.
        sample: A `Sample` with targets.
        rows: How many rows to learn by heart.
        steps: Optimizer steps at the most.
        seconds: Time at the most.
        learning_rate: Float in place of the optimizer's own rate.
        target: Loss at which to stop early.
        within: Function that makes a context to train in, see `SideState`.

    Returns:
        Dict with `rows`, `steps`, `first_loss`, `last_loss` (over the last tenth of
        the steps), `best_loss`, `losses`, `learning_rate`, `seconds`, `stuck_units`
        (kernels whose units were equal before and are equal after), `other_rows` (the
        loss after it on as many rows that it did not see; None where there are not so
        many, or not finite).
    """
    batch = sample.head(rows)
    optimizer = fresh_optimizer(model.optimizer, learning_rate)
    side = SideState(model, optimizer, within=within)
    before = side.equal_kernels(_units_alike)
    losses, spent = _train(side, lambda step: batch, steps, seconds, target)
    after = side.trainable_values() if before else {}
    equal = list(before)
    moved = {path: after[path] - before[path] for path in equal}
    return {
        "rows": min(rows, sample.rows),
        "equal_units": equal,
        "stuck_units": [path for path in equal if _units_alike(path, moved[path])],
        "other_rows": _loss_on_others(side, sample, rows),
        **_summary(losses, spent, optimizer),
    }


def _loss_on_others(side, sample, rows):
    """Loss on rows that were not learned: a network can learn any rows by heart."""
    if sample.rows < 2 * rows:
        return None
    others = _rows_from(sample, rows, rows)
    loss = side.data_loss(*others)
    return loss if math.isfinite(loss) else None


def measure_rates(
    model,
    sample,
    initial,
    *,
    learning_rate,
    batch_size,
    steps=50,
    decades=5,
    seconds=10.0,
):
    """Trains for a few steps at several learning rates from the same weights.

    Args:
        model: Built and compiled Keras model; it is not written.
        sample: A `Sample` with targets.
        initial: Weights to begin with, from `snapshot`.
        learning_rate: Float, the rate that the training began with (a callback may
            have changed the optimizer's since).
        batch_size: Rows a step, as the training uses.
        steps: Steps for each rate; fewer, but not below 20, where the time would not
            do for the first three, and not below 12 where it does for two only.
        decades: Its own rate, a tenth and ten times of it are tried first; then on in
            the better direction as long as it gets better, so many decades at most.
        seconds: Time at the most.

    Returns:
        List of dicts, one a rate, in rising order: `factor`, `learning_rate`,
        `first_loss` (of the initial weights, on the batches of `last_loss`),
        `last_loss`, `best_loss`, `steps`, `losses`, `seconds`. A rate for which the
        time did not do is left out.
    """
    size = max(1, min(batch_size, sample.rows))
    starts = _shuffled_starts(sample.rows, size, steps)
    optimizer = fresh_optimizer(model.optimizer, learning_rate)
    side = SideState(model, optimizer, initial)
    deadline = time.perf_counter() + seconds

    batch_of = functools.partial(_batch_at, sample, starts, size)
    steps = _steps_in_time(side, batch_of, steps, deadline)

    def losses_at(rate):
        side.reset(rate)
        left = deadline - time.perf_counter()
        return _train(side, batch_of, steps, left, -math.inf)

    # At rate 0 the last batches show the loss of the initial weights: batches differ
    # by more than short trials gain.
    side.reset(0.0)
    last = range(steps - max(1, steps // 10), steps)
    start = float(np.mean([side.step(*batch_of(step)) for step in last]))

    def trial(power):
        summary = _summary(*losses_at(learning_rate * 10.0**power), optimizer)
        return {"factor": 10.0**power, **summary, "first_loss": start}

    trials = {0: trial(0)}
    # The likelier side first: a steep rate throws the loss up, else more may help.
    rises = _end_of(trials[0]) > start
    waiting = [-1, 1] if rises else [1, -1]
    while time.perf_counter() < deadline:
        power = waiting.pop(0) if waiting else _next_power(trials, decades)
        if power is None:
            break
        found = trial(power)
        if found["steps"] < steps and math.isfinite(found["last_loss"]):
            break  # cut short: its loss says nothing beside those of the others
        trials[power] = found
    return [trials[power] for power in sorted(trials)]


def _steps_in_time(side, batch_of, steps, deadline):
    """How many steps each trial can take; the first step of all compiles."""
    side.reset(0.0)
    side.step(*batch_of(0))
    begun = time.perf_counter()
    side.step(*batch_of(min(1, steps - 1)))
    now = time.perf_counter()
    possible = (deadline - now) / max(now - begun, 1e-6)
    if possible >= _TRIALS * _FEWEST_STEPS:
        return min(steps, int(possible / _TRIALS))
    in_haste = int(possible / _TRIALS_IN_HASTE)
    return min(steps, _FEWEST_STEPS, max(_FEWEST_STEPS_IN_HASTE, in_haste))


def _next_power(trials, decades):
    """The decade to try next, None when the best one is known."""
    start = trials[0]["first_loss"]
    best = min(trials, key=lambda power: _end_of(trials[power]))
    gained = _end_of(trials[best]) < start - 0.1 * abs(start)
    rises = _end_of(trials[0]) > start + 0.25 * abs(start)
    if gained:
        onward = best - 1 if best < 0 else best + 1
        if best == 0 or onward in trials:
            return None
    else:
        # Longer steps never cure a loss that rises; else on to the better side.
        low, high = _end_of(trials[min(trials)]), _end_of(trials[max(trials)])
        onward = min(trials) - 1 if rises or low < high else max(trials) + 1
    return None if abs(onward) > decades else onward


def _end_of(trial):
    last = trial["last_loss"]
    return last if math.isfinite(last) else math.inf


def _train(side, batch_of, steps, seconds, target):
    losses, begun = [], time.perf_counter()
    for step in range(steps):
        losses.append(side.step(*batch_of(step)))
        late = time.perf_counter() - begun > seconds
        if late or losses[-1] <= target or not math.isfinite(losses[-1]):
            break
    if not side.has_finite_outputs(batch_of(0)[0]):
        # A cross-entropy can be finite where the outputs are NaN (TensorFlow).
        losses.append(math.nan)
    return losses, time.perf_counter() - begun


def _summary(losses, spent, optimizer):
    return {
        "steps": len(losses),
        "first_loss": losses[0],
        "last_loss": _tail_mean(losses),
        "best_loss": float(np.nanmin([*losses, math.inf])),
        "losses": losses,
        "learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
        "seconds": spent,
    }


def _units_alike(path, value):
    """True when all units (last axis) of a kernel, or of its change, are the same."""
    if value.ndim < 2 or value.shape[-1] < 2:
        return False
    if path.endswith("embeddings"):
        # A table that begins at zero is sound where something moves it.
        return not value.any()
    units = value.reshape(-1, value.shape[-1])
    # Rounding differs between units by some 1e-6 of the values; what breaks the
    # symmetry differs by the size of the values.
    bound = 1e-3 * max(abs(units.max()), abs(units.min()))
    # Some units at a time: most kernels are told by the first few, without a copy.
    parts = (units[:, at : at + _UNITS] for at in range(0, units.shape[1], _UNITS))
    return all(bool(np.abs(p - units[:, :1]).max() <= bound) for p in parts)


def _shuffled_starts(rows, size, steps):
    """First row of each batch: whole passes over the rows, in a shuffled order."""
    last = max(1, rows - size + 1)
    places = np.arange(0, last, size)
    order = np.random.default_rng(0)
    drawn = [order.permutation(places) for _ in range(math.ceil(steps / len(places)))]
    return np.concatenate(drawn)[:steps]


def _tail_mean(losses):
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _batch_at(sample, starts, size, step):
    return _rows_from(sample, starts[step], size)


def _rows_from(sample, first, size):
    def cut(array):
        return array[first : first + size]

    return tuple(
        None if part is None else keras.tree.map_structure(cut, part)
        for part in (sample.x, sample.y, sample.sample_weight)
    )
