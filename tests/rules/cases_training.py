"""Hand-written figures for the rules that read the shape of a training."""

from rule_cases import Case
from rule_cases import tiny
from rule_cases import training
from rule_cases import trials


def curve(values, *, width=10, noise=0.01, **changes):
    """A training that kept half of its loss, with a smoothed curve."""
    figures = {
        "last_loss": 1.0,
        "kept": 0.5,
        "median_curve": list(values),
        "noise": noise,
    }
    return training(**{**figures, "curve_width": width, **changes})


SMOOTH = [2.0 - 0.05 * point for point in range(20)]
# Rises of 0.4 are a fifth of 2.0, what there was to learn.
TWO_RISES = [2.0, 1.0, 1.5, 1.0, 1.5, *[1.0] * 15]
THREE_RISES = [2.0, 1.0, 1.5, 1.0, 1.5, 1.0, 1.5, *[1.0] * 13]


def noisy(rows, noise, **changes):
    losses = [2.0, 1.8, 1.5, 1.8]
    figures = {"last_loss": 1.8, "noise": noise, "probe_losses": losses}
    return {**training(**{**figures, **changes}), "fit": {"batch_size": rows}}


def flow(*gradients, last_loss=1.9):
    names = [f"dense_{place}/kernel" for place in range(len(gradients))]
    third = len(gradients) // 3
    ratio = gradients[0] / gradients[-1] if third else None
    table = dict(zip(names, gradients, strict=True))
    return training(last_loss=last_loss, kernel_gradients=table, gradient_ratio=ratio)


def blown(ratio, growth=1.0, last_loss=1.9, **changes):
    found = {
        "gradient_to_weight": ratio,
        "gradient_growth": growth,
        "first_gradient": 2.0,
        "largest_gradient": 2.0 * growth,
        "largest_gradient_step": 8,
        "gradient_not_finite_step": None,
    }
    return training(**{**found, "last_loss": last_loss, **changes})


def grown(growth, to_glorot=20.0, doublings=0, last_loss=1.9):
    found = {
        "first": 3.0,
        "last": 3.0 * growth,
        "growth": growth,
        "doublings": doublings,
        "to_glorot": to_glorot,
    }
    return training(last_loss=last_loss, weight_growth={"dense/kernel": found})


def flat(last, first=0.1, last_loss=1.9, layer="hidden"):
    layers = {
        layer: {"activation": "tanh", "first": first, "last": last},
        "answer": {"activation": "sigmoid", "first": 0.0, "last": 1.0},
    }
    figures = training(last_loss=last_loss, saturation=layers)
    return {**figures, "outputs": [{"layer": "answer"}]}


def short(last_loss, *, steps=100, late=0.15, ends=None, **changes):
    """Fell from 2.0 with a late fall in shares of the whole one."""
    found = {
        "late_share": late,
        "late_fall": late * (2.0 - last_loss),
        "late_error": 0.01,
        "epochs": 5,
    }
    figures = training(**{**found, "last_loss": last_loss, "steps": steps, **changes})
    return {**figures, "rate_trials": trials(**ends) if ends else None}


def resting(last_loss, late=0.04, **changes):
    return training(
        **{"last_loss": last_loss, "late_share": late, "steps": 200, **changes}
    )


def filters(last, *, size=5, steps=200):
    found = {"layer": "conv", "shape": [size, size, 3, 8], "first": 0.0, "last": last}
    return training(steps=steps, filters=found)


CASES = {
    "loss-oscillating": Case(
        healthy=curve(SMOOTH),
        sick=curve([2.0, 5.0, 1.0, 4.0, 1.0, 6.0, 2.0, 1.0, 3.0, 1.0]),
        severity="warning",
        subject="loss",
        advice="learning_rate=0.001",
        silent=curve(TWO_RISES),
        fires=curve(THREE_RISES),
    ),
    "noisy-loss": Case(
        healthy=noisy(32, 3.0),
        sick=noisy(1, 3.0),
        severity="warning",
        subject="batch size",
        advice="batch_size=32",
        silent=noisy(5, 3.0),
        fires=noisy(4, 3.0),
    ),
    "vanishing-gradients": Case(
        healthy=flow(1.0, 2.0, 1.0, 0.5, 1.0, last_loss=0.2),
        sick=flow(1e-6, 1e-4, 1e-3, 1e-2, 0.1),
        severity="error",
        subject="dense_0/kernel",
        advice="kernel_initializer='he_normal'",
        silent=flow(1e-3, 0.1, 0.1, 1.0),
        fires=flow(0.99e-3, 0.1, 0.1, 1.0),
    ),
    "exploding-gradients": Case(
        healthy=blown(1.0),
        sick=blown(1e6, 1e5),
        severity="error",
        subject="gradients",
        advice="clipnorm=1.0",
        silent=blown(1e3),
        fires=blown(1.01e3),
    ),
    "weights-diverging": Case(
        healthy=grown(1.5),
        sick=grown(80.0),
        severity="error",
        subject="dense/kernel",
        advice="learning_rate=0.001",
        silent=grown(10.0),
        fires=grown(10.1),
    ),
    "saturated-units": Case(
        healthy=flat(0.2),
        sick=flat(1.0),
        severity="error",
        subject="hidden",
        advice="Divide the learning rate by 10",
        silent=flat(0.69),
        fires=flat(0.7),
    ),
    "training-too-short": Case(
        healthy=short(0.2),
        sick=short(1.5, steps=40, late=0.4),
        severity="warning",
        subject="epochs",
        advice="epochs=50",
        silent=short(1.2, steps=150),
        fires=short(1.2, steps=149),
    ),
    "underfitting": Case(
        healthy=resting(0.2),
        sick={**resting(1.4), **tiny(1.5)},
        severity="warning",
        subject="training loss",
        advice="four times as many units",
        silent=resting(1.0),
        fires=resting(1.01),
    ),
    "first-layer-filters-noisy": Case(
        healthy=filters(0.6),
        sick=filters(0.0),
        severity="note",
        subject="conv",
        advice="kernel_regularizer",
        silent=filters(0.2),
        fires=filters(0.19),
    ),
}
