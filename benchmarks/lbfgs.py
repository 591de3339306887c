"""Prints how long `fit_lbfgs` and Adam take to the same loss of a logistic regression.

    python benchmarks/lbfgs.py --backend tensorflow jax torch

10,000 rows, 50 features, ten classes, a weight penalty. To reach is the lowest
loss and `--above` of it, where `fit_lbfgs` found the lowest in float64 beforehand.
Adam gets batches of 256 rows and each of three learning rates; its loss on all rows is
looked at after each epoch, outside the clock. Both are timed in one process, in turns,
compilation included;
printed are medians over the rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
RATES = (0.01, 0.03, 0.1)
MOST_EPOCHS = 40


def make_data():
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(10_000, 50)).astype("float32")
    x *= np.logspace(0, -1, 50)  # features of different scale, as found
    scores = x @ rng.normal(size=(50, 10)) * 3 + rng.gumbel(size=(10_000, 10))
    return x, scores.argmax(axis=1)


def make_model(rate=0.01):
    import keras

    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(1e-4))
    model = keras.Sequential([keras.Input((50,)), layer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def seconds_of_lbfgs(x, y, target):
    import keras

    from keras_practices.optimizers import fit_lbfgs

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = logs["loss"] <= target

    model = make_model()
    begun = time.perf_counter()
    history = fit_lbfgs(model, x, y, callbacks=[Stop()])
    taken = time.perf_counter() - begun
    passes = int(history.history["evaluations"][-1])
    return (taken, passes) if history.history["loss"][-1] <= target else (None, passes)


def seconds_of_adam(x, y, target, rate):
    import keras

    class Stop(keras.callbacks.Callback):
        """Looks at the loss on all rows; the time that takes is not counted."""

        looked, lowest = 0.0, float("inf")

        def on_epoch_end(self, epoch, logs=None):
            begun = time.perf_counter()
            loss = self.model.evaluate(x, y, batch_size=len(x), verbose=0)
            self.lowest = min(self.lowest, loss)
            self.model.stop_training = loss <= target
            self.looked += time.perf_counter() - begun

    model, stop = make_model(rate), Stop()
    begun = time.perf_counter()
    arguments = {"batch_size": 256, "epochs": MOST_EPOCHS, "verbose": 0}
    history = model.fit(x, y, callbacks=[stop], **arguments)
    taken = time.perf_counter() - begun - stop.looked
    return (taken if stop.lowest <= target else None), len(history.epoch)


def child(rounds, above):
    from keras_practices.optimizers import fit_lbfgs

    x, y = make_data()
    history = fit_lbfgs(make_model(), x, y, float64=True, gradient_tolerance=1e-8)
    target = (1 + above) * history.history["loss"][-1]
    found = {"L-BFGS": [], **{f"Adam({rate})": [] for rate in RATES}}
    for _ in range(rounds):
        found["L-BFGS"].append(seconds_of_lbfgs(x, y, target))
        for rate in RATES:
            found[f"Adam({rate})"].append(seconds_of_adam(x, y, target, rate))
    backend = os.environ["KERAS_BACKEND"]
    own = statistics.median(taken for taken, _ in found["L-BFGS"])
    for name, results in found.items():
        times = [taken for taken, _ in results]
        passes = results[0][1]
        if None in times:
            print(f"| {backend} | {name} | not in {passes} passes | | |", flush=True)
            continue
        taken = statistics.median(times)
        ratio = taken / own
        print(
            f"| {backend} | {name} | {passes} | {taken:.2f} | {ratio:.1f} |", flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--above", type=float, default=0.01)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.rounds, arguments.above)
        return
    print("| backend | | passes over the rows | seconds | times L-BFGS |")
    print("|---|---|---|---|---|", flush=True)
    for backend in arguments.backend:
        environment = {**os.environ, "KERAS_BACKEND": backend}
        command = [sys.executable, __file__, "--child", "--rounds"]
        command += [str(arguments.rounds), "--above", str(arguments.above)]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
