"""The loss of each batch in the record, against NumPy."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.callbacks import TrainingMonitor
from keras_practices.errors import KerasPracticesWarning
from keras_practices.record import Record

# 40 rows in batches of 16: the last batch of an epoch has 8 rows.
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = (X[:, :1] - 2 * X[:, 1:2] + 0.5).astype("float32")
W = RNG.uniform(0.2, 3, size=40).astype("float32")
BATCHES = [slice(0, 16), slice(16, 32), slice(32, 40)]
RATE = 0.05


def linear_model(kind=keras.Sequential, optimizer=None, **arguments):
    model = kind([keras.Input((4,)), keras.layers.Dense(1)])
    arguments = {"loss": "mse"} | arguments
    model.compile(optimizer or keras.optimizers.SGD(RATE), **arguments)
    return model


@functools.cache
def _shared():
    return linear_model()


def shared_model():
    """A model that is compiled once for all tests, with weights of its own again."""
    _shared().set_weights([RNG.normal(size=(4, 1)), RNG.normal(size=1)])
    return _shared()


def descent(model, batches, weights=None, x=X, y=Y):
    """Loss of each batch of the same training, in NumPy float64."""
    kernel, bias = (w.astype("float64") for w in model.get_weights())
    losses = []
    for rows in batches:
        inputs, errors = x[rows].astype("float64"), None
        errors = inputs @ kernel + bias - y[rows]
        weight = np.ones(len(inputs)) if weights is None else weights[rows]
        weight = weight[:, None].astype("float64")
        losses.append(np.mean(weight * errors**2))
        kernel = kernel - RATE * 2 * inputs.T @ (weight * errors) / len(inputs)
        bias = bias - RATE * 2 * np.mean(weight * errors)
    return losses


def monitored(model, *data, **arguments):
    monitor = TrainingMonitor(every=2, overhead=1.0)
    callbacks = [monitor, *arguments.pop("callbacks", ())]
    arguments = {"verbose": 0, "shuffle": False} | arguments
    model.fit(*data, callbacks=callbacks, **arguments)
    assert not monitor.broken
    assert monitor.record.end["status"] == "completed"
    return monitor.record


def check(record, expected):
    epochs, found = record.curve("loss")
    # A difference of two float32 means over some batches.
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=3e-6 * max(expected))
    assert epochs == sorted(epochs)
    np.testing.assert_allclose(record.curve("learning_rate")[1], RATE, rtol=1e-6)


# --- data of all kinds -------------------------------------------------------------


def test_weights_of_rows_and_of_classes():
    model = shared_model()
    expected = descent(model, BATCHES * 2, W)
    check(monitored(model, X, Y, sample_weight=W, batch_size=16, epochs=2), expected)
    labels = (RNG.random((40, 1)) < 0.4).astype("float32")
    by_class = {0: 0.5, 1: 3.0}
    weights = np.array([by_class[int(label)] for label in labels[:, 0]])
    model = shared_model()
    expected = descent(model, BATCHES * 2, weights, y=labels)
    record = monitored(model, X, labels, class_weight=by_class, batch_size=16, epochs=2)
    check(record, expected)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batches_of_other_sizes(batch_size):
    x, y = X[:8], Y[:8]
    model = shared_model()
    starts = range(0, 8, batch_size)
    batches = [slice(start, start + batch_size) for start in starts]
    expected = descent(model, batches * 3, x=x, y=y)
    record = monitored(model, x, y, batch_size=batch_size, epochs=3)
    check(record, expected)


class Parts(keras.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        rows = BATCHES[index]
        return X[rows], Y[rows], W[rows]


def test_a_dataset_of_uneven_batches_and_its_weights():
    model = shared_model()
    expected = descent(model, BATCHES * 2, W)
    check(monitored(model, Parts(), epochs=2), expected)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize("steps", [None, 2])
def test_a_generator_with_batches_of_every_size(steps):
    rows = [slice(0, 3), slice(3, 19), slice(19, 20), slice(20, 23)] * 2

    def batches():
        for part in rows:
            yield X[part], Y[part]

    model = shared_model()
    expected = descent(model, rows)
    record = monitored(
        model, batches(), steps_per_epoch=steps, epochs=4 if steps else 1
    )
    check(record, expected)
    epochs = record.curve("loss")[0]
    np.testing.assert_allclose(epochs, np.arange(1, 9) / (steps or 8))


def test_a_repeated_tf_dataset(backend):
    if backend != "tensorflow":
        pytest.skip("tf.data needs TensorFlow")
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16).repeat()
    model = shared_model()
    # Epochs of four steps go over the data again and again.
    expected = descent(model, (BATCHES * 4)[:12])
    check(monitored(model, data, steps_per_epoch=4, epochs=3), expected)


def endless_length(backend):
    """The batches as a data set that does not say how many they are."""
    if backend == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
        return data.filter(lambda x, y: True)
    import torch

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([(X[rows], Y[rows]) for rows in BATCHES])

    return torch.utils.data.DataLoader(Stream(), batch_size=None)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_several_epochs_of_unknown_length(backend, tmp_path):
    if backend == "jax":
        pytest.skip("has no data sets of its own")
    model = shared_model()
    expected = descent(model, BATCHES * 3)
    monitor = TrainingMonitor(tmp_path, every=2, overhead=1.0)
    data = endless_length(backend)
    model.fit(data, shuffle=False, epochs=3, verbose=0, callbacks=[monitor])
    for record in (monitor.record, Record.load(tmp_path)):
        check(record, expected)
        np.testing.assert_allclose(record.curve("loss")[0], np.arange(1, 10) / 3)
        assert record.start["kind"] == "start"
        assert record.end["steps"] == 9


def test_epochs_that_do_not_begin_at_zero_with_validation_between():
    model = linear_model(metrics=["mae", keras.metrics.MeanSquaredError()])
    expected = descent(model, BATCHES * 2)
    record = monitored(
        model,
        X,
        Y,
        batch_size=16,
        initial_epoch=3,
        epochs=5,
        validation_data=(X[:5], Y[:5] + 9),
    )
    check(record, expected)
    places = [3 + 1 / 3, 3 + 2 / 3, 4, 4 + 1 / 3, 4 + 2 / 3, 5]
    np.testing.assert_allclose(record.curve("loss")[0], places)


def test_several_outputs_and_penalties():
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(3, kernel_regularizer="l2", name="shared")(inputs)
    outputs = [keras.layers.Dense(1, name=name)(shared) for name in ("a", "b")]
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.0),
        ["mse", "mae"],
        loss_weights=[1, 2],
        metrics=["mae"] * 2,
    )
    kernel = model.get_layer("shared").get_weights()[0].astype("float64")
    one, two = (ops.convert_to_numpy(y).astype("float64") for y in model(X))
    penalty = 0.01 * np.sum(kernel**2)
    expected = [
        np.mean((one[rows] - Y[rows]) ** 2)
        + 2 * np.mean(np.abs(two[rows] - Y[rows]))
        + penalty
        for rows in BATCHES
    ]
    record = monitored(model, X, [Y, Y], batch_size=16)
    np.testing.assert_allclose(record.curve("loss")[1], expected, rtol=1e-5)


# --- train steps of the user's own -------------------------------------------------


class OwnStep(keras.Sequential):
    """A train step that keeps the mean of its loss in its own way, or not at all."""

    name_of_mean, updated, returned, key, unit = "loss", True, True, "loss", "rows"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mean = keras.metrics.Mean(name=self.name_of_mean)

    @property
    def metrics(self):
        return [self.mean]

    def weight(self, x):
        if self.unit == "rows":
            return ops.cast(ops.shape(x)[0], "float32")
        return {"calls": None, "odd": 3.0}[self.unit]

    if keras.backend.backend() == "jax":

        def train_step(self, state, data):
            import jax

            trainable, others, slots, metrics = state
            x, y, _ = keras.utils.unpack_x_y_sample_weight(data)

            def loss_of(values):
                outputs, after = self.stateless_call(values, others, x, training=True)
                return self.compute_loss(y=y, y_pred=outputs), after

            (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                trainable
            )
            trainable, slots = self.optimizer.stateless_apply(
                slots, gradients, trainable
            )
            if self.updated:
                metrics = self.mean.stateless_update_state(
                    metrics, loss, sample_weight=self.weight(x)
                )
            result = self.mean.stateless_result(metrics) if self.returned else loss
            return {self.key: result}, (trainable, others, slots, metrics)

    elif keras.backend.backend() == "tensorflow":

        def train_step(self, data):
            import tensorflow as tf

            x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply(gradients, self.trainable_weights)
            return self.logs(x, loss)

    else:

        def train_step(self, data):
            import torch

            x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
            self.zero_grad()
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            loss.backward()
            weights = self.trainable_weights
            with torch.no_grad():
                self.optimizer.apply([w.value.grad for w in weights], weights)
            return self.logs(x, loss)

    def logs(self, x, loss):
        if self.updated:
            self.mean.update_state(loss, sample_weight=self.weight(x))
        return {self.key: self.mean.result() if self.returned else loss}


OWN_STEPS = {
    "named loss": {},
    "another name": {"name_of_mean": "total_loss"},
    "mean of batches": {"unit": "calls"},
    "odd weights": {"unit": "odd", "name_of_mean": "elbo"},
    "loss of the batch": {"updated": False, "returned": False},
    "both, the batch in the logs": {"returned": False},
}


# The logs of a batch hold a tensor with a graph; the Progbar and we turn it to a float.
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning")
@pytest.mark.parametrize("name", OWN_STEPS)
def test_train_steps_of_the_users_own(name):
    model = linear_model(type("Own", (OwnStep,), OWN_STEPS[name]))
    expected = descent(model, BATCHES * 2)
    check(monitored(model, X, Y, batch_size=16, epochs=2), expected)


def test_without_a_loss_in_the_logs_there_is_no_loss_of_steps():
    model = linear_model(type("Own", (OwnStep,), {"key": "generator_loss"}))
    with pytest.warns(KerasPracticesWarning, match='returns no "loss"') as caught:
        record = monitored(model, X, Y, batch_size=16, epochs=2)
    ours = [one for one in caught if one.category is KerasPracticesWarning]
    assert len(ours) == 1
    # A row of NaN would read as a run that diverged at its first step.
    assert record.of_kind("steps") == []
    assert record.end["steps"] == 6
    assert len(record.samples) == 3
    (fault,) = record.of_kind("fault")
    assert fault["what"] == "losses of the steps"


# --- callbacks that touch the mean -------------------------------------------------


class Resets(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()


class Evaluates(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch != 2:
            self.model.evaluate(X[:13], Y[:13] + 5, verbose=0)


class RunsATest(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.model.test_on_batch(X[:5], Y[:5] - 7)


class Trains(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            optimizer = self.model.optimizer
            optimizer.learning_rate = 0.0
            self.model.train_on_batch(X[:5], Y[:5] - 7)
            optimizer.learning_rate = RATE


@pytest.mark.parametrize("kind", [Resets, Evaluates, RunsATest, Trains])
def test_callbacks_that_write_the_mean_between_steps(kind):
    model = shared_model()
    expected = descent(model, BATCHES * 2)
    record = monitored(model, X, Y, batch_size=16, epochs=2, callbacks=[kind()])
    check(record, expected)
    assert "reset_metrics" not in model.__dict__
