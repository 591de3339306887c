import keras
import numpy as np
import pytest

from keras_practices.callbacks.batch_norm import update_batch_norm
from keras_practices.callbacks.swa import SWA
from keras_practices.errors import KerasPracticesWarning

RNG = np.random.default_rng(0)
X = (2 + 3 * RNG.normal(size=(40, 3))).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 1).astype("float32")


def linear(**arguments):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse", **arguments)
    return model


def normalised():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def fit(model, callbacks, **arguments):
    arguments = {"epochs": 6, "batch_size": 8, "verbose": 0} | arguments
    return model.fit(X, Y, callbacks=callbacks, **arguments)


class Weights(keras.callbacks.Callback):
    """Weights at the end of each epoch, and as they stand when it begins."""

    def __init__(self):
        super().__init__()
        self.ends, self.begins = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append(values(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(values(self.model))


def values(model):
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


@pytest.mark.parametrize(("start", "every"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("swap", [False, True])
def test_the_end_is_the_mean_of_the_weights(start, every, swap):
    model, seen = linear(), Weights()
    swa = SWA(start, every, swap_for_validation=swap)
    history = fit(model, [seen, swa], validation_data=(X, Y))
    counted = np.float64(seen.ends[start::every])
    assert swa.count == len(counted)
    np.testing.assert_allclose(values(model), counted.mean(axis=0), rtol=1e-6)
    # Training went on from the running weights.
    np.testing.assert_array_equal(seen.begins[1:], seen.ends[:-1])
    expected = model.evaluate(X, Y, verbose=0)
    if swap:
        assert history.history["val_loss"][-1] == pytest.approx(expected, rel=1e-5)
    else:
        model.layers[0].set_weights([seen.ends[-1][:3, None], seen.ends[-1][3:]])
        expected = model.evaluate(X, Y, verbose=0)
        assert history.history["val_loss"][-1] == pytest.approx(expected, rel=1e-5)


def test_a_watcher_until_the_end():
    def course(callbacks):
        keras.utils.set_random_seed(0)
        seen = Weights()
        model, data = normalised(), (X, Y)
        fit(model, [seen, *callbacks], validation_data=data, shuffle=False, epochs=3)
        return seen.ends

    swa = SWA(1, swap_for_validation=True, batch_norm_data=X)
    np.testing.assert_array_equal(course([swa]), course([]))


def test_a_second_fit_averages_anew():
    model, swa = linear(), SWA(4)
    fit(model, [swa])
    seen = Weights()
    fit(model, [seen, swa])
    np.testing.assert_allclose(values(model), np.mean(seen.ends[4:], axis=0), rtol=1e-6)


def test_goes_on_from_its_state():
    swa, other, seen = SWA(0), SWA(0), Weights()
    model = linear()
    fit(model, [seen, swa], epochs=3)
    running = seen.ends[-1]
    other.set_model(model)
    other.on_train_begin()
    other.set_state(swa.get_state())
    model.layers[0].set_weights([running[:3, None] + 1, running[3:] + 1])
    other.on_epoch_end(3)
    other.on_train_end()
    expected = np.mean([*seen.ends, running + 1], axis=0)
    np.testing.assert_allclose(values(model), expected, rtol=1e-5)


def test_statistics_of_the_average_are_computed_anew():
    model = normalised()
    swa = SWA(0, batch_norm_data=X, batch_size=16, swap_for_validation=True)
    history = fit(model, [swa], validation_data=(X, Y), epochs=2)
    by_hand = reference(model, 16)
    found = [model.layers[1], model.layers[4]]
    for layer, (mean, variance) in zip(found, by_hand, strict=True):
        np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-4)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-4)
    expected = model.evaluate(X, Y, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(expected, rel=1e-4)


def test_batch_norm_without_data_is_warned_of():
    with pytest.warns(KerasPracticesWarning, match="BatchNorm"):
        fit(normalised(), [SWA(0)], epochs=1)


def test_no_epoch_is_warned_of():
    with pytest.warns(KerasPracticesWarning, match="start_epoch"):
        fit(linear(), [SWA(9)], epochs=1)


def reference(model, batch_size):
    """Both layers' statistics by NumPy, in float64, dropout off."""
    first, norm, _, second, later, _ = model.layers
    weights = {
        x: [np.float64(w.numpy()) for w in x.trainable_variables]
        for x in (first, norm, second)
    }
    found = []
    for begin in range(0, len(X), batch_size):
        rows = np.float64(X[begin : begin + batch_size])
        hidden = rows @ weights[first][0] + weights[first][1]
        mean, variance = hidden.mean(axis=0), hidden.var(axis=0)
        scaled = (hidden - mean) / np.sqrt(variance + norm.epsilon)
        scaled = scaled * weights[norm][0] + weights[norm][1]
        output = np.maximum(scaled @ weights[second][0] + weights[second][1], 0)
        figures = [mean, variance, output.mean(axis=0), output.var(axis=0)]
        found.append([len(rows) * figure for figure in figures])
    mean, variance, *rest = (sum(f[k] for f in found) / len(X) for k in range(4))
    del later
    return [(mean, variance), tuple(rest)]


def broken():
    """A model with weights of its own and statistics that are of no use."""
    model = normalised()
    for layer in (model.layers[1], model.layers[4]):
        layer.moving_mean.assign(np.full(layer.moving_mean.shape, np.nan))
        layer.moving_variance.assign(np.full(layer.moving_mean.shape, 1e6))
        layer.gamma.assign(RNG.uniform(0.5, 2, layer.gamma.shape))
    return model


class Rows(keras.utils.PyDataset):
    """Batches of 16 rows, the last of 8."""

    def __init__(self):
        super().__init__()

    def __len__(self):
        return 3

    def __getitem__(self, place):
        return X[16 * place : 16 * place + 16], Y[16 * place : 16 * place + 16]


@pytest.mark.parametrize(
    "data",
    [X, (X, Y), Rows(), iter([(X[:16],), (X[16:32],), (X[32:], None)])],
    ids=["array", "pair", "dataset", "generator"],
)
def test_statistics_equal_numpy(data):
    model = broken()
    untouched = [v.numpy().copy() for v in model.trainable_variables]
    update_batch_norm(model, data, batch_size=16)
    expected = reference(model, 16)
    found = [model.layers[1], model.layers[4]]
    for layer, (mean, variance) in zip(found, expected, strict=True):
        np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-4)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-4)
        assert layer.momentum == 0.99
    for before, variable in zip(untouched, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())


def test_steps_end_it_and_frozen_layers_keep_theirs():
    model = broken()
    model.layers[1].trainable = False
    model.layers[1].moving_mean.assign(np.zeros(4))
    before = model.layers[1].moving_variance.numpy().copy()
    update_batch_norm(model, (X for _ in range(10**9)), steps=2)
    np.testing.assert_array_equal(model.layers[1].moving_variance.numpy(), before)
    assert np.isfinite(model.layers[4].moving_mean.numpy()).all()
    update_batch_norm(linear(), X)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    model = normalised()
    fit(model, [SWA(1, batch_norm_data=X)], epochs=2)
    assert np.isfinite(values(model)).all()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SWA(-1), ValueError, "start_epoch"),
        (lambda: SWA(1.0), TypeError, "start_epoch"),
        (lambda: SWA(0, 0), ValueError, "every"),
        (lambda: SWA(0, batch_size=0), ValueError, "batch_size"),
        (lambda: update_batch_norm("model", X), TypeError, "model"),
        (lambda: update_batch_norm(normalised(), 3), TypeError, "data"),
        (lambda: update_batch_norm(normalised(), X[:0]), ValueError, "data"),
        (lambda: update_batch_norm(normalised(), X, steps=0), ValueError, "steps"),
        (lambda: update_batch_norm(keras.Sequential(), X), RuntimeError, "no weights"),
        (lambda: update_batch_norm(renormalised(), X), RuntimeError, "renorm"),
    ],
)
def test_bad_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


def renormalised():
    layer = keras.layers.BatchNormalization(renorm=True)
    return keras.Sequential([keras.Input((3,)), layer])
