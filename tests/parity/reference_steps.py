"""What both scripts that write figures of TensorFlow Addons share."""

import numpy as np
import tensorflow as tf

STEPS = 10


def plain(value):
    return np.asarray(value).tolist()


def trained(layer, weights, x, y, rate=0.1):
    """Outputs, gradients and, after ten steps of gradient descent, weights."""
    layer(tf.constant(x))
    for variable, value in zip(layer.trainable_variables, weights, strict=True):
        variable.assign(value)
    found = {"x": plain(x), "y": plain(y), "weights": [plain(w) for w in weights]}
    found["names"] = [v.name for v in layer.trainable_variables]
    for step in range(STEPS):
        with tf.GradientTape() as tape:
            outputs = layer(tf.constant(x))
            loss = tf.reduce_mean(tf.square(outputs - y))
        gradients = tape.gradient(loss, layer.trainable_variables)
        if step == 0:
            found["outputs"] = plain(outputs)
            found["gradients"] = [plain(g) for g in gradients]
        for variable, gradient in zip(
            layer.trainable_variables, gradients, strict=True
        ):
            variable.assign_sub(rate * gradient)
    found["after"] = [plain(v) for v in layer.trainable_variables]
    return found
