import keras
import numpy as np
import pytest
from scipy import special

from keras_practices.optimizers import newton_step
from keras_practices.optimizers.newton import conjugate_gradients
from keras_practices.optimizers.newton import hessian_product

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5], [3.0]]) + 0.1 * RNG.normal(size=(60, 1))) + 1
CLASSES = (Y > 1).astype("float32")
DESIGN = np.column_stack([np.float64(X), np.ones(60)])


def linear(loss="mse", penalty=None):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(1, kernel_regularizer=penalty)]
    )
    model.compile(loss=loss)
    return model


def weights_of(model):
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


@pytest.mark.parametrize("batch_size", [None, 25])
def test_one_step_reaches_the_minimum_of_a_quadratic(batch_size):
    model = linear()
    expected = np.linalg.lstsq(DESIGN, Y[:, 0], rcond=None)[0]
    figures = newton_step(
        model, X, Y, damping=0, tolerance=1e-10, batch_size=batch_size
    )
    np.testing.assert_allclose(weights_of(model), expected, rtol=1e-6)
    assert figures["step_size"] == 1
    assert figures["products"] <= 6
    assert not figures["negative_curvature"]
    rest = np.mean((DESIGN @ expected - Y[:, 0]) ** 2)
    assert figures["loss_after"] == pytest.approx(rest, rel=1e-9)


def test_without_float64_it_is_near():
    model = linear()
    expected = np.linalg.lstsq(DESIGN, Y[:, 0], rcond=None)[0]
    newton_step(model, X, Y, damping=0, float64=False)
    np.testing.assert_allclose(weights_of(model), expected, atol=2e-3)


def test_damping_and_penalty_stand_in_the_hessian():
    model = linear(penalty=keras.regularizers.L2(0.1))
    start = np.float64(weights_of(model))
    newton_step(model, X, Y, damping=0.5, tolerance=1e-10)
    penalised = np.diag([0.2] * 4 + [0.0])
    hessian = 2 * DESIGN.T @ DESIGN / 60 + penalised
    gradient = 2 * DESIGN.T @ (DESIGN @ start - Y[:, 0]) / 60 + penalised @ start
    expected = start - np.linalg.solve(hessian + 0.5 * np.eye(5), gradient)
    np.testing.assert_allclose(weights_of(model), expected, rtol=1e-5)


def test_steps_are_those_of_newton_by_hand_on_logistic_regression():
    model = linear(keras.losses.BinaryCrossentropy(from_logits=True))
    model.set_weights([np.zeros((4, 1)), np.zeros(1)])
    vector = np.zeros(5)
    for _ in range(3):
        newton_step(model, X, CLASSES, damping=0, tolerance=1e-9)
        chance = special.expit(DESIGN @ vector)
        gradient = DESIGN.T @ (chance - CLASSES[:, 0]) / 60
        hessian = DESIGN.T @ (DESIGN * (chance * (1 - chance))[:, None]) / 60
        vector = vector - np.linalg.solve(hessian, gradient)
        np.testing.assert_allclose(weights_of(model), vector, rtol=1e-4)


def test_a_saddle_is_left_downhill():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss="mse")
    for _ in range(3):
        figures = newton_step(model, X, Y)
        assert figures["loss_after"] < figures["loss_before"]
        found = model.evaluate(X, Y, batch_size=60, verbose=0)
        assert found == pytest.approx(figures["loss_after"], rel=1e-4)


def test_products_are_those_of_the_hessian():
    matrix = RNG.normal(size=(6, 6))
    matrix = matrix @ matrix.T

    def objective(vector):
        # A quartic, so that the gradient has a third derivative.
        gradient = matrix @ vector + vector**3
        return 0.0, gradient

    place, vector = RNG.normal(size=6), RNG.normal(size=6)
    expected = matrix @ vector + 3 * place**2 * vector
    found = hessian_product(objective, place, vector, True)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert not hessian_product(objective, place, np.zeros(6), True).any()


def test_conjugate_gradients_solve_and_see_negative_curvature():
    matrix = RNG.normal(size=(6, 6))
    matrix, gradient = matrix @ matrix.T + np.eye(6), RNG.normal(size=6)
    step, figures = conjugate_gradients(lambda v: matrix @ v, gradient, 50, 1e-12)
    np.testing.assert_allclose(step, -np.linalg.solve(matrix, gradient), rtol=1e-8)
    assert figures["residual"] < 1e-12
    step, figures = conjugate_gradients(lambda v: -v, gradient, 50, 1e-12)
    np.testing.assert_array_equal(step, -gradient)
    assert figures["negative_curvature"]


def test_at_the_minimum_nothing_moves():
    model = linear()
    newton_step(model, X, Y, damping=0, tolerance=1e-10)
    before = weights_of(model)
    newton_step(model, X, Y, damping=0)
    np.testing.assert_allclose(weights_of(model), before, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"damping": -1.0}, ValueError, "damping"),
        ({"damping": None}, TypeError, "damping"),
        ({"max_products": 0}, ValueError, "max_products"),
        ({"tolerance": 1.0}, ValueError, "tolerance"),
    ],
)
def test_bad_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=text):
        newton_step(linear(), X, Y, **arguments)


def test_what_it_cannot_do_is_refused():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(1, kernel_constraint="non_neg")]
    )
    model.compile(loss="mse")
    with pytest.raises(RuntimeError, match="NonNeg"):
        newton_step(model, X, Y)
    model = linear()
    model.set_weights([np.full((4, 1), np.inf), np.zeros(1)])
    with pytest.raises(RuntimeError, match="finite"):
        newton_step(model, X, Y)
