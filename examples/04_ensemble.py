"""Ensembles: the last percent, and what each member adds to it.

On the 1,797 digits of scikit-learn:

1. five members, trained alike from different seeds,
2. five snapshots of one training with cosine restarts,
3. of all ten, those that a greedy selection takes on the validation rows.

Each is measured on test rows, with intervals; the selected ensemble is saved in one
file, read back, and a report is written.

    python examples/04_ensemble.py
    python examples/04_ensemble.py --epochs 40 --directory ensemble
"""

import argparse
import os
import tempfile

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_practices as kp
from keras_practices import ensembles


def load(seed):
    """Returns the training, validation and test rows, a pair each."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    x, x_test, y, y_test = train_test_split(
        x, y, test_size=500, stratify=y, random_state=seed
    )
    x, x_held, y, y_held = train_test_split(
        x, y, test_size=300, stratify=y, random_state=seed
    )
    return (x, y), (x_held, y_held), (x_test, y_test)


def build():
    """Returns one member. Its initializers are made here, so each has its own seed."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return model


def main(arguments=None):
    """Trains, measures, saves; returns a dict of name to `MembersReport`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--directory", help="for models and report; none: a passing one"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as passing:
        return run(options.epochs, options.seed, options.directory or passing)


def run(epochs, seed, directory):
    """Does the work of `main` in a folder."""
    (x, y), (x_held, y_held), (x_test, y_test) = load(seed)
    quiet = {"verbose": 0, "batch_size": 32}
    five = ensembles.train(build, x, y, n=5, seed=seed, epochs=epochs, **quiet)

    keras.utils.set_random_seed(seed)
    snapshots = kp.callbacks.SnapshotEnsemble(os.path.join(directory, "snapshots"))
    build().fit(x, y, epochs=max(5, epochs), callbacks=[snapshots], **quiet)
    of_one_training = ensembles.from_checkpoints(snapshots.paths)

    candidates = [*five.members, *of_one_training.members]
    chosen = ensembles.select(candidates, x_held, y_held, size=20)

    path = os.path.join(directory, "ensemble.keras")
    chosen.save(path)
    again = keras.saving.load_model(path)
    difference = np.abs(
        again.predict(x_test, verbose=0) - chosen.predict(x_test, verbose=0)
    ).max()
    print(f"{path}: {len(again.members)} members, read back to within {difference:.1g}")

    found, sections, charts = {}, {}, []
    for name, ensemble in (
        ("five seeds", five),
        ("snapshots", of_one_training),
        ("selected", again),
    ):
        one = ensembles.summary(ensemble, x_test, y_test)
        found[name] = one
        print(
            f"{name}: test accuracy {one.ensemble}, gain over its mean member "
            f"{one.gain_over_mean}"
        )
        sections[f"{name}: what was measured"] = str(one)
        sections[f"{name}: members"] = one.table()
        charts.extend(one.charts() if name == "five seeds" else [])
    report = kp.Report(title="Ensembles of digits", sections=sections, charts=charts)
    page = report.save_html(os.path.join(directory, "ensembles.html"))
    print(f"report: {page}")
    return found


if __name__ == "__main__":
    main()
