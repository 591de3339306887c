"""Faulty programs with losses, layers, optimizers and inputs of their own."""

import keras
import numpy as np
from faulty_images import cnn
from faulty_images import digits
from faulty_tables import cut
from faulty_tables import houses
from faulty_tables import mlp
from faulty_tables import table
from keras import ops
from programs import Program
from programs import Run
from sklearn.preprocessing import StandardScaler

layers = keras.layers
optimizers = keras.optimizers
SPARSE = "sparse_categorical_crossentropy"


class Batches(keras.utils.PyDataset):
    """Batches of arrays, in their order."""

    def __init__(self, x, y, size=32):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, i):
        part = slice(i * self.size, (i + 1) * self.size)
        return self.x[part], self.y[part]


class Subclassed(keras.Model):
    """A model without a graph: two hidden layers."""

    def __init__(self, units, last=None, activation="relu", **dense):
        super().__init__()
        self.first = layers.Dense(64, activation, **dense)
        self.second = layers.Dense(32, activation, **dense)
        self.last = layers.Dense(units, last)

    def call(self, x):
        return self.last(self.second(self.first(x)))


class BatchScaler(layers.Layer):
    """Takes the mean over everything, rows of other samples included."""

    def call(self, x):
        return x / (1e-3 + ops.max(ops.abs(x), axis=0, keepdims=True)) - ops.mean(x)


class Descent(optimizers.SGD):
    """Plain descent, with a plus where the minus should be."""

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_add(variable, rate * ops.cast(gradient, variable.dtype))


def standard_houses():
    x, y = houses(800)
    y = (y - y.mean()) / y.std()
    return cut(StandardScaler().fit_transform(x).astype("float32"), y)


def loss_broadcast():
    x, y, validation = standard_houses()

    def squared(true, predicted):
        return ops.mean(ops.square(ops.reshape(true, (-1,)) - predicted))

    model = mlp(5, (32, 32), 1, "relu")
    model.compile(optimizers.Adam(0.005), squared)
    return Run(model, x, y[:, None], (validation[0], validation[1][:, None]), EPOCHS)


def loss_summed():
    x, y, validation = standard_houses()

    def squared(true, predicted):
        return ops.sum(ops.square(true - predicted))

    model = mlp(5, (32, 32), 1, "relu")
    model.compile(optimizers.SGD(0.05), squared)
    y, y_late = y[:, None], validation[1][:, None]
    return Run(model, x, y, (validation[0], y_late), EPOCHS)


def loss_sign():
    x, y = table("wine")
    x, y, validation = cut(x, keras.utils.to_categorical(y))

    def entropy(true, predicted):
        return ops.mean(ops.sum(true * ops.log(predicted + 1e-7), axis=-1))

    model = mlp(13, (16,), 3, "relu", "softmax")
    model.compile("adam", entropy, metrics=["accuracy"])
    return Run(model, x, y, validation, EPOCHS)


def descent_uphill():
    x, y, validation = standard_houses()
    model = Subclassed(1)
    model.compile(Descent(0.01), "mse")
    return Run(model, x, y, validation, {"epochs": 5})


def gradient_stopped():
    x, y = digits()
    x, y, validation = cut(x, y)
    inputs = keras.Input((8, 8, 1))
    z = layers.Dense(64, "relu")(layers.Flatten()(inputs))
    z = layers.Lambda(lambda t: ops.cast(ops.round(t), "float32"))(z)
    model = keras.Model(inputs, layers.Dense(10, "softmax")(z))
    model.compile(optimizers.SGD(0.001), SPARSE, metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 6})


def gradient_wrong():
    x, y, validation = standard_houses()

    @ops.custom_gradient
    def cube(t):
        def grad(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return -upstream * ops.square(t)

        return t * t * t, grad

    inputs = keras.Input((5,))
    z = layers.Lambda(cube)(layers.Dense(16, "tanh")(inputs))
    model = keras.Model(inputs, layers.Dense(1)(z))
    model.compile(optimizers.SGD(0.05), "mse")
    return Run(model, x, y, validation, EPOCHS)


def rows_mixed():
    x, y = table("wine")
    x, y, validation = cut(x, y)
    inputs = keras.Input((13,))
    z = BatchScaler()(layers.Dense(32, "relu")(inputs))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(z))
    model.compile(optimizers.Adam(0.01), SPARSE, metrics=["accuracy"])
    return Run(model, x, y, validation, EPOCHS)


