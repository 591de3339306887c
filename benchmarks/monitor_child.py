"""What `monitor_overhead.py` measures in each of its processes.

Keras is imported here, and so the backend is chosen, in the environment, before.
"""

import gc
import os
import random
import sys
import tempfile
import time
import warnings

import keras
import numpy as np
from networks import NETWORKS
from turns import StepInTurns
from turns import Turns
from turns import Workers
from turns import with_own_clocks

from keras_practices.callbacks import TrainingMonitor
from keras_practices.measures.environment import measure_environment
from keras_practices.record import Record

# As many rows as MNIST has. A fit of more steps gets more epochs.
MOST_ROWS = 60_000
FEWEST_STEPS = 40
FIRST_STEPS = 8
PROBE_ROWS = 128


def say(text):
    print(text, file=sys.stderr, flush=True)


class Noop(keras.callbacks.Callback):
    """The least that a callback with a batch hook does."""

    def on_train_batch_end(self, batch, logs=None):
        """Does nothing."""


class Blog(keras.callbacks.Callback):
    """What is found on the web for the size of updates."""

    def on_train_begin(self, logs=None):
        """Forgets the last training."""
        self.ratios = []

    def on_train_batch_begin(self, batch, logs=None):
        """Copies all weights."""
        self.before = self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        """Copies them again and compares."""
        pairs = zip(self.before, self.model.get_weights(), strict=True)
        self.ratios.append(
            [np.linalg.norm(b - a) / (np.linalg.norm(a) + 1e-12) for a, b in pairs]
        )


def batches(x, y, size):
    """Returns the arguments of `fit` for these rows."""
    if keras.backend.backend() != "tensorflow":
        return {"x": x, "y": y, "batch_size": size}
    # Of arrays Keras makes a dataset that TensorFlow tunes while it is read, and at the
    # end of an epoch the thread that does so is waited for, up to 0.7 s: much more
    # than what is measured here.
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    return {"x": rows.batch(size).prefetch(2).with_options(options)}


def variants(folder, probe):
    """Returns, for each variant, a function that gives the callbacks of one fit."""

    def monitor(**options):
        return TrainingMonitor(tempfile.mkdtemp(dir=folder), probe=probe, **options)

    def tensorboard():
        log_dir = tempfile.mkdtemp(dir=folder)
        return keras.callbacks.TensorBoard(log_dir=log_dir, histogram_freq=1)

    ours, ours_10 = monitor(), monitor(every=10)
    return {
        "bare": lambda: [],
        "bare again": lambda: [],
        "noop": lambda: [Noop()],
        "blog": lambda: [Blog()],
        "ours": lambda: [ours],
        "ours @10": lambda: [ours_10],
        "ours fresh": lambda: [monitor()],
        # Last: its first fit imports TensorFlow, on every backend.
        "tensorboard": lambda: [tensorboard()],
    }


