"""Healthy programs on images of 8 × 8 pixels."""

import keras
import numpy as np
from healthy_data import digits
from healthy_data import halves
from healthy_data import rng
from keras import layers
from keras import ops
from programs import Program
from programs import Run

SPARSE = "sparse_categorical_crossentropy"


def pixels_rescaled_inside():
    train, held = digits(scale=16 / 255)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.RandomTranslation(0.05, 0.05),
            layers.RandomRotation(0.02),
            layers.Conv2D(24, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(48, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 10})


def residual_zero_gamma():
    train, held = digits()
    start = keras.Input((8, 8, 1))
    h = layers.Conv2D(24, 3, padding="same", use_bias=False)(start)
    h = layers.Activation("relu")(layers.BatchNormalization()(h))
    for _ in range(3):
        side = h
        h = layers.Conv2D(24, 3, padding="same", use_bias=False)(h)
        h = layers.Activation("relu")(layers.BatchNormalization()(h))
        h = layers.Conv2D(24, 3, padding="same", use_bias=False)(h)
        h = layers.BatchNormalization(gamma_initializer="zeros")(h)
        h = layers.Activation("relu")(layers.Add()([h, side]))
    h = layers.GlobalAveragePooling2D()(h)
    model = keras.Model(start, layers.Dense(10, activation="softmax")(h))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 360, warmup_target=0.1, warmup_steps=40
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 9})


def inverted_bottlenecks():
    train, held = digits()
    start = keras.Input((8, 8, 1))
    h = layers.Conv2D(16, 3, padding="same")(start)
    for wide in (32, 48):
        side = h
        h = layers.Conv2D(wide, 1, use_bias=False)(h)
        h = layers.ReLU(max_value=6)(layers.BatchNormalization(momentum=0.9)(h))
        h = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(h)
        h = layers.ReLU(max_value=6)(layers.BatchNormalization(momentum=0.9)(h))
        gate = layers.GlobalAveragePooling2D(keepdims=True)(h)
        gate = layers.Conv2D(8, 1, activation="relu")(gate)
        h = layers.Multiply()([h, layers.Conv2D(wide, 1, activation="sigmoid")(gate)])
        h = layers.Conv2D(16, 1, use_bias=False)(h)
        h = layers.Add()([side, layers.BatchNormalization(momentum=0.9)(h)])
    h = layers.Conv2D(64, 1, activation="relu")(h)
    h = layers.Flatten()(layers.MaxPooling2D(2)(h))
    model = keras.Model(start, layers.Dense(10)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 8})


def group_norm_silu():
    train, held = digits()
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for n in (16, 32, 32):
        model.add(layers.Conv2D(n, 3, padding="same", kernel_initializer="he_normal"))
        model.add(layers.GroupNormalization(8))
        model.add(layers.Activation("silu"))
    model.add(layers.GlobalMaxPooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adamw", SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 8})


class Patches(layers.Layer):
    """Adds a learned place to every patch."""

    def build(self, shape):
        self.place = self.add_weight(
            shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02)
        )

    def call(self, x):
        return x + self.place


def small_vit():
    train, held = digits()
    start = keras.Input((8, 8, 1))
    h = layers.Conv2D(32, 2, strides=2)(start)
    h = Patches()(layers.Reshape((16, 32))(h))
    for _ in range(2):
        a = layers.LayerNormalization()(h)
        h = layers.Add()([h, layers.MultiHeadAttention(4, 8)(a, a)])
        a = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(h))
        h = layers.Add()([h, layers.Dense(32)(layers.Dropout(0.1)(a))])
    h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h))
    model = keras.Model(start, layers.Dense(10, activation="softmax")(h))
    optimizer = keras.optimizers.AdamW(0.003, weight_decay=1e-4, clipnorm=1.0)
    model.compile(optimizer, SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 12})


