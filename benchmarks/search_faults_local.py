"""Kills a search, or fills its disk, at every place where it writes.

Run: `KERAS_BACKEND=torch python benchmarks/search_faults_local.py [--quick]`

A search of three trials with real models is run once undisturbed and its writes are
counted: `os.link`, `os.replace`, `os.mkdir`, `os.remove`, files opened for writing,
weights saved. Then, for every one of them, a fresh search is

- killed there (`os._exit` in a child process, so that nothing is cleaned up; a file
  that was being opened is left empty, weights are left cut in half),
- or told there that the disk is full, once (`ENOSPC`),

and started again until it is done. It must end with the same values, scores and
states as the undisturbed one, and the best model must give its score.
"""

import argparse
import errno
import os
import pathlib
import tempfile
import warnings

import keras
import numpy as np

from keras_practices.search_record import SearchRecord
from keras_practices.tuners import RandomSearch
from keras_practices.tuners import learning_rate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
TRIALS, EPOCHS = 3, 2


def build(hp):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    rate = learning_rate(hp, low=1e-3)
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def search(folder):
    tuner = RandomSearch(
        build,
        "val_loss",
        max_trials=TRIALS,
        seed=3,
        keep_checkpoints=2,
        directory=folder,
        project_name="search",
    )
    data = {"validation_data": (X, Y), "epochs": EPOCHS, "batch_size": 16}
    tuner.search(X, Y, verbose=0, **data)
    return tuner


def results(folder):
    table = SearchRecord.load(folder / "search").trials
    return {k: (one.values, one.score, one.status) for k, one in table.items()}


class Faults:
    """Counts writes, and does something instead of the k-th.

    Args:
        folder: Where writes count.
        place: Which write fails, from 1; 0 for none.
        fault: Function without arguments.
    """

    def __init__(self, folder, place, fault):
        self.count = 0
        self._folder = str(folder)
        self._place = place
        self._fault = fault
        for name in ("link", "replace", "mkdir", "remove"):
            setattr(os, name, self._failing(getattr(os, name)))
        import builtins

        self._open = builtins.open
        builtins.open = self._failing(self._open, self._writes)
        keras.Model.save_weights = self._failing(
            keras.Model.save_weights, lambda model, path, **_: True
        )

    def _writes(self, path, mode="r", *_, **__):
        return self._folder in str(path) and bool(set(mode) & set("wa+"))

    def _failing(self, function, counts=lambda *_, **__: True):
        def call(*args, **kwargs):
            if counts(*args, **kwargs):
                self.count += 1
                if self.count == self._place:
                    self._leave_half(function, args, kwargs)
                    self._fault()
            return function(*args, **kwargs)

        return call

    def _leave_half(self, function, args, kwargs):
        if function is self._open and "+" not in args[1]:
            function(*args, **kwargs).close()
        elif "save_weights" in getattr(function, "__qualname__", ""):
            with self._open(args[1], "wb") as file:
                file.write(b"\x89HDF half of a file")


def kill():
    os._exit(9)


def fill():
    raise OSError(errno.ENOSPC, "No space left on device")


def in_child(folder, place, fault):
    """Runs the search in a child; returns its exit status and count of writes."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            warnings.simplefilter("ignore")
            faults = Faults(folder, place, fault)
            try:
                search(folder)
                status = 0
            except OSError:
                status = 2  # the disk is full and there are no weights to delete
            os.write(theirs, str(faults.count).encode())
        finally:
            os._exit(status)
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    count = os.read(ours, 100).decode()
    os.close(ours)
    return os.waitstatus_to_exitcode(status), int(count or 0)


def survives(folder, place, fault, whole):
    """Whether the search is whole after a fault and another start."""
    folder.mkdir()
    in_child(folder, place, fault)
    tuner = search(folder)
    if results(folder) != whole:
        return False
    best = tuner.oracle.get_best_trials()[0]
    path = SearchRecord.load(tuner.folder).trials[int(best.trial_id)].checkpoint
    if path is None or not (tuner.folder / path).exists():
        return fault is fill  # a full disk may cost weights
    found = tuner.get_best_models()[0].evaluate(X, Y, verbose=0)
    return abs(found - best.score) < 1e-5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="every seventh place")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        (root / "whole").mkdir()
        status, writes = in_child(root / "whole", 0, kill)
        if status or not writes:
            raise SystemExit("The undisturbed search failed.")
        whole = results(root / "whole")
        places = range(1, writes + 1, 7 if arguments.quick else 1)
        print(f"Backend {keras.backend.backend()}; {writes} writes a search.\n")
        print("| fault at a write | whole after another start |\n|---|---|")
        for name, fault in (("kill -9", kill), ("disk full", fill)):
            good = sum(
                survives(root / f"{name[:4]}-{place}", place, fault, whole)
                for place in places
            )
            print(f"| {name} | {good} of {len(places)} |", flush=True)


if __name__ == "__main__":
    main()