class Bench:
    """One compiled model and its rows, trained again and again."""

    def __init__(self, network):
        self.batch = network.batch
        self.network = network
        keras.utils.set_random_seed(0)
        self.model = network.compiled()
        self.model.optimizer.build(self.model.trainable_variables)
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self._start = [(v, keras.ops.convert_to_numpy(v).copy()) for v in variables]
        self.step = StepInTurns(self.model)

    def take_rows_of(self, other):
        """Trains on another one's rows from here on."""
        self.epochs, self.probe, self.data = other.epochs, other.probe, other.data

    def restart(self):
        """Puts all variables back: each fit does the same work, on the same numbers."""
        for variable, value in self._start:
            variable.assign(value)

    def resize(self, steps, epochs):
        """Sets the steps of a fit; returns how many there are now."""
        an_epoch = min(-(-steps // epochs), MOST_ROWS // self.batch)
        self.epochs = max(epochs, round(steps / an_epoch))
        x, y = self.network.rows(an_epoch * self.batch)
        self.probe = (x[:PROBE_ROWS], y[:PROBE_ROWS])
        self.data = batches(x, y, self.batch)
        return an_epoch * self.epochs

    def fit(self, callbacks=(), clocks=None):
        """Trains once; returns the times and what the monitor says of itself."""
        clocks = clocks or (lambda: (time.perf_counter(), time.process_time()))
        self.restart()
        gc.collect()
        wall, cpu = clocks()
        self.model.fit(
            **self.data, epochs=self.epochs, verbose=0, callbacks=list(callbacks)
        )
        ended = clocks()
        row = {"wall": ended[0] - wall, "cpu": ended[1] - cpu}
        for callback in callbacks:
            if hasattr(callback, "record"):
                row["monitor"] = own_figures(callback.record)
        return row

    def calibrate(self, seconds, epochs):
        """Sets the size of a fit so that it takes about so long; its first fits."""
        steps = self.resize(FIRST_STEPS, 1)
        first = self.fit()["wall"]
        taken = self._fastest()
        delay = first - taken
        while taken < seconds / 4 and steps < 20_000:
            steps = self.resize(4 * steps, epochs)
            taken = self._fastest()
        wanted = round(seconds * steps / taken)
        return self.resize(max(FEWEST_STEPS, wanted), epochs), delay

    def _fastest(self):
        return min(self.fit()["wall"] for _ in range(2))


def own_figures(record):
    """What a monitor wrote about its cost, and how much it measured for it."""
    if record.path is not None:
        record = Record.load(record.path)  # in memory there may be less
    end = record.end
    spent, whole = end.get("monitor_seconds"), end.get("seconds")
    share = spent / whole if spent is not None and whole else None
    return {
        "share": end.get("share", share),
        "monitor_seconds": spent,
        "compile_seconds": end.get("compile_seconds"),
        "samples": sum(bool(line.get("weights")) for line in record.samples),
    }


def measure(arguments, bench, makers, names):
    """Returns the first fit of each variant, the rounds, and what went wrong."""
    # Each has a model of its own: they are in the middle of a fit together. All are
    # made first: where a seed is set TensorFlow prepares anew what it had compiled.
    benches = {name: Bench(bench.network) for name in names}
    first, rounds, failed = {}, [], {}
    workers = Workers()

    def alone(name, callbacks):
        # In the model's own thread, as later: what a library prepares, it keeps there.
        bench = benches[name]
        return workers.submit(id(bench), lambda: bench.fit(callbacks)).result()

    for name in names:
        benches[name].resize(FIRST_STEPS, 1)
        with warnings.catch_warnings(record=True) as caught:
            try:
                first[name] = alone(name, makers[name]())
            except Exception as error:  # one variant that fails leaves the others
                text = str(error).strip() or type(error).__name__
                failed[name] = f"{type(error).__name__}: {text.splitlines()[0]}"
                say(f"  {name}: does not work: {failed[name]}")
                continue
        first[name]["warnings"] = [
            str(warning.message)
            for warning in caught
            if warning.category.__name__ == "KerasPracticesWarning"
        ]
        if "ours" in names and not name.startswith("ours"):
            alone(name, makers["ours"]())  # it will carry the monitor as well
        benches[name].take_rows_of(bench)
        say(f"  first fit of {name}: {first[name]['wall']:.1f} s")
    names, models = list(first), [benches[name] for name in first]
    order, shuffled = list(first), random.Random(0)
    # The first round is left out: in it much is done for the first time.
    for number in range(arguments.rounds + 1):
        # Two equal models may differ by some percent, and so may two threads: none
        # belongs to one variant.
        place = number % len(models)
        carried = dict(zip(names, models[place:] + models[:place], strict=True))
        shuffled.shuffle(order)
        rounds.append(in_turns(carried, makers, order, workers))
        seconds = sum(row["wall"] for row in rounds[-1].values())
        say(f"  round {number} of {arguments.rounds}: {seconds:.0f} s")
    return first, rounds[1:], failed


def in_turns(benches, makers, order, workers):
    """Fits every variant once, some steps of each in turn."""

    def fit(name):
        return lambda: benches[name].fit(makers[name](), turns.clocks)

    # A thread belongs to a model: what it holds of the heap is the same in each fit.
    threads = {name: id(benches[name]) for name in order}
    turns = Turns({name: fit(name) for name in order}, workers, threads)
    for name in order:
        benches[name].step.turns = turns
    with_own_clocks(turns)
    for name in order:
        benches[name].step.turns = None
    for error in turns.failed.values():
        raise error
    return turns.results


def child(arguments):
    """Returns all figures of one backend and model."""
    environment = measure_environment()
    named = environment["devices"].lower().split(", ")
    if arguments.device == "gpu" and set(named) <= {"cpu"}:
        raise SystemExit(f"--device gpu: this backend sees {environment['devices']}.")
    keras.utils.set_random_seed(0)
    load = os.getloadavg()
    bench = Bench(NETWORKS[arguments.model[0]])
    steps, delay = bench.calibrate(arguments.seconds, arguments.epochs)
    result = {
        "environment": environment,
        "parameters": bench.model.count_params(),
        "variables": len(bench.model.trainable_variables),
        "model_mb": sum(w.nbytes for w in bench.model.get_weights()) / 2**20,
        "batch": bench.batch,
        "steps": steps,
        "epochs": bench.epochs,
        "compile_delay_of_the_model": delay,
    }
    say(f"  {steps} steps in {bench.epochs} epochs a fit")
    with tempfile.TemporaryDirectory() as folder:
        makers = variants(folder, bench.probe)
        wanted = ("bare", "bare again", *arguments.variants)
        names = [name for name in makers if name in wanted]
        first, rounds, failed = measure(arguments, bench, makers, names)
        result.update(first_fit=first, rounds=rounds, failed=failed)
    return {**result, "load": [load, os.getloadavg()]}
