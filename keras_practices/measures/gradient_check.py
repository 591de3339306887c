"""Gradients of autodiff beside numeric slopes, in float64, at the side of the model."""

import math
import time
import warnings

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core import float64
from keras_practices._core import stop_gradient
from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import without_noise
from keras_practices.measures.gradient_check_coordinates import Losses
from keras_practices.measures.gradient_check_coordinates import NotRepeatable
from keras_practices.measures.gradient_check_coordinates import check_coordinates
from keras_practices.measures.gradient_check_coordinates import names_of
from keras_practices.measures.gradient_check_coordinates import pick_coordinates
from keras_practices.measures.gradient_check_coordinates import summarize
from keras_practices.measures.side_state import SideState
from keras_practices.measures.side_state import data_and_penalty
from keras_practices.measures.side_state import fresh_optimizer
from keras_practices.measures.side_state import measure_losses
from keras_practices.measures.side_state import regularization_loss

# Weights in all, trainable or not: some copies of 8 bytes each are made.
LARGEST = 4_000_000
# Variables that a second is given for: compiling takes longer the more there are.
VARIABLES_A_SECOND = 30


class _Skip(Exception):
    """Why there is nothing to measure."""


def measure_gradients(model, sample, *, rows=8, coordinates=6, seconds=5.0, burn_in=0):
    """Compares the gradients of autodiff with slopes of the loss, noise off.

    It is done in float64 on a few rows, in training mode, near the model's present
    weights: each is moved by a tenth of what is usual for its shape, so that nothing
    rests on zeros or ties. The loss of the data and the weight penalty are checked
    apart. Nothing of the model is written.

    Args:
        model: Built and compiled Keras model.
        sample: A `Sample` with targets.
        rows: Rows to look at.
        coordinates: Entries of each trainable variable to look at.
        seconds: Time at the most; a compilation that is under way is waited for.
        burn_in: Optimizer steps at the side before the check.

    Returns:
        Dict with `checked` and `kinks` (entries looked at; of these, entries at which
        the slope depends on step or side, so that nothing follows), `worst` (None or
        `variable`, `index`, `relative_error`, `analytic`, `numeric`), `variables` (the
        same by path, in order of the model, with `checked` and `zero`: autodiff gave
        zeros only), `disconnected` (paths that no gradient can reach), `stopped` (how
        often gradients are stopped on purpose; if they are, no slopes are measured),
        `regularization` (`checked`, `kinks`, `worst`, or None) and `seconds`. Or
        `{"skipped": reason}`.
    """
    begun = time.perf_counter()
    try:
        with warnings.catch_warnings():
            # What Keras warns of here it says again when `fit` runs.
            warnings.simplefilter("ignore")
            figures = _measure(
                model, sample, rows, coordinates, begun, seconds, burn_in
            )
    except _Skip as reason:
        return {"skipped": str(reason)}
    return {**figures, "seconds": time.perf_counter() - begun}


def _measure(model, sample, rows, coordinates, begun, seconds, burn_in):
    reason = float64.why_not(model) or _why_too_much(model, seconds)
    if reason is not None:
        raise _Skip(reason)
    batch = sample.head(rows)
    # Also has a compiled loss make what it makes at its first call.
    if not all(map(math.isfinite, measure_losses(model, *batch, training=True))):
        raise _Skip("the loss is not finite")
    weights = _burnt_in(model, batch, burn_in)
    check = _Check(model, coordinates, begun + seconds)
    with restore_rng(), without_noise(model), float64.in_float64(model):
        return check.run(batch, weights)


def _why_too_much(model, seconds):
    variables = len(model.trainable_variables)
    if not variables:
        return "nothing is trainable"
    if variables > VARIABLES_A_SECOND * seconds:
        return f"{variables} variables take longer than {seconds:.3g} s"
    count = sum(math.prod(variable.shape) for variable in model.variables)
    if count > LARGEST:
        return (
            f"the model has {count:,} weights, and more than {LARGEST:,} are too many"
        )
    return None


def _burnt_in(model, batch, steps):
    """Float64 values of the trainable variables, after some steps at the side."""
    weights = [ops.convert_to_numpy(v.value) for v in model.trainable_variables]
    paths = [variable.path for variable in model.trainable_variables]
    if steps and len(set(paths)) == len(paths):
        side = SideState(model, fresh_optimizer(model.optimizer))
        for _ in range(steps):
            side.step(*batch)
        after = side.trainable_values()
        if all(np.isfinite(value).all() for value in after.values()):
            weights = [after[path] for path in paths]
    return [np.asarray(weight, np.float64) for weight in weights]


