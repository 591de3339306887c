"""What a search costs beside keras-tuner's: CPU a trial, and memory that stays.

Run: `KERAS_BACKEND=torch python benchmarks/search_overhead.py [--quick]`

CPU: trials whose `run_trial` returns a number at once, two hyperparameters; blocks of
trials of both searches in turn in one process, so that a busy machine slows both. The
cost of late trials beside early ones shows whether it grows with the results.

Memory: trials that build and fit a toy model for an epoch, each search in a process of
its own; the resident size after trial 10 and after the last one. Ten trials warm the
caches up. With `--trim` what the C library holds back is returned before each reading:
what grows then is used, not fragmented. `--memory` measures this part only.
"""

import argparse
import ctypes
import gc
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import keras_tuner
import numpy as np

from keras_practices.tuners import RandomSearch

OURS, THEIRS = "keras_practices", "keras_tuner"


def no_op(kind):
    class NoOp(kind):
        """Tunes a function that costs nothing."""

        times = None

        def on_trial_begin(self, trial):
            self.times.append(time.process_time())
            super().on_trial_begin(trial)

        def run_trial(self, trial, *args, **kwargs):
            hp = trial.hyperparameters
            return hp.Float("a", 0.0, 1.0) + hp.Float("b", 1e-5, 1.0, sampling="log")

    return NoOp


def cpu(trials, block):
    """Returns the CPU milliseconds of every trial, by search."""
    found = {OURS: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as folder:
        kinds = {OURS: no_op(RandomSearch), THEIRS: no_op(keras_tuner.RandomSearch)}
        for end in range(block, trials + 1, block):
            for name, kind in kinds.items():
                tuner = kind(
                    objective=keras_tuner.Objective("score", "min"),
                    max_trials=end,
                    seed=1,
                    directory=folder,
                    project_name=name,
                )
                tuner.times = []
                gc.collect()
                tuner.search(verbose=0)
                times = tuner.times
                pairs = zip(times, times[1:], strict=False)
                found[name] += [1000 * (late - early) for early, late in pairs]
    return found


def rss(trim):
    if trim:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Theirs(keras_tuner.RandomSearch):
    """keras-tuner's, which cannot run on TensorFlow where TensorBoard is missing."""

    def _configure_tensorboard_dir(self, callbacks, trial, execution=0):
        if importlib.util.find_spec("tensorboard") is not None:
            super()._configure_tensorboard_dir(callbacks, trial, execution)


def toy(name, trials, trim):
    """Prints the resident megabytes after trial 10 and after the last."""
    x = np.random.default_rng(0).normal(size=(256, 16)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    sizes = []

    def build(hp):
        sizes.append(rss(trim))
        units = hp.Int("units", 8, 64)
        model = keras.Sequential(
            [keras.Input((16,)), keras.layers.Dense(units), keras.layers.Dense(1)]
        )
        rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "mse")
        return model

    kind = RandomSearch if name == OURS else Theirs
    with tempfile.TemporaryDirectory() as folder:
        tuner = kind(build, "val_loss", max_trials=trials, seed=1, directory=folder)
        tuner.search(x, y, validation_split=0.25, epochs=1, verbose=0)
        sizes.append(rss(trim))
    warm = min(10, trials // 2)
    print((sizes[-1] - sizes[warm]) / (len(sizes) - 1 - warm))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", action="store_true", help="no CPU figures")
    parser.add_argument("--trim", action="store_true", help="malloc_trim (glibc)")
    parser.add_argument("--toy", choices=[OURS, THEIRS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.toy:
        toy(arguments.toy, 20 if arguments.quick else 60, arguments.trim)
        return
    print(f"Backend {keras.backend.backend()}.")
    if not arguments.memory:
        print_cpu(*((200, 50) if arguments.quick else (1000, 100)))
    print("\n| search | growth of the resident size, MB a toy trial |\n|---|---|")
    for name in (OURS, THEIRS):
        command = [sys.executable, __file__, "--toy", name]
        command += ["--quick"] * arguments.quick + ["--trim"] * arguments.trim
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"| {name} | {float(done.stdout.split()[-1]):.2f} |", flush=True)


def print_cpu(trials, block):
    found = cpu(trials, block)
    print(f"\n{trials} no-op trials.\n")
    print(
        "| search | CPU ms a trial, median | second tenth | last tenth | late / early |"
    )
    print("|---|---|---|---|---|")
    for name, times in found.items():
        tenth = len(times) // 10
        early = statistics.median(times[tenth : 2 * tenth])
        late = statistics.median(times[-tenth:])
        middle = statistics.median(times)
        print(
            f"| {name} | {middle:.2f} | {early:.2f} | {late:.2f} | {late / early:.2f} |"
        )
    ours, theirs = (statistics.median(found[name]) for name in (OURS, THEIRS))
    print(f"\nOurs is {ours / theirs:.2f} times keras-tuner's.")


if __name__ == "__main__":
    main()
