"""CPU time of a step with `WeightAveraging`, beside a bare `fit`.

    KERAS_BACKEND=jax python benchmarks/weight_averaging.py

For each network one model is trained again and again from the same weights. In each
round every variant runs one `fit`, in an order shuffled anew. Printed are the CPU time
of all threads for one step of a bare `fit`, and for each variant the median of its
ratio to the mean of the two bare fits of that round, with the quartiles; `bare again`
shows how far two equal fits lie apart. The first fit of each variant compiles and is
left out. Keras's `use_ema`, which only averages and has no validation of the average,
stands beside it.
"""

import argparse
import random
import time

import keras
import networks
import numpy as np

import keras_practices as kp

BARE = ("bare", "bare again")
VARIANTS = {
    "ema": {},
    "ema, every 10": {"every": 10},
    "tail": {"kind": "tail", "start_epoch": 0},
}
KERAS = "use_ema of Keras"


def measured(model, start, given):
    """Returns the CPU seconds of one `fit` from the same weights."""
    model.set_weights(start)
    begun = time.process_time()
    model.fit(**given)
    return time.process_time() - begun


def rounds_of(network, options):
    """Returns a list with one dict a round, of CPU seconds by variant."""
    x, y = network.rows(network.batch * options.steps)
    given = {"x": x, "y": y, "batch_size": network.batch, "verbose": 0}
    given |= {"epochs": options.epochs, "shuffle": False}
    plain, ema = network.compiled(), network.compiled()
    optimizer = keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.999)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ema.compile(optimizer, loss, metrics=["accuracy"])
    # PyTorch hands out views of what it trains.
    start = [np.array(weight) for weight in plain.get_weights()]
    names = [*BARE, *VARIANTS, KERAS]
    found = []
    for count in range(options.rounds + 1):
        random.Random(count).shuffle(names)
        row = {}
        for name in names:
            made = []
            if name in VARIANTS:
                made = [kp.callbacks.WeightAveraging(**VARIANTS[name])]
            model = ema if name == KERAS else plain
            row[name] = measured(model, start, {**given, "callbacks": made})
        found.append(row)
    return found[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["tiny", "mlp", "convnet"])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=100, help="steps an epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="3 rounds, 10 steps")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps = 3, 10
    print(f"backend {keras.backend.backend()}, Keras {keras.__version__}\n")
    print("| model | variant | CPU, ms a step | ratio to bare (quartiles) |")
    print("|---|---|---|---|")
    for name in options.models:
        rows = rounds_of(networks.NETWORKS[name], options)
        steps = options.steps * options.epochs
        for variant in [*BARE, *VARIANTS, KERAS]:
            ratios = []
            for row in rows:
                bare = [row[other] for other in BARE if other != variant]
                ratios.append(row[variant] / np.mean(bare))
            low, middle, high = np.percentile(ratios, [25, 50, 75])
            each = 1e3 * np.median([row[variant] for row in rows]) / steps
            print(
                f"| {name} | {variant} | {each:.2f} "
                f"| {middle:.2f} ({low:.2f}–{high:.2f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
