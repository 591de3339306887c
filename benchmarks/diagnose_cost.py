"""Prints by how much `kp.diagnose` takes longer than the plain `fit` it stands for.

    python benchmarks/diagnose_cost.py --backend tensorflow jax torch

Bound: the budget plus 5 % of the fit. In one process for each backend and network a
new model is fitted and another one diagnosed, in turns, compilation included; printed
are medians over the rounds. The rows are random, so that the training learns nothing
and the trials at other rates, the dearest part, are run too; with `--learnable` the
classes can be read from the rows.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
MODELS = ("mlp", "convnet", "resnet20", "transformer")


def child(arguments):
    """Returns seconds of each fit and each diagnosis."""
    import keras
    from networks import NETWORKS

    import keras_practices as kp

    network = NETWORKS[arguments.model[0]]
    model = network.compiled()
    x, y = network.rows(20 * network.batch)
    model.fit(x, y, batch_size=network.batch, verbose=0)
    begun = time.perf_counter()
    model.fit(x, y, batch_size=network.batch, verbose=0)
    step = (time.perf_counter() - begun) / 20
    steps = max(40, round(arguments.seconds / step / 2))
    x, y = network.rows(steps * network.batch)
    if arguments.learnable and not network.words:
        y = x.reshape(len(x), -1)[:, :10].argmax(axis=1)
    common = {"epochs": 2, "batch_size": network.batch, "verbose": 0}
    budget = {"budget_seconds": arguments.budget}
    found = {"fit": [], "diagnose": []}
    order = random.Random(0)
    for _ in range(arguments.rounds):
        for name in order.sample(["fit", "diagnose"], 2):
            model = network.compiled()
            begun = time.perf_counter()
            if name == "fit":
                model.fit(x, y, **common)
            else:
                report = kp.diagnose(model, x, y, **common, **budget)
            found[name].append(time.perf_counter() - begun)
            keras.backend.clear_session()
    timings = sorted(report.timings.items(), key=lambda item: -item[1])
    own = [pair for pair in timings if pair[0] not in ("fit", "training")]
    return {**found, "steps": 2 * steps, "dearest": own[:3]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a plain fit")
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--learnable", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments)))
        return
    print("| backend | network | steps | fit, s | diagnose, s | more, s | bound, s |")
    print("|---|---|---|---|---|---|---|")
    for backend in arguments.backend:
        for model in arguments.model:
            environment = {**os.environ, "KERAS_BACKEND": backend}
            environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            own = ["--child", "--backend", backend, "--model", model]
            command = [sys.executable, __file__, *sys.argv[1:], *own]
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            found = json.loads(done.stdout.strip().splitlines()[-1])
            fit = statistics.median(found["fit"])
            whole = statistics.median(found["diagnose"])
            bound = arguments.budget + 0.05 * fit
            print(
                f"| {backend} | {model} | {found['steps']} | {fit:.1f} | {whole:.1f} "
                f"| {whole - fit:.1f} | {bound:.1f} |",
                flush=True,
            )
            dearest = ", ".join(f"{what} {s:.1f}" for what, s in found["dearest"])
            print(f"  dearest: {dearest}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
