import keras
import numpy as np
import pytest
import sklearn.dummy
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from keras_practices.initializers.prior_bias import PriorBias
from keras_practices.initializers.prior_bias import prior_bias


def prior_loss(y, weights=None):
    """Loss of always answering with the class frequencies, by scikit-learn."""
    model = sklearn.dummy.DummyClassifier(strategy="prior")
    rows = np.zeros((len(y), 1))
    model.fit(rows, y, sample_weight=weights)
    return sklearn.metrics.log_loss(
        y, model.predict_proba(rows), sample_weight=weights, labels=model.classes_
    )


def first_loss(y, units, activation, loss, bias, weights=None):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(
                units, activation, kernel_initializer="zeros", bias_initializer=bias
            ),
        ]
    )
    x = np.random.default_rng(0).normal(size=(len(y), 3)).astype("float32")
    loss.update_state(y, model(x), sample_weight=weights)
    return float(loss.result())


Y = np.repeat([0, 1, 2], [50, 8, 2])
WEIGHTS = np.random.default_rng(1).uniform(0.1, 3, len(Y)).astype("float32")


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_softmax_starts_at_the_loss_of_the_frequencies(weights):
    bias = prior_bias(Y, "softmax", sample_weight=weights)
    loss = keras.metrics.SparseCategoricalCrossentropy()
    got = first_loss(Y, 3, "softmax", loss, bias, weights)
    np.testing.assert_allclose(got, prior_loss(Y, weights), rtol=1e-5)


def test_sigmoid_starts_at_the_loss_of_the_frequencies():
    y = (Y > 0).astype("float32")
    loss = keras.metrics.BinaryCrossentropy()
    got = first_loss(y[:, None], 1, "sigmoid", loss, prior_bias(y))
    np.testing.assert_allclose(got, prior_loss(y), rtol=1e-5)


def test_several_labels_a_row():
    y = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 0]])
    shares = np.array([1 - 0.5 / 4, 0.25, 0.25])  # never absent: half a row
    expected = np.log(shares / (1 - shares))
    np.testing.assert_allclose(prior_bias(y, "sigmoid").values, expected, rtol=1e-12)
    np.testing.assert_allclose(prior_bias(y).values, expected, rtol=1e-12)


def test_regression_starts_at_the_mean():
    y = np.random.default_rng(2).normal(100.0, 3.0, (40, 2))
    weights = np.random.default_rng(3).uniform(0, 2, 40)
    expected = np.average(y, axis=0, weights=weights)
    found = prior_bias(y, sample_weight=weights).values
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    loss = keras.metrics.MeanSquaredError()
    got = first_loss(y, 2, "linear", loss, prior_bias(y))
    np.testing.assert_allclose(got, y.var(axis=0).mean(), rtol=1e-4)


@given(counts=st.lists(st.integers(0, 30), min_size=3, max_size=6).filter(any))
def test_softmax_of_the_bias_gives_the_shares(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    values = prior_bias(y, "softmax", num_classes=len(counts)).values
    np.testing.assert_allclose(np.exp(values).sum(), 1.0, rtol=1e-12)
    expected = np.maximum(counts, 0.5)
    np.testing.assert_allclose(np.exp(values), expected / expected.sum(), rtol=1e-12)


FORMS = {
    "integers": (Y, 3),
    "column": (Y[:, None], 3),
    "one-hot": (np.eye(3)[Y], 3),
    "pixels": (Y.reshape(15, 2, 2), 3),
    "pixels one-hot": (np.eye(3)[Y].reshape(15, 2, 2, 3), 3),
    "floats that are classes": (Y.astype("float32"), 3),
    "two classes": (Y > 0, 1),
    "one-hot of two": (np.eye(2)[(Y > 0).astype(int)], 2),
    "fractions": (Y + 0.5, 1),
    "negative": (Y - 1, 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_kind_is_found_in_the_labels(form):
    labels, units = FORMS[form]
    values = prior_bias(labels).values
    assert len(values) == units
    if units == 3:
        np.testing.assert_allclose(np.exp(values), np.bincount(Y) / len(Y), rtol=1e-12)


def test_survives_saving(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, bias_initializer=prior_bias(Y))]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    initializer = loaded.layers[0].bias_initializer
    assert type(initializer) is PriorBias
    assert initializer.get_config() == {"values": prior_bias(Y).values}
    half = keras.ops.convert_to_numpy(initializer((3,), dtype="float16"))
    assert half.dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"y": [0, np.nan]}, "y", ValueError),
        ({"y": ["a"]}, "y", TypeError),
        ({"y": []}, "y", ValueError),
        ({"y": [0, 3], "kind": "softmax", "num_classes": 3}, "y", ValueError),
        ({"y": [0, 0.5], "kind": "softmax"}, "y", ValueError),
        ({"y": [0, 2], "kind": "sigmoid"}, "y", ValueError),
        ({"y": [0, 1], "kind": "relu"}, "kind", ValueError),
        ({"y": [0, 1], "num_classes": 1, "kind": "softmax"}, "num_classes", ValueError),
        ({"y": [0, 1], "sample_weight": [1.0]}, "sample_weight", ValueError),
        ({"y": [0, 1], "sample_weight": [1, -1]}, "sample_weight", ValueError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        prior_bias(**arguments)


def test_units_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="argument `shape`"):
        layers.Dense(4, bias_initializer=prior_bias(Y)).build((None, 2))
    with pytest.raises(ValueError, match="argument `values`"):
        PriorBias([np.inf])
