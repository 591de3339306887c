"""The stand-in for a train function, by itself: listeners, samples, time, faults."""

import functools

import keras
import numpy as np
import pytest

from keras_practices._core.train_function import FIGURES
from keras_practices._core.train_function import WatchedFunction
from keras_practices.measures.step_figures import StepFigures

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = RNG.normal(size=(48, 1)).astype("float32")


@functools.cache
def _shared():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


@pytest.fixture
def model():
    """A model that is compiled once for all tests; nobody watches it."""
    model = _shared()
    if isinstance(model.train_function, WatchedFunction):
        model.train_function.close()
    model.set_weights([np.full((4, 1), 0.2), np.zeros(1)])
    return model


class Listener:
    """Wants each `every`-th step; writes down what it is told."""

    def __init__(self, every=1):
        self.every, self.steps, self.vectors = every, [], []
        self.said = []

    def steps_to_sample(self):
        return -len(self.steps) % self.every

    def steps_left(self):
        return None

    def took_step(self, step, figures):
        self.steps.append(step)
        if step.vector is not None:
            self.vectors.append((len(self.steps), figures.read(step.vector)))

    def interrupted(self):
        self.said.append("interrupted")

    def lost(self, what, error):
        self.said.append(what)

    def failed(self, error):
        self.said.append(repr(error))


class Watch(keras.callbacks.Callback):
    """Joins at the beginning of a fit and leaves at its end."""

    def __init__(self, *listeners, make=StepFigures):
        super().__init__()
        self.listeners, self.make = listeners, make

    def on_train_begin(self, logs=None):
        for one in self.listeners:
            self.function = WatchedFunction.join(self.model, one, self.make)

    def on_train_end(self, logs=None):
        for one in self.listeners:
            self.function.leave(one)


def fit(model, *callbacks, **arguments):
    arguments = {"batch_size": 16, "shuffle": False, "verbose": 0} | arguments
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)


# --- listeners ---------------------------------------------------------------------


def test_a_listener_hears_of_every_step_and_logs_hold_nothing_of_ours(model):
    listener, heard = Listener(), []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            heard.append(dict(logs))

        on_epoch_end = on_train_batch_end

    fit(model, Watch(listener), Look(), epochs=2)
    assert len(listener.steps) == 6
    assert len(listener.vectors) == 6
    assert all(set(one) == {"loss"} for one in heard)
    assert FIGURES not in fit(model).history
    assert listener.said == []


def test_each_listener_has_the_samples_that_it_wanted(model):
    often, seldom, never = Listener(2), Listener(4), Listener(10**6)
    never.steps.append(None)  # past the first step
    watch = Watch(often, seldom, never)
    fit(model, watch, epochs=3)
    assert [number for number, _ in often.vectors] == [1, 3, 5, 7, 9]
    assert [number for number, _ in seldom.vectors] == [1, 5, 9]
    assert never.vectors == []
    assert watch.function.samples == 5
    # The same vector, read twice.
    first = [listener.vectors[0][1][0] for listener in (often, seldom)]
    assert first[0] == first[1]


@pytest.mark.parametrize("place", ["steps_to_sample", "took_step", "lost"])
def test_a_listener_that_fails_is_left_alone(model, place, monkeypatch):
    bad, good = Listener(2), Listener(3)
    setattr(bad, place, lambda *_: 1 / 0)
    figures = StepFigures
    if place == "lost":

        def figures(_):
            raise OSError("nothing to measure with")

    fresh = keras.models.clone_model(model)
    fresh.compile("sgd", "mse")
    fit(fresh, Watch(bad, good, make=figures), epochs=2)
    assert bad.said == ["ZeroDivisionError('division by zero')"]
    assert len(good.steps) == 6
    if place == "lost":
        assert good.said == ["figures of the steps"]
        assert good.vectors == []
    else:
        assert good.said == []
        assert [number for number, _ in good.vectors] == [1, 4]
    assert not isinstance(fresh.train_function, WatchedFunction)


def test_the_last_listener_that_leaves_puts_the_function_back(model):
    fit(model)
    own = model.train_function
    one, two = Listener(), Listener()
    function = WatchedFunction.join(model, one, StepFigures)
    assert WatchedFunction.join(model, two, StepFigures) is function
    assert model.train_function is function
    assert function.plain is own
    function.leave(one)
    assert model.train_function is function
    function.leave(two)
    assert model.train_function is own
    assert "reset_metrics" not in vars(model)
    function.leave(two)
    assert model.train_function is own


