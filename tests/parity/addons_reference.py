"""Writes what TensorFlow Addons gives, for `test_addons.py` to compare with.

Runs in an environment of its own (`make parity`): TensorFlow 2.15 with its Keras 2, and
tensorflow-addons 0.23, which do not import beside Keras 3.

    python tests/parity/addons_reference.py tests/parity/addons.json
"""

import json
import sys

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from reference_natives import natives
from reference_steps import STEPS
from reference_steps import plain
from reference_steps import trained

RNG = np.random.default_rng(0)


def rows(*shape):
    return RNG.normal(size=shape).astype("float32")


def weight_normalization():
    inner = tf.keras.layers.Dense(3)
    layer = tfa.layers.WeightNormalization(inner, data_init=False)
    layer(tf.zeros((1, 4)))
    shapes = [v.shape for v in layer.trainable_variables]
    weights = [np.abs(rows(*shape)) + 0.2 for shape in shapes]
    return trained(layer, weights, rows(8, 4), rows(8, 3))


def weight_normalization_by_data():
    """The first batch sets scale and bias of every unit."""
    kernel, x = rows(4, 3), 3 * rows(64, 4) + 1
    inner = tf.keras.layers.Dense(3, kernel_initializer=tf.constant_initializer(kernel))
    layer = tfa.layers.WeightNormalization(inner, data_init=True)
    outputs = layer(tf.constant(x))
    return {"kernel": plain(kernel), "x": plain(x), "outputs": plain(outputs)}


def maxout():
    x = rows(5, 12)
    outputs = tfa.layers.Maxout(4)(tf.constant(x))
    return {"x": plain(x), "num_units": 4, "outputs": plain(outputs)}


def stochastic_depth():
    shortcut, residual = rows(6, 4), rows(6, 4)
    layer = tfa.layers.StochasticDepth(0.7)
    given = [tf.constant(shortcut), tf.constant(residual)]
    outputs = layer(given, training=False)
    return {
        "shortcut": plain(shortcut),
        "residual": plain(residual),
        "survival_probability": 0.7,
        "inference": plain(outputs),
    }


def lookahead(name):
    inner = {
        "sgd": lambda: tf.keras.optimizers.legacy.SGD(0.1, momentum=0.9),
        "adam": lambda: tf.keras.optimizers.legacy.Adam(0.05),
    }[name]()
    optimizer = tfa.optimizers.Lookahead(inner, sync_period=3, slow_step_size=0.5)
    start, pulls = rows(4, 3), rows(STEPS, 4, 3)
    variable, path = tf.Variable(start), []
    for pull in pulls:
        optimizer.apply_gradients([(tf.constant(pull), variable)])
        path.append(plain(variable))
    return {"start": plain(start), "gradients": plain(pulls), "path": path}


def averaged():
    """SWA over gradient descent: the average of the weights since `start_averaging`."""
    inner = tf.keras.optimizers.legacy.SGD(0.1)
    optimizer = tfa.optimizers.SWA(inner, start_averaging=2, average_period=2)
    start, pulls = rows(3), rows(STEPS, 3)
    variable, path = tf.Variable(start), []
    for pull in pulls:
        optimizer.apply_gradients([(tf.constant(pull), variable)])
        path.append(plain(variable))
    optimizer.assign_average_vars([variable])
    return {
        "start": plain(start),
        "gradients": plain(pulls),
        "path": path,
        "average": plain(variable),
    }


def cyclical(kind):
    make = {
        "triangular": tfa.optimizers.TriangularCyclicalLearningRate,
        "triangular2": tfa.optimizers.Triangular2CyclicalLearningRate,
        "exponential": tfa.optimizers.ExponentialCyclicalLearningRate,
    }[kind]
    extra = {"gamma": 0.95} if kind == "exponential" else {}
    schedule = make(0.01, 0.1, step_size=5, **extra)
    rates = [float(schedule(tf.constant(float(step)))) for step in range(32)]
    return {"arguments": {"step_size": 5, **extra}, "rates": rates}


def of_metric(metric, y, scores):
    batches = []
    for begin in range(0, len(y), 10):
        part = slice(begin, begin + 10)
        metric.update_state(tf.constant(y[part]), tf.constant(scores[part]))
        batches.append(float(metric.result()))
    return {"y": plain(y), "scores": plain(scores), "results": batches}


def metrics():
    classes = RNG.integers(0, 4, 40)
    one_hot = np.eye(4, dtype="float32")[classes]
    scores = one_hot + 1.2 * rows(40, 4)
    scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = {}
    for weights in (None, "linear", "quadratic"):
        metric = tfa.metrics.CohenKappa(4, weightage=weights)
        found[f"kappa {weights}"] = of_metric(metric, one_hot, scores)
    matthews = tfa.metrics.MatthewsCorrelationCoefficient(4)
    found["matthews"] = of_metric(matthews, one_hot, scores)
    return found


def main():
    figures = {
        "made with": {"tensorflow": tf.__version__, "addons": tfa.__version__},
        "WeightNormalization": weight_normalization(),
        "WeightNormalization by data": weight_normalization_by_data(),
        "Maxout": maxout(),
        "StochasticDepth": stochastic_depth(),
        "Lookahead": {name: lookahead(name) for name in ("sgd", "adam")},
        "SWA": averaged(),
        "Cyclical": {
            k: cyclical(k) for k in ("triangular", "triangular2", "exponential")
        },
        "metrics": metrics(),
        # Last, so that the draws of the others stay what they were.
        **natives(),
    }
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(figures, file)
        file.write("\n")


if __name__ == "__main__":
    main()
