"""Several trainings that take turns, some steps each, so that all see the same machine.

A machine with other work is faster in one second than in the next, by more than what a
monitor costs. Fits one after the other would see different seconds; fits in turns of a
tenth of a second do not. One runs at a time, and each has a clock that stands still
while the others run.
"""

import concurrent.futures
import functools
import threading
import time

import keras_practices._core.train_function as watched
from keras_practices._core import backend
from keras_practices.callbacks import budget
from keras_practices.callbacks import step_sampler

STEPS = 20


class Workers:
    """Keeps one thread for each name, over many rounds.

    What libraries keep for a thread (oneDNN its compiled sums, say) would be made anew
    in a new one, and whoever needs more of it would look slower. And equal fits in two
    threads may differ by some percent, round after round, most likely by where things
    lie in a thread's part of the heap.
    """

    def __init__(self):
        self._pools = {}

    def submit(self, name, function):
        """Runs a function in the thread of that name; returns its `Future`."""
        if name not in self._pools:
            self._pools[name] = concurrent.futures.ThreadPoolExecutor(1)
        return self._pools[name].submit(function)


class Turns:
    """Runs functions in threads of their own, one at a time.

    Args:
        functions: Dict name → function without arguments, in the order of the turns.
        workers: The `Workers` that run them.
        threads: Dict name → which of the threads of `workers` it runs in.
    """

    def __init__(self, functions, workers, threads):
        self._order = list(functions)
        self._threads = threads
        self._functions = functions
        self._workers = workers
        self._condition = threading.Condition()
        self._spent = {name: [0.0, 0.0] for name in functions}
        self._begun = (0.0, 0.0)
        self.begun_less_spent = 0.0
        self.results = {}
        self.failed = {}

    def run(self):
        """Runs all; what they return is in `results`, what they raise in `failed`."""
        started = [
            self._workers.submit(thread, functools.partial(self._run, name))
            for name, thread in self._threads.items()
        ]
        concurrent.futures.wait(started)

    def clocks(self):
        """Seconds of this thread's turns: wall time, CPU time of the process."""
        spent = self._spent[threading.current_thread().name]
        return [a + b - c for a, b, c in zip(spent, _now(), self._begun, strict=True)]

    def pass_on(self):
        """Lets the next one run, and returns when it is this thread's turn again."""
        self._leave(self._order[1:] + self._order[:1])
        self._wait()

    def _run(self, name):
        threading.current_thread().name = name
        self._wait()
        try:
            self.results[name] = self._functions[name]()
        except Exception as error:
            self.failed[name] = error
        finally:
            self._leave(self._order[1:])

    def _wait(self):
        name = threading.current_thread().name
        with self._condition:
            self._condition.wait_for(lambda: self._order[0] == name)
        self._begun = _now()
        self.begun_less_spent = self._begun[0] - self._spent[name][0]

    def _leave(self, order):
        self._spent[threading.current_thread().name] = self.clocks()
        with self._condition:
            self._order = order
            self._condition.notify_all()


def _now():
    return time.perf_counter(), time.process_time()


class StepInTurns:
    """A model's train function that passes the turn on after `STEPS` steps.

    Keras calls it in the place of the model's own, in this `fit` and in later ones.
    """

    def __init__(self, model):
        model.make_train_function()
        self._step = model.train_function
        self._count = 0
        self.turns = None
        model.train_function = self

    def __call__(self, *args):
        """Takes a step."""
        result = self._step(*args)
        self._count += 1
        if self.turns is not None and self._count % STEPS == 0:
            backend.wait_for(result)
            self.turns.pass_on()
        return result


class _Clock:
    """`time`, with a `perf_counter` that stands still while other fits run."""

    def __init__(self, turns):
        self._turns = turns

    def perf_counter(self):
        # A subtraction: at each step a monitor asks for the time.
        return time.perf_counter() - self._turns.begun_less_spent

    def __getattr__(self, name):
        return getattr(time, name)


def with_own_clocks(turns):
    """Runs turns in which monitors budget with the seconds of their own fit."""
    modules = (budget, step_sampler, watched)
    for module in modules:
        module.time = _Clock(turns)
    try:
        turns.run()
    finally:
        for module in modules:
            module.time = time
