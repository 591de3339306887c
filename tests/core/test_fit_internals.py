import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_practices._core import backend
from keras_practices._core.fit_internals import KERAS_VERSIONS
from keras_practices._core.fit_internals import LossMean
from keras_practices._core.fit_internals import is_train_on_batch
from keras_practices._core.fit_internals import kept_by
from keras_practices._core.fit_internals import loss_trackers
from keras_practices._core.fit_internals import made_by_keras
from keras_practices._core.fit_internals import rate_schedule
from keras_practices._core.fit_internals import rate_variable
from keras_practices._core.fit_internals import raw_iterations

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")


def linear_model(optimizer=None, **arguments):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **arguments)
    return model


def fit(model, *callbacks, **arguments):
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0} | arguments
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)


# --- what we take for granted of Keras ---------------------------------------------

INTERFACE = {
    keras.Model: (
        "make_train_function",
        "train_step",
        "reset_metrics",
        "metrics",
        "metrics_variables",
        "compute_loss",
        "_flatten_layers",
        "_get_regularization_losses",
    ),
    keras.optimizers.Optimizer: (
        "apply",
        "stateless_apply",
        "scale_loss",
        "iterations",
    ),
    keras.metrics.Metric: ("reset_state", "result"),
}


def missing_parts(model):
    """Names what of Keras's inside is not where the monitor looks for it."""
    missing = [
        f"{kind.__name__}.{name}"
        for kind, names in INTERFACE.items()
        for name in names
        if not hasattr(kind, name)
    ]
    optimizer = model.optimizer
    for name in (
        "_learning_rate",
        "_iterations",
        "_trainable_variables",
        "loss_scale_factor",
    ):
        if not hasattr(optimizer, name):
            missing.append(f"Optimizer.{name}")
    if not callable(model.train_function):
        missing.append("Model.train_function")
    if not isinstance(getattr(model, "history", None), keras.callbacks.History):
        missing.append("Model.history")
    elif not hasattr(model.history, "epoch"):
        missing.append("History.epoch")
    for name in ("total", "count"):
        if not isinstance(getattr(keras.metrics.Mean(), name, None), keras.Variable):
            missing.append(f"Mean.{name}")
    if not [metric for metric in model.metrics if metric.name == "loss"]:
        missing.append("Model.metrics: a Mean named 'loss'")
    return missing


def complaint(version, missing):
    """Says what is missing, and whether this Keras was ever proven; None when whole."""
    if not missing:
        return None
    minor = ".".join(version.split(".")[:2])
    proven = "one of" if minor in KERAS_VERSIONS else "none of"
    return (
        f"Keras {version} is {proven} the versions that keras_practices._core."
        f"fit_internals holds for ({', '.join(KERAS_VERSIONS)}), and lacks: "
        f"{', '.join(missing)}."
    )


def test_the_inside_of_keras_is_as_expected():
    model = linear_model()
    fit(model)
    message = complaint(keras.version(), missing_parts(model))
    assert message is None, message


def test_what_is_missing_is_named_with_the_versions_that_had_it(monkeypatch):
    model = linear_model()
    fit(model)
    model.train_function = None
    del model.optimizer._iterations
    monkeypatch.delattr(keras.metrics.Metric, "result")
    missing = ["Metric.result", "Optimizer._iterations", "Model.train_function"]
    assert missing_parts(model) == missing
    assert "none of" in complaint("99.1.0", missing)
    assert complaint("99.1.0", []) is None
    for version in KERAS_VERSIONS:
        assert "one of" in complaint(f"{version}.0", missing)
        assert version in complaint("99.1.0", missing)


def test_each_fit_has_a_history_and_begins_it_anew():
    model, seen = linear_model(), []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((self.model.history, self.model.history.epoch))

    fit(model, Look())
    fit(model, Look(), own := keras.callbacks.History())
    fit(model, Look(), own)
    histories, epochs = zip(*seen, strict=True)
    assert len({id(one) for one in histories[::3]}) == 2
    assert len({id(one) for one in epochs}) == 3


def test_the_train_function_is_called_by_fit_and_by_train_on_batch():
    model, callers = linear_model(), []
    fit(model)
    plain = model.train_function

    def spy(*args):
        frame = sys._getframe(1)
        callers.append((frame.f_code.co_name, is_train_on_batch(frame)))
        return plain(*args)

    model.train_function = spy
    fit(model)
    model.train_on_batch(X, Y)
    assert callers == [("fit", False)] * 3 + [("train_on_batch", True)]


# --- a second train function -------------------------------------------------------


def test_a_second_function_leaves_the_model_its_own(backend):
    model = linear_model()
    fit(model)
    own, calls = model.train_function, []

    def train_step(*args):
        calls.append(len(args))
        return type(model).train_step(model, *args)

    before = dict(model.__dict__)
    second = made_by_keras(model, train_step)
    assert model.__dict__ == before
    assert model.train_function is own
    if backend == "torch":
        return  # Keras's function there takes the step of the moment
    model.train_function = second
    fit(model)
    assert calls


def test_a_step_of_the_instance_stays_in_its_place(monkeypatch):
    model = linear_model()
    fit(model)
    own, function = model.train_step, model.train_function
    mine = lambda *args: own(*args)  # noqa: E731
    model.__dict__["train_step"] = mine
    made_by_keras(model, lambda *args: own(*args))
    assert model.__dict__["train_step"] is mine

    def fails():
        raise ZeroDivisionError

    monkeypatch.setitem(model.__dict__, "make_train_function", fails)
    with pytest.raises(ZeroDivisionError):
        made_by_keras(model, lambda *args: own(*args))
    assert model.__dict__["train_step"] is mine
    assert model.train_function is function


