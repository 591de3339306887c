"""Prints the accuracy of a planned transfer beside the two usual ways.

    python benchmarks/transfer_quadrants.py
    python benchmarks/transfer_quadrants.py --quick
    python benchmarks/transfer_quadrants.py --mnist PATH.npz
    python benchmarks/transfer_quadrants.py --rows 10 --seeds 30

A small convolutional network learns the digits 0-4. It is then taken over to 5-9:
as they are ("similar"), or with the pixels of every image shuffled in one fixed order
("different": strokes and edges are gone, only single pixels are left). The rows are
those of scikit-learn's digits (8 by 8 pixels) and, with `--mnist`, of a file with
arrays `x` (rows, 28, 28) and `y`, or `x_train` and `y_train`.

Three ways get the same rows, a fifth of them for validation, the same pretrained
weights, and the best weights on validation data: the plan (`transfer.plan`, then
`transfer.fine_tune`); "all at once" (a new head, every layer learns at Adam's 1e-3);
"head only" (a new head on the frozen network). The latter two get as many epochs as
the longest plan, and stop after five without a better validation loss, as the plan's
stages do. Printed are means over seeds with the 95 % interval of the mean (Student's
t), and of the plan less each other way, paired by seed; "wins" and "loses" are said
where that interval leaves out 0.
"""

import argparse
import math
import time

import keras
import numpy as np
from scipy import stats

from keras_practices import transfer
from keras_practices.transfer import thresholds

WAYS = ("plan", "all at once", "head only")
EPOCHS = thresholds.HEAD_EPOCHS + 2 * thresholds.TUNE_EPOCHS
PATIENCE = 5
TEST_ROWS = 1000


def digits():
    """Returns scikit-learn's digits as images of values 0 to 1, and labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16).reshape(-1, 8, 8, 1).astype("float32"), y


def from_file(path):
    """Returns images of values 0 to 1, and labels, of an `.npz` file."""
    with np.load(path) as file:
        names = ("x_train", "y_train") if "x_train" in file else ("x", "y")
        x, y = (file[name] for name in names)
    return (x.reshape(len(x), 28, 28, 1) / 255).astype("float32"), y.astype(int)


def network(shape):
    """Returns a network for five classes."""
    layers = keras.layers
    model = keras.Sequential([keras.Input(shape)])
    for filters in (16, 32, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        if shape[0] > 8 or filters == 32:
            model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(5, "softmax"))
    return model


def shuffled(x):
    """Returns images with their pixels in another order, the same for all."""
    order = np.random.default_rng(0).permutation(math.prod(x.shape[1:]))
    return x.reshape(len(x), -1)[:, order].reshape(x.shape)


def rows_for(y, each, seed):
    """Returns training, validation and test rows; about `each` of a class to learn."""
    rng = np.random.default_rng(seed)
    learn, later = [], []
    for number in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == number))
        # A quarter stays for the test in any case.
        count = min(each, 3 * len(rows) // 4)
        learn.append(rows[:count])
        later.append(rows[count:])
    fifth = [max(1, len(rows) // 5) for rows in learn]
    pairs = list(zip(learn, fifth, strict=True))
    train = np.concatenate([rows[count:] for rows, count in pairs])
    validation = np.concatenate([rows[:count] for rows, count in pairs])
    test = rng.permutation(np.concatenate(later))[:TEST_ROWS]
    return rng.permutation(train), validation, test


def plainly(model, parts, frozen):
    """Trains a new head, and with `frozen=False` everything else with it."""
    base = keras.Model(model.inputs[0], model.layers[-2].output)
    base.trainable = not frozen
    whole = keras.Sequential([base, keras.layers.Dense(5, "softmax")])
    whole.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping(
        patience=PATIENCE, restore_best_weights=True, start_from_epoch=0
    )
    whole.fit(
        *parts["train"],
        validation_data=parts["validation"],
        epochs=EPOCHS,
        callbacks=[stop],
        verbose=0,
    )
    return whole


def planned(model, parts, seed):
    """Plans and carries out; returns the trained model and the quadrant."""
    plan = transfer.plan(model, *parts["train"], seed=seed)
    result = transfer.fine_tune(
        model,
        parts["train"],
        validation_data=parts["validation"],
        plan=plan,
        head=5,
        patience=PATIENCE,
        verbose=0,
    )
    return result.model, plan.quadrant


def accuracy(model, part):
    """Returns the share of rows whose class is right."""
    return float((model.predict(part[0], verbose=0).argmax(-1) == part[1]).mean())


def run(data, sizes, seeds):
    """Returns `{(task, rows a class): {way: accuracies}}` and the quadrants."""
    x, y = data
    found, quadrants = {}, {}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        model = network(x.shape[1:])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x[y < 5], y[y < 5], epochs=10, verbose=0)
        weights = model.get_weights()
        for task in ("similar", "different"):
            new, labels = x[y >= 5], y[y >= 5] - 5
            new = shuffled(new) if task == "different" else new
            for each in sizes:
                rows = rows_for(labels, each, seed)
                names = ("train", "validation", "test")
                pairs = zip(names, rows, strict=True)
                parts = {name: (new[r], labels[r]) for name, r in pairs}
                scores = found.setdefault((task, each), {way: [] for way in WAYS})
                for way in WAYS:
                    keras.utils.set_random_seed(seed)
                    copy = network(x.shape[1:])
                    copy.set_weights(weights)
                    if way == "plan":
                        made, quadrant = planned(copy, parts, seed)
                        quadrants.setdefault((task, each), []).append(quadrant)
                    else:
                        made = plainly(copy, parts, frozen=way == "head only")
                    scores[way].append(accuracy(made, parts["test"]))
    return found, quadrants


def interval(values):
    """Returns the mean and half the width of its 95 % interval."""
    values = np.asarray(values)
    if len(values) < 2:
        return float(values.mean()), math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(values.mean()), float(half)


def verdict(ours, theirs):
    """Says who wins, by the paired differences."""
    mean, half = interval(np.subtract(ours, theirs))
    word = "wins" if mean > half else "loses" if mean < -half else "even"
    return f"{mean:+.3f} ± {half:.3f} {word}"


def main():
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", metavar="PATH.npz")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--quick", action="store_true", help="two seeds, digits only")
    options = parser.parse_args()
    seeds = 2 if options.quick else options.seeds
    # The digits have fewer than 200 rows a class.
    sets = {"digits": (digits(), [each for each in options.rows if each < 200])}
    if options.mnist and not options.quick:
        sets["MNIST"] = (from_file(options.mnist), options.rows)
    begun = time.perf_counter()
    print(
        "| data, task | rows a class | planned as (seeds) |", " | ".join(WAYS), end=""
    )
    print(" | plan - all at once | plan - head only |")
    print("| --- " * (5 + len(WAYS)) + "|")
    for name, (data, sizes) in sets.items():
        if not sizes:
            continue
        found, quadrants = run(data, sizes, seeds)
        for (task, each), scores in found.items():
            names, counts = np.unique(quadrants[task, each], return_counts=True)
            squares = [f"{n} ({c})" for n, c in zip(names, counts, strict=True)]
            cells = ["{:.3f} ± {:.3f}".format(*interval(scores[way])) for way in WAYS]
            cells += [verdict(scores["plan"], scores[way]) for way in WAYS[1:]]
            print(f"| {name}, {task} | {each} | {'; '.join(squares)} |", end=" ")
            print(" | ".join(cells), "|", flush=True)
    seconds = time.perf_counter() - begun
    print(f"\n{seeds} seeds, {keras.backend.backend()}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