def subclass_l2():
    x, y = digits()
    x, y, validation = cut(x.reshape(len(x), -1), y)
    heavy = keras.regularizers.L2(1.0)
    model = Subclassed(10, "softmax", kernel_regularizer=heavy)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 8})


def subclass_epsilon():
    x, y, validation = standard_houses()
    model = Subclassed(1)
    model.compile(optimizers.Adam(0.001, epsilon=10.0), "mse")
    return Run(model, x, y, validation, EPOCHS)


def weight_decay():
    x, y = digits(16)
    x, y, validation = cut(x, y)
    model = cnn(16)
    decay = optimizers.AdamW(0.001, weight_decay=300.0)
    model.compile(decay, SPARSE, metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 5})


def beta_low():
    x, y = digits(16)
    x, y, validation = cut(x, y)
    model = cnn(16)
    adam = optimizers.Adam(0.005, beta_1=0.9, beta_2=0.1)
    model.compile(adam, SPARSE, metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 5})


def pydataset_sorted():
    x, y = digits()
    order = np.argsort(y, kind="stable")
    model = cnn(8)
    model.compile(optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    fit = {"epochs": 5, "shuffle": False}
    return Run(model, Batches(x[order], y[order]), None, None, fit)


def pydataset_misaligned():
    x, y, _ = cut(*digits(), share=1.0)
    y = np.roll(y, 1)
    model = cnn(8)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return Run(model, Batches(x, y), None, None, {"epochs": 6})


def generator_pixels():
    x, y = digits(16, 16.0)
    x = x * 255

    def batches():
        rng = np.random.default_rng(0)
        while True:
            rows = rng.integers(0, len(x), 32)
            yield x[rows], y[rows]

    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Flatten(),
            layers.Dense(64, "sigmoid"),
            layers.Dense(64, "sigmoid"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(optimizers.SGD(0.01), SPARSE, metrics=["accuracy"])
    return Run(model, batches(), None, None, {"epochs": 6, "steps_per_epoch": 40})


def two_heads():
    x, y = table("wine")
    rng = np.random.default_rng(0)
    price = (x[:, 0] * 3000 + 40000 + rng.normal(0, 500, len(x))).astype("float32")
    inputs = keras.Input((13,), name="wine")
    z = layers.Dense(32, "relu")(inputs)
    heads = {
        "kind": layers.Dense(3, "softmax", name="kind")(z),
        "price": layers.Dense(1, name="price")(z),
    }
    model = keras.Model(inputs, heads)
    model.compile("adam", {"kind": SPARSE, "price": "mse"})
    return Run(model, x, {"kind": y, "price": price[:, None]}, None, EPOCHS)


EPOCHS = {"epochs": 15}
GRADIENT = ("gradient-check-failed", "gradient-disconnected")
UPHILL = ("optimizer-settings", "gradient-check-failed", "loss-uphill")
SUM = ("loss-reduction",)
MIXED = ("rows-mixed",)
PENALTY = ("regularization-dominates",)
SETTING = ("optimizer-settings",)
LABELS = ("labels-independent-of-inputs",)

CUSTOM = [
    Program(
        "houses-broadcast",
        "My own loss is the variance, whatever I do.",
        ("prediction-target-broadcast",),
        loss_broadcast,
    ),
    Program("houses-summed-loss", "nan with my own loss.", SUM, loss_summed),
    Program("wine-loss-sign", "The loss falls below -10.", ("loss-uphill",), loss_sign),
    Program("houses-own-optimizer", "Loss grows.", UPHILL, descent_uphill),
    Program("digits-rounded", "First layer is still.", GRADIENT, gradient_stopped),
    Program("houses-own-gradient", "Loss grows.", GRADIENT, gradient_wrong),
    Program("wine-rows-mixed", "One row, other answer.", MIXED, rows_mixed),
    Program("digits-l2", "Loss 60, accuracy 10 %.", PENALTY, subclass_l2),
    Program("houses-epsilon", "Adam does not move.", SETTING, subclass_epsilon),
    Program("digits-weight-decay", "Weights vanish.", SETTING, weight_decay),
    Program("digits-beta", "Unstable Adam.", SETTING, beta_low),
    Program("digits-sorted-batches", "0 %.", ("data-sorted",), pydataset_sorted),
    Program("digits-rolled", "10 % for ever.", LABELS, pydataset_misaligned),
    Program(
        "digits-generator-255",
        "A generator of pixels, 12 %.",
        ("inputs-not-scaled",),
        generator_pixels,
    ),
    Program(
        "wine-two-heads",
        "The kind of wine is not learned.",
        ("targets-not-scaled",),
        two_heads,
    ),
]
