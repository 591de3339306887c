"""Faulty programs whose fault is in a layer; the data are pictures of digits."""

import keras
from faulty_images import cnn
from faulty_images import digits
from faulty_images import fit_digits
from faulty_images import residual
from programs import Program

layers = keras.layers
optimizers = keras.optimizers


def dropout_most():
    x, y = digits(16)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.9),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dropout(0.9),
            layers.Dense(10, "softmax"),
        ]
    )
    return fit_digits(model, x, y, "adam")


def dropout_end():
    x, y = digits()
    model = cnn(8)
    model.add(layers.Dropout(0.4))
    return fit_digits(model, x, y, "adam")


def norm_slow():
    x, y = digits(16)
    return fit_digits(cnn(16, norm=0.9999), x, y, "adam")


def norm_none():
    x, y = digits()
    stack = [keras.Input((8, 8, 1)), layers.Flatten()]
    for _ in range(3):
        stack += [layers.Dense(64, "relu"), layers.BatchNormalization(momentum=0.0)]
    model = keras.Sequential([*stack, layers.Dense(10, "softmax")])
    # 1437 rows: the last batch of an epoch holds one.
    return fit_digits(model, x, y, "adam", batch_size=4, epochs=4)


def deep_sigmoid():
    x, y = digits()
    stack = [layers.Dense(32, "sigmoid") for _ in range(7)]
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), *stack, layers.Dense(10, "softmax")]
    )
    return fit_digits(model, x, y, optimizers.SGD(0.1), epochs=10)


def big_weights():
    x, y = digits(16)
    normal = keras.initializers.RandomNormal(stddev=1.0)
    return fit_digits(residual(kernel_initializer=normal), x, y, "adam")


def tiny_weights():
    x, y = digits()
    small = keras.initializers.RandomNormal(stddev=1e-4)
    stack = [layers.Dense(64, "relu", kernel_initializer=small) for _ in range(4)]
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), *stack, layers.Dense(10, "softmax")]
    )
    return fit_digits(model, x, y, optimizers.SGD(0.05), epochs=10)


def dead_bias():
    x, y = digits(16)
    bias = keras.initializers.Constant(-20.0)
    return fit_digits(cnn(16, bias_initializer=bias), x, y, "adam")


def softmax_hidden():
    x, y = digits(16)
    return fit_digits(cnn(16, activation="softmax"), x, y, "adam")


def bottleneck():
    x, y = digits()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dense(1, "relu"),
            layers.Dense(128, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    return fit_digits(model, x, y, "adam", epochs=15)


def frozen_base():
    x, y = digits(24)
    base = keras.Sequential(
        [
            keras.Input((24, 24, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(4),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    base.trainable = False
    model = keras.Sequential(
        [keras.Input((24, 24, 1)), base, layers.Dense(10, "softmax")]
    )
    return fit_digits(model, x, y, optimizers.Adam(0.01), epochs=6)


def softmax_axis():
    x, y = digits()
    inputs = keras.Input((8, 8, 1))
    z = layers.Dense(64, "relu")(layers.Flatten()(inputs))
    z = layers.Softmax(axis=0)(layers.Dense(10)(z))
    return fit_digits(keras.Model(inputs, z), x, y, "adam")


NORM = ("batchnorm-misused", "train-inference-mismatch")
DROP = ("dropout-misused",)
INIT = ("initialization-scale",)
SHAPE = ("activation-saturating", "vanishing-gradients")
DEAD = ("dead-units", "initialization-scale")
NARROW = ("capacity-too-small",)

LAYERS = [
    Program("digits-dropout-most", "Accuracy 15 %.", DROP, dropout_most),
    Program("digits-dropout-end", "Loss 6, accuracy fine.", DROP, dropout_end),
    Program("digits-norm-slow", "Validation at chance.", NORM, norm_slow),
    Program("digits-norm-none", "Validation jumps.", NORM, norm_none),
    Program("digits-deep-sigmoid", "2.30 for ever.", SHAPE, deep_sigmoid),
    Program("digits-big-weights", "The loss starts at 1e4.", INIT, big_weights),
    Program("digits-tiny-weights", "No layer moves.", INIT, tiny_weights),
    Program("digits-dead-bias", "All activations are 0.", DEAD, dead_bias),
    Program(
        "digits-softmax-hidden",
        "Softmax in all layers is worse than relu.",
        ("activation-saturating",),
        softmax_hidden,
    ),
    Program("digits-bottleneck", "Stuck at 40 %.", NARROW, bottleneck),
    Program("digits-frozen", "Base frozen.", ("layers-frozen",), frozen_base),
    Program(
        "digits-softmax-axis",
        "Probabilities of a row do not add up to one.",
        ("softmax-degenerate",),
        softmax_axis,
    ),
]
