"""Transfer by a plan: from digits 0-4 to digits 5-9, and what each step brought.

A network learns five digits. Linear probes then say what of it helps with the other
five, `transfer.plan` turns that into stages, and `transfer.fine_tune` carries them out.
The same rows train the same network from scratch beside it.

    python examples/05_transfer.py
    python examples/05_transfer.py --rows 40
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_practices as kp
from keras_practices import transfer


def load(digits):
    """Returns images `(rows, 8, 8, 1)` of values 0 to 1, and labels from 0."""
    x, y = load_digits(return_X_y=True)
    rows = np.isin(y, digits)
    return (x[rows] / 16).reshape(-1, 8, 8, 1).astype("float32"), y[rows] - min(digits)


def network():
    """Returns an untrained network for five digits."""
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (16, 32, 32):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(keras.layers.BatchNormalization(momentum=0.9))
        model.add(keras.layers.ReLU())
    model.add(keras.layers.MaxPooling2D(2))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(5, activation="softmax", name="old_head"))
    return model


def train(model, split, epochs):
    """Compiles and fits from the weights as they are."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*split.train, epochs=epochs, verbose=0)
    return model


def main(argv=None):
    """Runs the example and returns the accuracies on the test set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20, help="new rows of each digit")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    keras.utils.set_random_seed(options.seed)

    source = kp.data.Split(*load([0, 1, 2, 3, 4]), test=0, seed=options.seed)
    pretrained = train(network(), source, options.epochs)

    x, y = load([5, 6, 7, 8, 9])
    known = 5 * options.rows / len(x)
    target = kp.data.Split(
        x, y, validation=0.2 * known, test=1 - known, seed=options.seed
    )
    print(f"new task: digits 5-9, {target}")

    plan = transfer.plan(pretrained, *target.train, seed=options.seed)
    print(plan)
    result = transfer.fine_tune(
        pretrained,
        target.train,
        validation_data=target.validation,
        plan=plan,
        head=5,
        epochs=options.epochs,
        verbose=0,
    )
    print(result)

    scratch = train(network(), target, 2 * options.epochs)
    results = {
        "transfer": target.test.evaluate(result.model)["accuracy"],
        "scratch": target.test.evaluate(
            scratch, reason="the other half of a comparison fixed beforehand"
        )["accuracy"],
    }
    print(f"test accuracy with {len(target.train.x)} training rows: {results}")
    return results


if __name__ == "__main__":
    main()
