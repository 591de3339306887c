"""Transfer learning: what a network learned on digits 0-4 helps it with 5-9.

Three steps, on a few labelled rows of the new digits:

1. keep the features frozen and train a new head,
2. fine-tune the last convolution as well, with a ten times smaller learning rate,
3. compare with the same network trained from scratch on the same rows.

Digits of 8 by 8 pixels are so easy that the two come out about equal (test accuracy
0.858 and 0.852 from 18 rows, means of 4 seeds on 3 backends), while the first trains
a fraction of the weights. How much transfer brings depends on the distance between
the tasks and on the source: `--weights imagenet` takes a far larger one.

Here every step is written out with Keras alone. `examples/05_transfer.py` does the
same by a plan that is measured, with `transfer.plan` and `transfer.fine_tune`.

    python examples/transfer_learning.py
    python examples/transfer_learning.py --weights imagenet   # needs a network
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_practices as kp

RATE = 1e-2


def load(digits):
    """Returns images `(rows, 8, 8, 1)` of grey values 0 to 16, and labels from 0."""
    x, y = load_digits(return_X_y=True)
    rows = np.isin(y, digits)
    return x[rows].reshape(-1, 8, 8, 1).astype("float32"), y[rows] - min(digits)


def digit_features(train):
    """Returns an untrained network from an image to features.

    Two convolutions only: features this early fit other digits too, those of a third
    layer know the five digits they were trained on and do worse than no transfer.
    """
    standardization = kp.data.Standardization(axis=None)
    standardization.adapt(train)
    inputs = keras.Input((8, 8, 1))
    x = standardization(inputs)
    for filters in (16, 32):
        x = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
        )(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    # No dropout in here: freezing a layer does not switch its dropout off.
    return keras.Model(inputs, x, name="features")


def imagenet_features():
    """Returns MobileNetV2 without its head, for the same 8 by 8 images."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 8, offset=-1)(inputs)  # what MobileNetV2 expects
    x = keras.layers.UpSampling2D(12, interpolation="bilinear")(x)
    x = keras.layers.Concatenate()([x, x, x])
    try:
        network = keras.applications.MobileNetV2(
            input_shape=(96, 96, 3), include_top=False, pooling="avg"
        )
    except Exception as error:
        raise SystemExit(
            f"--weights imagenet: the weights could not be downloaded ({error}). "
            f"Connect to a network, or leave --weights out to use digits."
        ) from error
    return keras.Model(inputs, network(x), name="features")


def classifier(features):
    """Puts a new head on features."""
    return keras.Sequential(
        [
            keras.Input(features.input_shape[1:]),
            features,
            kp.layers.InvertedDropout(keep_prob=0.7),
            keras.layers.Dense(5, activation="softmax", name="head"),
        ]
    )


def train(model, split, rate, epochs):
    """Compiles and fits; a change of what is trainable needs a new `compile`."""
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    decay = kp.callbacks.ExponentialDecay(rate=3 / epochs)
    history = model.fit(
        *split.train,
        validation_data=split.validation,
        validation_freq=epochs,
        epochs=epochs,
        verbose=0,
        callbacks=[decay],
    ).history
    return history["val_accuracy"][-1]


def layers_of(model):
    """Yields the layers of a model and of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)
        else:
            yield layer


def unfreeze_last_convolution(features):
    """Makes the last convolution trainable, and nothing else."""
    layers = list(layers_of(features))
    last = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)][-1]
    # Setting `trainable` on a model sets it on every layer in it, so the model comes
    # first and its layers after. BatchNormalization stays frozen: a frozen one runs
    # in inference mode and keeps the statistics of the many rows it learned from.
    features.trainable = True
    for layer in layers:
        layer.trainable = layer is last


def main(argv=None):
    """Runs the example and returns the accuracies on the test set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", choices=["digits", "imagenet"], default="digits")
    parser.add_argument("--epochs", type=int, default=32, help="epochs of each stage")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    keras.utils.set_random_seed(options.seed)

    # Most rows play the future: the few that stay for training are the point.
    x, y = load([5, 6, 7, 8, 9])
    target = kp.data.Split(x, y, validation=0.2, test=0.78, seed=options.seed)
    print(f"new task: digits 5-9, {target}")

    if options.weights == "imagenet":
        features = imagenet_features()
    else:
        source = kp.data.Split(*load([0, 1, 2, 3, 4]), test=0, seed=options.seed)
        features = digit_features(source.train)
        epochs = max(1, options.epochs // 4)
        accuracy = train(classifier(features), source, RATE / 3, epochs)
        print(f"source task: digits 0-4, {source}, validation accuracy {accuracy:.3f}")

    features.trainable = False
    model = classifier(features)
    accuracy = train(model, target, RATE, options.epochs)
    print(f"new head on frozen features: validation accuracy {accuracy:.3f}")
    unfreeze_last_convolution(features)
    accuracy = train(model, target, RATE / 10, options.epochs)
    print(f"last convolution fine-tuned:  validation accuracy {accuracy:.3f}")

    scratch = classifier(digit_features(target.train))
    accuracy = train(scratch, target, RATE, 2 * options.epochs)
    print(f"trained from scratch:         validation accuracy {accuracy:.3f}")

    results = {
        "transfer": target.test.evaluate(model)["accuracy"],
        "scratch": target.test.evaluate(
            scratch, reason="the other half of a comparison fixed beforehand"
        )["accuracy"],
    }
    rows = len(target.train.x)
    print(f"test accuracy with {rows} training rows: {results}")
    return results


if __name__ == "__main__":
    main()