def test_a_function_that_somebody_else_put_there_stays(model):
    fit(model)
    own, listener = model.train_function, Listener()
    function = WatchedFunction.join(model, listener, StepFigures)
    other = lambda *args: own(*args)  # noqa: E731
    model.train_function = other
    function.leave(listener)
    assert model.train_function is other
    model.train_function = own


# --- fits that end early -----------------------------------------------------------


def test_an_exception_inside_ends_the_watch_and_passes_on(model, monkeypatch):
    one, two = Listener(10), Listener(10)
    one.interrupted = lambda: 1 / 0
    watch = Watch(one, two)

    class Breaks(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if len(two.steps) == 2:
                watch.function.plain = self.fails

        def fails(self, *args):
            raise KeyboardInterrupt

    fit(model)
    own = model.train_function
    with pytest.raises(KeyboardInterrupt):
        fit(model, watch, Breaks())
    assert two.said == ["interrupted"]
    assert not isinstance(model.train_function, WatchedFunction)
    assert "reset_metrics" not in vars(model)
    model.train_function = own


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_the_end_of_the_data_is_no_interruption(model):
    def batches():
        for start in range(0, 48, 16):
            yield X[start : start + 16], Y[start : start + 16]

    listener = Listener()
    model.fit(batches(), shuffle=False, verbose=0, callbacks=[Watch(listener)])
    assert len(listener.steps) == 3
    assert listener.said == []


class Stops(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


@pytest.mark.parametrize("then", ["fit", "watched fit", "train_on_batch", "evaluate"])
def test_what_an_interruption_elsewhere_left_is_taken_off(model, then):
    stale, watch = Listener(), None
    watch = Watch(stale)
    with pytest.raises(KeyboardInterrupt):
        fit(model, watch, Stops())
    assert model.train_function is watch.function
    assert len(stale.steps) == 1
    if then == "fit":
        fit(model)
    elif then == "watched fit":
        fresh = Listener()
        fit(model, Watch(fresh))
        assert len(fresh.steps) == 3
    else:
        getattr(model, then)(X, Y, **({"verbose": 0} if then == "evaluate" else {}))
    if "fit" in then:
        assert not isinstance(model.train_function, WatchedFunction)
        assert "reset_metrics" not in vars(model)
    assert len(stale.steps) == 1
    assert stale.said == []


def test_a_history_that_is_used_again_is_a_new_fit_all_the_same(model):
    stale, own = Listener(), keras.callbacks.History()
    with pytest.raises(KeyboardInterrupt):
        fit(model, Watch(stale), Stops(), own)
    fit(model, own)
    assert len(stale.steps) == 1
    assert not isinstance(model.train_function, WatchedFunction)


class Late(keras.callbacks.Callback):
    """Does something in the second epoch, amid steps that are known to be alike."""

    def __init__(self, does):
        super().__init__()
        self.does, self.epoch = does, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, 20):
            self.does(self.model)


class Knowing(Listener):
    """Knows the length of an epoch, of which one step is sampled."""

    def __init__(self):
        super().__init__(every=48)

    def steps_left(self):
        return 48 - len(self.steps) % 48


def interrupt(_):
    raise KeyboardInterrupt


def test_the_quickest_steps_too_are_those_of_their_own_fit(model):
    stale = Knowing()
    watch = Watch(stale)
    with pytest.raises(KeyboardInterrupt):
        fit(model, watch, Late(interrupt), batch_size=1, epochs=2)
    model.train_on_batch(X[:1], Y[:1])
    watch.function.deliver()
    assert len(stale.steps) == 48 + 20


def test_a_batch_between_the_quickest_steps_is_none_of_them(model):
    listener = Knowing()

    def train(model):
        model.train_on_batch(X[:1], Y[:1])

    fit(model, Watch(listener), Late(train), batch_size=1, epochs=2)
    assert len(listener.steps) == 2 * 48
    assert listener.said == []


# --- time --------------------------------------------------------------------------


def test_what_a_sample_costs_is_timed(model):
    listener = Listener(2)
    watch = Watch(listener)
    fit(model, watch, epochs=24)
    function = watch.function
    assert function.samples == 36
    assert function.seconds_a_sample >= 0
    assert function.seconds > 0


def test_compilation_is_counted_once(model):
    fresh = keras.models.clone_model(model)
    fresh.compile("sgd", "mse")
    first, second = Watch(Listener()), Watch(Listener())
    fit(fresh, first)
    fit(fresh, second)
    assert first.function.compile_seconds > 0
    assert second.function.compile_seconds == 0
