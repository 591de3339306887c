"""Problems for searches: real data, small networks in NumPy, any point at any time.

Keras would take minutes for what one search asks; here an epoch is a millisecond, so
that thirty searches with fresh points each can be run. A point always learns the same
way (its seed follows from its values) and is trained further from where it stands.
"""

import json
import math
import zlib

import keras_tuner
import numpy as np
from sklearn import datasets

WORST = 1e9  # score of a run that diverged: keras-tuner ends a search that has NaN


def log_float(hp, name, low, high):
    return hp.Float(name, low, high, sampling="log")


def digits(hp):
    log_float(hp, "learning_rate", 1e-4, 1.0)
    log_float(hp, "weight_decay", 1e-6, 1e-1)
    hp.Int("width", 8, 64, sampling="log")
    hp.Choice("batch_size", [16, 32, 64, 128])
    hp.Choice("momentum", [0.0, 0.5, 0.9, 0.95, 0.99])


def cancer(hp):
    log_float(hp, "learning_rate", 1e-5, 1e-1)
    log_float(hp, "weight_decay", 1e-6, 1e-1)
    hp.Int("width", 8, 64, sampling="log")
    hp.Float("dropout", 0.0, 0.7)
    hp.Choice("activation", ["relu", "tanh"])
    hp.Choice("batch_size", [16, 32, 64, 128])
    hp.Fixed("optimizer", "adam")


def diabetes(hp):
    hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Choice("momentum", [0.0, 0.5, 0.9, 0.95, 0.99])
    log_float(hp, "learning_rate", 1e-5, 1.0)
    log_float(hp, "weight_decay", 1e-6, 1.0)
    hp.Int("depth", 1, 3)
    hp.Int("width", 4, 64, sampling="log")
    hp.Float("dropout", 0.0, 0.7)
    hp.Choice("batch_size", [16, 32, 64, 128])


def friedman_data():
    return datasets.make_friedman1(500, noise=1.0, random_state=0)


def mixture_data():
    return datasets.make_classification(
        600, 20, n_informative=8, n_classes=4, flip_y=0.05, random_state=0
    )


# Name -> data, space, rows to train on, whether it is a classification. Those of the
# table, and others on which settings may be tried.
PROBLEMS = {
    "digits": (lambda: datasets.load_digits(return_X_y=True), digits, 400, True),
    "breast cancer": (
        lambda: datasets.load_breast_cancer(return_X_y=True),
        cancer,
        284,
        True,
    ),
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True), diabetes, 221, False),
}
OTHERS = {
    "wine": (lambda: datasets.load_wine(return_X_y=True), digits, 89, True),
    "friedman": (friedman_data, diabetes, 250, False),
    "mixture": (mixture_data, cancer, 300, True),
}


