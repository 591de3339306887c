"""Losses and rates of steps at which TensorFlow's variables are not read."""

import itertools

import keras
import numpy as np
import pytest

from keras_practices._core.alike_steps import AlikeSteps
from keras_practices.callbacks import TrainingMonitor

# 40 rows in batches of 16: the last batch of a pass has 8 rows.
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = (X[:, :1] - 2 * X[:, 1:2] + 0.5).astype("float32")


def constant_model():
    """A model that does not learn, and the squared errors of the rows."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    kernel, bias = (w.astype("float64") for w in model.get_weights())
    return model, ((X.astype("float64") @ kernel + bias - Y) ** 2)[:, 0]


def starts_of(usual, count):
    """Starts of batches: so many of 16 rows, then one of 8, again and again."""
    alike = [16 * (number % 2) for number in range(usual)]
    return list(itertools.islice(itertools.cycle([*alike, 32]), count))


@pytest.mark.parametrize("usual", [40, 66, 97])
def test_a_smaller_batch_inside_an_epoch(usual, backend):
    starts, (model, errors) = starts_of(usual, 400), constant_model()
    batches = ((X[at : at + 16], Y[at : at + 16]) for at in starts)
    own = {"steps_per_epoch": 200, "shuffle": False, "verbose": 0}
    monitor = TrainingMonitor()
    model.fit(batches, epochs=2, callbacks=[monitor], **own)
    _, found = monitor.record.curve("loss")
    sizes = np.array([len(X[at : at + 16]) for at in starts])
    expected = np.array([errors[at : at + 16].mean() for at in starts])
    # The loss of a batch is a difference of float32 means of up to 200 batches.
    near = 2e-5 * expected.max() * 200 / 16
    wrong = np.flatnonzero(np.abs(found - expected) > near)
    if len(wrong) == 0:
        return
    # On TensorFlow weights are read now and then. Where they do not add up, the steps
    # since the last time get the mean of them all, once.
    assert backend == "tensorflow"
    [first, *_, last] = wrong
    assert last - first < 100
    around = slice(max(0, first - 1), last + 2)
    together = np.average(expected[around], weights=sizes[around])
    assert np.average(found[around], weights=sizes[around]) == pytest.approx(
        together, abs=near
    )
    assert np.ptp(np.array(found)[wrong]) <= 2 * near


def test_the_last_batch_of_an_epoch_has_its_own_loss():
    starts, (model, errors) = starts_of(120, 121), constant_model()
    x = np.concatenate([X[at : at + 16] for at in starts])
    y = np.concatenate([Y[at : at + 16] for at in starts])
    monitor = TrainingMonitor()
    own = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(x, y, epochs=3, callbacks=[monitor], **own)
    expected = 3 * [errors[at : at + 16].mean() for at in starts]
    _, found = monitor.record.curve("loss")
    np.testing.assert_allclose(found, expected, atol=2e-5 * max(expected) * 121 / 16)


def test_from_the_second_epoch_on_few_sizes_are_read(backend, monkeypatch):
    if backend != "tensorflow":
        pytest.skip("nothing has to be read there")
    read, (model, _) = [], constant_model()
    count = AlikeSteps.count
    monkeypatch.setattr(
        AlikeSteps, "count", lambda self, mean: read.append(mean) or count(self, mean)
    )
    per_epoch = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: per_epoch.append(len(read))
    )
    own = {"batch_size": 2, "shuffle": False, "verbose": 0}
    x, y = (np.tile(rows, (10, 1))[:-1] for rows in (X, Y))
    monitor = TrainingMonitor(every=130)
    model.fit(x, y, epochs=4, callbacks=[monitor, note], **own)
    # Of 200 steps: the first, at most two samples, the step behind each, the last two,
    # one in a hundred and one a second.
    assert max(np.diff(per_epoch)) < 30


class RateAt(keras.callbacks.Callback):
    """Sets rates at the beginnings of steps, counted over all epochs."""

    def __init__(self, rates):
        super().__init__()
        self.rates, self.step = rates, -1

    def on_train_batch_begin(self, batch, logs=None):
        self.step += 1
        if self.step in self.rates:
            self.model.optimizer.learning_rate = self.rates[self.step]


def test_rates_that_callbacks_set_between_steps(backend):
    starts, (model, _) = starts_of(150, 150), constant_model()
    x = np.concatenate([X[at : at + 16] for at in starts])
    y = np.concatenate([Y[at : at + 16] for at in starts])
    monitor = TrainingMonitor()
    later = {0: 0.1, 150: 0.2, 230: 0.3, 270: 0.4, 271: 0.5}
    own = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(x, y, epochs=3, callbacks=[RateAt(later), monitor], **own)
    _, found = monitor.record.curve("learning_rate")
    expected = [later[max(at for at in later if at <= n)] for n in range(450)]
    wrong = np.flatnonzero(~np.isclose(found, expected))
    # On TensorFlow the first change inside an epoch may be seen late, no other.
    assert set(wrong) <= set(range(230, 270) if backend == "tensorflow" else ())
    np.testing.assert_allclose(np.array(found)[wrong], 0.2, rtol=1e-6)
