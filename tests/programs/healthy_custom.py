"""Healthy programs with losses, layers and training steps of their own."""

import keras
import numpy as np
from healthy_data import digits
from healthy_data import halves
from healthy_data import rng
from healthy_data import smooth_table
from healthy_data import table
from keras import layers
from keras import ops
from programs import Program
from programs import Run

SPARSE = "sparse_categorical_crossentropy"


class Sampled(layers.Layer):
    """Draws a code around its mean and adds the divergence from a standard normal."""

    def __init__(self, weight, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.noise = keras.random.SeedGenerator(1)

    def call(self, inputs, training=None):
        mean, spread = inputs
        self.add_loss(
            self.weight * ops.mean(ops.square(mean) + ops.exp(spread) - spread - 1) / 2
        )
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), seed=self.noise)
        return mean + ops.exp(spread / 2) * noise


def variational():
    (x, _), (held, _) = digits()
    x, held = x.reshape(-1, 64), held.reshape(-1, 64)
    start = keras.Input((64,))
    h = layers.Dense(64, activation="relu")(start)
    code = Sampled(0.005)([layers.Dense(6)(h), layers.Dense(6)(h)])
    h = layers.Dense(64, activation="relu")(code)
    model = keras.Model(start, layers.Dense(64, activation="sigmoid")(h))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Run(model, x, x, (held, held), {"epochs": 30})


def siamese():
    (x, y), _ = digits()
    r = rng(50)
    one = r.integers(0, len(x), 2000)
    two = np.array(
        [r.choice(np.flatnonzero((y == y[k]) == (r.random() < 0.5))) for k in one]
    )
    x = x.reshape(-1, 64)
    tower = keras.Sequential(
        [
            layers.Dense(64, activation="relu"),
            layers.Dense(16),
            layers.UnitNormalization(),
        ]
    )
    a, b = keras.Input((64,)), keras.Input((64,))
    away = ops.sum(ops.square(tower(a) - tower(b)), axis=1, keepdims=True)
    model = keras.Model([a, b], away)

    def contrastive(same, away):
        near = same * away
        far = (1 - same) * ops.square(ops.maximum(1 - ops.sqrt(away + 1e-6), 0))
        return ops.mean(near + far, axis=-1)

    model.compile("adam", contrastive)
    same = (y[one] == y[two]).astype("float32")[:, None]
    cut = 1600
    return Run(
        model,
        [x[one][:cut], x[two][:cut]],
        same[:cut],
        ([x[one][cut:], x[two][cut:]], same[cut:]),
        {"epochs": 15},
    )


def triplets():
    (x, y), _ = digits()
    r = rng(51)
    anchors = r.integers(0, len(x), 1500)
    same = [r.choice(np.flatnonzero(y == y[k])) for k in anchors]
    other = [r.choice(np.flatnonzero(y != y[k])) for k in anchors]
    rows = np.stack([x[anchors], x[same], x[other]], 1).reshape(-1, 3, 64)
    start = keras.Input((3, 64))
    h = layers.Dense(48, activation="relu")(start)
    model = keras.Model(start, layers.Dense(8)(h))

    def triplet(_, codes):
        near = ops.sum(ops.square(codes[:, 0] - codes[:, 1]), axis=-1)
        far = ops.sum(ops.square(codes[:, 0] - codes[:, 2]), axis=-1)
        return ops.maximum(near - far + 1.0, 0.0)

    model.compile("adam", triplet)
    train, held = halves(rows, np.zeros(len(rows), "float32"))
    return Run(model, *train, held, {"epochs": 12})


def mixture_density():
    r = rng(52)
    x = r.uniform(-1, 1, (2000, 1)).astype("float32")
    sign = np.where(r.random((2000, 1)) < 0.5, 1, -1)
    y = (sign * (0.5 + x**2) + r.normal(0, 0.05, (2000, 1))).astype("float32")
    start = keras.Input((1,))
    h = layers.Dense(32, activation="tanh")(start)
    h = layers.Dense(32, activation="tanh")(h)
    parts = layers.Concatenate()(
        [layers.Dense(3)(h), layers.Dense(3)(h), layers.Dense(3)(h)]
    )
    model = keras.Model(start, parts)

    def mixture(target, parts):
        share, middle, spread = ops.split(parts, 3, axis=-1)
        near = -ops.square((target - middle) / ops.exp(spread)) / 2 - spread
        return -ops.logsumexp(ops.log_softmax(share) + near, axis=-1)

    model.compile(keras.optimizers.Adam(0.005), mixture)
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 30})


