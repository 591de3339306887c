import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.measures.modes import measure_modes
from keras_practices.measures.modes import measure_output_dependence
from keras_practices.measures.modes import measure_predictions
from keras_practices.rules import modes as rules
from keras_practices.rules import penalties

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(3.0, 2.0, size=(128, 4)).astype("float32")
Y = (X @ np.array([[1.0], [-1.0], [0.5], [0.0]])).astype("float32")
CLASSES = (Y[:, 0] > np.median(Y)).astype("int32")


def compiled(*stack, loss="mse", optimizer="sgd"):
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(optimizer, loss)
    return model


def head(units=1, kernel="ones", **options):
    return layers.Dense(units, kernel_initializer=kernel, **options)


def test_batch_norm_differs_by_its_statistics():
    model = compiled(
        layers.BatchNormalization(epsilon=1e-7), layers.Dropout(0.5), head()
    )
    found = measure_modes(model, X, Y, rows=100)
    x, y = X[:100].astype("float64"), Y[:100].astype("float64")
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    inside = np.mean((scaled.sum(axis=1, keepdims=True) - y) ** 2)
    # Before the first step the moving statistics are mean 0 and variance 1.
    outside = np.mean((x.sum(axis=1, keepdims=True) - y) ** 2)
    assert found["training_loss"] == pytest.approx(inside, rel=1e-4)
    assert found["inference_loss"] == pytest.approx(outside, rel=1e-4)
    assert found["rows"] == 100
    assert float(ops.sum(ops.abs(model.layers[0].moving_mean))) == 0.0
    plain = measure_modes(compiled(layers.Dropout(0.9), head()), X, Y)
    assert plain["inference_loss"] == pytest.approx(plain["training_loss"], rel=1e-6)
    assert plain["rows"] == 128


def test_settled_statistics_are_no_mismatch():
    def mismatch(momentum):
        norm = layers.BatchNormalization(momentum=momentum)
        stack = [norm, layers.Dense(8, activation="relu"), layers.Dropout(0.2), head()]
        model = compiled(*stack, optimizer=keras.optimizers.Adam(1e-2))
        model.fit(X, Y, batch_size=16, epochs=12, verbose=0)
        figures = {"modes_after": measure_modes(model, X, Y)}
        figures["constant_loss"] = float(Y.var())
        return rules.train_inference_mismatch(figures)

    assert mismatch(0.9) == []
    (found,) = mismatch(0.9999)
    assert found.severity == "warning"


class Centred(layers.Layer):
    def call(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)


class Drawn(layers.Layer):
    """Random numbers also in inference, as the sampler of a VAE."""

    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed)


def test_outputs_that_vary_and_rows_that_mix():
    def found(*stack):
        return measure_output_dependence(compiled(*stack), X)

    sound = found(layers.BatchNormalization(), layers.Dropout(0.5), head(3))
    assert (sound["outputs_vary"], sound["rows_mix"]) == (True, False)
    assert sound["inputs_vary"] is True
    assert sound["rows"] == 61
    plain = found(head(2))
    sums = X[:61].astype("float64").sum(axis=1)
    spread = sums.std() / np.abs(sums).max()
    assert plain["spread"] == pytest.approx(spread, rel=1e-4)

    assert found(head(3), layers.Softmax(axis=0))["rows_mix"] is True
    assert found(Centred(), head())["rows_mix"] is True
    assert found(head(kernel="zeros"))["outputs_vary"] is False
    assert found(Drawn(), head())["rows_mix"] is None
    nan = found(layers.Rescaling(float("nan")), head())
    assert (nan["outputs_vary"], nan["rows_mix"]) == (None, None)
    same = measure_output_dependence(compiled(head()), np.ones((20, 4), "float32"))
    assert (same["inputs_vary"], same["outputs_vary"]) == (False, False)


class TwoIn(keras.Model):
    """Subclassed, dict in, list out."""

    def __init__(self):
        super().__init__()
        self.one, self.two = layers.Dense(2), layers.Dense(1)

    def call(self, inputs):
        return [self.one(inputs["a"]), self.two(inputs["b"])]


def test_structures_and_one_batch_size():
    model = TwoIn()
    found = measure_output_dependence(model, {"a": X, "b": X[:, :2]})
    assert (found["outputs_vary"], found["rows_mix"]) == (True, False)
    fixed = keras.Sequential(
        [keras.Input(batch_shape=(61, 4)), layers.Reshape((4,)), head()]
    )
    assert measure_output_dependence(fixed, X)["outputs_vary"] is True
    likeness = compiled(layers.Lambda(lambda x: ops.matmul(x, ops.transpose(x))))
    assert measure_output_dependence(likeness, X)["rows_mix"] is None


