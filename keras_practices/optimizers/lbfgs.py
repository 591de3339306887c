"""Training on all rows at once, by SciPy's L-BFGS-B."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.errors import UsageError
from keras_practices.optimizers.objective import Objective

_OWNER = "fit_lbfgs"


def fit_lbfgs(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    max_iterations: int = 200,
    gradient_tolerance: float = 1e-5,
    loss_tolerance: float = 2.2e-9,
    memory: int = 10,
    validation_data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    allow_noise_layers: bool = False,
    float64: bool = False,
    verbose: int = 0,
) -> keras.callbacks.History:
    """Trains a compiled model by L-BFGS, on all rows at each step.

    For data that fit in memory and a loss without noise: regressions, small networks,
    heads on fixed features. It needs no learning rate. With minibatches the updates
    of Adam are the better choice.

    What is minimised is the loss of `model.evaluate(x, y)`: weight penalties count,
    BatchNorm uses its moving statistics as they stand and does not learn them. The
    optimizer of the model is not used. Weights that are not trainable stay as they
    are; a `NonNeg` constraint is kept, other constraints are refused.

    Callbacks get `on_train_begin`, `on_epoch_begin`, `on_epoch_end` and `on_train_end`;
    an epoch is an iteration, and the model holds its weights. `EarlyStopping`,
    `ModelCheckpoint` and `CSVLogger` work; a callback that sets the learning rate has
    no effect.

    Args:
        model: Compiled Keras model.
        x: Array, or dict or list of arrays; leading axis is rows.
        y: Targets, of the same kind.
        sample_weight: Weights of the rows, or None.
        batch_size: Rows that are run at once, to save memory; None for all. The
            result is the same, up to rounding.
        max_iterations: Integer of at least 1.
        gradient_tolerance: Float of at least 0. Ends when no entry of the gradient is
            larger.
        loss_tolerance: Float of at least 0. Ends when an iteration lowers the loss by
            a smaller share of `max(loss, 1)`.
        memory: Integer of at least 1. Past steps that the curvature is read from.
        validation_data: What `model.evaluate` takes: `(x, y[, sample_weight])` or a
            dataset; evaluated after each iteration.
        callbacks: Keras callbacks.
        allow_noise_layers: Bool. Take a model with dropout or other noise layers, and
            run it without their noise.
        float64: Bool. Compute in float64: for minima to more than about four digits.
        verbose: 0 is silent, anything else prints a line each iteration.

    Returns:
        `keras.callbacks.History` with one entry an iteration: `loss`, `gradient_norm`
        (largest entry), `evaluations` (of loss and gradient so far), and the
        validation figures. It also has `converged` (bool: a tolerance was met) and
        `message` (why it ended).

    Raises:
        UsageError: model not compiled, noise layers, a constraint that cannot be kept,
            a loss that is not finite at the start, float64 where it cannot be had.
        TypeError, ValueError: bad arguments.

    Cost:
        A forward and backward pass over all rows for each evaluation, about 1.1 an
        iteration; `2 * memory` vectors as long as the weights, in float64, on the host.

    Example:

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> history = fit_lbfgs(model, x, 3 * x + 1)
    >>> [round(float(w.flat[0]), 2) for w in model.get_weights()]
    [3.0, 1.0]

    References:
        Byrd, Lu, Nocedal and Zhu, "A Limited Memory Algorithm for Bound Constrained
        Optimization" (1995); CS231n, "Neural Networks Part 3", second order methods.
    """
    check_integer(_OWNER, "max_iterations", max_iterations, low=1)
    check_number(_OWNER, "gradient_tolerance", gradient_tolerance, low=0)
    check_number(_OWNER, "loss_tolerance", loss_tolerance, low=0)
    check_integer(_OWNER, "memory", memory, low=1)
    objective = Objective(
        _OWNER,
        model,
        x,
        y,
        sample_weight,
        batch_size=batch_size,
        allow_noise=allow_noise_layers,
        double=float64,
    )
    bounds = objective.bounds()
    options = {
        "maxiter": max_iterations,
        # Only iterations are limited: 20 evaluations each is what SciPy allows.
        "maxfun": 21 * max_iterations + 1,
        "gtol": gradient_tolerance,
        "ftol": loss_tolerance,
        "maxcor": memory,
    }
    told = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=bool(verbose),
        model=model,
        epochs=max_iterations,
        steps=1,
        verbose=2 if verbose else 0,
    )
    run = _Run(objective, told, validation_data)
    return run.minimize(bounds, options)


class _Run:
    """One training: what is noted between the calls of SciPy."""

    def __init__(self, objective, told, validation_data):
        self.objective = objective
        self.model = objective.model
        self.told = told
        self.validation_data = validation_data
        self.iteration = 0
        self.latest = None

    def minimize(self, bounds, options):
        from scipy import optimize

        start = self.objective.start()
        if bounds is not None:
            # A weight may start outside: Keras applies constraints after a step.
            low = [-np.inf if pair[0] is None else pair[0] for pair in bounds]
            start = np.maximum(start, low)
        loss, _ = self._evaluate(start)
        if not np.isfinite(loss):
            raise UsageError(
                f"{_OWNER}: the loss of the model is {loss} before the first step. "
                "Look at data and weights: keras_practices.check(model, x, y)."
            )
        self.model.stop_training = False
        best = start
        self.told.on_train_begin()
        try:
            self.told.on_epoch_begin(0)
            result = optimize.minimize(
                self._evaluate,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                callback=self._after_iteration,
                options=options,
            )
            if np.isfinite(result.fun) and result.fun <= loss:
                best = result.x
        finally:
            # Also after an interrupt: not weights from the midst of a line search.
            if best is start and self.latest is not None:
                best = self.latest
            self.objective.write(best)
        self.told.on_train_end({"loss": float(result.fun)})
        history = self.model.history
        stopped = self.model.stop_training
        history.converged = bool(result.success) and not stopped
        history.message = "stopped by a callback" if stopped else str(result.message)
        return history

    def _evaluate(self, vector):
        # SciPy asks for the start again, and for each accepted point before the
        # callback: the last one is kept.
        known = getattr(self, "_known", None)
        if known is None or not np.array_equal(known[0], vector):
            self._known = (vector.copy(), *self.objective(vector))
        return self._known[1], self._known[2].copy()

    def _after_iteration(self, intermediate_result):
        vector = np.array(intermediate_result.x)
        loss, gradient = self._evaluate(vector)
        self.latest = vector
        self.objective.write(vector)
        logs = {
            "loss": loss,
            "gradient_norm": float(np.abs(gradient).max()),
            "evaluations": self.objective.evaluations,
        }
        if self.validation_data is not None:
            logs |= self._validate()
        self.told.on_epoch_end(self.iteration, logs)
        self.iteration += 1
        if self.model.stop_training:
            raise StopIteration
        self.told.on_epoch_begin(self.iteration)

    def _validate(self):
        data = self.validation_data
        parts = data if isinstance(data, tuple) else (data,)
        names = ("x", "y", "sample_weight")
        given = dict(zip(names, parts, strict=False))
        found = self.model.evaluate(**given, verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in found.items()}