def shapes(rows=500, size=16):
    """Discs on a dim, noisy ground: images and the class of each pixel (0, 1, 2)."""
    r = rng(20)
    grid = np.mgrid[:size, :size]
    masks = np.zeros((rows, size, size), "int32")
    for mask in masks:
        for label in (1, 2):
            middle = r.uniform(3, size - 3, 2)
            far = np.hypot(*(grid - middle[:, None, None]))
            mask[far < r.uniform(2, 4)] = label
    level = np.array([0.0, 0.5, 1.0])[masks]
    return (level + r.normal(0, 0.12, masks.shape)).astype("float32")[..., None], masks


def pixel_classes():
    start = keras.Input((16, 16, 1))
    a = layers.Conv2D(16, 3, padding="same", activation="relu")(start)
    b = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(a)
    c = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(b)
    h = layers.Conv2D(16, 3, padding="same", activation="relu")(
        layers.Concatenate()([a, c])
    )
    model = keras.Model(start, layers.Conv2D(3, 1, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    train, held = halves(*shapes())
    return Run(model, *train, held, {"epochs": 12, "batch_size": 16})


def mask_dice():
    x, masks = shapes()
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(16, 5, padding="same", activation="relu"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )

    def dice(target, guess):
        both = ops.sum(target * guess, axis=(1, 2, 3))
        total = ops.sum(target + guess, axis=(1, 2, 3))
        return 1 - (2 * both + 1) / (total + 1)

    model.compile(keras.optimizers.Adam(0.003), dice, metrics=["binary_accuracy"])
    train, held = halves(x, (masks == 2).astype("float32")[..., None])
    return Run(model, *train, held, {"epochs": 10, "batch_size": 16})


def autoencoder():
    (x, _), (held, _) = digits()
    x, held = x.reshape(-1, 64), held.reshape(-1, 64)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(12),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Run(model, x, x, (held, held), {"epochs": 40})


def denoiser_noise_inside():
    (x, _), (held, _) = digits()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.GaussianNoise(0.2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    return Run(model, x, x, (held, held), {"epochs": 15})


def frozen_base():
    (x, y), (held_x, held_y) = digits()
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(24, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ]
    )
    first = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    first.compile("adam", SPARSE)
    first.fit(x[y < 5], y[y < 5], epochs=6, verbose=0)
    base.trainable = False
    start = keras.Input((8, 8, 1))
    h = layers.Dropout(0.2)(base(start, training=False))
    model = keras.Model(start, layers.Dense(10, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    return Run(model, x, y, (held_x, held_y), {"epochs": 8})


def fine_tuning():
    run = pixels_rescaled_inside()
    run.model.fit(run.x[:1000], run.y[:1000], epochs=12, verbose=0)
    run.model.compile(keras.optimizers.Adam(1e-4), SPARSE, metrics=["accuracy"])
    return Run(run.model, run.x, run.y, run.validation, {"epochs": 6})


IMAGES = [
    Program(
        "pixels-255-rescaled-inside",
        "Raw pixels, augmented and scaled in the model.",
        (),
        pixels_rescaled_inside,
    ),
    Program(
        "resnet-zero-gamma",
        "Warm-up to SGD 0.1, cosine, residual gammas of 0.",
        (),
        residual_zero_gamma,
    ),
    Program(
        "inverted-bottlenecks",
        "Linear 1 × 1 convolutions on purpose.",
        (),
        inverted_bottlenecks,
    ),
    Program(
        "group-norm-silu",
        "Group normalisation, SiLU, global maximum.",
        (),
        group_norm_silu,
    ),
    Program("small-vit", "Patches, attention, layer normalisation.", (), small_vit),
    Program(
        "pixel-classes", "A small U-net: a class for each pixel.", (), pixel_classes
    ),
    Program("mask-dice", "One mask, Dice loss, mostly background.", (), mask_dice),
    Program(
        "autoencoder-linear-code",
        "Targets are the inputs, a linear code.",
        (),
        autoencoder,
    ),
    Program(
        "denoiser-noise-inside",
        "Noise layer first, soft targets.",
        (),
        denoiser_noise_inside,
    ),
    Program(
        "frozen-trained-base",
        "A base trained before is kept as it is.",
        (),
        frozen_base,
    ),
    Program(
        "fine-tuning-low-rate", "Goes on from a trained model at 1e-4.", (), fine_tuning
    ),
]