class Biased(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(np.arange(shape[0]), dtype)


@pytest.mark.parametrize(
    ("kernel", "y", "units", "activation", "classes", "collapsed"),
    [
        ("zeros", CLASSES, 3, "softmax", 1, True),
        ("zeros", np.eye(2, dtype="float32")[CLASSES], 2, "softmax", 1, True),
        ("zeros", CLASSES[:, None], 1, "sigmoid", 1, True),
        ("glorot_uniform", CLASSES, 3, "softmax", None, False),
        ("zeros", np.zeros(128, "int32"), 3, "softmax", 1, False),
        ("zeros", Y, 1, "linear", None, True),
        ("ones", Y, 1, "linear", None, False),
        # One column of targets says nothing about two outputs.
        ("zeros", Y, 2, "linear", None, False),
    ],
)
def test_collapsed_predictions(kernel, y, units, activation, classes, collapsed):
    answer = head(units, kernel, activation=activation, bias_initializer=Biased())
    model = compiled(layers.UnitNormalization(), answer)
    (found,) = measure_predictions(model, X, y).values()
    if kernel == "glorot_uniform":
        given = model.predict(X, verbose=0).argmax(axis=1)
        classes = len(np.unique(given))
        collapsed = classes == 1
    assert found["distinct_classes"] == classes
    assert found["collapsed"] is collapsed
    assert found["rows"] == 128
    assert found["target_std"] == pytest.approx(
        float(np.asarray(y, "float64").reshape(128, -1).std(axis=0).mean()), rel=1e-5
    )


def test_predictions_by_output():
    start = keras.Input((4,))
    one = layers.Dense(2, activation="softmax", name="kind")(start)
    two = layers.Dense(1, name="size", kernel_initializer="zeros")(start)
    model = keras.Model(start, [one, two])
    found = measure_predictions(model, X, [CLASSES, Y], rows=40)
    assert found["kind"]["target_distinct"] == 2
    assert found["size"]["collapsed"] is True
    assert found["size"]["rows"] == 40
    found = measure_predictions(model, X, {"size": Y})
    assert found["kind"] is None
    assert measure_predictions(TwoIn(), {"a": X, "b": X}, Y) == {}


class Named(keras.Model):
    """Subclassed, with outputs by names that are not in order."""

    def __init__(self):
        super().__init__()
        self.flat, self.full = head(kernel="zeros"), head()

    def call(self, x):
        return {"zero": self.flat(x), "all": self.full(x)}


def test_outputs_by_name():
    outputs = [{"name": "zero"}, {"name": "all"}]
    found = measure_predictions(Named(), X, {"all": Y, "zero": Y}, outputs)
    assert found["zero"]["collapsed"] is True
    assert found["all"]["collapsed"] is False


@pytest.mark.once
def test_collapse_is_told_only_of_what_did_not_learn():
    collapsed = {"answer": {**dict.fromkeys(("std", "target_std"), 0.0)}}
    collapsed["answer"] |= {"rows": 64, "collapsed": True, "largest_share": 0.5}
    collapsed["answer"] |= {"target_distinct": 2, "distinct_classes": 1}
    run = {"first_not_finite": None, "start_loss": 2.0, "last_loss": 0.1, "floor": 0.0}
    figures = {"predictions_after": collapsed}
    assert len(rules.predictions_collapsed(figures)) == 1
    assert rules.predictions_collapsed({**figures, "training": run}) == []
    rare = {"answer": {**collapsed["answer"], "largest_share": 0.9}}
    assert rules.predictions_collapsed({"predictions_after": rare}) == []


@pytest.mark.once
def test_a_penalty_is_judged_by_what_training_made_of_it():
    def severity(penalty, last_loss=None, trial=None, data=2.3):
        first = {"data_loss": data, "regularization_loss": penalty, "chance": 2.3}
        figures = {"initial_loss": first}
        if last_loss is not None:
            figures["training"] = {
                "first_not_finite": None,
                "start_loss": 2.3,
                "last_loss": last_loss,
                "floor": 0.0,
                "steps": 200,
            }
        if trial is not None:
            figures["rate_trials"] = [
                {"factor": 1.0, "first_loss": 2.3, "last_loss": trial, "steps": 50}
            ]
        found = penalties.regularization_dominates(figures)
        return found[0].severity if found else None

    assert [severity(p) for p in (0.0, 2.0, 6.8, 12.0, 24.0)] == [
        None,
        None,
        None,
        "note",
        "warning",
    ]
    assert [severity(24.0, last) for last in (0.2, 1.2, 2.2)] == [
        "note",
        "warning",
        "warning",
    ]
    assert [severity(12.0, last) for last in (0.2, 1.2, 2.2)] == [
        "note",
        "note",
        "warning",
    ]
    assert severity(2.4, 2.2, trial=1.0) == "error"
    assert severity(24.0, 2.2, data=20.0) is None
    assert severity(2.2, 2.2, trial=1.0) is None
    assert severity(2.4, 2.2, trial=1.9) is None
    assert severity(2.4, 2.2, trial=float("nan")) is None
    assert severity(float("nan")) is None


@pytest.mark.once
def test_strengths_on_a_convolutional_net():
    def first(strength):
        def wide(layer, *sizes):
            options = {"kernel_initializer": "he_normal"}
            options["kernel_regularizer"] = keras.regularizers.L2(strength)
            return layer(*sizes, activation="relu", **options)

        stack = [keras.Input((12, 12, 1)), wide(layers.Conv2D, 32, 5)]
        stack += [layers.MaxPooling2D(), wide(layers.Conv2D, 64, 3), layers.Flatten()]
        model = keras.Sequential([*stack, wide(layers.Dense, 128), layers.Dense(10)])
        penalty = sum(float(ops.convert_to_numpy(loss)) for loss in model.losses)
        found = {"data_loss": 2.4, "regularization_loss": penalty, "chance": 2.303}
        return penalties.regularization_dominates({"initial_loss": found})

    assert first(1e-4) == first(1e-3) == []
    (found,) = first(0.1)
    assert found.severity == "warning"
