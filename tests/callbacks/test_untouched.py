"""Training ends with the same bits, with or without somebody who looks on."""

import keras
import numpy as np
import pytest

from keras_practices.callbacks import OverfitTinySubset
from keras_practices.callbacks import SanityCheck
from keras_practices.callbacks import TrainingMonitor

pytestmark = pytest.mark.usefixtures("optimized_graphs")

RNG = np.random.default_rng(1)
Y = np.arange(40) % 3
X = (RNG.normal(size=(40, 4)) + Y[:, None]).astype("float32")
WATCHERS = {
    "sanity": lambda: SanityCheck(data=(X, Y)),
    "tiny": lambda: OverfitTinySubset(data=(X, Y), n=6, steps=5),
    "monitor": lambda: TrainingMonitor(probe=(X, Y), every=2, overhead=1.0),
}


def noisy_model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, kernel_regularizer=keras.regularizers.L2(1e-2)),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def bits(model):
    """Everything that a model and its optimizer hold."""
    values = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(value)) for value in values]


def trained(*callbacks):
    """Two fits, and what the model held after each of them."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(7)
    model = noisy_model()
    states, curves = [], []
    for _ in range(2):
        history = model.fit(
            X, Y, batch_size=16, epochs=2, verbose=0, callbacks=list(callbacks)
        )
        states.append(bits(model))
        curves.append(history.history)
    return states, curves, np.random.random()


@pytest.fixture(scope="module")
def alone():
    return trained()


# A tiny subset of six rows is not always learned in five steps.
@pytest.mark.filterwarnings(
    "ignore::keras_practices.errors.KerasPracticesWarning",
)
@pytest.mark.parametrize("name", [*WATCHERS, "all"])
def test_two_fits_end_with_the_same_bits(name, alone):
    makers = WATCHERS.values() if name == "all" else [WATCHERS[name]]
    watchers = [maker() for maker in makers]
    states, curves, draw = trained(*watchers)
    assert not any(watcher.broken for watcher in watchers)
    for expected, found in zip(alone[0], states, strict=True):
        assert len(expected) == len(found)
        for old, new in zip(expected, found, strict=True):
            np.testing.assert_array_equal(old, new)
    assert curves == alone[1]
    # Nobody drew from NumPy's own generator, which shuffles the rows.
    assert draw == alone[2]


def test_the_bits_hold_seeds_statistics_and_slots():
    model = noisy_model()
    model.optimizer.build(model.trainable_variables)
    paths = [v.path for v in (*model.variables, *model.optimizer.variables)]
    for part in ("moving_mean", "seed_generator_state", "velocity", "iteration"):
        assert any(part in path for path in paths), (part, paths)