def test_what_is_kept_is_made_once_and_dropped_by_compile():
    model, made = linear_model(), []
    fit(model)

    def make():
        made.append(object())
        return made[-1]

    function = model.train_function
    assert kept_by(function, "a", make) == (made[0], True)
    assert kept_by(function, "a", make) == (made[0], False)
    assert kept_by(function, "b", make) == (made[1], True)
    assert len(made) == 2

    class StandIn:
        plain = function

    assert kept_by(StandIn(), "a", make) == (made[0], False)
    model.compile("sgd", "mse")
    assert model.train_function is None
    fit(model)
    kept_by(model.train_function, "a", make)
    assert len(made) == 3


def test_what_cannot_carry_an_attribute_is_no_fault():
    assert kept_by(len, "a", lambda: 7) == (7, True)
    assert kept_by(len, "a", lambda: 8) == (8, True)


# --- optimizers --------------------------------------------------------------------


def test_rate_of_plain_wrapped_and_scheduled_optimizers():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    plain = keras.optimizers.SGD(0.25)
    wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    scheduled = keras.optimizers.SGD(schedule)
    assert float(ops.convert_to_numpy(rate_variable(plain))) == 0.25
    assert float(ops.convert_to_numpy(rate_variable(wrapped))) == 0.5
    assert rate_variable(scheduled) is None
    assert rate_schedule(scheduled) is schedule
    assert rate_schedule(plain) is rate_schedule(wrapped) is None
    several = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(plain))
    assert rate_variable(several) is None
    assert rate_variable(None) is rate_schedule(None) is None


def test_a_schedule_is_asked_with_the_number_of_batches():
    asked = []

    class Asks(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            asked.append(step)
            return ops.cast(0.1, "float32") + 0 * ops.cast(step, "float32")

    optimizer = keras.optimizers.SGD(Asks(), gradient_accumulation_steps=3)
    fit(linear_model(optimizer), epochs=2)
    # Six batches are two updates; `iterations` counts the updates.
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 2
    assert raw_iterations(optimizer) == 6
    wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    fit(linear_model(wrapped))
    assert raw_iterations(wrapped) == 3


# --- the mean of the loss ----------------------------------------------------------


def test_the_tracker_named_loss_comes_first_and_wrappers_do_not_count():
    model = linear_model(metrics=["mae"])
    fit(model)
    extra = keras.metrics.Mean(name="other")
    model._metrics = [extra]
    assert [one.name for one in loss_trackers(model)] == ["loss", "other"]
    assert loss_trackers(model)[1] is extra


def settle(states, losses, rows):
    """Two looks at one tracker: `states` and `losses` after each of the calls."""
    mean = LossMean(["tracker"])
    mean.begin(0.0)
    found = [
        mean.look(loss, [state][: len(mean.trackers)], batch)
        for state, loss, batch in zip(states, losses, rows, strict=True)
    ]
    return mean, found


def test_batches_weigh_by_rows_by_calls_or_as_the_tracker_says():
    rows = ([8], [4])
    mean, found = settle([(16.0, 8.0), (36.0, 12.0)], [2.0, 3.0], rows)
    assert (mean.trackers, mean.settled, found) == (["tracker"], True, [8.0, 12.0])
    assert mean.weight_of([5]) == 5.0
    assert mean.weight_of([5, 6]) == 11.0
    mean, _ = settle([(2.0, 1.0), (6.0, 2.0)], [2.0, 3.0], rows)
    assert mean.weight_of([5]) == 1.0
    assert mean.weight_of([5, 6]) == 2.0
    mean, _ = settle([(6.0, 3.0), (18.0, 6.0)], [2.0, 3.0], rows)
    assert mean.weight_of([5]) is None
    # One row a batch does not tell rows from calls.
    mean, _ = settle([(2.0, 1.0), (6.0, 2.0)], [2.0, 3.0], ([1], [1]))
    assert mean.weight_of([5]) is None


@pytest.mark.parametrize(
    ("states", "losses"),
    [
        ([(0.0, 0.0), (0.0, 0.0)], [2.0, 3.0]),  # never updated
        ([(16.0, 8.0), (36.0, 12.0)], [2.0, 5.0]),  # the second log is no mean
        ([(16.0, 8.0), (36.0, 12.0)], [1.0, 3.0]),  # the first is not
        ([(16.0, 8.0), (36.0, 12.0)], [None, None]),  # there is no loss at all
    ],
)
def test_a_tracker_that_is_not_in_the_logs_is_given_up(states, losses):
    mean, found = settle(states, losses, ([8], [4]))
    assert mean.trackers == []
    assert mean.settled
    assert found[-1] is None


def test_a_mean_of_nan_is_that_of_the_tracker():
    nan = float("nan")
    mean, _ = settle([(nan, 8.0), (nan, 12.0)], [nan, nan], ([8], [4]))
    assert mean.trackers == ["tracker"]
    assert mean.weight_of([5]) == 5.0


def test_the_tap_leaves_arguments_and_result_as_they_are():
    model, seen = linear_model(), []
    fit(model)
    plain = model.train_function
    tap = backend.call_tap(model, rate_variable(model.optimizer), loss_trackers(model))

    def through(*args):
        given, rate, base = tap.before(args, not seen)
        result = plain(*given)
        seen.append((rate, base, tap.after(result)))
        return result

    expected = fit(twin(model)).history
    model.train_function = through
    assert fit(model).history == expected
    assert seen[0][1] == (0.0, 0.0)
    assert [base for _, base, _ in seen[1:]] == [None, None]
    np.testing.assert_allclose([float(rate) for rate, _, _ in seen], 0.1)


def twin(model):
    again = linear_model()
    again.set_weights(model.get_weights())
    return again
