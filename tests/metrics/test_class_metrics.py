"""The metrics made of class counts, against scikit-learn."""

import keras
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_practices.metrics import CohenKappa
from keras_practices.metrics import ConfusionMatrix
from keras_practices.metrics import MatthewsCorrelation

CLASSES, ROWS = 4, 24

METRICS = {
    "matthews": (
        lambda size, **more: MatthewsCorrelation(size, **more),
        lambda y, p, w, size: sklearn.metrics.matthews_corrcoef(y, p, sample_weight=w),
    ),
    **{
        f"kappa-{kind}": (
            lambda size, kind=kind, **more: CohenKappa(size, kind, **more),
            lambda y, p, w, size, kind=kind: sklearn.metrics.cohen_kappa_score(
                y, p, sample_weight=w, weights=kind, labels=range(size)
            ),
        )
        for kind in (None, "linear", "quadratic")
    },
    **{
        f"confusion-{kind}": (
            lambda size, kind=kind, **more: ConfusionMatrix(size, kind, **more),
            lambda y, p, w, size, kind=kind: sklearn.metrics.confusion_matrix(
                y, p, sample_weight=w, normalize=kind, labels=range(size)
            ),
        )
        for kind in (None, "true", "pred", "all")
    },
}


def figure(metric):
    return keras.ops.convert_to_numpy(metric.result()).astype("float64")


def some_rows(seed, size=CLASSES, rows=ROWS):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, size, rows)
    scores = rng.random((rows, size)) + 0.7 * np.eye(size)[y]
    return y, scores.astype("float32"), rng.uniform(0.1, 3, rows).astype("float32")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(name, weighted):
    make, reference = METRICS[name]
    y, scores, weights = some_rows(1)
    weights = weights if weighted else None
    metric = make(CLASSES)
    for part in (slice(0, 8), slice(8, 16), slice(16, 24)):
        part_weights = None if weights is None else weights[part]
        metric.update_state(y[part], scores[part], sample_weight=part_weights)
    expected = reference(y, scores.argmax(1), weights, CLASSES)
    np.testing.assert_allclose(figure(metric), expected, rtol=1e-5, atol=1e-6)
    metric.reset_state()
    assert (figure(metric) == 0).all()


@given(seed=st.integers(0, 2**31 - 1), classes=st.integers(1, 3))
@settings(max_examples=5)
def test_any_labels(seed, classes):
    rng = np.random.default_rng(seed)
    y, predicted = rng.integers(0, classes, (2, 12))
    for name in ("matthews", "kappa-None", "kappa-linear"):
        make, reference = METRICS[name]
        metric = make(3)
        metric.update_state(y, predicted)
        value = figure(metric)
        assert -1.0001 <= value <= 1.0001
        if len(set(y)) > 1 and len(set(predicted)) > 1:
            expected = reference(y, predicted, None, 3)
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


FORMS = {
    "integers": lambda y: y,
    "column": lambda y: y[:, None],
    "floats": lambda y: y.astype("float32"),
    "one-hot": lambda y: np.eye(CLASSES, dtype="float32")[y],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("predicted", ["scores", "classes", "float16"])
def test_forms_of_labels_and_predictions(form, predicted):
    y, scores, weights = some_rows(2)
    classes = scores.astype("float16").argmax(1)
    given_predictions = {
        "scores": scores,
        "classes": classes,
        "float16": scores.astype("float16"),
    }[predicted]
    metric = ConfusionMatrix(CLASSES)
    metric.update_state(FORMS[form](y), given_predictions, weights[:, None])
    used = classes if predicted != "scores" else scores.argmax(1)
    expected = sklearn.metrics.confusion_matrix(y, used, sample_weight=weights)
    np.testing.assert_allclose(metric.counts(), expected, rtol=1e-5)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("labels", ["integers", "column", "one-hot", "smoothed"])
def test_one_score_for_two_classes(from_logits, column, labels):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, ROWS)
    logits = (rng.normal(size=ROWS) + 2 * y - 1).astype("float32")
    scores = logits if from_logits else 1 / (1 + np.exp(-logits))
    metric = MatthewsCorrelation(2, from_logits=from_logits)
    metric.update_state(
        {
            "integers": y,
            "column": y[:, None],
            "one-hot": np.eye(2)[y],
            "smoothed": 0.05 + 0.9 * y,
        }[labels],
        scores[:, None] if column else scores,
    )
    expected = sklearn.metrics.matthews_corrcoef(y, logits > 0)
    np.testing.assert_allclose(figure(metric), expected, rtol=1e-5)


def test_pixels_with_weights_of_rows_and_of_pixels():
    rng = np.random.default_rng(4)
    y, predicted = rng.integers(0, 3, (2, 4, 5, 6))
    rows, pixels = rng.random(4), rng.random((4, 5, 6))
    one_hot = np.eye(3, dtype="float32")
    for weights in (rows, pixels, pixels[..., None]):
        metric = ConfusionMatrix(3)
        metric.update_state(y, one_hot[predicted], weights.astype("float32"))
        full = np.broadcast_to(
            weights.reshape(len(y), *weights.shape[1:3], -1)[..., 0]
            if weights.ndim > 1
            else weights[:, None, None],
            y.shape,
        )
        expected = sklearn.metrics.confusion_matrix(
            y.ravel(), predicted.ravel(), sample_weight=full.ravel()
        )
        np.testing.assert_allclose(metric.counts(), expected, rtol=1e-5)


