import keras
import numpy as np
import pytest
from scipy import optimize
from scipy import special

from keras_practices.optimizers import fit_lbfgs
from keras_practices.optimizers.objective import noise_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)).astype("float32")
LOGITS = X @ np.array([1.0, -2.0, 0.5, 0.0, 3.0]) + 0.3
Y = (special.expit(LOGITS) > RNG.uniform(size=200)).astype("float32")[:, None]
WEIGHTS = RNG.uniform(0.5, 1.5, size=200).astype("float32")
PENALTY = 0.01


def logistic(**arguments):
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(
                1, kernel_regularizer=keras.regularizers.L2(PENALTY), **arguments
            ),
        ]
    )
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def by_hand(weights=None):
    """Loss and weights at the minimum, by SciPy on a loss in NumPy."""
    x, y = np.float64(X), np.float64(Y[:, 0])
    scale = np.ones(200) if weights is None else np.float64(weights)

    def loss(vector):
        logits = x @ vector[:5] + vector[5]
        rows = np.logaddexp(0, logits) - y * logits
        error = scale * (special.expit(logits) - y) / 200
        gradient = np.append(x.T @ error + 2 * PENALTY * vector[:5], error.sum())
        return np.mean(scale * rows) + PENALTY * np.sum(vector[:5] ** 2), gradient

    options = {"gtol": 1e-12, "ftol": 0, "maxiter": 1000}
    found = optimize.minimize(
        loss, np.zeros(6), jac=True, method="L-BFGS-B", options=options
    )
    return found.fun, found.x


def weights_of(model):
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


