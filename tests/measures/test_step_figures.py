"""Figures of sampled steps against a training in NumPy float64."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from step_reference import Network
from step_reference import Steps
from step_reference import adam
from step_reference import all_at_most
from step_reference import array
from step_reference import back_to_start
from step_reference import check_record
from step_reference import check_same
from step_reference import each_at_most
from step_reference import sgd
from step_reference import train

from keras_practices.callbacks import TrainingMonitor

# Six batches in one long epoch; the last one is never sampled.
BATCH, STEPS = 10, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH * STEPS, 6)).astype("float32")
Y = RNG.normal(size=(BATCH * STEPS, 3)).astype("float32")
CLASSES = np.eye(3, dtype="float32")[RNG.integers(0, 3, BATCH * STEPS)]
ROW_WEIGHTS = RNG.uniform(0.1, 3.0, size=BATCH * STEPS).astype("float32")
SHAPES = [(6, 5), (5,), (5, 4), (4,), (4, 3), (3,)]
# Wide enough for clipping and saturation; the first unit is dead.
WEIGHTS = [RNG.normal(0, 0.8, size=shape).astype("float32") for shape in SHAPES]
WEIGHTS[1][0] = -8.0
ACTIVATIONS = {"one": "relu", "two": "tanh", "three": "linear"}


@dataclasses.dataclass
class Case:
    """An optimizer of Keras and the same in NumPy."""

    optimizer: Callable[[], Any]
    update: Callable[[], Any]
    rate: Callable[[int], float] = lambda step: 0.1
    options: dict = dataclasses.field(default_factory=dict)
    cross_entropy: bool = False
    row_weights: bool = False
    l2: float = 0.0
    constraint: Any = None
    policy: str = "float32"
    rtol: float = 1e-4


def constant(step):
    return 0.1


def small(step):
    return 0.01


def decaying(step):
    return 0.1 * 0.5 ** (step / 2)


def at_most_one(weights):
    """What `MaxNorm(1.0)` does to the second kernel: the columns have norm 1."""
    norms = np.linalg.norm(weights[2], axis=0)
    kernel = weights[2] * np.minimum(norms, 1) / (1e-7 + norms)
    return [*weights[:2], kernel, *weights[3:]]


optimizers = keras.optimizers
CASES = {
    "weighted rows and a penalty": Case(
        lambda: optimizers.SGD(0.1),
        lambda: sgd(constant),
        row_weights=True,
        l2=0.01,
    ),
    "momentum": Case(
        lambda: optimizers.SGD(0.1, momentum=0.9, loss_scale_factor=1024.0),
        lambda: sgd(constant, momentum=0.9),
    ),
    "nesterov, all clipped together": Case(
        lambda: optimizers.SGD(
            optimizers.schedules.ExponentialDecay(0.1, 2, 0.5),
            momentum=0.9,
            nesterov=True,
            global_clipnorm=0.1,
        ),
        lambda: sgd(decaying, momentum=0.9, nesterov=True),
        rate=decaying,
        options={"clip": all_at_most(0.1)},
        cross_entropy=True,
        row_weights=True,
    ),
    "adam, each clipped": Case(
        lambda: optimizers.Adam(0.01, clipnorm=0.05),
        lambda: adam(small),
        rate=small,
        options={"clip": each_at_most(0.05)},
    ),
    "adamw and a constraint": Case(
        lambda: optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: adam(small, decay=0.1),
        rate=small,
        options={"project": at_most_one},
        constraint=lambda: keras.constraints.MaxNorm(1.0, axis=0),
    ),
    "accumulated gradients": Case(
        lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2, clipnorm=0.05),
        lambda: sgd(constant),
        options={"every": 2, "clip": each_at_most(0.05)},
    ),
    "averaged weights": Case(
        lambda: optimizers.SGD(
            0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
        ),
        lambda: sgd(constant),
        options={"average": (0.5, 2)},
    ),
    # `compile` puts a `LossScaleOptimizer` around the optimizer. Float16 has three
    # digits, and each figure is a sum of many of its numbers.
    "mixed precision": Case(
        lambda: optimizers.SGD(0.1, clipnorm=0.5),
        lambda: sgd(constant),
        options={"clip": each_at_most(0.5)},
        policy="mixed_float16",
        rtol=1e-2,
    ),
}


def make_model(case):
    keras.config.set_dtype_policy(case.policy)
    penalty = keras.regularizers.L2(case.l2) if case.l2 else None
    constraint = case.constraint() if case.constraint else None
    dense = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input((6,)),
            dense(5, activation="relu", name="one", kernel_regularizer=penalty),
            dense(4, activation="tanh", name="two", kernel_constraint=constraint),
            dense(3, name="three"),
        ]
    )
    loss = "mse"
    if case.cross_entropy:
        model.layers[-1].activation = keras.activations.softmax
        loss = "categorical_crossentropy"
    model.compile(case.optimizer(), loss)
    model.set_weights(WEIGHTS)
    return model


def fit(model, case, *callbacks, epochs=1):
    y = CLASSES if case.cross_entropy else Y
    rows = ROW_WEIGHTS if case.row_weights else None
    model.fit(
        X,
        y,
        sample_weight=rows,
        batch_size=BATCH,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    starts = range(0, len(X), BATCH)
    cut = [slice(start, start + BATCH) for start in starts]
    return [(X[c], y[c], None if rows is None else rows[c]) for c in cut]


def expected_steps(case, batches, paths):
    """Figures of each step by the same training in NumPy."""
    network = Network(WEIGHTS, cross_entropy=case.cross_entropy, l2=case.l2)
    last = "softmax" if case.cross_entropy else "linear"
    steps = Steps(ACTIVATIONS | {"three": last})
    for loss, *weights, outputs in train(
        network, batches, case.update(), **case.options
    ):
        by_path = [dict(zip(paths, values, strict=True)) for values in weights]
        outputs = {n: [o] for n, o in zip(ACTIVATIONS, outputs, strict=True)}
        steps.add(loss, *by_path, outputs)
    return steps.found, network.weights


@pytest.mark.parametrize("name", CASES)
def test_every_figure_is_that_of_numpy(name):
    case = CASES[name]
    model, monitor = make_model(case), TrainingMonitor(every=1, overhead=1.0)
    batches = fit(model, case, monitor)
    scales = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales == (case.policy == "mixed_float16")
    watched = [array(v.value) for v in model.variables]
    paths = [v.path for v in model.trainable_variables]
    steps, weights = expected_steps(case, batches, paths)
    sampled = range(1, STEPS)
    check_record(monitor.record, steps, rtol=case.rtol, of_steps=sampled)
    rates = [case.rate(step) for step in range(STEPS)]
    found = monitor.record.curve("learning_rate")[1]
    np.testing.assert_allclose(found, rates, rtol=1e-5)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=case.rtol, atol=case.rtol / 100)
    # The same training without the monitor, and one with few samples.
    back_to_start(model, WEIGHTS)
    fit(model, case)
    check_same(watched, [array(v.value) for v in model.variables])
    back_to_start(model, WEIGHTS)
    sparse = TrainingMonitor(every=3, overhead=1.0)
    fit(model, case, sparse)
    check_record(sparse.record, steps, rtol=case.rtol, of_steps=[1, 2, 4])


@pytest.mark.parametrize(
    "name",
    [
        "adam, each clipped",
        "accumulated gradients",
        "averaged weights",
        "mixed precision",
    ],
)
def test_figures_of_large_weights(name, monkeypatch):
    """Measured one by one; where a compiler orders the sums, before their updates."""
    for module in ("weight_figures", "step_catch"):
        monkeypatch.setattr(f"keras_practices.measures.{module}.LARGE", 4)
    case = CASES[name]
    model, monitor = make_model(case), TrainingMonitor(every=1, overhead=1.0)
    batches = fit(model, case, monitor)
    watched = [array(v.value) for v in model.variables]
    paths = [v.path for v in model.trainable_variables]
    steps, _ = expected_steps(case, batches, paths)
    check_record(monitor.record, steps, rtol=case.rtol, of_steps=range(1, STEPS))
    back_to_start(model, WEIGHTS)
    fit(model, case)
    check_same(watched, [array(v.value) for v in model.variables])


def test_the_cases_are_what_their_names_say():
    """Clipping clips, an update is left out, the average moves the weights."""

    def steps_of(name):
        case = CASES[name]
        y = CLASSES if case.cross_entropy else Y
        rows = ROW_WEIGHTS if case.row_weights else np.ones(len(X))
        cut = [slice(s, s + BATCH) for s in range(0, len(X), BATCH)]
        batches = [(X[c], y[c], rows[c]) for c in cut]
        return expected_steps(case, batches, [str(i) for i in range(6)])[0]

    for name in ("adam, each clipped", "accumulated gradients"):
        norms = [s["weights"]["0"]["gradient_norm"] for s in steps_of(name)]
        assert min(norms) > 0.05
    updates = [s["weights"]["0"]["update_norm"] for s in steps_of(name)]
    assert updates[0] == updates[2] == 0
    assert updates[1] > 0
    averaged = [s["weights"]["0"] for s in steps_of("averaged weights")]
    plain = 0.1 * averaged[1]["gradient_norm"]
    assert averaged[1]["update_norm"] < 0.8 * plain
    layers = [s["layers"] for s in steps_of("momentum")]
    assert max(layer["two"]["saturated"] for layer in layers) > 0
    assert min(layer["one"]["inactive"] for layer in layers) > 0


def test_an_overflow_is_counted_and_changes_nothing():
    """Float16 ends at 65504: the first gradients are scaled beyond it."""
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="one")])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    monitor = TrainingMonitor(every=1, overhead=1.0)
    y = np.zeros_like(Y)
    # The error of the first output alone is large.
    y[:, 0] = 100.0
    model.fit(X, y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[monitor])
    first, *_, last = (line["weights"] for line in monitor.record.samples)
    kernel, bias = first.values()
    assert kernel["gradient_finite"] == pytest.approx(2 / 3)
    assert bias["gradient_finite"] == pytest.approx(2 / 3)
    assert kernel["gradient_norm"] in ("inf", "nan")
    assert kernel["update_norm"] == bias["update_norm"] == 0
    assert kernel["finite"] == 1
    # Each step halves the scale, until the gradients fit.
    kernel, bias = last.values()
    assert kernel["gradient_finite"] == 1
    assert bias["update_norm"] == pytest.approx(1e-3 * bias["gradient_norm"], rel=1e-4)


def test_the_spread_far_from_zero():
    """Outputs around 1000: float32 squares have no digit left for their spread."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="one")])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    kernel = WEIGHTS[0][:, :3]
    model.set_weights([kernel, np.full(3, 1000.0)])
    monitor = TrainingMonitor(every=1, overhead=1.0)
    model.fit(X, Y, batch_size=len(X), shuffle=False, verbose=0, callbacks=[monitor])
    outputs = X[:8].astype("float64") @ kernel.astype("float64") + 1000
    figures = monitor.record.samples[0]["layers"]["one"]
    # The outputs themselves are off by 3e-5, half a digit of float32 at 1000.
    assert figures["std"] == pytest.approx(outputs.std(), rel=1e-4)
    assert figures["mean"] == pytest.approx(outputs.mean(), rel=1e-6)
