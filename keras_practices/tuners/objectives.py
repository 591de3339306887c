"""Which figure decides, and whether less of it is better."""

from typing import Any

from keras_practices._core.optional import require
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

keras_tuner = require("keras_tuner", "search", "keras_practices.tuners")

# keras-tuner takes any metric of Keras's that it does not know for one to minimize,
# so it minimizes `val_f1_score` and `val_r2_score`. These endings are safe.
_SMALLER_IS_BETTER = (
    "loss",
    "error",
    "crossentropy",
    "hinge",
    "divergence",
    "logcosh",
    "log_cosh",
    "poisson",
    "mse",
    "mae",
    "mape",
    "msle",
)


def checked_objective(owner: Any, objective: Any) -> Any:
    """Returns an objective whose direction is known for sure.

    Args:
        owner: Object or name that messages begin with.
        objective: A name in the logs, a `keras_tuner.Objective`, a list of these, or
            None for a float to minimize.

    Returns:
        `keras_tuner.Objective`, a list of them, or None.

    Raises:
        TypeError: none of these.
        ValueError: a name that does not tell whether less is better.
    """
    if isinstance(objective, list | tuple):
        return [checked_objective(owner, item) for item in objective]
    if objective is None or isinstance(objective, keras_tuner.Objective):
        return objective
    if not isinstance(objective, str):
        raise type_error(
            owner, "objective", "a name or a keras_tuner.Objective", objective
        )
    if objective.endswith(_SMALLER_IS_BETTER):
        return keras_tuner.Objective(objective, "min")
    if _is_known_to_be_maximized(objective):
        return keras_tuner.Objective(objective, "max")
    raise value_error(
        owner,
        "objective",
        "a keras_tuner.Objective where the name does not tell whether less is better",
        objective,
        f'Pass keras_tuner.Objective("{objective}", direction="max"), or "min".',
    )


def describe_objective(objective: Any) -> dict[str, Any]:
    """Returns an objective as JSON-safe values."""
    table = {"name": objective.name, "direction": objective.direction}
    parts = getattr(objective, "name_to_direction", None)
    return table if parts is None else {**table, "parts": dict(parts)}


def _is_known_to_be_maximized(name):
    infer = keras_tuner.engine.metrics_tracking.infer_metric_direction
    try:
        return infer(name) == "max"
    except TypeError:  # it builds the metric, and some need arguments
        return False
