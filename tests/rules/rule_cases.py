"""Hand-written figures for every rule: healthy, sick, both sides of the boundary."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass
class Case:
    """Figures and what a rule must say about them."""

    healthy: dict[str, Any]
    sick: dict[str, Any]
    severity: str
    subject: str
    advice: str
    silent: dict[str, Any]  # on the threshold
    fires: dict[str, Any]  # just past it


def finite(name, bad=0):
    found = {"rows": 100, "bad_rows": bad, "nan": bad, "inf": 0, "first_bad_row": 3}
    return {name: found}


def scale(rms, low=-1.0, high=1.0):
    return {"first_inputs": {"dense": {"rms": rms, "min": low, "max": high}}}


CLASSES = {"kind": "classes", "shape": [], "min": 0.0, "max": 2.0, "distinct": 3}
BINARY = {"kind": "binary", "shape": [], "min": 0.0, "max": 1.0, "distinct": 2}


def output(target=CLASSES, **changes):
    head = {
        "name": "answer",
        "shape": [3],
        "layer": "dense_1",
        "activation": "softmax",
        "softmax_axis": None,
        "loss": "sparse_categorical_crossentropy",
        "from_logits": False,
        "target": target,
        "several": False,
    }
    return {"outputs": [{**head, **changes}]}


def training(**changes):
    if "kept" in changes and "last_loss" not in changes:
        changes["last_loss"] = 2.0 * changes["kept"]
    figures = {
        "steps": 100,
        "start_loss": 2.0,
        "last_loss": 0.2,
        "kept": 0.1,
        "first_not_finite": None,
        "first_not_finite_epoch": None,
        "training_losses": [1.0, 0.6, 0.4, 0.3, 0.2],
        "validation_losses": [1.1, 0.7, 0.5, 0.45, 0.4],
        "update_ratio": 1e-3,
        "learning_rate": 0.01,
        "floor": 0.0,
        "chance": 2.0,
    }
    return {"training": {**figures, **changes}}


def trials(**ends):
    """Figures of trials that begin at 2.0; `x1=0.5` ended at 0.5 with the own rate."""
    factors = {"d100": 0.01, "d10": 0.1, "x1": 1.0, "x10": 10.0, "x100": 100.0}
    return [
        {
            "factor": factors[name],
            "learning_rate": 0.01 * factors[name],
            "first_loss": 2.0,
            "last_loss": end,
            "steps": 50,
        }
        for name, end in ends.items()
    ]


def rates(last_loss, ends, **changes):
    kept = 1.0 if last_loss is None else last_loss / 2.0
    figures = training(last_loss=last_loss, kept=kept, **changes)
    return {**figures, "rate_trials": trials(**ends) if ends else None}


def tiny(best, **changes):
    figures = {
        "rows": 20,
        "steps": 200,
        "first_loss": 2.0,
        "last_loss": best,
        "best_loss": best,
        "floor": 0.0,
        "learning_rate": 0.01,
        "still_falling": False,
        "stuck_units": [],
    }
    return {"tiny_subset": {**figures, **changes}}


def first_loss(loss, *, unbounded=False, chance=2.0):
    return {
        "initial_loss": {
            "data_loss": loss,
            "regularization_loss": 0.0,
            "rows": 256,
            "chance": chance,
            "words": "ln 7.39",
            "unbounded": unbounded,
        }
    }


def penalty(value, regularized=("dense/kernel",), lost=()):
    figures = first_loss(1.0)
    figures["initial_loss"]["regularization_loss"] = value
    model = {"regularized": list(regularized), "regularizers_lost": list(lost)}
    return {**figures, "model": model}


def units(share, *, rows=64, before=None, run=None):
    layer = {"activation": "relu", "inactive": share}
    figures = {"probe_rows": rows, "layers": {"hidden": layer}}
    if before is not None:
        figures["layers_before"] = {"hidden": {"inactive": before}}
    return {**figures, **(run or {})}


def openings(count):
    return {"openings": [{"reason": f"reason {n}"} for n in range(count)]}


CASES = {
    "inputs-not-finite": Case(
        healthy={"inputs_finite": finite("x")},
        sick={"inputs_finite": finite("x", 7)},
        severity="error",
        subject="x",
        advice="numpy.nan_to_num(x)",
        silent={"inputs_finite": {}},
        fires={"inputs_finite": finite("x", 1)},
    ),
    "targets-not-finite": Case(
        healthy={"targets_finite": finite("y")},
        sick={"targets_finite": finite("y", 7)},
        severity="error",
        subject="y",
        advice="numpy.nan_to_num(y)",
        silent={"targets_finite": {}},
        fires={"targets_finite": finite("y", 1)},
    ),
    "inputs-not-scaled": Case(
        healthy=scale(1.0),
        sick=scale(130.0, 0.0, 255.0),
        severity="error",
        subject="dense",
        advice="Rescaling(1 / 255)",
        silent=scale(20.0),
        fires=scale(20.1),
    ),
    "learning-rate-too-high": Case(
        healthy=rates(0.2, {"d10": 0.9, "x1": 0.3, "x10": 2.5}),
        sick=rates(2.1, {"d100": 1.5, "d10": 0.4, "x1": 2.2, "x10": math.inf}),
        severity="error",
        subject="optimizer",
        advice="Set learning_rate=0.001.",
        # 30 points of 2.0 are 0.6: as far must the lower rate be ahead.
        silent=rates(1.0, {"d10": 1.0, "x1": 1.59, "x10": 2.0}),
        fires=rates(1.0, {"d10": 1.0, "x1": 1.61, "x10": 2.0}),
    ),
    "learning-rate-too-low": Case(
        healthy=rates(0.2, {"d10": 1.8, "x1": 1.0, "x10": 0.6}),
        sick=rates(1.98, {"d10": 1.99, "x1": 1.99, "x10": 1.0, "x100": 0.1}),
        severity="error",
        subject="optimizer",
        advice="Set learning_rate=1.",
        silent=rates(1.99, None, update_ratio=1e-4),
        fires=rates(1.99, None, update_ratio=0.9e-4),
    ),
    "softmax-degenerate": Case(
        healthy=output(),
        sick=output(BINARY, shape=[1], loss="binary_crossentropy"),
        severity="error",
        subject="dense_1",
        advice="Dense(1, activation='sigmoid')",
        silent=output(softmax_axis=-1),
        fires=output(softmax_axis=0),
    ),
    "loss-output-mismatch": Case(
        healthy=output(),
        sick=output(activation="linear"),
        severity="error",
        subject="answer",
        advice="from_logits=True",
        silent=output(activation="linear", from_logits=True),
        fires=output(activation="relu"),
    ),
    "output-units-mismatch": Case(
        healthy=output(),
        sick=output({**CLASSES, "min": 1.0, "max": 3.0}),
        severity="error",
        subject="dense_1",
        advice="y = y - 1",
        silent=output(shape=[3]),
        fires=output(shape=[2]),
    ),
    "initialization-symmetric": Case(
        healthy=tiny(0.0),
        sick=tiny(2.0, stuck_units=["dense/kernel", "dense_1/kernel"]),
        severity="error",
        subject="dense/kernel",
        advice="kernel_initializer='he_normal'",
        silent=tiny(0.0, equal_units=["dense/kernel"]),
        fires=tiny(0.0, equal_units=["k"], stuck_units=["k"]),
    ),
    "initial-loss-off-chance": Case(
        healthy=first_loss(2.1),
        sick=first_loss(37.0),
        severity="warning",
        subject="loss",
        advice="about 2:",
        silent=first_loss(5.0),
        fires=first_loss(5.01),
    ),
    "regularization-has-no-effect": Case(
        healthy=penalty(0.3),
        sick=penalty(0.0, regularized=(), lost=("dense",)),
        severity="warning",
        subject="dense",
        advice="keras.regularizers.L2(1e-4)",
        silent=penalty(1e-9),
        fires=penalty(0.0),
    ),
    "cannot-overfit-tiny-subset": Case(
        healthy=tiny(0.01),
        sick=tiny(1.9),
        severity="error",
        subject="trial on 20 rows",
        advice="learning_rate=0.001",
        silent=tiny(1.0),
        fires=tiny(1.01),
    ),
    "training-raised": Case(
        healthy={"exception": None},
        sick={"exception": {"type": "ValueError", "text": "ValueError: x", "steps": 0}},
        severity="error",
        subject="fit",
        advice="run again",
        silent={},
        fires={"exception": {"type": "OSError", "text": "OSError: y", "steps": 9}},
    ),
    "loss-not-finite": Case(
        healthy=training(),
        sick=training(first_not_finite=12, first_not_finite_epoch=0.6),
        severity="error",
        subject="loss",
        advice="divide the learning rate by 10",
        silent=training(first_not_finite=None),
        fires=training(first_not_finite=0, first_not_finite_epoch=0.1),
    ),
    "loss-diverging": Case(
        healthy=training(),
        sick=training(last_loss=9.0),
        severity="error",
        subject="loss",
        advice="Divide the learning rate by 10",
        silent=training(last_loss=4.0),
        fires=training(last_loss=4.01),
    ),
    "loss-not-decreasing": Case(
        healthy=training(),
        sick=training(last_loss=2.0),
        severity="error",
        subject="loss",
        advice="learning rate ×10 and ÷10",
        silent=training(last_loss=1.93),
        fires=training(last_loss=1.95),
    ),
    "overfitting": Case(
        healthy=training(),
        sick=training(validation_losses=[1.0, 0.5, 0.8, 1.0, 1.2]),
        severity="warning",
        subject="validation loss",
        advice="Stop near epoch 2",
        silent=training(validation_losses=[1.5, 1.0, 1.2, 1.2, 1.2]),
        fires=training(validation_losses=[1.5, 1.0, 1.21, 1.21, 1.21]),
    ),
    "dead-units": Case(
        healthy=units(0.1),
        sick=units(1.0),
        severity="error",
        subject="hidden",
        advice="bias_initializer='zeros'",
        silent=units(0.89),
        fires=units(0.9),
    ),
    "test-set-reused": Case(
        healthy=openings(0),
        sick=openings(3),
        severity="warning",
        subject="test set",
        advice="Report the first opening",
        silent=openings(1),
        fires=openings(2),
    ),
}
