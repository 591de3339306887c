import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.errors import UsageError
from keras_practices.metrics import fit_temperature

pytestmark = pytest.mark.once


def mean_loss(temperature, logits, y, weights=None):
    log_probabilities = scipy.special.log_softmax(logits / temperature, axis=1)
    return -np.average(log_probabilities[np.arange(len(y)), y], weights=weights)


def drawn(temperature, rows=500, classes=4, seed=0):
    """Logits that are `temperature` times too large for the labels."""
    rng = np.random.default_rng(seed)
    honest = 1.5 * rng.normal(size=(rows, classes))
    noise = rng.gumbel(size=honest.shape)
    return temperature * honest, (honest + noise).argmax(1)


@given(
    temperature=st.floats(0.1, 10), seed=st.integers(0, 2**31 - 1), weigh=st.booleans()
)
def test_is_the_minimum_of_the_loss(temperature, seed, weigh):
    logits, y = drawn(temperature, seed=seed)
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0, 3, len(y)) if weigh else None
    found = fit_temperature(logits, y, weights)
    best = scipy.optimize.minimize_scalar(
        lambda log: mean_loss(np.exp(log), logits, y, weights),
        bounds=(np.log(0.01), np.log(100)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    np.testing.assert_allclose(found, np.exp(best.x), rtol=1e-4)
    assert mean_loss(found, logits, y, weights) <= best.fun + 1e-12


def test_finds_the_temperature_that_labels_were_drawn_with():
    logits, y = drawn(3.0, rows=20000)
    found = fit_temperature(logits, y)
    # By the theory of maximum likelihood 1/T has the standard error 1 / sqrt(I), I
    # the information: the sum of the variances of the logits under the model.
    p = scipy.special.softmax(logits / 3.0, axis=1)
    information = ((p * logits**2).sum(1) - (p * logits).sum(1) ** 2).sum()
    assert abs(1 / found - 1 / 3) < 5 / np.sqrt(information)


def test_forms():
    logits, y = drawn(2.0)
    expected = fit_temperature(logits, y)
    images = logits.reshape(50, 10, 4)
    for scores, labels in (
        (logits.astype("float32"), y[:, None]),
        (logits, np.eye(4)[y]),
        (logits, y.astype("float32")),
        (images, y.reshape(50, 10)),
        (images, np.eye(4)[y].reshape(50, 10, 4)),
        (logits + 100, y),
        (scipy.special.log_softmax(logits, axis=1), y),
    ):
        np.testing.assert_allclose(fit_temperature(scores, labels), expected, 1e-5)


def test_one_unit_is_two_classes():
    logits, y = drawn(2.0, classes=2)
    expected = fit_temperature(logits, y)
    score = logits[:, 1] - logits[:, 0]
    for scores in (score, score[:, None]):
        np.testing.assert_allclose(fit_temperature(scores, y), expected, 1e-9)


def test_no_best_temperature_is_said():
    logits = np.eye(3)
    with pytest.raises(UsageError, match="every row is classified right"):
        fit_temperature(logits, [0, 1, 2])
    with pytest.raises(UsageError, match="say nothing of the labels"):
        fit_temperature(logits, [1, 2, 0])


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        (([[1.0, np.nan]], [0]), "logits", ValueError),
        ((["a"], [0]), "logits", TypeError),
        ((3.0, [0]), "logits", ValueError),
        ((np.ones((2, 3)), [0, 3]), "y", ValueError),
        ((np.ones((2, 3)), [0, 0.5]), "y", ValueError),
        ((np.ones((2, 3)), [0, 1, 2]), "y", ValueError),
        ((np.ones((2, 3)), [0, 1], [1, -1]), "sample_weight", ValueError),
        ((np.ones((2, 3)), [0, 1], [0, 0]), "sample_weight", ValueError),
        ((np.ones((2, 3)), [0, 1], [1.0]), "sample_weight", ValueError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        fit_temperature(*arguments)
