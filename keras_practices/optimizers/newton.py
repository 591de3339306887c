"""One damped Newton step, by conjugate gradients on Hessian-vector products."""

from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.errors import UsageError
from keras_practices.optimizers.objective import Objective

_OWNER = "newton_step"
# Share of the slope that a step must gain; the usual choice for a backtracking search.
_SUFFICIENT = 1e-4
_HALVINGS = 30


def newton_step(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    damping: float = 1e-3,
    max_products: int = 100,
    tolerance: float = 1e-6,
    allow_noise_layers: bool = False,
    float64: bool = True,
) -> dict[str, Any]:
    """Moves a model by one Newton step on the loss of all rows.

    Solves `(H + damping * I) step = -gradient` by conjugate gradients and writes the
    weights, where the loss is lower there. The Hessian `H` is never built: its product
    with a vector is the central difference of two gradients, exact for a quadratic loss
    and otherwise to about nine digits in float64, three in float32. On a quadratic loss
    one step without damping reaches the minimum.

    Where the curvature along a direction is not positive, the conjugate gradients end
    there, and the step is what was found before (at the first direction: down the
    gradient). The step is halved until the loss falls.

    The loss is the one of `model.evaluate(x, y)`; see `fit_lbfgs`. The optimizer of
    the model is not used.

    Args:
        model: Compiled Keras model, of few weights: each product costs two passes
            forward and backward over all rows.
        x: Array, or dict or list of arrays; leading axis is rows.
        y: Targets, of the same kind.
        sample_weight: Weights of the rows, or None.
        batch_size: Rows that are run at once; None for all.
        damping: Float of at least 0, added to every curvature. The larger, the shorter
            the step and the closer to the gradient.
        max_products: Integer of at least 1. Limit on Hessian-vector products.
        tolerance: Float in (0, 1). Ends when the residual is this share of the
            gradient's norm.
        allow_noise_layers: Bool. Take a model with noise layers, without their noise.
        float64: Bool. Compute in float64, whatever the dtype of the model. False for
            models or devices that cannot.

    Returns:
        Dict with `loss_before`, `loss_after`, `gradient_norm` (Euclidean, before),
        `products`, `residual` (share of the gradient that is left unsolved),
        `negative_curvature` (bool) and `step_size` (1 for the whole step, 0 where no
        shorter one lowered the loss; then the weights are as before).

    Raises:
        UsageError: model not compiled, noise layers, constraints, a loss that is not
            finite, or float64 where it cannot be had.
        TypeError, ValueError: bad arguments.

    Example:

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> figures = newton_step(model, x, 3 * x + 1, damping=0.0)
    >>> [round(float(w.flat[0]), 3) for w in model.get_weights()]
    [3.0, 1.0]

    References:
        Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1 (line search
        Newton-CG); CS231n, "Neural Networks Part 3", second order methods.
    """
    check_number(_OWNER, "damping", damping, low=0)
    check_integer(_OWNER, "max_products", max_products, low=1)
    check_number(_OWNER, "tolerance", tolerance, low=0, high=1, closed="neither")
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
    if objective.bounds() is not None:
        raise UsageError(
            f"{_OWNER}: a NonNeg constraint cannot be kept; `fit` keeps it."
        )
    start = objective.start()
    loss, gradient = objective(start)
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        raise UsageError(f"{_OWNER}: loss ({loss}) or gradient are not finite.")

    def product(vector):
        exact = hessian_product(objective, start, vector, float64)
        return exact + damping * vector

    step, solved = conjugate_gradients(product, gradient, max_products, tolerance)
    size, after = _search(objective, start, step, loss, float(gradient @ step))
    if size > 0:
        objective.write(start + size * step)
    return {
        "loss_before": loss,
        "loss_after": after,
        "gradient_norm": float(np.linalg.norm(gradient)),
        "step_size": size,
        **solved,
    }


def hessian_product(objective, place, vector, double):
    """Returns the Hessian of an objective times a vector, by central differences.

    The error is that of rounding over the distance, plus the square of the distance:
    the cube root of the precision is the best distance.

    Args:
        objective: Function `vector -> (loss, gradient)`.
        place: Vector where the Hessian is taken.
        vector: Vector to multiply, of the same length.
        double: Whether the objective computes in float64.
    """
    norm = float(np.linalg.norm(vector))
    if norm == 0:
        return np.zeros_like(vector)
    precision = np.finfo("float64" if double else "float32").eps
    # Of the size of a usual weight, so that one large vector moves none too far.
    scale = max(1.0, float(np.linalg.norm(place)))
    distance = np.cbrt(precision) * scale / norm
    _, above = objective(place + distance * vector)
    _, below = objective(place - distance * vector)
    return (above - below) / (2 * distance)


def conjugate_gradients(product, gradient, max_products, tolerance):
    """Solves `A step = -gradient` and stops where `A` curves downwards.

    Args:
        product: Function `vector -> A vector` of a symmetric `A`.
        gradient: Vector.
        max_products: Limit on calls of `product`.
        tolerance: Share of the gradient's norm that may be left.

    Returns:
        `(step, figures)` with `products`, `residual` and `negative_curvature`.
    """
    step, residual = np.zeros_like(gradient), -gradient
    direction, begun = residual.copy(), float(np.linalg.norm(gradient))
    products, negative = 0, False
    left = begun
    while products < max_products and left > tolerance * begun:
        along = product(direction)
        products += 1
        curvature = float(direction @ along)
        if curvature <= 0:
            negative = True
            step = direction if products == 1 else step
            break
        rate = left**2 / curvature
        step = step + rate * direction
        residual = residual - rate * along
        before, left = left, float(np.linalg.norm(residual))
        direction = residual + (left / before) ** 2 * direction
    return step, {
        "products": products,
        "residual": left / begun if begun else 0.0,
        "negative_curvature": negative,
    }


def _search(objective, start, step, loss, slope):
    """Returns `(share of the step, loss there)`; a share of 0 where none is lower."""
    size = 1.0
    for _ in range(_HALVINGS):
        found, _ = objective(start + size * step)
        if np.isfinite(found) and found <= loss + _SUFFICIENT * size * slope:
            return size, found
        size /= 2
    return 0.0, loss
