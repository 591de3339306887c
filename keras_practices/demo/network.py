"""The small convnet of the demo, with the practices on or one of them broken."""

import keras

from keras_practices.constraints import apply_max_norm
from keras_practices.data import Standardization
from keras_practices.layers import InvertedDropout

# Each mistake and the rule that has to name it.
BROKEN = {
    "learning-rate": "learning-rate-too-high",
    "zero-init": "initialization-symmetric",
    "unscaled": "inputs-not-scaled",
    "wrong-loss": "loss-output-mismatch",
    "dead-relu": "dead-units",
}


def build(split, broken=None, learning_rate=2e-3, steps=1000):
    """Builds and compiles the convnet for a split of images.

    Args:
        split: A `Split`; its training part gives shape, classes and statistics.
        broken: Key of `BROKEN`: the mistake to make, or None.
        learning_rate: Float, of Adam.
        steps: Int. Optimizer steps to come: the average of the weights is over the
            last tenth of them, at most 100.

    Returns:
        A compiled Keras model.
    """
    classes = int(split.train.y.max()) + 1
    he = "zeros" if broken == "zero-init" else "he_normal"
    bias = keras.initializers.Constant(-20.0 if broken == "dead-relu" else 0.0)
    head = None if broken == "wrong-loss" else "softmax"

    def hidden(layer, units, *args, **kwargs):
        return layer(
            units,
            *args,
            activation="relu",
            kernel_initializer=he,
            bias_initializer=bias,
            **kwargs,
        )

    layers = [
        keras.Input(split.train.x.shape[1:]),
        hidden(keras.layers.Conv2D, 32, 3, padding="same", name="conv_1"),
        hidden(keras.layers.Conv2D, 64, 3, padding="same", name="conv_2"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        InvertedDropout(keep_prob=0.7),
        hidden(keras.layers.Dense, 64, name="dense_1"),
        InvertedDropout(keep_prob=0.7),
        keras.layers.Dense(classes, activation=head, kernel_initializer=he, name="out"),
    ]
    if broken != "unscaled":
        scaling = Standardization(name="standardize")
        scaling.adapt(split.train)
        layers.insert(1, scaling)
    model = keras.Sequential(layers, name=f"convnet_{broken}" if broken else "convnet")
    apply_max_norm(model, 3.0)
    rate = 5.0 if broken == "learning-rate" else learning_rate
    momentum = min(max(1 - 10 / steps, 0), 0.99)
    model.compile(
        keras.optimizers.Adam(rate, use_ema=True, ema_momentum=momentum),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