@pytest.mark.parametrize("outside", [-1, 4, 255])
def test_classes_outside_are_left_out(outside):
    y, scores, _ = some_rows(5)
    marked = y.copy()
    marked[::3] = outside
    metric = ConfusionMatrix(CLASSES)
    metric.update_state(marked, scores)
    kept = marked == y
    expected = sklearn.metrics.confusion_matrix(y[kept], scores[kept].argmax(1))
    np.testing.assert_array_equal(metric.counts(), expected)


def test_one_class_alone_gives_zero():
    for metric in (MatthewsCorrelation(2), CohenKappa(2), CohenKappa(2, "linear")):
        assert figure(metric) == 0.0
        metric.update_state(np.zeros(5), np.zeros(5, "int32"))
        assert figure(metric) == 0.0


def test_counts_go_on_above_2_to_the_24():
    # 2**24 + 1 is no float32: a plain float32 sum stays at 2**24 for ever.
    start, rest = 2.0**24, 100
    metric = ConfusionMatrix(2)
    metric.update_state([0], np.array([0]), [start])
    for _ in range(rest):
        metric.update_state([0, 1], np.array([0, 1]))
    assert metric.counts()[0, 0] == start + rest
    assert figure(metric)[0, 0] == np.float32(start + rest)
    # 100 of 2**24: what is left of the digits decides the figure.
    correlation = MatthewsCorrelation(2)
    correlation.update_state([0, 1, 1], np.array([0, 1, 0]), [1e8, 50, 50])
    expected = (1e8 * 50) / np.sqrt((1e8 + 50) * 50 * 1e8 * 100)
    np.testing.assert_allclose(figure(correlation), expected, rtol=1e-5)


def test_counts_go_on_above_2_to_the_24_in_a_compiled_step(backend):
    metric = ConfusionMatrix(2)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation("linear")])
    model.compile(loss="mse", weighted_metrics=[metric], jit_compile=backend != "torch")
    x, y = np.zeros((41, 1), "float32"), np.zeros((41, 1), "float32")
    weights = np.ones(41, "float32")
    weights[0] = 2.0**24
    logs = model.evaluate(
        x, y, sample_weight=weights, batch_size=1, verbose=0, return_dict=True
    )
    np.testing.assert_array_equal(metric.counts(), [[2.0**24 + 40, 0], [0, 0]])
    assert logs["confusion_matrix"].shape == (2, 2)


@pytest.mark.parametrize(
    "compiled", [True, pytest.param(False, marks=pytest.mark.once)]
)
def test_fits_and_survives_saving(tmp_path, compiled, backend):
    if compiled and backend == "torch":
        pytest.skip("torch.compile warns about parts of PyTorch itself")
    y, x, _ = some_rows(6)
    model = keras.Sequential(
        [keras.Input((CLASSES,)), keras.layers.Dense(CLASSES, activation="softmax")]
    )
    metrics = [MatthewsCorrelation(CLASSES), CohenKappa(CLASSES, "quadratic")]
    model.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        metrics=[*metrics, ConfusionMatrix(CLASSES, "true")],
        jit_compile=compiled,
    )
    history = model.fit(
        x, y, validation_data=(x, y), epochs=2, batch_size=7, verbose=0
    ).history
    predicted = model.predict(x, verbose=0).argmax(1)
    expected = sklearn.metrics.matthews_corrcoef(y, predicted)
    np.testing.assert_allclose(history["val_matthews_correlation"][-1], expected, 1e-5)
    assert isinstance(history["cohen_kappa"][-1], float)
    np.testing.assert_allclose(
        history["val_confusion_matrix"][-1],
        sklearn.metrics.confusion_matrix(y, predicted, normalize="true"),
        rtol=1e-5,
        atol=1e-6,
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    after = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-6)


@pytest.mark.parametrize(
    ("metric", "extra"),
    [
        (MatthewsCorrelation(3, from_logits=True, name="m"), {}),
        (CohenKappa(3, "linear", name="m"), {"weights": "linear"}),
        (ConfusionMatrix(3, "pred", name="m"), {"normalize": "pred"}),
    ],
)
def test_config_holds_the_arguments(metric, extra):
    config = metric.get_config()
    flag = {"from_logits": metric.from_logits}
    expected = {"name": "m", "dtype": "float32", "num_classes": 3, **flag, **extra}
    assert config == expected
    assert type(metric).from_config(config).get_config() == config


@pytest.mark.parametrize("metric", [MatthewsCorrelation, CohenKappa, ConfusionMatrix])
@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"num_classes": 1}, "num_classes", ValueError),
        ({"num_classes": 2.0}, "num_classes", TypeError),
        ({"num_classes": 2, "from_logits": 1}, "from_logits", TypeError),
    ],
)
def test_bad_argument_names_it(metric, arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        metric(**arguments)


def test_bad_choice_names_it():
    with pytest.raises(ValueError, match="argument `weights`"):
        CohenKappa(2, "cubic")
    with pytest.raises(ValueError, match="argument `normalize`"):
        ConfusionMatrix(2, "rows")


@pytest.mark.parametrize(
    ("y", "scores", "name"),
    [
        (np.zeros(5), np.zeros((5, 4), "float32"), "y_pred"),
        (np.zeros(5), np.zeros((5, 1), "float32"), "y_pred"),
        (np.zeros((5, 2)), np.zeros((5, 3), "float32"), "y_true"),
        (np.zeros((5, 2, 3)), np.zeros((5, 3), "float32"), "y_true"),
    ],
)
def test_shapes_that_do_not_fit_are_named(y, scores, name):
    with pytest.raises(ValueError, match=f"argument `{name}`"):
        MatthewsCorrelation(3).update_state(y, scores)