class Notes(keras.callbacks.Callback):
    """What a callback gets to see."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.hooks, self.losses, self.stop_after = [], [], stop_after

    def on_train_begin(self, logs=None):
        self.hooks.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.hooks.append(epoch)
        loss = self.model.evaluate(X, Y, verbose=0)
        self.losses.append((logs["loss"], loss))
        if self.stop_after is not None and epoch + 1 == self.stop_after:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.hooks.append("end")


@pytest.mark.parametrize("batch_size", [None, 64])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_finds_the_minimum_that_scipy_finds_by_hand(weights, batch_size):
    loss, vector = by_hand(weights)
    model = logistic()
    history = fit_lbfgs(model, X, Y, sample_weight=weights, batch_size=batch_size)
    assert history.history["loss"][-1] == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(weights_of(model), vector, atol=2e-3)
    found = model.evaluate(X, Y, sample_weight=weights, batch_size=200, verbose=0)
    assert found == pytest.approx(loss, rel=1e-6)


def test_float64_finds_more_digits():
    loss, vector = by_hand()
    model = logistic()
    history = fit_lbfgs(
        model, X, Y, float64=True, gradient_tolerance=1e-9, loss_tolerance=0
    )
    assert history.converged
    # On TensorFlow a Keras regulariser keeps its factor in float32.
    assert history.history["loss"][-1] == pytest.approx(loss, rel=1e-8)
    # The model holds float32.
    np.testing.assert_allclose(weights_of(model), vector, rtol=1e-6, atol=1e-7)


def test_callbacks_see_each_iteration_with_its_weights():
    notes = Notes()
    history = fit_lbfgs(logistic(), X, Y, callbacks=[notes], max_iterations=5)
    assert notes.hooks == ["begin", 0, 1, 2, 3, 4, "end"]
    assert len(history.history["loss"]) == 5
    assert history.history["evaluations"] == sorted(history.history["evaluations"])
    assert not history.converged
    assert "ITERATIONS" in history.message
    for logged, evaluated in notes.losses:
        assert logged == pytest.approx(evaluated, rel=1e-5)
    losses = history.history["loss"]
    assert losses == sorted(losses, reverse=True)


def test_a_callback_can_stop_it():
    notes = Notes(stop_after=2)
    model = logistic()
    history = fit_lbfgs(model, X, Y, callbacks=[notes])
    assert notes.hooks == ["begin", 0, 1, "end"]
    assert history.message == "stopped by a callback"
    assert not history.converged
    found = model.evaluate(X, Y, batch_size=200, verbose=0)
    assert found == pytest.approx(history.history["loss"][-1], rel=1e-5)


def test_validates_and_stops_early(capsys):
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=0)
    history = fit_lbfgs(
        logistic(),
        X[:100],
        Y[:100],
        validation_data=(X[100:], Y[100:]),
        callbacks=[stopping],
        verbose=2,
    )
    assert len(history.history["val_loss"]) == len(history.history["loss"])
    assert "val_loss" in capsys.readouterr().out


def test_the_same_gradient_in_chunks_on_a_network_with_batch_norm():
    def trained(batch_size):
        keras.utils.set_random_seed(1)
        inputs = {n: keras.Input((k,), name=n) for n, k in (("a", 2), ("b", 3))}
        hidden = keras.layers.Dense(4, activation="tanh")(
            keras.layers.Concatenate()([inputs["a"], inputs["b"]])
        )
        hidden = keras.layers.BatchNormalization()(hidden)
        model = keras.Model(inputs, [keras.layers.Dense(1)(hidden), hidden])
        model.compile(loss=["mse", None])
        before = model.non_trainable_variables[0].numpy()
        x = {"a": X[:, :2], "b": X[:, 2:]}
        history = fit_lbfgs(
            model, x, [Y, Y[:, [0] * 4]], batch_size=batch_size, max_iterations=4
        )
        after = model.non_trainable_variables[0].numpy()
        np.testing.assert_array_equal(before, after)
        return history.history["loss"]

    np.testing.assert_allclose(trained(64), trained(None), rtol=1e-4)


def test_frozen_weights_stay():
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(5), keras.layers.Dense(1)]
    )
    model.layers[0].trainable = False
    model.compile(loss="mse")
    before = model.get_weights()
    fit_lbfgs(model, X, Y, max_iterations=3)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert np.any(before[2] != after[2])


def test_weights_that_may_not_be_negative_stay_so():
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(1, kernel_constraint="non_neg")]
    )
    model.compile(loss="mse")
    fit_lbfgs(model, X, LOGITS, float64=True, gradient_tolerance=1e-9)
    design = np.column_stack([np.float64(X), np.ones(200)])
    low = np.array([0.0] * 5 + [-np.inf])
    expected = optimize.lsq_linear(design, LOGITS, (low, np.inf), tol=1e-14).x
    np.testing.assert_allclose(weights_of(model), expected, atol=1e-5)
    assert weights_of(model)[:5].min() >= 0


def test_noise_is_refused_unless_it_is_said_to_be_meant():
    def noisy():
        model = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        )
        model.compile(loss="mse")
        return model

    with pytest.raises(RuntimeError, match="dropout.*allow_noise_layers"):
        fit_lbfgs(noisy(), X, Y)
    model = noisy()
    fit_lbfgs(model, X, LOGITS, allow_noise_layers=True)
    assert model.evaluate(X, LOGITS, verbose=0) < 1e-4


def test_a_recurrent_cell_without_dropout_is_no_noise():
    model = keras.Sequential([keras.Input((5, 1)), keras.layers.GRU(2)])
    assert noise_layers(model) == []
    model = keras.Sequential([keras.Input((5, 1)), keras.layers.GRU(2, dropout=0.1)])
    assert noise_layers(model) != []


def test_other_constraints_are_refused():
    model = logistic(kernel_constraint="unit_norm")
    with pytest.raises(RuntimeError, match="UnitNorm"):
        fit_lbfgs(model, X, Y)


def test_a_sum_of_losses_is_not_taken_in_chunks():
    model = logistic()
    model.compile(loss=keras.losses.MeanSquaredError(reduction="sum"))
    with pytest.raises(ValueError, match="batch_size"):
        fit_lbfgs(model, X, Y, batch_size=10)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_iterations": 0}, ValueError, "max_iterations"),
        ({"max_iterations": 1.5}, TypeError, "max_iterations"),
        ({"gradient_tolerance": -1}, ValueError, "gradient_tolerance"),
        ({"loss_tolerance": "no"}, TypeError, "loss_tolerance"),
        ({"memory": 0}, ValueError, "memory"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"y": Y[:3]}, ValueError, "rows"),
        ({"x": iter([X])}, TypeError, "dataset"),
    ],
)
def test_bad_arguments_are_named(arguments, error, text):
    arguments = {"x": X, "y": Y} | arguments
    with pytest.raises(error, match=text):
        fit_lbfgs(logistic(), **arguments)


def test_a_model_without_loss_or_with_a_broken_one_is_refused():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    with pytest.raises(RuntimeError, match="compile"):
        fit_lbfgs(model, X, Y)
    model = logistic()
    model.set_weights([np.full((5, 1), np.nan), np.zeros(1)])
    with pytest.raises(RuntimeError, match="nan"):
        fit_lbfgs(model, X, Y)
    with pytest.raises(TypeError, match="model"):
        fit_lbfgs("model", X, Y)
