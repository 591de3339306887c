"""Faulty programs on pictures: digits of 8 × 8 pixels, some of them enlarged."""

import keras
import numpy as np
from faulty_tables import cut
from programs import Program
from programs import Run
from sklearn import datasets

layers = keras.layers
optimizers = keras.optimizers
SPARSE = "sparse_categorical_crossentropy"


def digits(size=8, scale=16.0):
    """Pictures (n, size, size, 1) divided by `scale`, and their digits."""
    x, y = datasets.load_digits(return_X_y=True)
    x = np.kron(x.reshape(-1, 8, 8), np.ones((size // 8, size // 8)))
    return (x[..., None] / scale).astype("float32"), y


def cnn(size, last="softmax", activation="relu", norm=None, **conv):
    """Two convolutions, pooling, a dense layer, ten outputs."""
    stack = [keras.Input((size, size, 1))]
    for filters in (16, 32):
        stack.append(
            layers.Conv2D(filters, 3, padding="same", activation=activation, **conv)
        )
        if norm is not None:
            stack.append(layers.BatchNormalization(momentum=norm))
        stack.append(layers.MaxPooling2D())
    stack += [layers.Flatten(), layers.Dense(64, activation)]
    return keras.Sequential([*stack, layers.Dense(10, last)])


def residual(size=16, activation="relu", depth=3, **conv):
    """A small functional network with skip connections."""
    inputs = keras.Input((size, size, 1))
    x = layers.Conv2D(16, 3, strides=2, padding="same", **conv)(inputs)
    for _ in range(depth):
        y = layers.Activation(activation)(x)
        y = layers.Conv2D(16, 3, padding="same", activation=activation, **conv)(y)
        x = layers.Add()([x, layers.Conv2D(16, 3, padding="same", **conv)(y)])
    x = layers.GlobalAveragePooling2D()(layers.Activation(activation)(x))
    return keras.Model(inputs, layers.Dense(10, "softmax")(x))


def fit_digits(model, x, y, optimizer, loss=SPARSE, **fit):
    """Compiles, and cuts the pictures in training and validation."""
    x, y, validation = cut(x, y)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 6, **fit})


def mse_scores():
    x, y = digits()
    return fit_digits(cnn(8, last="softmax"), x, y, "adam", "mse")


def logits_twice():
    x, y = digits(16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return fit_digits(cnn(16), x, y, optimizers.SGD(0.02, momentum=0.9), loss)


def logits_missing():
    x, y = digits(16)
    return fit_digits(cnn(16, last=None), x, y, "adam")


def adam_tenth():
    x, y = digits(16)
    return fit_digits(cnn(16), x, y, optimizers.Adam(0.1))


def rmsprop_tiny():
    x, y = digits(16)
    return fit_digits(cnn(16), x, y, optimizers.RMSprop(1e-6))


def adadelta_default():
    x, y = digits(16)
    return fit_digits(cnn(16, norm=0.9), x, y, "adadelta")


def scaled_twice():
    x, y = digits(8, 16.0)
    return fit_digits(cnn(8), x / 255 / 16, y, optimizers.SGD(0.01), epochs=10)


def labels_scaled():
    x, y = digits()
    return fit_digits(cnn(8), x, (y / 255).astype("float32"), "adam")


def labels_all_zero():
    x, y = digits()
    one_hot = np.zeros((len(y), 10), "float32")
    return fit_digits(cnn(8), x, one_hot, "adam", "categorical_crossentropy")


def labels_from_one():
    x, y = digits()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, "softmax"),
        ]
    )
    return fit_digits(model, x, y + 1, "adam")


def binary_loss():
    x, y = digits(16)
    one_hot = keras.utils.to_categorical(y)
    return fit_digits(cnn(16), x, one_hot, optimizers.SGD(0.01), "binary_crossentropy")


def whole_set():
    x, y = digits(16)
    return fit_digits(cnn(16), x, y, optimizers.SGD(0.01), batch_size=2000, epochs=10)


def one_epoch():
    x, y = digits(16)
    model = residual()
    return fit_digits(model, x, y, optimizers.Adam(0.001), epochs=1)


def shifted_pixels():
    x, y = digits(8, 1.0)
    x, y, (x_late, y_late) = cut(x * 255 / 16, y)
    model = cnn(8)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return Run(model, x / 255, y, (x_late, y_late), {"epochs": 6})


LAST = ("loss-output-mismatch", "output-activation-mismatch")
LOSS = ("loss-output-mismatch",)
MSE = ("loss-output-mismatch", "prediction-target-broadcast")
# The finding on the units says that classes are numbered from 1.
NUMBERED = ("output-units-mismatch", "labels-wrong-format", "targets-out-of-range")
LABELS = ("labels-wrong-format", "targets-out-of-range")
RATE = ("learning-rate-too-high", "learning-rate-out-of-range")
LOW = ("learning-rate-too-low", "learning-rate-out-of-range")
SHORT = ("training-too-short",)
BATCH = ("batch-size-extreme", "training-too-short")
VALIDATION = ("validation-preprocessed-differently",)

IMAGES = [
    Program("digits-mse", "Error for digits is 27.", MSE, mse_scores),
    Program(
        "digits-logits-twice",
        "The loss stays at 2.3, with SGD.",
        ("double-softmax",),
        logits_twice,
    ),
    Program("digits-no-softmax", "The loss is 10 or nan.", LAST, logits_missing),
    Program("digits-adam-tenth", "10 % from the first epoch.", RATE, adam_tenth),
    Program("digits-rmsprop-tiny", "Nothing moves.", LOW, rmsprop_tiny),
    Program(
        "digits-adadelta",
        "Adadelta as in the old tutorial learns nothing.",
        ("optimizer-settings", "learning-rate-too-low"),
        adadelta_default,
    ),
    Program(
        "digits-scaled-twice",
        "Loss 2.3 in every epoch.",
        ("inputs-scaled-twice",),
        scaled_twice,
    ),
    Program("digits-labels-scaled", "Loss is 0 at once.", LABELS, labels_scaled),
    Program(
        "digits-labels-zero",
        "The loss is zero and so is the accuracy.",
        ("labels-wrong-format",),
        labels_all_zero,
    ),
    Program("digits-from-one", "The loss is nan.", NUMBERED, labels_from_one),
    Program("digits-binary", "98 % accuracy, all wrong.", LOSS, binary_loss),
    Program("digits-whole-set", "Ten epochs, 15 %.", BATCH, whole_set),
    Program("digits-one-epoch", "Only 30 % right.", SHORT, one_epoch),
    Program(
        "digits-validation-255", "Loss 30 on validation.", VALIDATION, shifted_pixels
    ),
]
