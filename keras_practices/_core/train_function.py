"""Stands in for a model's train function during one `fit`, and sees every step.

Most calls go to the model's own compiled function, untouched. Sampled ones go to a
second function that Keras compiles around a train step which also measures. There
are no batch hooks: one ordinary `on_train_batch_end` makes JAX wait for every step.
"""

import contextlib
import dataclasses
import sys
import time
import weakref
from typing import Any

from keras_practices._core import backend
from keras_practices._core import memory
from keras_practices._core.fit_internals import is_train_on_batch
from keras_practices._core.fit_internals import kept_by
from keras_practices._core.fit_internals import loss_trackers
from keras_practices._core.fit_internals import rate_variable
from keras_practices._core.step_times import StepTimes

# Under which the figures of a step leave it; taken out before `fit` sees the logs.
FIGURES = "__keras_practices__"
# Steps that pass at most, and seconds, before the listeners hear of them.
MOST_NOTES = 100
MOST_SECONDS = 1.0


@dataclasses.dataclass(slots=True)
class Step:
    """One call of the train function: scalars that are still on the device."""

    loss: Any
    weight: Any
    cumulative: bool
    rate: Any
    base: Any = None
    vector: Any = None


class WatchedFunction:
    """Callable in the place of `model.train_function`.

    `model.reset_metrics` is listened to as well: whoever writes the mean loss between
    two steps (`evaluate`, `test_on_batch`) calls it first. Both are put back when the
    last listener leaves, when an exception comes out of a step, and else at the next
    `fit`.

    Several listeners share one. A listener has `steps_to_sample() -> int` (0: the next
    step), `steps_left() -> int` (in the epoch, None where nobody knows),
    `took_step(step, figures)`, `interrupted()`, `lost(what, error)` and
    `failed(error)`. It hears of a sampled step at once, of others some steps later, or
    when it calls `deliver`.

    Args:
        model: The model in `fit`.
        make_figures: Function of the model that returns what measures a step, see
            `keras_practices.measures.step_figures.StepFigures`.
    """

    def __init__(self, model, make_figures):
        self.model = model
        self.plain = model.train_function
        self.seconds = 0.0
        self.samples = 0
        self._make_figures = make_figures
        self._history = model.history
        self._listeners = []
        self._figures = self._instrumented = None
        self._cannot_sample = False
        trackers, rate = loss_trackers(model), rate_variable(model.optimizer)
        self._tap = backend.call_tap(model, rate, trackers)
        self._epochs = None
        self._touched = True
        self._wanting, self._notes, self._means = [], [], []
        self._quick, self._sure = 0, False
        self._reader = weakref.ref(self)  # of no epoch yet
        self._due = 0.0
        self._tap_seconds = 0.0
        self._times = StepTimes()

    @classmethod
    def join(cls, model, listener, make_figures):
        """Puts a watched function on the model, or joins the one of this `fit`."""
        current = model.train_function
        if isinstance(current, cls) and not current.of_this_fit():
            current.close()
        if not isinstance(model.train_function, cls):
            # After the constructor: it may fail, and then nothing has changed.
            model.train_function = cls(model, make_figures)
            model.train_function._watch_resets()
        watched = model.train_function
        watched._listeners.append(listener)
        watched._prepare()
        return watched

    def leave(self, listener):
        """Takes a listener off; the last one puts the model's own function back."""
        self.deliver()
        self._take_off(listener)

    def _take_off(self, listener):
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners:
            self.close()

    def close(self):
        """Puts the model's own train function back."""
        self._listeners = []
        if self.model.train_function is self:
            self.model.train_function = self.plain
        if self._hears_resets:
            del self.model.__dict__["reset_metrics"]

    def of_this_fit(self):
        """False when a later `fit` runs: each has a `History`, or begins it anew."""
        history = self.model.history
        if history is not self._history:
            return False
        return self._epochs is None or history.epoch is self._epochs

    @property
    def _hears_resets(self):
        known = self.model.__dict__.get("reset_metrics")
        return getattr(known, "owner", None) is self

    def _watch_resets(self):
        """Hears of `evaluate` and others that write the mean loss between steps."""
        original = self.model.reset_metrics

        def reset_metrics():
            self._touched = True
            if self.of_this_fit():
                with self._failing():
                    self._look_back()
            else:
                self.close()
            return original()

        reset_metrics.owner = self
        # Past Keras's attribute tracking: this is no state of the model.
        self.model.__dict__.setdefault("reset_metrics", reset_metrics)

    @property
    def compile_seconds(self):
        """Seconds of the first sampled step, which compiles."""
        return self._times.compile_seconds

    @property
    def seconds_a_sample(self):
        """What a sampled step takes more than a plain one, None while not known."""
        return self._times.of_a_sample

    @property
    def sample_ratio(self):
        """What a sample adds to a plain step, as its multiple; None while not known."""
        return self._times.ratio

    def __call__(self, *args):
        """Takes one step; arguments and result are those of Keras's function."""
        # Who reads on in the rows of this epoch is this `fit`: no need to look.
        if args[-1] is not self._reader():
            if not self.of_this_fit():
                # An exception ended the `fit` we were made for.
                self.close()
                return self.plain(*args)
            if is_train_on_batch(sys._getframe(1)):
                return self.plain(*args)
        try:
            return self._step(args)
        except backend.end_of_data():
            raise
        except BaseException:
            # `fit` ends here without a further hook.
            self.deliver()
            listeners = list(self._listeners)
            self.close()
            for listener in listeners:
                with contextlib.suppress(Exception):
                    listener.interrupted()
            raise

    def _step(self, args):
        """Takes a step; most find nothing due and cost some microseconds."""
        if self._quick and not self._touched and time.perf_counter() < self._due:
            self._quick -= 1
            if self._sure:  # the loss in the logs is enough
                result = self.plain(*args)
                try:
                    self._means.append(self._tap.mean_of(result))
                except Exception as error:
                    self._fail(error)
                return result
            try:
                given, rate, _ = self._tap.before(args, False)
            except Exception as error:
                self._fail(error)
                return self.plain(*args)
            result = self.plain(*given)
            try:
                self._notes.append((self._tap.after(result), rate))
            except Exception as error:
                self._fail(error)
            return result
        return self._planned_step(args)

    def _look_back(self):
        """Finds out what was not read of the last steps, before it is overwritten."""
        means, self._means = self._means, []
        if means:
            self._notes += self._tap.between(means)

    def _planned_step(self, args):
        """Takes a step that is sampled or timed, or after which one may be."""
        self._epochs = getattr(self._history, "epoch", None)
        # Time of this thread on a core: waiting for the device is no cost of ours.
        busy = time.thread_time()
        sampled = timed = False
        given, rate, base = args, None, None
        with self._failing():
            sampled, ahead, left = self._plan()
            timed = self._times.wants(sampled, self.samples)
            touched, self._touched = self._touched, False
            tapped = time.thread_time()
            given, rate, base = self._tap.before(args, touched)
            tapped = time.thread_time() - tapped
            # What is sure of the next steps may be so from here on: an epoch begins.
            self._count_quick(sampled, ahead, left)
            # Not kept alive: it may hold rows of an epoch that was interrupted.
            with contextlib.suppress(TypeError):  # of a list's there is none
                self._reader = weakref.ref(args[-1])
            if timed:
                backend.wait_for(args)
        self.seconds += time.thread_time() - busy

        begun = time.perf_counter()
        first = self._times.is_first(sampled)
        if first and sampled:
            # What the first program's compiler has left makes room for the second.
            memory.give_back()
        result = self._sample(given) if sampled else self.plain(*given)
        with self._failing():
            if timed or first:
                backend.wait_for(result)
        if first and sampled:
            memory.give_back()
        self._times.note(sampled, timed, time.perf_counter() - begun)
        busy = time.thread_time()
        vector = self._take_vector(result) if sampled else None
        with self._failing():
            settled = self._tap.settled
            loss, weight, cumulative = self._tap.after(result)
            if settled and not touched:
                self._tap_seconds = tapped + time.thread_time() - busy
            self._tell(Step(loss, weight, cumulative, rate, base), sampled, vector)
        self.seconds += time.thread_time() - busy
        return result

    def deliver(self):
        """Tells the listeners of the steps they have not heard of yet."""
        self.seconds += len(self._notes) * self._tap_seconds
        with self._failing():
            self._look_back()
        notes, self._notes = self._notes, []
        steps = [Step(*known, rate) for known, rate in notes]
        for listener in tuple(self._listeners):
            self._tell_one(listener, steps)

    def _sample(self, given):
        """Takes a step with the instrumented function, or with the other one."""
        called, result = False, None
        try:
            with self._figures.hooked():
                called = True
                result = self._instrumented(*given)
            return result
        except backend.end_of_data():
            raise
        except Exception as error:
            # The hooks failed, or the function did not compile: nothing was run.
            if called and result is None:
                given = self._tap.again(given, error)
            if given is None:
                raise
            fault = error
        if result is None:
            # A fault of the model's own is raised here as it would be without us.
            result = self.plain(*given)
        with self._failing():
            self._lose("figures of the steps", fault)
        return result

    def _take_vector(self, result):
        """Takes the figures out of the logs before `fit` sees them."""
        logs = result[0] if isinstance(result, tuple) else result
        return logs.pop(FIGURES, None) if isinstance(logs, dict) else None

    def _tell(self, step, sampled, vector):
        if sampled:
            self.samples += 1
            for what, error in self._figures.take_faults():
                self._lose(what, error)
            self._cannot_sample = vector is None
        sample = dataclasses.replace(step, vector=vector) if sampled else step
        for listener in tuple(self._listeners):
            self._tell_one(listener, [sample if listener in self._wanting else step])

    def _tell_one(self, listener, steps):
        try:
            for step in steps:
                listener.took_step(step, self._figures)
        except Exception as error:
            self._dismiss(listener, error)

    # --- sampling ------------------------------------------------------------

    def _plan(self):
        """Asks the listeners; tells them before what they have not heard of yet.

        Returns:
            `(sampled, ahead, left)`: whether the next step is sampled, and lists of
            the numbers of steps to the next sample and to the end of the epoch.
        """
        self.deliver()
        self._wanting, ahead, left = [], [MOST_NOTES], []
        for listener in tuple(self._listeners):
            try:
                steps = listener.steps_to_sample()
                left.append(listener.steps_left())
            except Exception as error:
                self._dismiss(listener, error)
                continue
            if steps > 0:
                ahead.append(steps)
            else:
                self._wanting.append(listener)
        sampled = bool(self._wanting) and not self._cannot_sample
        return sampled, ahead, [steps for steps in left if steps is not None]

    def _count_quick(self, sampled, ahead, left):
        """Counts the quick steps after the next one."""
        # The last batch of an epoch may be a smaller one: it is read, and the one
        # before it, so that its weight is known.
        self._sure = self._tap.sure and bool(left)
        if self._sure:
            ahead = [*ahead, min(left) - 2]
        # What comes after a sample is known when the listeners have it.
        quick = max(0, min(ahead) - 1)
        self._quick = 0 if sampled or not self._hears_resets else quick
        self._due = time.perf_counter() + MOST_SECONDS

    def _prepare(self):
        """Makes the second function; it is compiled when it is called."""
        # Before the first step: during an epoch JAX takes the variables away, and
        # with them what Keras has to know of their places on several devices.
        if self._instrumented is not None or self._cannot_sample:
            return
        try:
            self._figures, self._instrumented = self._build()
        except Exception as error:
            self._cannot_sample = True
            self._lose("figures of the steps", error)

    def _build(self):
        def make():
            figures = self._make_figures(self.model)
            with figures.hooked():
                pass  # a fault in the hooks shows before they matter
            step = backend.watched_train_step(self.model, figures)
            return figures, backend.train_function(self.model, step)

        kept, made = kept_by(self.plain, "instrumented", make)
        if not made:
            self._times.compiled_before()
        return kept

    # --- faults --------------------------------------------------------------

    @contextlib.contextmanager
    def _failing(self, *listeners):
        """A fault of ours: the listeners hear of it, training goes on without them."""
        try:
            yield
        except Exception as error:
            self._fail(error, *listeners)

    def _fail(self, error, *listeners):
        for listener in listeners or tuple(self._listeners):
            self._dismiss(listener, error)

    def _dismiss(self, listener, error):
        self._take_off(listener)
        listener.failed(error)

    def _lose(self, what, error):
        for listener in list(self._listeners):
            with self._failing(listener):
                listener.lost(what, error)
