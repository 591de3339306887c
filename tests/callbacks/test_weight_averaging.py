import re

import keras
import numpy as np
import pytest

from keras_practices.callbacks.backup import BackupAndRestore
from keras_practices.callbacks.batch_norm import update_batch_norm
from keras_practices.callbacks.top_k_checkpoints import TopKCheckpoints
from keras_practices.callbacks.weight_averaging import WeightAveraging
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
X = (2 + 3 * RNG.normal(size=(40, 3))).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 1).astype("float32")
STEPS = 5


def linear(optimizer=None, **arguments):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(0.01), "mse", **arguments)
    return model


def normalised():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    return model


def fit(model, callbacks, **arguments):
    arguments = {"epochs": 4, "batch_size": 8, "verbose": 0} | arguments
    return model.fit(X, Y, callbacks=callbacks, **arguments)


def values(model):
    return np.concatenate([np.float64(w).reshape(-1) for w in model.get_weights()])


def raw_loss(weights):
    weights = np.float64(weights)
    return np.mean((X @ weights[:3, None] + weights[3] - Y) ** 2)


class Steps(keras.callbacks.Callback):
    """Weights after each step, when an epoch begins, and when it ends."""

    def __init__(self):
        super().__init__()
        self.steps, self.begins, self.ends = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(values(self.model))

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append(values(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(values(self.model))


def exponential(weights, decay, warmup):
    """The average after each step, in float64, from its definition."""
    mean, course = weights[0], []
    for step, value in enumerate(weights):
        kept = min(decay, (1 + step) / (10 + step)) if warmup else decay
        mean = value if step == 0 else kept * mean + (1 - kept) * value
        course.append(mean)
    return course


@pytest.mark.parametrize("warmup", [False, True])
def test_exponential_average(warmup):
    model, seen = linear(), Steps()
    averaging = WeightAveraging(decay=0.8, warmup=warmup)
    history = fit(model, [seen, averaging], validation_data=(X, Y))
    course = exponential(seen.steps, 0.8, warmup)
    at_ends = course[STEPS - 1 :: STEPS]
    assert averaging.count == len(seen.steps) == 4 * STEPS
    np.testing.assert_allclose(seen.ends, at_ends, rtol=1e-5)
    np.testing.assert_allclose(values(model), course[-1], rtol=1e-5)
    # Validation is of the average, training goes on from the running weights.
    expected = [raw_loss(mean) for mean in at_ends]
    np.testing.assert_allclose(history.history["val_loss"], expected, rtol=1e-4)
    np.testing.assert_array_equal(seen.begins[1:], seen.steps[STEPS - 1 : -1 : STEPS])


def test_equals_that_of_keras():
    def course(callbacks, **arguments):
        keras.utils.set_random_seed(0)
        model = linear(keras.optimizers.SGD(0.01, **arguments))
        fit(model, callbacks)
        return values(model)

    ours = course([WeightAveraging(decay=0.8, warmup=False)])
    theirs = course([], use_ema=True, ema_momentum=0.8)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize(("start", "first"), [(None, 2), (1, 1), (0, 0)])
def test_tail_average(start, first):
    model, seen = linear(), Steps()
    averaging = WeightAveraging("tail", start_epoch=start)
    fit(model, [seen, averaging])
    counted = seen.steps[first * STEPS :]
    assert averaging.count == len(counted)
    np.testing.assert_allclose(values(model), np.mean(counted, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(
        seen.ends[:first], seen.steps[STEPS - 1 :: STEPS][:first]
    )


def test_every_second_batch_has_the_decay_of_two():
    model, seen = linear(), Steps()
    fit(model, [seen, WeightAveraging(decay=0.9, warmup=False, every=2)])
    mean = seen.steps[1]
    for value in seen.steps[3::2]:
        mean = 0.9**2 * mean + (1 - 0.9**2) * value
    np.testing.assert_allclose(values(model), mean, rtol=1e-5)


def test_steps_per_execution():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras has no steps_per_execution on PyTorch")
    model, seen = linear(steps_per_execution=5), Steps()
    averaging = WeightAveraging(decay=0.9, warmup=False)
    fit(model, [seen, averaging])
    assert averaging.count == len(seen.steps) == 4
    mean = seen.steps[0]
    for value in seen.steps[1:]:
        mean = 0.9**5 * mean + (1 - 0.9**5) * value
    np.testing.assert_allclose(values(model), mean, rtol=1e-5)


def test_only_steps_of_the_optimizer_count():
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)
    model, seen = linear(optimizer), Steps()
    averaging = WeightAveraging("tail", start_epoch=0)
    fit(model, [seen, averaging])
    moved = seen.steps[1::2]
    assert averaging.count == len(moved) == 10
    np.testing.assert_allclose(values(model), np.mean(moved, axis=0), rtol=1e-5)


@pytest.mark.parametrize("validated", [True, False])
def test_what_stands_before_it_sees_the_average(tmp_path, validated):
    seen = Steps()
    score = "val_loss" if validated else "loss"
    stopping = keras.callbacks.EarlyStopping(
        score, patience=9, restore_best_weights=True
    )
    best = TopKCheckpoints(tmp_path, k=1, monitor=score)
    model, averaging = linear(), WeightAveraging(decay=0.5)
    data = {"validation_data": (X, Y)} if validated else {}
    history = fit(model, [seen, stopping, best, averaging], **data)
    course = exponential(seen.steps, 0.5, True)[STEPS - 1 :: STEPS]
    chosen = course[int(np.argmin(history.history[score]))]
    np.testing.assert_allclose(values(model), chosen, rtol=1e-5)
    written = keras.models.load_model(best.best_paths[0])
    np.testing.assert_allclose(values(written), chosen, rtol=1e-5)


def test_it_moves_to_the_front_and_no_hook_is_missed():
    class Named(keras.callbacks.Callback):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def on_train_begin(self, logs=None):
            called.append(self.name)

        def on_epoch_end(self, epoch, logs=None):
            called.append(self.name)

    class Ours(WeightAveraging):
        def on_train_begin(self, logs=None):
            called.append("ours")
            super().on_train_begin(logs)

        def on_epoch_end(self, epoch, logs=None):
            called.append("ours")
            super().on_epoch_end(epoch, logs)

    called = []
    fit(linear(), [Named("a"), Named("b"), Ours(), Named("c")], epochs=1)
    assert called == ["a", "b", "ours", "c", "ours", "a", "b", "c"]


def test_a_watcher_until_the_end():
    def course(callbacks):
        keras.utils.set_random_seed(0)
        seen, model = Steps(), normalised()
        data = {"validation_data": (X, Y), "validation_freq": 2}
        fit(model, [seen, *callbacks], shuffle=False, epochs=3, **data)
        return seen.steps

    averaging = WeightAveraging(decay=0.5, batch_norm_data=X)
    np.testing.assert_array_equal(course([averaging]), course([]))


def test_statistics_are_averaged_too():
    model, seen = normalised(), Steps()
    fit(model, [seen, WeightAveraging(decay=0.8)])
    course = exponential(seen.steps, 0.8, True)
    np.testing.assert_allclose(values(model), course[-1], rtol=1e-4, atol=1e-6)


def test_statistics_are_computed_anew():
    model, seen = normalised(), Steps()
    averaging = WeightAveraging(decay=0.8, batch_norm_data=X, batch_size=8)
    history = fit(model, [seen, averaging], validation_data=(X, Y))
    norm = model.layers[1]
    found = [norm.moving_mean.numpy(), norm.moving_variance.numpy()]
    norm.moving_mean.assign(np.zeros(4))
    update_batch_norm(model, X, batch_size=8)
    for before, variable in zip(
        found, [norm.moving_mean, norm.moving_variance], strict=True
    ):
        np.testing.assert_allclose(before, variable.numpy(), rtol=1e-5)
    assert history.history["val_loss"][-1] == pytest.approx(
        model.evaluate(X, Y, verbose=0), rel=1e-4
    )
    # The first layer, whose weights the statistics are of, is averaged as ever.
    course = exponential(seen.steps, 0.8, True)
    np.testing.assert_allclose(values(model)[:16], course[-1][:16], rtol=1e-4)


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 3 * STEPS + 2:
            raise Killed


def test_a_killed_training_goes_on(tmp_path):
    def run(folder, *others):
        keras.utils.set_random_seed(0)
        model, averaging = normalised(), WeightAveraging(decay=0.9, start_epoch=1)
        backup = BackupAndRestore(tmp_path / folder, callbacks=[averaging])
        callbacks = [averaging, *others, backup]
        try:
            history = fit(model, callbacks, validation_data=(X, Y), epochs=5)
        except Killed:
            return None
        return values(model), averaging.count, history.history["val_loss"]

    whole, count, losses = run("whole")
    assert run("killed", Kill()) is None
    resumed, its_count, its_losses = run("killed")
    np.testing.assert_array_equal(resumed, whole)
    assert its_count == count == 4 * STEPS
    assert its_losses == losses[3:]


def test_the_running_weights_can_be_had_back():
    model, seen = linear(), Steps()
    averaging = WeightAveraging(decay=0.8)
    fit(model, [seen, averaging])
    averaged = values(model)
    averaging.restore_raw()
    np.testing.assert_array_equal(values(model), seen.steps[-1])
    averaging.restore_raw()
    averaging.apply()
    averaging.apply()
    np.testing.assert_array_equal(values(model), averaged)
    # A second fit averages anew.
    averaging.restore_raw()
    again = Steps()
    fit(model, [again, averaging])
    course = exponential(again.steps, 0.8, True)
    np.testing.assert_allclose(values(model), course[-1], rtol=1e-5)
    assert averaging.count == 4 * STEPS


def test_evaluate_outside_of_fit_changes_nothing():
    model, averaging = linear(), WeightAveraging(decay=0.8)
    fit(model, [averaging], epochs=1)
    averaging.restore_raw()
    before = values(model)
    model.evaluate(X, Y, verbose=0, callbacks=[averaging])
    np.testing.assert_array_equal(values(model), before)


def test_no_epoch_is_warned_of():
    averaging, model, seen = WeightAveraging("tail", start_epoch=9), linear(), Steps()
    with pytest.warns(KerasPracticesWarning, match="before epoch 9.*start_epoch"):
        fit(model, [averaging, seen], epochs=1)
    np.testing.assert_array_equal(values(model), seen.steps[-1])
    with pytest.raises(UsageError, match="no average yet"):
        averaging.apply()


def test_weights_of_half_precision_are_averaged_in_float32():
    keras.config.set_dtype_policy("bfloat16")
    model, seen = linear(), Steps()
    fit(model, [seen, WeightAveraging("tail", start_epoch=0)], epochs=2)
    expected = np.mean(seen.steps, axis=0)
    # Rounded once, to the eight bits of bfloat16.
    np.testing.assert_allclose(values(model), expected, rtol=2**-8)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"kind": "mean"}, "kind"),
        ({"decay": 1.0}, "decay"),
        ({"decay": "0.9"}, "decay"),
        ({"start_epoch": -1}, "start_epoch"),
        ({"start_epoch": 0.5}, "start_epoch"),
        ({"every": 0}, "every"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_norm_data": iter([X])}, "batch_norm_data"),
    ],
)
def test_bad_arguments(arguments, name):
    with pytest.raises((TypeError, ValueError), match=f"`{re.escape(name)}`"):
        WeightAveraging(**arguments)


@pytest.mark.parametrize("wrapped", [False, True])
def test_two_averages_are_refused(wrapped):
    optimizer = keras.optimizers.SGD(0.01, use_ema=True)
    if wrapped:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    with pytest.raises(UsageError, match="use_ema=True"):
        fit(linear(optimizer), [WeightAveraging()])
