import functools
import math

import keras
import numpy as np
import pytest

from keras_practices.callbacks.batch_loss import BatchLoss
from keras_practices.callbacks.learning_rate_finder import LRFinder
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError

RNG = np.random.default_rng(1)
Y = np.arange(48) % 3
X = (RNG.normal(size=(48, 4)) + 2 * Y[:, None]).astype("float32")
NOTHING = dict.fromkeys(("steepest", "minimum_over_10", "valley"))
# Where only the model is looked at, the few noisy batches may be too few for a curve.
any_curve = pytest.mark.filterwarnings("ignore:LRFinder. the test took")


@functools.cache
def told_model():
    """Its loss is the target: one for all tests of curves."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", lambda y_true, y_pred: y_true + 0 * y_pred)
    return model


def shown(losses, epochs=1, callbacks=(), **arguments):
    """The finder after a fit in which the batches have these losses."""
    finder = LRFinder(steps=arguments.pop("steps", len(losses)), **arguments)
    y = np.asarray(losses, "float32").reshape(-1, 1)
    settings = {"batch_size": 1, "shuffle": False, "verbose": 0, "epochs": epochs}
    told_model().fit(np.ones_like(y), y, callbacks=[*callbacks, finder], **settings)
    return finder


def warned(match, *arguments, **settings):
    """As `shown`, with exactly one warning of ours."""
    with pytest.warns(KerasPracticesWarning, match=match) as caught:
        finder = shown(*arguments, **settings)
    assert [item.category for item in caught].count(KerasPracticesWarning) == 1
    return finder


def means(values, weight):
    """Exponential means without bias, from the definition."""
    powers = weight ** np.arange(len(values))
    sums = [values[:n] @ powers[:n][::-1] for n in range(1, len(values) + 1)]
    return sums / np.cumsum(powers)


def curve(steps=100, centre=1e-3, edge=0.1):
    """Flat, a fall of about a decade around `centre`, then a rise beyond `edge`."""
    x = np.linspace(-7, 1, steps)
    fall = 2 / (1 + np.exp(8 * (x - math.log10(centre))))
    return 0.5 + fall + np.expm1(np.maximum(0, 8 * (x - math.log10(edge))))


def test_losses_are_those_of_the_batches_over_several_epochs():
    losses = RNG.uniform(1, 2, 12)
    finder = warned("40 of 40 steps. No sugg", losses, 99, steps=40, smoothing=0.7)
    seen = np.tile(losses, 4)[:40]
    expected = (10 ** np.linspace(-7, 1, 40), seen, means(seen, 0.7))
    np.testing.assert_allclose(list(finder.history.values()), expected, rtol=1e-4)
    assert [*finder.history] == ["learning_rate", "loss", "smoothed"]
    assert not finder.model.stop_training


@pytest.mark.parametrize("centre", [1e-4, 1e-2])
@pytest.mark.parametrize("steps", [50, 100, 300])
def test_suggestions_lie_where_the_curve_says(steps, centre):
    finder = shown(curve(steps, centre, edge=30 * centre))
    assert finder.suggestions.keys() == NOTHING.keys()
    assert len(finder.history["loss"]) < steps
    # A step may be a sixth of a decade, the smoothing reaches over half of one.
    assert abs(math.log10(finder.suggestions["steepest"] / centre)) < 0.5
    lowest = finder.suggestions["minimum_over_10"] * 10
    assert 3 * centre < lowest < 60 * centre
    assert centre < finder.suggestions["valley"] < lowest
    assert finder.suggestion == sorted(finder.suggestions.values())[1]


def test_smoothing_does_not_shift_the_suggestions():
    # The means lag nine steps of 0.08 decades behind.
    rates = [shown(curve(), smoothing=w).suggestions["steepest"] for w in (0, 0.9)]
    assert abs(math.log10(rates[1] / rates[0])) < 0.4


def test_noise_is_taken_neither_for_the_fall_nor_for_the_rise():
    noise = 0.3 * np.random.default_rng(3).normal(size=100)
    noise[[0, 12]] -= (2, 1)  # the lowest mean, the steepest step
    finder = shown(curve() + noise, stop_factor=1.2)
    assert len(finder.history["loss"]) > 75  # `edge` is at three quarters
    assert all(1e-4 < rate < 1e-1 for rate in finder.suggestions.values())


@pytest.mark.parametrize("shift", [-2.0, -50.0])
def test_a_negative_loss_is_no_reason_to_stop(shift):
    finder, plain = shown(curve() + shift, stop_factor=1.5), shown(curve())
    assert len(finder.history["loss"]) > 75
    for kind, rate in plain.suggestions.items():
        np.testing.assert_allclose(finder.suggestions[kind], rate, rtol=0.3)


@pytest.mark.parametrize("factor", [2.0, 8.0])
def test_fit_ends_where_the_smoothed_loss_exceeds_the_factor(factor):
    losses = np.concatenate([np.linspace(2, 1, 40), np.linspace(1, 41, 60)])
    smoothed = means(losses, 0.8)
    above = smoothed > factor * np.minimum.accumulate(smoothed)
    finder = shown(losses, stop_factor=factor)
    assert len(finder.history["loss"]) == np.flatnonzero(above)[0] + 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fit_ends_at_a_loss_that_is_not_finite(value):
    losses = curve(edge=10)
    losses[80] = value
    finder = shown(losses)
    assert len(finder.history["loss"]) == 81
    assert not math.isfinite(finder.history["smoothed"][-1])
    assert 1e-4 < finder.suggestion < 1e-2


@pytest.mark.parametrize("shape", ["noise", "rise", "flat", "not finite"])
def test_nothing_is_suggested_without_a_fall(shape):
    losses = {
        "noise": 3 + np.random.default_rng(5).normal(size=100),
        "rise": np.linspace(1, 3, 100),
        "flat": np.ones(100),
        "not finite": np.full(100, np.nan),
    }
    finder = warned("No suggestion", losses[shape])
    assert len(finder.history["loss"]) == (1 if shape == "not finite" else 100)
    assert finder.suggestion is None
    assert finder.suggestions == NOTHING


@pytest.mark.parametrize(("batches", "found"), [(30, False), (60, True)])
def test_a_fit_that_ends_too_early_says_so(batches, found):
    text = f"took {batches} of 100 steps.*Pass more epochs"
    finder = warned(text, curve()[:batches], steps=100)
    assert (finder.suggestion is not None) is found


class Weight(keras.callbacks.Callback):
    """Notes the one weight before the first batch and after every batch."""

    def on_train_begin(self, logs=None):
        self.values = [0.0]

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(self.model.get_weights()[0][0, 0]))


@any_curve
@pytest.mark.parametrize("case", ["plain", "execution", "accumulation"])
def test_rate_of_each_update(case, backend):
    if case == "execution" and backend == "torch":
        pytest.skip("Keras has no steps_per_execution on PyTorch")
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])
    groups = 3 if case == "accumulation" else None
    optimizer = keras.optimizers.SGD(0.5, gradient_accumulation_steps=groups)
    updates = 3 if case == "execution" else 1
    model.compile(optimizer, lambda _, y_pred: y_pred, steps_per_execution=updates)
    finder, weight, ones = LRFinder(1e-4, 1, steps=12), Weight(), np.ones((6, 1))
    model.fit(
        ones, ones, batch_size=1, epochs=12, verbose=0, callbacks=[weight, finder]
    )
    rates = 1e-4 ** (1 - np.arange(12) / 11)
    np.testing.assert_allclose(finder.history["learning_rate"], rates, rtol=1e-9)
    # The gradient is 1: every update moves the weight, the loss, down by the rate.
    moves = -np.diff(weight.values)
    np.testing.assert_allclose(moves[moves > 0], rates * updates, rtol=1e-3)
    before = -np.cumsum(np.repeat(rates, updates)) + np.repeat(rates, updates)
    losses = before.reshape(12, updates).mean(axis=1)
    np.testing.assert_allclose(finder.history["loss"], losses, rtol=1e-3, atol=1e-6)
    assert float(model.optimizer.learning_rate.value) == 0.5
    assert model.get_weights()[0].item() == 0


@functools.cache
def linear_model(momentum):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1, momentum=momentum), "mse")
    return model


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("curvature", [0.5, 20.0, 1e4])
@pytest.mark.parametrize("whole", [True, False])
def test_quadratic_with_known_curvature(curvature, momentum, whole):
    model, finder, rng = linear_model(momentum), LRFinder(), np.random.default_rng(0)
    curvatures = curvature * np.array([1, 0.5, 0.2, 0.1])
    # The second derivative of the loss is 2 / rows * x.T @ x.
    x = np.linalg.qr(rng.normal(size=(32, 4)))[0] * np.sqrt(32 * curvatures / 2)
    # A hundred batches: of all rows, or of rows drawn at random.
    x = x[np.tile(np.arange(32), 100) if whole else rng.integers(32, size=3200)]
    y = x @ np.ones((4, 1))
    model.fit(x, y, shuffle=False, verbose=0, callbacks=[finder])
    limit = 2 * (1 + momentum) / curvature
    for rate in (finder.suggestion, *finder.suggestions.values()):
        assert limit / 1000 < rate < limit


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "nadam": lambda: keras.optimizers.Nadam(0.01, gradient_accumulation_steps=2),
    "average": lambda: keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=7),
    "scaled": lambda: keras.optimizers.SGD(0.01, use_ema=True),
    "bfloat16": lambda: keras.optimizers.SGD(0.01),
}
POLICIES = {"scaled": "mixed_float16", "bfloat16": "bfloat16"}


def noisy_model(name, optimizer=None):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(7)
    keras.config.set_dtype_policy(POLICIES.get(name, "float32"))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6)])
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dropout(0.4, seed=3))
    model.add(keras.layers.Dense(3, activation="softmax", dtype="float32"))
    model.compile(optimizer or OPTIMIZERS[name](), "sparse_categorical_crossentropy")
    return model


def train(model, *callbacks, epochs=10):
    arguments = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **arguments)


def bits(model):
    """Everything that a model and its optimizer hold."""
    variables = [*model.variables, *model.optimizer.variables]
    return {v.path: np.array(keras.ops.convert_to_numpy(v.value)) for v in variables}


def trained_model(name):
    model = noisy_model(name)
    train(model, epochs=1)
    return model, bits(model)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path, strict=True)


@any_curve
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_trained_model_is_left_as_it_was(name):
    model, before = trained_model(name)
    finder = LRFinder(max_rate=0.1, steps=10)
    train(model, finder)
    assert len(finder.history["loss"]) > 2
    assert_same(bits(model), before)
    assert hasattr(model.optimizer, "inner_optimizer") is (name == "scaled")


@any_curve
def test_a_later_fit_goes_as_without_the_test():
    ends = []
    for finders in ([], [LRFinder(steps=10)]):
        model = noisy_model("average")
        for finder in finders:
            train(model, finder)
        train(model, epochs=2)
        ends.append(bits(model))
    assert_same(ends[1], ends[0])


@any_curve
def test_statistics_of_a_wrapped_module(backend):
    if backend != "torch":
        pytest.skip("PyTorch only")
    import torch

    module = torch.nn.BatchNorm1d(4)
    wrapped = keras.layers.TorchModuleWrapper(module, output_shape=(None, 4))
    inner = keras.Sequential([keras.Input((4,)), wrapped])
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    train(model, LRFinder(steps=10))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


class Interrupt(keras.callbacks.Callback):
    """Interrupts a step: on JAX it has the buffers, and nobody has its results."""

    def on_train_begin(self, logs=None):
        function, calls = self.model.train_function, []

        def interrupted(*arguments):
            calls.append(function(*arguments))
            if len(calls) == 5:
                self._model.train_function = function
                raise KeyboardInterrupt
            return calls[-1]

        self._model.train_function = interrupted


@any_curve
def test_interrupts():
    (model, before), finder = trained_model("average"), LRFinder(steps=10)
    with pytest.raises(KeyboardInterrupt):
        train(model, finder, Interrupt())
    finder.restore()
    assert_same(bits(model), before)
    finder.restore()  # once is enough

    with pytest.raises(KeyboardInterrupt):
        train(model, finder, Interrupt())
    with pytest.warns(KerasPracticesWarning, match="is put back"):
        train(model, finder)
    assert_same(bits(model), before)


@any_curve
@pytest.mark.parametrize("recompiled", [False, True])
def test_training_after_an_interrupt_is_never_undone(recompiled):
    model, finder = noisy_model("sgd"), LRFinder(steps=10)
    hook = {"on_train_batch_end": lambda batch, logs: 1 / (2 - batch)}
    with pytest.raises(ZeroDivisionError):
        train(model, finder, keras.callbacks.LambdaCallback(**hook))
    if recompiled:
        model.compile("adam", "sparse_categorical_crossentropy")
    train(model, epochs=1)
    before = bits(model)
    with pytest.warns(KerasPracticesWarning, match="stays as it is"):
        train(model, finder)
    assert_same(bits(model), before)


def test_a_fault_of_the_finder_ends_the_fit(monkeypatch):
    monkeypatch.setattr(BatchLoss, "read", lambda *arguments: 1 / 0)
    before, weight = bits(told_model()), Weight()
    finder = warned("ZeroDivisionError", np.ones(50), callbacks=[weight])
    assert_same(bits(told_model()), before)
    assert len(weight.values) < 5
    assert finder.suggestion is None


@pytest.mark.parametrize("kind", ["schedule", "several"])
def test_optimizers_without_one_rate_are_refused_before_the_first_step(kind):
    optimizers, sgd = keras.optimizers, keras.optimizers.SGD(0.1)
    if kind == "schedule":
        optimizer = optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 100))
    else:
        optimizer = optimizers.MultiOptimizer(optimizers.OptimizerMap(sgd))
    model, weight = noisy_model("", optimizer), Weight()
    with pytest.raises(TypeError, match="one plain learning rate.*Compile with"):
        train(model, LRFinder(), weight)
    assert not hasattr(weight, "values")


@any_curve
@pytest.mark.parametrize("half", [False, True])
def test_a_model_without_weights_is_refused_or_built(half, backend):
    model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.built = half
    if backend == "tensorflow":
        # Keras makes the weights in the first step there, too late for a copy.
        with pytest.raises(ValueError, match="`model` must be built"):
            train(model, LRFinder(steps=10))
    else:
        train(model, LRFinder(steps=10))
        assert not np.any(model.get_weights()[-1])  # biases begin at 0


@pytest.mark.parametrize(
    "name", ["min_rate", "max_rate", "steps", "stop_factor", "smoothing"]
)
@pytest.mark.parametrize("value", [-1, math.nan, "1"])
def test_bad_arguments(name, value):
    with pytest.raises((TypeError, ValueError), match=f"LRFinder: argument `{name}`"):
        LRFinder(**{name: value})
    with pytest.raises(ValueError, match="argument `max_rate` must be .* \\(1.0, inf"):
        LRFinder(1.0, 1.0)


def test_plot(tmp_path):
    with pytest.raises(UsageError, match="no test yet"):
        LRFinder().plot()
    finder = shown(curve())
    axes = finder.plot(tmp_path / "curve.png").axes[0]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert axes.get_xscale() == "log"
    batch, smoothed, *marks = axes.get_lines()
    np.testing.assert_array_equal(batch.get_ydata(), finder.history["loss"])
    np.testing.assert_array_equal(smoothed.get_ydata(), finder.history["smoothed"])
    assert {mark.get_xdata()[0] for mark in marks} == {*finder.suggestions.values()}
    assert axes.get_ylim()[1] < max(smoothed.get_ydata())