def mean_and_spread():
    x, y = smooth_table(3000, seed=53)
    y = y + rng(53).normal(size=len(y)) * 0.3 * (x[:, 4] > 0)
    start = keras.Input((6,))
    h = layers.Dense(32, activation="relu")(start)
    h = layers.Dense(32, activation="relu")(h)
    model = keras.Model(start, layers.Dense(2)(h))

    def gaussian(target, parts):
        middle, spread = parts[:, :1], ops.softplus(parts[:, 1:]) + 0.05
        away = ops.square((target - middle) / spread) / 2
        return ops.mean(away + ops.log(spread), axis=-1)

    model.compile(keras.optimizers.Adam(0.003), gaussian)
    train, held = halves(x, y.astype("float32")[:, None])
    return Run(model, *train, held, {"epochs": 12})


class Gated(layers.Layer):
    """A highway layer: what its gate does not let change goes through."""

    def build(self, shape):
        self.change = layers.Dense(shape[-1], activation="relu")
        self.gate = layers.Dense(
            shape[-1], "sigmoid", bias_initializer=keras.initializers.Constant(-1)
        )
        self.change.build(shape)
        self.gate.build(shape)

    def call(self, x):
        gate = self.gate(x)
        return gate * self.change(x) + (1 - gate) * x


def highway():
    (x, y), (held_x, held_y) = digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="tanh"),
            *(Gated() for _ in range(6)),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.002), SPARSE, metrics=["accuracy"])
    x, held_x = x.reshape(-1, 64), held_x.reshape(-1, 64)
    return Run(model, x, y, (held_x, held_y), {"epochs": 12})


class Subclassed(keras.Model):
    """A classifier as a class of its own, with dropout and two paths."""

    def __init__(self):
        super().__init__()
        self.wide = layers.Dense(3)
        self.deep = [layers.Dense(24, activation="elu") for _ in range(3)]
        self.drop = layers.Dropout(0.2)
        self.last = layers.Dense(3)

    def call(self, x, training=None):
        h = x
        for layer in self.deep:
            h = layer(h)
        return ops.softmax(self.last(self.drop(h, training=training)) + self.wide(x))


def wide_and_deep():
    train, held = table("wine")
    model = Subclassed()
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 25, "batch_size": 16})


def one_target_two_heads():
    (x, y), (held_x, held_y) = digits()
    start = keras.Input((8, 8, 1))
    h = layers.Conv2D(24, 3, activation="relu")(start)
    early = layers.Dense(10, activation="softmax", name="early")(layers.Flatten()(h))
    h = layers.Conv2D(32, 3, activation="relu")(h)
    late = layers.Dense(10, activation="softmax", name="late")(layers.Flatten()(h))
    model = keras.Model(start, [early, late])
    model.compile("adam", [SPARSE, SPARSE], loss_weights=[0.3, 1.0])
    return Run(model, x, [y, y], (held_x, [held_y, held_y]), {"epochs": 8})


CUSTOM = [
    Program(
        "variational-add-loss",
        "A loss of a layer of its own, noise in training.",
        (),
        variational,
    ),
    Program("siamese-contrastive", "Pairs, one tower, own loss.", (), siamese),
    Program(
        "triplets-no-labels", "Own loss that reads no targets at all.", (), triplets
    ),
    Program(
        "mixture-density",
        "Nine outputs for one number, loss below 0.",
        (),
        mixture_density,
    ),
    Program(
        "mean-and-spread",
        "Two outputs for one number, loss below 0.",
        (),
        mean_and_spread,
    ),
    Program(
        "highway-gates", "Six gated layers, gates nearly shut at first.", (), highway
    ),
    Program(
        "wide-and-deep-class", "A model class, softmax in its call.", (), wide_and_deep
    ),
    Program(
        "early-exit",
        "Two heads for one target, weighted losses.",
        (),
        one_target_two_heads,
    ),
]
