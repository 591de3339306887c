"""Prints what each practice of the last percent gains over the single model.

    python benchmarks/practice_gains.py --mnist mnist.npz
    python benchmarks/practice_gains.py --sets digits,tabular --seeds 10
    python benchmarks/practice_gains.py --quick              # to see that it runs

Sets: scikit-learn's digits (8 x 8 images), its breast cancer data (30 numbers a row),
and MNIST images from an `.npz` with `x` (rows, 28, 28) and `y`, or `x_train` and
`y_train`, of which at most 6,000 are taken. For each seed the rows are split anew,
stratified, into training, validation and test rows, and all practices get the same.
The single model of a seed is one network with dropout, trained with Adam at a constant
rate for a fixed number of epochs. Every figure is of the test rows. No choice is made
by them; the greedy selection chooses by the validation rows.

- ensemble of 5: five networks, the single one with four more (as much training again,
  four times).
- search, best: the best of six random settings by validation loss.
- search, greedy top-k: those six, greedily selected on the validation rows.
- snapshots: one training of the same length with five cosine cycles, five snapshots.
- EMA, tail average, SWA: the very training of the single model, averaged.
- TTA: the single model on five views of each image, moved by one pixel each way.
- MC averaging: the mean of 30 passes of the single model with its dropout on.
- distilled student: the network of the single model, taught by the ensemble of 5.

Gain is the difference to the single model of the same seed: of accuracy in points, of
log loss in nats, positive where the practice is better. Intervals are of Student's t
over the seeds, 95 %: they tell how sure the mean gain is over trainings and splits.
The splits share rows, so they are somewhat too narrow.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of small matrices: more are slower

import dataclasses
import tempfile
import time
from collections import defaultdict

import keras
import numpy as np
from scipy import stats
from sklearn import datasets
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import keras_practices as kp

CONFIDENCE = 0.95
MEMBERS = 5
TRIALS = 6
MNIST_ROWS = 6_000


@dataclasses.dataclass
class Problem:
    """Rows, and how long a network is trained on them."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    epochs: int
    batch_size: int
    train: float

    @property
    def images(self):
        """Whether the rows are images."""
        return self.x.ndim == 4


def problem_of(name, arguments):
    """The rows of a set, scaled without looking at their classes."""
    if name == "digits":
        x, y = datasets.load_digits(return_X_y=True)
        x = (x / 16).reshape(-1, 8, 8, 1)
        # A third for training: with more there is little left to gain.
        return Problem(x.astype("float32"), y, 10, arguments.epochs or 40, 32, 0.34)
    if name == "tabular":
        x, y = datasets.load_breast_cancer(return_X_y=True)
        return Problem(x.astype("float32"), y, 2, arguments.epochs or 60, 32, 0.5)
    with np.load(arguments.mnist) as file:
        names = ("x", "y") if "x" in file else ("x_train", "y_train")
        x, y = (file[name][:MNIST_ROWS] for name in names)
    x = (x.reshape(len(x), 28, 28, 1) / 255).astype("float32")
    return Problem(x, y.astype(int), 10, arguments.epochs or 10, 64, 0.34)


@dataclasses.dataclass
class Part:
    """One split of a problem."""

    problem: Problem
    x: np.ndarray
    y: np.ndarray
    validation: tuple
    test: tuple

    @classmethod
    def of(cls, problem, seed):
        """Draws it; tabular columns are standardised by the training rows."""
        rows = np.arange(len(problem.y))
        train, rest = train_test_split(
            rows, train_size=problem.train, stratify=problem.y, random_state=seed
        )
        validation, test = train_test_split(
            rest, train_size=0.25, stratify=problem.y[rest], random_state=seed
        )
        x = problem.x
        if not problem.images:
            x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
        cut = [(x[part], problem.y[part]) for part in (train, validation, test)]
        return cls(problem, *cut[0], *cut[1:])

    def fit(self, model, callbacks=()):
        """Trains as every model here is trained."""
        return model.fit(
            self.x,
            self.y,
            epochs=self.problem.epochs,
            batch_size=self.problem.batch_size,
            callbacks=list(callbacks),
            verbose=0,
        )


