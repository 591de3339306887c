"""Figures of what Addons had and Keras 3 has, and of the rest that is compared.

Part of `addons_reference.py`, which says where it runs.
"""

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from reference_steps import STEPS
from reference_steps import plain
from reference_steps import trained

RNG = np.random.default_rng(1)
LEGACY = tf.keras.optimizers.legacy


def rows(*shape):
    return RNG.normal(size=shape).astype("float32")


def fresh(layer, x, y):
    """As `trained`, from weights that are drawn here."""
    layer(tf.constant(x))
    weights = [0.5 + 0.3 * rows(*v.shape) for v in layer.trainable_variables]
    return trained(layer, weights, x, y)


class Residual(tf.keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = tf.keras.layers.Dense(4)
        self.depth = tfa.layers.StochasticDepth(1.0)

    def call(self, x):
        return self.depth([x, self.dense(x)], training=True)


class Attention(tf.keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.heads = tfa.layers.MultiHeadAttention(3, 2, use_projection_bias=False)

    def call(self, x):
        return self.heads([x, x])


def of_layers():
    conv = tf.keras.layers.Conv2D(3, 2)
    weight_norm = tfa.layers.WeightNormalization(conv, data_init=False)
    maxout = tf.keras.Sequential([tf.keras.layers.Dense(6), tfa.layers.Maxout(2)])
    images, groups = rows(4, 5, 5, 2), tfa.layers.GroupNormalization(groups=2)
    return {
        "WeightNormalization of Conv2D": fresh(weight_norm, images, rows(4, 4, 4, 3)),
        "Maxout after Dense": fresh(maxout, rows(8, 4), rows(8, 2)),
        "StochasticDepth, all kept": fresh(Residual(), rows(8, 4), rows(8, 4)),
        "InstanceNormalization": fresh(
            tfa.layers.InstanceNormalization(), images, rows(4, 5, 5, 2)
        ),
        "GroupNormalization": fresh(groups, rows(4, 3, 4), rows(4, 3, 4)),
        "MultiHeadAttention": fresh(Attention(), rows(3, 5, 4), rows(3, 5, 4)),
    }


def passed(function, x):
    """Outputs, and the gradient of their sum weighted by row and column numbers."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = function(x)
        pull = np.arange(1, 1 + np.prod(outputs.shape)).reshape(outputs.shape) / 10
        total = tf.reduce_sum(outputs * tf.constant(pull, tf.float32))
    gradient = tape.gradient(total, x)
    return {"x": plain(x), "outputs": plain(outputs), "gradient": plain(gradient)}


def of_functions():
    labels = RNG.integers(0, 2, (8, 3)).astype("float32")
    shares = RNG.uniform(0.05, 0.95, (8, 3)).astype("float32")
    focal = tfa.losses.SigmoidFocalCrossEntropy()
    images = rows(2, 4, 6, 3)
    found = {
        "GELU": passed(tfa.layers.GELU(), rows(4, 6)),
        "Sparsemax": passed(tfa.layers.Sparsemax(), rows(4, 6)),
        "AdaptiveAveragePooling2D": passed(
            tfa.layers.AdaptiveAveragePooling2D((2, 3)), images
        ),
        "AdaptiveMaxPooling2D": passed(tfa.layers.AdaptiveMaxPooling2D((2, 3)), images),
        "SigmoidFocalCrossEntropy": passed(lambda p: focal(labels, p), shares),
    }
    found["SigmoidFocalCrossEntropy"]["y"] = plain(labels)
    return found


def spectral_normalization():
    """Three passes in training, which write kernel and `u` anew each time."""
    kernel, start, x = rows(4, 3), rows(1, 3), rows(5, 4)
    layer = tfa.layers.SpectralNormalization(tf.keras.layers.Dense(3, use_bias=False))
    layer.build(x.shape)
    layer.w.assign(kernel)
    layer.u.assign(start)
    outputs = [plain(layer(tf.constant(x), training=True)) for _ in range(3)]
    return {
        "kernel": plain(kernel),
        "u": plain(start),
        "x": plain(x),
        "outputs": outputs,
        "kernel after": plain(layer.w),
        "u after": plain(layer.u),
    }


def walked(optimizer):
    start, pulls = rows(4, 3), rows(STEPS, 4, 3)
    variable, path = tf.Variable(start), []
    for pull in pulls:
        optimizer.apply_gradients([(tf.constant(pull), variable)])
        path.append(plain(variable))
    found = {"start": plain(start), "gradients": plain(pulls), "path": path}
    return found, variable


def of_optimizers():
    made = {
        "AdamW": tfa.optimizers.AdamW(weight_decay=0.01, learning_rate=0.05),
        "SGDW": tfa.optimizers.SGDW(weight_decay=0.01, learning_rate=0.1, momentum=0.9),
        "LAMB": tfa.optimizers.LAMB(learning_rate=0.05),
    }
    found = {name: walked(optimizer)[0] for name, optimizer in made.items()}
    average = tfa.optimizers.MovingAverage(LEGACY.SGD(0.1), average_decay=0.9)
    found["MovingAverage"], variable = walked(average)
    found["MovingAverage"]["average"] = plain(average.get_slot(variable, "average"))
    return found


def discriminative_rates():
    layers = [tf.keras.layers.Dense(n, use_bias=False) for n in (3, 2)]
    model, x, y = tf.keras.Sequential(layers), rows(8, 4), rows(8, 2)
    model(tf.constant(x))
    start = [rows(*v.shape) for v in model.trainable_variables]
    model.set_weights(start)
    pairs = [
        (LEGACY.SGD(rate, momentum=0.9), layer)
        for rate, layer in zip((0.02, 0.1), layers, strict=True)
    ]
    optimizer = tfa.optimizers.MultiOptimizer(pairs)
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(tf.constant(x)) - y))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )
    after = [plain(v) for v in model.trainable_variables]
    weights = [plain(w) for w in start]
    return {"x": plain(x), "y": plain(y), "weights": weights, "after": after}


def of_metrics():
    classes = RNG.integers(0, 4, 40)
    one_hot = np.eye(4, dtype="float32")[classes]
    scores = one_hot + 1.2 * rows(40, 4)
    scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    predicted = np.eye(4, dtype="float32")[scores.argmax(axis=1)]
    confusion = tfa.metrics.MultiLabelConfusionMatrix(4)
    confusion.update_state(one_hot, predicted)
    found = {"y": plain(one_hot), "scores": plain(scores)}
    found["confusion"] = plain(confusion.result())
    for name, metric in {
        "f1": tfa.metrics.F1Score(4, average=None),
        "f1 macro": tfa.metrics.F1Score(4, average="macro"),
        "f half": tfa.metrics.FBetaScore(4, average="micro", beta=0.5),
    }.items():
        metric.update_state(one_hot, scores)
        found[name] = plain(metric.result())
    truth, guess = rows(40, 2), rows(40, 2)
    square = tfa.metrics.RSquare()
    square.update_state(truth, truth + 0.5 * guess)
    found["r2"] = {
        "y": plain(truth),
        "scores": plain(truth + 0.5 * guess),
        "result": plain(square.result()),
    }
    return found


def of_images():
    images = RNG.uniform(size=(1, 7, 8, 2)).astype("float32")
    places = [1.1, 0.2, -0.5, -0.1, 0.9, 0.4, 0.0, 0.0]
    turned = tfa.image.transform(images, places, interpolation="BILINEAR")
    blurred = tfa.image.gaussian_filter2d(images, (3, 3), 0.8)
    return {
        "x": plain(images),
        "places": places,
        "transform": plain(turned),
        "gaussian_filter2d": plain(blurred),
    }


def fractional_pooling():
    """Not of Addons: TensorFlow's own, for the backends that do not have it."""
    x, found = rows(2, 11, 14, 2), []
    for pseudo_random in (False, True):
        for overlapping in (False, True):
            outputs, *cuts = tf.nn.fractional_max_pool(
                x, (1, 1.41, 1.73, 1), pseudo_random, overlapping, seed=3
            )
            names = ("pseudo_random", "overlapping", "rows", "columns", "outputs")
            values = (pseudo_random, overlapping, *map(plain, cuts), plain(outputs))
            found.append(dict(zip(names, values, strict=True)))
    return {"x": plain(x), "cases": found}


def natives():
    return {
        "layers": of_layers(),
        "functions": of_functions(),
        "SpectralNormalization": spectral_normalization(),
        "optimizers": of_optimizers(),
        "MultiOptimizer": discriminative_rates(),
        "more metrics": of_metrics(),
        "images": of_images(),
        "fractional_max_pool": fractional_pooling(),
    }
