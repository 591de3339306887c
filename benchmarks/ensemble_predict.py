"""Time of one ensemble's `predict` beside one `predict` call for each member.

    KERAS_BACKEND=torch python benchmarks/ensemble_predict.py

Ten members 64-64-64-3. Printed are milliseconds (the median of interleaved rounds),
their ratio, and the largest difference of the predictions. Most of what is saved is
the fixed cost of a `predict` call, so it shrinks as rows and batches grow.
"""

import argparse
import time

import keras
import numpy as np

from keras_practices.ensembles import Ensemble

MEMBERS, FEATURES, CLASSES = 10, 64, 3


def build():
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def seconds(function):
    wall, own = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - own


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="3 rounds, small sizes")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    sizes = [(32, 32), (256, 32), (4096, 1024), (4096, 32)]
    members = [build() for _ in range(MEMBERS)]
    ensemble = Ensemble(members)
    print(f"backend {keras.backend.backend()}, Keras {keras.__version__}\n")
    print("| rows | batch | ten calls, ms | ensemble, ms | ratio | ratio of CPU time |")
    print("|---|---|---|---|---|---|")
    worst = 0.0
    for rows, batch in sizes[:2] if options.quick else sizes:
        x = np.random.default_rng(0).normal(size=(rows, FEATURES)).astype("float32")
        given = {"batch_size": batch, "verbose": 0}

        def calls(x=x, given=given):
            return np.mean([one.predict(x, **given) for one in members], axis=0)

        def graph(x=x, given=given):
            return ensemble.predict(x, **given)

        # On PyTorch a shape is traced when it comes for the tenth time.
        worst = max(worst, float(np.abs(calls() - graph()).max()))
        for _ in range(10):
            graph()
        pairs = [(seconds(calls), seconds(graph)) for _ in range(rounds)]
        worst = max(worst, float(np.abs(calls() - graph()).max()))
        (ten, ten_cpu), (one, one_cpu) = np.median(pairs, axis=0)
        print(
            f"| {rows} | {batch} | {1e3 * ten:.1f} | {1e3 * one:.1f} "
            f"| {ten / one:.1f} | {ten_cpu / one_cpu:.1f} |",
            flush=True,
        )
    print(f"\nlargest difference of the predictions: {worst:.1e}")


if __name__ == "__main__":
    main()