class _Check:
    """One check of a model that computes in float64."""

    def __init__(self, model, coordinates, deadline):
        self.model = model
        self.coordinates = coordinates
        self.deadline = deadline
        self.trainable = model.trainable_variables
        self.others = [
            variable
            for variable in model.non_trainable_variables
            if keras.backend.is_float_dtype(variable.dtype)
        ]
        self.names = names_of(self.trainable)
        self.gradient_seconds = 0.0

    def run(self, batch, weights):
        """Returns the figures."""
        fixed = self._fixed(batch)
        rng = np.random.default_rng(0)
        moved = [_moved(weight, rng) for weight in weights]
        with stop_gradient.counted() as stopped:
            try:
                values, loss, gradients = self._gradients(moved, fixed)
                if not math.isfinite(loss):
                    values, loss, gradients = self._gradients(weights, fixed)
            except _Skip:
                raise
            except Exception as error:
                reason = f"the model does not run in float64 ({_words(error)})"
                raise _Skip(reason) from error
        if not math.isfinite(loss):
            raise _Skip("the loss is not finite")
        arrays = _arrays(gradients)
        lost = self._unreached(values, fixed, gradients, arrays)
        points = []
        if not stopped.count:
            points = self._look(self._data_loss, values, fixed, loss, arrays, rng)
        # A slope where no gradient can come from is an error, not a missing way.
        sloped = {one.variable for one in points if one.numeric and not one.kink}
        return {
            **summarize(points, self.names),
            "variables": self._by_variable(points, arrays),
            "disconnected": [self.names[i] for i in lost if i not in sloped],
            "stopped": stopped.count,
            "regularization": self._penalty(values, fixed, rng),
        }

    def _fixed(self, batch):
        parts = {name: _tensors(p) for name, p in zip("xyw", batch, strict=True)}
        fixed = {name: part for name, part in parts.items() if part is not None}
        fixed["others"] = [ops.cast(v.value, float64.DTYPE) for v in self.others]
        return fixed

    def _scope(self, values, fixed):
        pairs = [
            *zip(self.trainable, values, strict=True),
            *zip(self.others, fixed["others"], strict=True),
        ]
        return keras.StatelessScope(state_mapping=pairs, collect_losses=True)

    def _data_loss(self, values, fixed):
        with self._scope(values, fixed):
            loss, _ = data_and_penalty(
                self.model, fixed["x"], fixed.get("y"), fixed.get("w"), True
            )
        return loss

    def _penalty_loss(self, values, fixed):
        with self._scope(values, fixed):
            return regularization_loss(self.trainable)

    def _gradients(self, weights, fixed, loss_at=None):
        """Returns `(tensors, loss, gradients)` at some weights."""
        begun = time.perf_counter()
        loss_at = loss_at or self._data_loss
        values = [ops.convert_to_tensor(weight) for weight in weights]

        def both(values, fixed):
            return backend.value_and_gradients(
                lambda given: (loss_at(given, fixed), ()), values
            )

        # A model that asks to be run eagerly may hold what cannot be compiled.
        if self.model.run_eagerly:
            (loss, _), gradients = both(values, fixed)
        else:
            (loss, _), gradients = backend.run_once(both, values, fixed)
        if keras.backend.standardize_dtype(loss.dtype) != float64.DTYPE:
            raise _Skip(f"the loss is computed in {loss.dtype}")
        loss = float(ops.convert_to_numpy(loss))
        self.gradient_seconds = time.perf_counter() - begun
        return values, loss, gradients

    def _unreached(self, values, fixed, gradients, arrays):
        if all(array is not None and array.any() for array in arrays):
            return []
        flags = backend.unreached(
            lambda given: self._data_loss(given, fixed), values, gradients
        )
        return [place for place, flag in enumerate(flags) if flag]

    def _look(self, loss_at, values, fixed, loss, gradients, rng, only=None):
        weights = [ops.convert_to_numpy(value) for value in values]
        points = pick_coordinates(weights, gradients, self.coordinates, rng)
        if only is not None:
            points = [one for one in points if one.variable in only]
        # The losses alone compile in about half the time of the gradients.
        if time.perf_counter() + self.gradient_seconds / 2 < self.deadline:
            try:
                losses = Losses(loss_at, values, fixed, loss)
            except NotRepeatable:
                raise _Skip("two equal passes give different losses") from None
            check_coordinates(losses, points, self.deadline)
        return [one for one in points if one.numeric is not None]

    def _penalty(self, values, fixed, rng):
        """Figures of the weight penalty, None where there is none."""
        regularized = {
            place
            for place, variable in enumerate(self.trainable)
            if variable.regularizer is not None
        }
        if not regularized:
            return None
        _, loss, gradients = self._gradients(values, fixed, self._penalty_loss)
        arrays = _arrays(gradients)
        loss_at = self._penalty_loss
        points = self._look(loss_at, values, fixed, loss, arrays, rng, regularized)
        return summarize(points, self.names)

    def _by_variable(self, points, arrays):
        found = {}
        for place, (name, array) in enumerate(zip(self.names, arrays, strict=True)):
            own = [one for one in points if one.variable == place]
            worst = summarize(own, self.names)["worst"] or {}
            found[name] = {
                key: worst.get(key) for key in ("relative_error", "analytic", "numeric")
            }
            found[name]["checked"] = len(own)
            found[name]["zero"] = array is None or not array.any()
        return found


def _words(error):
    """Kind and first line of an exception, without the frame that Keras puts round."""
    lines = [line.strip() for line in str(error).splitlines()]
    own = [line for line in lines if line and "encountered when calling" not in line]
    text = own[0].replace("\x1b[1m", "").replace("\x1b[0m", "") if own else ""
    return f"{type(error).__name__}: {text[:160]}"


def _moved(weight, rng):
    """The weight moved at random, by a tenth of what is usual for its shape."""
    fan_in = math.prod(weight.shape[:-1]) if weight.ndim > 1 else 1
    size = math.sqrt(np.mean(weight**2)) if weight.size else 0.0
    scale = max(0.02 * size, 0.1 / math.sqrt(max(1, fan_in)))
    return weight + scale * rng.standard_normal(weight.shape)


def _arrays(gradients):
    return [None if g is None else ops.convert_to_numpy(g) for g in gradients]


def _tensors(part):
    """The part as tensors, float arrays in float64."""
    if part is None:
        return None

    def convert(array):
        if array.dtype.kind == "f":
            array = array.astype(float64.DTYPE)
        elif array.dtype.kind in "iu" and keras.backend.backend() == "jax":
            # What JAX makes of them without 64-bit numbers.
            array = array.astype("int32")
        return ops.convert_to_tensor(array)

    return keras.tree.map_structure(convert, part)
