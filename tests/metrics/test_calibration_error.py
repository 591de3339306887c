import keras
import numpy as np
import pytest

from keras_practices.metrics import ExpectedCalibrationError

ROWS = 60


def reference(probabilities, y, bins, weights=None):
    """Guo et al. (2017), equation 3, in float64."""
    weights = np.ones(len(y)) if weights is None else weights
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == y
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            share = weights[inside].sum() / weights.sum()
            accuracy = np.average(right[inside], weights=weights[inside])
            mean = np.average(confidence[inside], weights=weights[inside])
            error += share * abs(accuracy - mean)
    return error


def some_rows(classes, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, ROWS)
    logits = 2 * rng.normal(size=(ROWS, classes)) + np.eye(classes)[y]
    return y, logits.astype("float32"), rng.uniform(0.1, 2, ROWS).astype("float32")


def softmax(logits):
    exponents = np.exp(logits.astype("float64") - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


def figure(metric):
    return float(keras.ops.convert_to_numpy(metric.result()))


@pytest.mark.parametrize("bins", [1, 15, 40])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("from_logits", [False, True])
def test_equals_the_formula(bins, weighted, from_logits):
    y, logits, weights = some_rows(5)
    weights = weights if weighted else None
    probabilities = softmax(logits)
    given = logits if from_logits else probabilities.astype("float32")
    metric = ExpectedCalibrationError(bins, from_logits=from_logits)
    for part in (slice(0, 30), slice(30, 60)):
        part_weights = None if weights is None else weights[part]
        metric.update_state(y[part], given[part], part_weights)
    expected = reference(probabilities, y, bins, weights)
    np.testing.assert_allclose(figure(metric), expected, rtol=1e-4, atol=1e-6)
    metric.reset_state()
    assert figure(metric) == 0.0


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)], ids=str)
@pytest.mark.parametrize("from_logits", [False, True])
def test_one_unit_says_what_two_say(shape, from_logits):
    y, logits, _ = some_rows(2)
    score = logits[:, 1] - logits[:, 0]
    given = score if from_logits else softmax(logits)[:, 1].astype("float32")
    metric = ExpectedCalibrationError(10, from_logits=from_logits)
    metric.update_state(y, given.reshape(shape))
    expected = reference(softmax(logits), y, 10)
    np.testing.assert_allclose(figure(metric), expected, rtol=1e-4)


@pytest.mark.parametrize("form", ["one-hot", "column", "floats"])
def test_forms_of_labels(form):
    y, logits, _ = some_rows(3)
    probabilities = softmax(logits).astype("float32")
    given = {
        "one-hot": np.eye(3)[y],
        "column": y[:, None],
        "floats": y.astype("float32"),
    }[form]
    metric = ExpectedCalibrationError()
    metric.update_state(given, probabilities)
    expected = reference(probabilities.astype("float64"), y, 15)
    np.testing.assert_allclose(figure(metric), expected, rtol=1e-4)


def test_calibrated_rows_have_no_error_but_noise():
    # Labels drawn from the probabilities themselves. In a bin of n rows the gap has
    # a standard error of at most 0.5 / sqrt(n), so the mean gap over bins is at most
    # sum(sqrt(n_b)) * 0.5 / n <= 0.5 * sqrt(bins / n), by Cauchy and Schwarz.
    rng = np.random.default_rng(7)
    rows, bins = 40000, 10
    probabilities = rng.uniform(0, 1, rows)
    y = rng.uniform(0, 1, rows) < probabilities
    metric = ExpectedCalibrationError(bins)
    metric.update_state(y, probabilities.astype("float32"))
    assert figure(metric) < 0.5 * np.sqrt(bins / rows)
    over = ExpectedCalibrationError(bins)
    over.update_state(y, np.clip(2 * probabilities - 0.5, 0, 1).astype("float32"))
    assert figure(over) > 0.1


def test_reliability_shows_the_bins():
    metric = ExpectedCalibrationError(bins=4)
    metric.update_state([1, 0, 1, -1], np.array([0.9, 0.8, 0.6, 0.7], "float32"))
    table = metric.reliability()
    np.testing.assert_array_equal(table["upper"], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(table["weight"], [0, 0, 1, 2])
    np.testing.assert_allclose(table["confidence"][2:], [0.6, 0.85], rtol=1e-6)
    np.testing.assert_allclose(table["accuracy"][2:], [1.0, 0.5], rtol=1e-6)
    assert np.isnan(table["accuracy"][:2]).all()


def test_sums_go_on_above_2_to_the_24():
    metric = ExpectedCalibrationError(bins=2)
    metric.update_state([1], np.array([0.75], "float32"), [2.0**24])
    for _ in range(50):
        metric.update_state([1], np.array([0.75], "float32"))
    assert metric.reliability()["weight"].sum() == 2.0**24 + 50
    np.testing.assert_allclose(figure(metric), 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    "compiled", [True, pytest.param(False, marks=pytest.mark.once)]
)
def test_fits_and_survives_saving(tmp_path, compiled, backend):
    if compiled and backend == "torch":
        pytest.skip("torch.compile warns about parts of PyTorch itself")
    y, x, _ = some_rows(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[ExpectedCalibrationError(from_logits=True)],
        jit_compile=compiled,
    )
    history = model.fit(x, y, validation_data=(x, y), batch_size=32, verbose=0).history
    expected = reference(softmax(model.predict(x, verbose=0)), y, 15)
    got = history["val_expected_calibration_error"][-1]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    after = loaded.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(after["expected_calibration_error"], got, rtol=1e-6)


def test_config_holds_the_arguments():
    metric = ExpectedCalibrationError(7, from_logits=True, name="ece")
    config = metric.get_config()
    expected = {"name": "ece", "dtype": "float32", "bins": 7, "from_logits": True}
    assert config == expected
    assert ExpectedCalibrationError.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("bins", 0, ValueError),
        ("bins", 1.5, TypeError),
        ("from_logits", "yes", TypeError),
    ],
)
def test_bad_argument_names_it(name, value, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        ExpectedCalibrationError(**{name: value})


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="argument `y_true`"):
        ExpectedCalibrationError().update_state(np.zeros((4, 2)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="argument `y_pred`"):
        ExpectedCalibrationError().update_state(1, np.float32(0.5))