def network(problem, rate=1e-3, width=1.0, dropout=0.3, penalty=0.0):
    """A compiled network with probabilities as its output."""
    penalty = keras.regularizers.L2(penalty) if penalty else None
    layers = [keras.Input(problem.x.shape[1:])]
    if problem.images:
        for filters in (16, 32):
            layers += [
                keras.layers.Conv2D(
                    round(width * filters),
                    3,
                    padding="same",
                    activation="relu",
                    kernel_regularizer=penalty,
                ),
                keras.layers.MaxPooling2D(),
            ]
        layers.append(keras.layers.Flatten())
    layers += [
        keras.layers.Dense(
            round(width * 64), activation="relu", kernel_regularizer=penalty
        ),
        keras.layers.Dropout(dropout),
        keras.layers.Dense(problem.classes, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


def settings(seed):
    """The points of a small random search."""
    rng = np.random.default_rng(10_000 + seed)
    for _ in range(TRIALS):
        yield {
            "rate": float(10 ** rng.uniform(-3.5, -2.3)),
            "width": float(rng.choice([0.5, 1.0, 1.5])),
            "dropout": float(rng.uniform(0, 0.6)),
            "penalty": float(10 ** rng.uniform(-6, -3)),
        }


def predicted(model, x):
    return model.predict(x, batch_size=256, verbose=0)


def single_and_averages(part, seed):
    """The single model, and what averaging makes of its very training."""
    found, epochs = {}, part.problem.epochs
    steps = epochs * -(-len(part.x) // part.problem.batch_size)
    # Looks back over a twentieth of all steps.
    decay = max(0.0, 1 - 20 / steps)
    trained = {
        "EMA": kp.callbacks.WeightAveraging("ema", decay),
        "tail average": kp.callbacks.WeightAveraging("tail"),
        "SWA": kp.callbacks.SWA(start_epoch=epochs // 2),
    }
    x = part.test[0]
    for name, callback in trained.items():
        # The same random numbers: these see one and the same training.
        keras.utils.set_random_seed(seed)
        model = network(part.problem)
        part.fit(model, [callback])
        found[name] = predicted(model, x)
        if name == "EMA":
            callback.restore_raw()
            single, found["single"] = model, predicted(model, x)
    return single, found


def views(part, model):
    """Test-time averages of the single model."""
    x, found = part.test[0], {}
    if part.problem.images:
        moved = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        found["TTA"] = kp.augmentation.predict_tta(
            model, moved, crops=5, batch_size=256
        )
    mean, _ = kp.layers.predict_mc(model, x, samples=30, batch_size=256, seed=0)
    return found | {"MC averaging": mean}


def ensembles(part, single, seed):
    """What more than one training gives."""
    problem, (x, _), found = part.problem, part.test, {}
    fit = {"epochs": problem.epochs, "batch_size": problem.batch_size, "verbose": 0}

    def build():
        return network(problem)

    others = kp.ensembles.train(
        build, part.x, part.y, n=MEMBERS - 1, seed=1000 + seed, **fit
    )
    ensemble = kp.ensembles.Ensemble([single, *others.members])
    found[f"ensemble of {MEMBERS}"] = predicted(ensemble, x)
    keras.utils.set_random_seed(3000 + seed)
    student, _ = kp.ensembles.distill(
        ensemble, build(), part.x, part.y, temperature=2.0, alpha=0.7, **fit
    )
    found["distilled student"] = predicted(student, x)
    return found


def snapshots(part, seed):
    keras.utils.set_random_seed(seed)
    model = network(part.problem, rate=3e-3)  # it falls to nothing in each cycle
    with tempfile.TemporaryDirectory() as folder:
        callback = kp.callbacks.SnapshotEnsemble(folder, cycles=MEMBERS)
        part.fit(model, [callback])
        ensemble = kp.ensembles.from_checkpoints(callback.paths)
    return {"snapshots": predicted(ensemble, part.test[0])}


def searched(part, seed):
    candidates, losses = [], []
    rows, targets = part.validation
    for place, point in enumerate(settings(seed)):
        keras.utils.set_random_seed(4000 + 100 * seed + place)
        model = network(part.problem, **point)
        part.fit(model)
        candidates.append(model)
        losses.append(figures(predicted(model, rows), targets)[1])
    chosen = kp.ensembles.select(candidates, rows, targets, size=10)
    best = candidates[int(np.argmin(losses))]
    return {
        "search, best": predicted(best, part.test[0]),
        "search, greedy top-k": predicted(chosen, part.test[0]),
    }


def figures(probabilities, y):
    """Accuracy in per cent and log loss in nats."""
    probabilities = np.float64(probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    accuracy = 100 * np.mean(probabilities.argmax(axis=1) == y)
    clipped = np.clip(np.asarray(probabilities, "float64"), 1e-7, 1)
    return accuracy, log_loss(y, clipped / clipped.sum(axis=1, keepdims=True))


def run_seed(problem, seed):
    """Practice -> (accuracy, log loss) on the test rows."""
    part = Part.of(problem, seed)
    single, found = single_and_averages(part, seed)
    found |= views(part, single)
    found |= ensembles(part, single, seed)
    found |= snapshots(part, seed)
    found |= searched(part, seed)
    keras.utils.clear_session()
    return {name: figures(p, part.test[1]) for name, p in found.items()}


def interval(differences):
    """Mean with Student's interval; the difference of one seed has none."""
    mean = np.mean(differences)
    if len(differences) < 2:
        return mean, np.nan
    error = stats.sem(differences)
    return mean, error * stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)


def verdict(*gains):
    """What the two intervals show."""
    words = []
    for (mean, half), what in zip(gains, ("accuracy", "log loss"), strict=True):
        if mean - half > 0:
            words.append(f"helps {what}")
        elif mean + half < 0:
            words.append(f"hurts {what}")
    return ", ".join(words) or "nothing shown"


def rows_of(results):
    """Lines of the table of one set."""
    single = np.array(results.pop("single"))
    accuracy, loss = single.mean(axis=0)
    yield f"| single model | {accuracy:.2f} | | {loss:.4f} | | |"
    for name, values in results.items():
        values = np.array(values)
        accuracy = interval(values[:, 0] - single[:, 0])
        loss = interval(single[:, 1] - values[:, 1])
        yield (
            f"| {name} | {values[:, 0].mean():.2f} "
            f"| {accuracy[0]:+.2f} ± {accuracy[1]:.2f} | {values[:, 1].mean():.4f} "
            f"| {loss[0]:+.4f} ± {loss[1]:.4f} | {verdict(accuracy, loss)} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=None, help="digits,tabular,mnist")
    parser.add_argument("--mnist", help="path of an .npz with the images")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, help="for every set")
    parser.add_argument("--quick", action="store_true", help="two seeds, six epochs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.epochs = 2, arguments.epochs or 6
    names = arguments.sets or "digits,tabular" + (",mnist" if arguments.mnist else "")
    for name in names.split(","):
        if name not in ("digits", "tabular", "mnist"):
            parser.error(f"no such set: {name}")
        if name == "mnist" and not arguments.mnist:
            parser.error("the set mnist needs --mnist PATH")
        problem = problem_of(name, arguments)
        results, begun = defaultdict(list), time.perf_counter()
        for seed in range(arguments.seeds):
            for practice, found in run_seed(problem, seed).items():
                results[practice].append(found)
        part, seconds = Part.of(problem, 0), time.perf_counter() - begun
        print(
            f"\n{name}: {len(part.y)} training, {len(part.validation[1])} validation, "
            f"{len(part.test[1])} test rows, {arguments.seeds} seeds, "
            f"{problem.epochs} epochs, {keras.backend.backend()}, {seconds:.0f} s\n"
        )
        print("| practice | accuracy, % | gain, points | log loss | gain, nats | |")
        print("|---|---|---|---|---|---|")
        print("\n".join(rows_of(results)), flush=True)


if __name__ == "__main__":
    main()
