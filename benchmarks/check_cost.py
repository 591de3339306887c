"""Prints what `kp.check` costs on a large model and a large set: seconds and memory.

    python benchmarks/check_cost.py --backend tensorflow jax torch

One process a backend checks a network of ten million weights on a million rows, with
the budget that `check` has by default. Printed are the seconds, by how much the
process's memory grew at its peak, and what was skipped for want of time.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
FEATURES, CLASSES, WIDTH = 100, 10, 2210


def memory(kind):
    """Returns this process's memory in MB (`VmRSS`, or its peak `VmHWM`)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    raise SystemExit("This benchmark reads /proc/self/status, which is on Linux only.")


def child(rows):
    """Checks the model once and returns the figures."""
    import keras
    import numpy as np

    import keras_practices as kp

    random = np.random.default_rng(0)
    x = random.standard_normal((rows, FEATURES), dtype="float32")
    y = (x[:, :CLASSES]).argmax(axis=1)
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    # Imports and the first use of the backend are no cost of the check.
    model.train_on_batch(x[:32], y[:32])
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before, begun = memory("VmRSS"), time.perf_counter()
    report = kp.check(model, x, y)
    return {
        "parameters": model.count_params(),
        "seconds": time.perf_counter() - begun,
        "extra_mb": memory("VmHWM") - before,
        "findings": [finding.rule for finding in report.findings],
        "skipped": [f"{what} ({why})" for what, why in report.not_measured],
        "slowest": sorted(report.timings.items(), key=lambda item: -item[1])[:4],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.rows)))
        return
    print(
        "| backend | weights | rows | s | MB more | findings | skipped | slowest, s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for backend in arguments.backend:
        environment = {**os.environ, "KERAS_BACKEND": backend}
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        command = [sys.executable, __file__, "--child", "--rows", str(arguments.rows)]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        slowest = ", ".join(f"{what} {s:.1f}" for what, s in found["slowest"])
        print(
            f"| {backend} | {found['parameters']:,} | {arguments.rows:,} "
            f"| {found['seconds']:.1f} | {found['extra_mb']:.0f} "
            f"| {', '.join(found['findings']) or '–'} "
            f"| {', '.join(found['skipped']) or '–'} | {slowest} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