class Problem:
    """A space and what its points come to.

    Args:
        name: A key of `PROBLEMS` or `OTHERS`.
    """

    def __init__(self, name):
        load, declare, rows, self.classes = {**PROBLEMS, **OTHERS}[name]
        x, y = load()
        order = np.random.default_rng(0).permutation(len(x))
        train, val = order[:rows], order[rows : 2 * rows]
        spread = x[train].std(axis=0)
        x = (x - x[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        if self.classes:
            y = np.eye(int(y.max()) + 1)[y.astype(int)]
        else:
            y = ((y - y[train].mean()) / y[train].std())[:, None]
        self.train = x[train].astype("float32"), y[train].astype("float32")
        self.val = x[val].astype("float32"), y[val].astype("float32")
        self.space = keras_tuner.HyperParameters()
        declare(self.space)
        self.space.values = {}
        self.runs = {}

    def losses(self, values, epochs):
        """Returns the validation loss after each of the first epochs of a point."""
        key = json.dumps(values, sort_keys=True)
        if key not in self.runs:
            seed = zlib.crc32(key.encode())
            self.runs[key] = ([], Network(self, values, seed))
        losses, network = self.runs[key]
        while len(losses) < epochs:
            losses.append(network.epoch())
        return losses[:epochs]


class Network:
    """An MLP in the middle of its training."""

    def __init__(self, problem, values, seed):
        self.problem, self.values = problem, values
        self.random = np.random.default_rng(seed)
        x, y = problem.train
        widths = [x.shape[1]] + [values["width"]] * values.get("depth", 1)
        shapes = []
        for fan_in, units in zip(widths, [*widths[1:], y.shape[1]], strict=True):
            shapes += [(fan_in, units), (units,)]
        # All weights in one vector: an update is a few operations, not some a layer.
        self.flat, self.weights = vector_of(shapes)
        self.gradient, self.gradients = vector_of(shapes)
        self.decayed, kernels = vector_of(shapes)
        for weights, kernel in zip(self.weights[::2], kernels[::2], strict=True):
            weights[:] = self.random.normal(size=weights.shape)
            weights *= math.sqrt(2 / len(weights))
            kernel[:] = values["weight_decay"]
        self.first = np.zeros_like(self.flat)
        self.second = np.zeros_like(self.flat)
        self.steps = 0
        self.broken = False

    def epoch(self):
        """Trains an epoch and returns the validation loss."""
        if self.broken:
            return WORST
        x, y = self.problem.train
        size = self.values["batch_size"]
        order = self.random.permutation(len(x))
        with np.errstate(all="ignore"):
            for begin in range(0, len(x), size):
                rows = order[begin : begin + size]
                self.step(x[rows], y[rows])
            scores, _ = self.forward(self.problem.val[0], 0.0)
            loss = self.loss(scores, self.problem.val[1])
        self.broken = not loss < WORST
        return WORST if self.broken else loss

    def forward(self, x, rate):
        """Returns outputs and what each layer received."""
        inputs = []
        last = len(self.weights) // 2 - 1
        for layer in range(last + 1):
            inputs.append(x)
            x = x @ self.weights[2 * layer] + self.weights[2 * layer + 1]
            if layer < last:
                tanh = self.values.get("activation") == "tanh"
                x = np.tanh(x) if tanh else np.maximum(x, 0)
                if rate:
                    x = x * (self.random.random(x.shape, "float32") >= rate)
                    x /= np.float32(1 - rate)
        return x, inputs

    def loss(self, scores, y):
        """Mean squared error, or cross-entropy of scores before the softmax."""
        if not self.problem.classes:
            return float(np.mean((scores - y) ** 2))
        top = scores.max(axis=1, keepdims=True)
        total = np.log(np.exp(scores - top).sum(axis=1, keepdims=True)) + top
        return float(np.mean(total[:, 0] - (scores * y).sum(axis=1)))

    def step(self, x, y):
        """One step of the optimizer on a batch."""
        rate = self.values.get("dropout", 0.0)
        scores, inputs = self.forward(x, rate)
        if self.problem.classes:
            shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
            delta = shifted / shifted.sum(axis=1, keepdims=True) - y
        else:
            delta = 2 * (scores - y)
        delta /= np.float32(len(x))
        for layer in reversed(range(len(inputs))):
            np.matmul(inputs[layer].T, delta, out=self.gradients[2 * layer])
            delta.sum(axis=0, out=self.gradients[2 * layer + 1])
            if layer:
                delta = delta @ self.weights[2 * layer].T
                value = inputs[layer] * np.float32(1 - rate)  # before dropout's factor
                if self.values.get("activation") == "tanh":
                    delta *= (value != 0) * (1 - value**2) / np.float32(1 - rate)
                else:
                    delta *= (value > 0) / np.float32(1 - rate)
        self.update()

    def update(self):
        """SGD with momentum and an L2 penalty, or AdamW."""
        self.steps += 1
        rate = np.float32(self.values["learning_rate"])
        if self.values.get("optimizer") != "adam":
            self.first *= np.float32(self.values["momentum"])
            self.first += self.gradient
            self.first += self.decayed * self.flat
            self.flat -= rate * self.first
            return
        self.first += np.float32(0.1) * (self.gradient - self.first)
        self.second += np.float32(0.001) * (self.gradient**2 - self.second)
        scale = math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        self.flat *= 1 - rate * self.decayed
        self.flat -= (
            rate * np.float32(scale) * self.first / (np.sqrt(self.second) + 1e-7)
        )


def vector_of(shapes):
    """Returns a vector of zeros and its parts in these shapes."""
    sizes = [math.prod(shape) for shape in shapes]
    vector = np.zeros(sum(sizes), "float32")
    parts = np.split(vector, np.cumsum(sizes)[:-1])
    return vector, [
        part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)
    ]
