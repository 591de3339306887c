import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.measures.loss_behaviour import measure_loss_behaviour
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.sample import take_sample
from keras_practices.rules import behaviour as rules

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 3)).astype("float32")
CLASSES = RANDOM.integers(0, 5, 64)
ONE_HOT = np.eye(5, dtype="float32")[CLASSES]
YES_NO = CLASSES[:, None] % 2
NUMBERS = RANDOM.normal(2.0, 3.0, size=(64, 1)).astype("float32")


def model_of(loss, units=5, activation="softmax", **options):
    head = layers.Dense(units, activation=activation, name="answer")
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile("sgd", loss, **options)
    return model


def traits(loss, y=ONE_HOT, units=5, activation="softmax"):
    model = model_of(loss, units, activation)
    before = [np.array(w) for w in model.get_weights()]
    (found,) = measure_loss_behaviour(model, take_sample(X, y)).values()
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    return found


class Squares(keras.losses.Loss):
    """Squared error as it is often written: no care for ranks."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred))


def over_batch(y, p):
    return ops.mean(-ops.sum(y * ops.log(ops.clip(p, 1e-32, 1.0)), axis=0))


def clipped(y, p):
    return -ops.sum(y * ops.log(ops.clip(p, 1e-32, 1.0)), axis=-1)


def softmax_again(y, p):
    return -ops.sum(y * ops.log_softmax(p, axis=-1), axis=-1)


def margin(y, p):
    rest = ops.max(p - 1e9 * y, axis=-1)
    return ops.relu(1 + rest - ops.sum(y * p, axis=-1))


def quantiles(y, p):
    error = y - p
    return ops.mean(ops.maximum(0.1 * error, -0.9 * error))


def lost_minus(y, p):
    return ops.mean(ops.sum(y * ops.log(p + 1e-7), axis=-1))


def alike_is_one(y, p):
    y = ops.cast(y, p.dtype)  # of a pair: 1 stands for "alike", so 0 is right for 1
    return ops.mean(y * p**2 + (1 - y) * ops.square(ops.relu(1 - p)))


FUNCTION = "categorical_crossentropy"
SUMS = [
    (FUNCTION, 1),
    (keras.losses.CategoricalCrossentropy(reduction="sum"), 2),
    (keras.losses.CategoricalCrossentropy(reduction="none"), 2),
    ("mse", 1),
    (over_batch, 2),
    (clipped, 1),
    # Summed over the outputs of a row, averaged over rows: as in a VAE.
    (lambda y, p: ops.mean(ops.sum(ops.square(y - p), axis=-1)), 1),
    (lambda y, p: ops.sum(ops.square(y - p)), 2),
]


@pytest.mark.parametrize(("loss", "growth"), SUMS)
def test_a_sum_over_the_batch_grows_with_it(loss, growth):
    assert traits(loss)["row_growth"] == pytest.approx(growth, rel=1e-5)


def test_the_values_are_those_of_numpy():
    found = traits(clipped)
    random = np.random.default_rng(0)
    raised = np.exp(random.normal(size=(37, 5)))
    guess = (raised / raised.sum(axis=1, keepdims=True)).astype("float32")
    y = take_sample(X, ONE_HOT).y[:37]
    expected = -np.log(guess[y == 1]).mean()
    assert found["value"] == pytest.approx(expected, rel=1e-5)
    assert found["value_at_targets"] == pytest.approx(-np.log(0.99), rel=1e-4)
    assert found["rows"] == 37


SOFTMAX = [
    (softmax_again, ONE_HOT, True),
    (keras.losses.CategoricalCrossentropy(from_logits=True), ONE_HOT, True),
    (keras.losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES, True),
    (
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        ONE_HOT,
        True,
    ),
    (FUNCTION, ONE_HOT, False),
    (clipped, ONE_HOT, False),
    (margin, ONE_HOT, False),
    ("mse", ONE_HOT, False),
    ("binary_crossentropy", ONE_HOT, False),
]


@pytest.mark.parametrize(("loss", "y", "inside"), SOFTMAX)
def test_a_softmax_inside_the_loss_is_felt(loss, y, inside):
    found = traits(loss, y)
    assert found["softmax_inside"] is inside
    assert found["decreases_towards_targets"] is True


CLIPS = [
    # loss, targets, units: clips below 0, clips above 1, undefined below 0
    (clipped, ONE_HOT, 5, (True, True, False)),
    (FUNCTION, ONE_HOT, 5, (True, False, False)),
    # Above 1 the backends differ.
    ("sparse_categorical_crossentropy", CLASSES, 5, (True, ..., False)),
    ("binary_crossentropy", YES_NO, 1, (True, True, False)),
    (lambda y, p: -ops.sum(y * ops.log(p), -1), ONE_HOT, 5, (False, False, True)),
    (softmax_again, ONE_HOT, 5, (False, False, False)),
    (keras.losses.BinaryCrossentropy(from_logits=True), YES_NO, 1, (False,) * 3),
    ("mse", ONE_HOT, 5, (False, False, False)),
    ("mse", NUMBERS, 1, (None, None, None)),
]


@pytest.mark.parametrize(("loss", "y", "units", "expected"), CLIPS)
def test_scores_that_change_nothing(loss, y, units, expected):
    found = traits(loss, y, units, "linear")
    names = ("clips_scores", "clips_scores_above", "undefined_on_scores")
    pairs = zip(names, expected, strict=True)
    assert all(found[name] is one for name, one in pairs if one is not ...)


@pytest.mark.parametrize(
    ("loss", "y", "units", "broadcast", "mixed"),
    [
        (Squares(), NUMBERS[:, 0], 1, ([1], []), True),
        # Keras makes the ranks of a function's arguments equal.
        (Squares().call, NUMBERS[:, 0], 1, ([1], []), False),
        ("mse", NUMBERS[:, 0], 1, ([1], []), False),
        (Squares(), NUMBERS, 1, None, False),
        (quantiles, NUMBERS, 3, ([3], [1]), False),
        ("mse", NUMBERS, 3, ([3], [1]), False),
    ],
)
def test_rows_compared_with_all_targets(loss, y, units, broadcast, mixed):
    found = traits(loss, y, units, "linear")
    shapes = found["broadcast"]
    expected = broadcast and dict(zip(("prediction", "target"), broadcast, strict=True))
    assert shapes == expected
    assert (abs(found["pairing"] - 1) < 1e-5) is mixed
    assert found["ignores_targets"] is False


@pytest.mark.parametrize(
    ("layer", "sums"), [("time", [1]), ("classes", [2]), ("none", [])]
)
def test_the_axis_that_adds_up_to_one(layer, sums):
    inputs = keras.Input((4, 3))
    scores = layers.Dense(5)(inputs)
    outputs = {
        "time": lambda: ops.softmax(scores, axis=1),
        "classes": lambda: ops.softmax(scores, axis=-1),
        "none": lambda: ops.sigmoid(scores),
    }[layer]()
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = RANDOM.normal(size=(64, 4, 3)).astype("float32")
    sample = take_sample(x, RANDOM.integers(0, 5, (64, 4)))
    (found,) = measure_loss_behaviour(model, sample).values()
    assert found["prediction"]["sums_to_one"] == sums


@pytest.mark.parametrize(
    ("steps", "y", "repeated"),
    [
        (4, NUMBERS, {"prediction": [4, 1], "target": [1]}),
        (4, np.repeat(NUMBERS, 4, axis=1), None),  # Keras adds the last axis
        (None, NUMBERS[:, 0], None),
        (None, NUMBERS, None),
    ],
)
def test_targets_that_keras_repeats(steps, y, repeated):
    shape = (3,) if steps is None else (steps, 3)
    model = keras.Sequential([keras.Input(shape), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = RANDOM.normal(size=(64, *shape)).astype("float32")
    (found,) = measure_loss_behaviour(model, take_sample(x, y)).values()
    assert found["repeated"] == repeated


def test_directions():
    assert traits(lost_minus)["decreases_towards_targets"] is False
    assert traits("mse", NUMBERS, 1, "linear")["decreases_towards_targets"] is True
    signs = YES_NO * 2.0 - 1
    hinge = traits("hinge", signs.astype("float32"), 1, "linear")
    assert hinge["decreases_towards_targets"] is None
    ignoring = traits(lambda y, p: ops.mean(p), NUMBERS, 1, "linear")
    assert ignoring["ignores_targets"] is True
    assert ignoring["pairing"] == pytest.approx(1)


def test_finite_at_the_ends():
    assert traits(clipped)["finite"] is True
    assert traits(lambda y, p: -ops.sum(y * ops.log(p), axis=-1))["finite"] is False


def test_the_rules_on_measured_losses():
    def codes(loss, y, units, activation):
        figures = {
            "loss_behaviour": {"answer": traits(loss, y, units, activation)},
            "outputs": measure_outputs(model_of(loss, units, activation)),
        }
        chosen = (
            rules.loss_reduction,
            rules.prediction_target_broadcast,
            rules.loss_uphill,
        )
        found = [one.rule for rule in chosen for one in rule(figures)]
        (output,) = figures["outputs"]
        traits_of = figures["loss_behaviour"]["answer"]
        scores = rules.scores_in_probability_loss(output, traits_of)
        return [*found, *(["scores"] if scores else [])]

    assert codes(FUNCTION, ONE_HOT, 5, "softmax") == []
    assert codes(clipped, ONE_HOT, 5, "softmax") == []
    assert codes(clipped, ONE_HOT, 5, "linear") == ["scores"]
    assert codes(softmax_again, ONE_HOT, 5, "linear") == []
    assert codes(over_batch, ONE_HOT, 5, "softmax") == ["loss-reduction"]
    assert codes(lost_minus, ONE_HOT, 5, "softmax") == ["loss-uphill"]
    dice = keras.losses.Dice(axis=-1)
    assert codes(lambda y, p: 1 - dice(y, p), ONE_HOT, 5, "softmax") == ["loss-uphill"]
    assert codes(dice, ONE_HOT, 5, "softmax") == []
    broadcast = ["prediction-target-broadcast"]
    assert codes(Squares(), NUMBERS[:, 0], 1, "linear") == broadcast
    assert codes("mse", CLASSES[:, None], 5, "softmax") == broadcast
    assert codes(quantiles, NUMBERS, 3, "linear") == []
    assert codes(alike_is_one, YES_NO, 1, "softplus") == []
    assert codes(alike_is_one, YES_NO, 1, "sigmoid") == []
    assert codes(lambda y, p: ops.mean(p), NUMBERS, 1, "linear") == []


@pytest.mark.once
@pytest.mark.parametrize(
    ("optimizer", "last", "severity"),
    [
        ("SGD", None, "warning"),
        ("SGD", 50.0, "note"),
        ("SGD", 150.0, "warning"),
        ("SGD", 240.0, "error"),
        ("SGD", float("nan"), "error"),
        ("Adam", None, "note"),
        ("Adam", 150.0, "note"),
        ("Adam", 240.0, "warning"),
    ],
)
def test_a_sum_is_judged_by_what_training_made_of_it(optimizer, last, severity):
    # 100 rows whose loss begins at 2.4 a row; guessing gives 2.3 a row.
    figures = {"loss_behaviour": {"answer": {"row_growth": 2.0, "rows": 37}}}
    figures |= {"model": {"optimizer": {"class": optimizer}}, "constant_loss": 2.3}
    if last is not None:
        bad = None if last == last else 3
        ends = {"start_loss": 240.0, "last_loss": None if bad else last}
        figures["training"] = {**ends, "first_not_finite": bad}
    (found,) = rules.loss_reduction(figures)
    assert found.severity == severity


def test_several_outputs_and_several_kinds_of_loss():
    start = keras.Input((3,))
    one = layers.Dense(5, activation="softmax", name="kind")(start)
    two = layers.Dense(1, name="size")(start)
    summed = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    targets = {"kind": CLASSES, "size": NUMBERS[:, 0]}
    model = keras.Model(start, {"kind": one, "size": two})
    model.compile("sgd", {"kind": summed, "size": Squares()})
    found = measure_loss_behaviour(model, take_sample(X, targets))
    assert found["kind"]["row_growth"] == pytest.approx(2, rel=1e-5)
    assert found["size"]["row_growth"] == pytest.approx(1, rel=1e-5)
    assert found["size"]["pairing"] == pytest.approx(1, abs=1e-6)

    model = keras.Model(start, [one, two])
    model.compile("sgd", ["sparse_categorical_crossentropy", Squares().call])
    found = measure_loss_behaviour(model, take_sample(X, [CLASSES, NUMBERS[:, 0]]))
    assert found["kind"]["row_growth"] == pytest.approx(1, rel=1e-5)
    assert abs(found["size"]["pairing"] - 1) > 1e-3


class Named(keras.Model):
    def __init__(self):
        super().__init__()
        self.kind, self.size = layers.Dense(5, "softmax"), layers.Dense(1)

    def call(self, x):
        return {"kind": self.kind(x), "a size": self.size(x)}


def test_outputs_of_a_subclassed_model_by_name():
    model = Named()
    model(X[:1])
    summed = keras.losses.MeanSquaredError(reduction="sum")
    model.compile("sgd", {"kind": "sparse_categorical_crossentropy", "a size": summed})
    outputs = [{"name": "kind"}, {"name": "a size"}]
    sample = take_sample(X, {"a size": NUMBERS, "kind": CLASSES})
    found = measure_loss_behaviour(model, sample, outputs)
    assert found["kind"]["row_growth"] == pytest.approx(1, rel=1e-5)
    assert found["kind"]["clips_scores"] is True
    assert found["a size"]["row_growth"] == pytest.approx(2, rel=1e-5)


class Own(keras.Model):
    """A subclassed model that adds up its loss by itself."""

    def __init__(self):
        super().__init__()
        self.head = layers.Dense(1)

    def call(self, x):
        return self.head(x)

    def compute_loss(self, x, y, y_pred, sample_weight, training=True):
        return ops.sum(ops.square(y - y_pred)) + 0 * ops.sum(x)


def test_a_loss_in_compute_loss_is_the_one_that_counts():
    model = Own()
    model(X[:1])
    model.compile("sgd", "mse")
    (found,) = measure_loss_behaviour(model, take_sample(X, NUMBERS)).values()
    assert found["row_growth"] == pytest.approx(2, rel=1e-5)


class OwnStep(keras.Model):
    def call(self, x):
        return x

    def train_step(self, *arguments):
        raise NotImplementedError


def test_what_is_not_known_is_left_out():
    model = OwnStep()
    model.compile("sgd", "mse")
    assert measure_loss_behaviour(model, take_sample(X, X)) == {}
    assert measure_loss_behaviour(model_of("mse"), take_sample(X)) == {}
    assert measure_loss_behaviour(model_of(None), take_sample(X, ONE_HOT)) == {}

    def refuses(y, p):
        raise ValueError("no")

    found = traits(refuses)
    assert found["value"] is None
    assert found["row_growth"] is None
    assert found["clips_scores"] is None


def test_penalties_and_activity_stay_outside():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activity_regularizer="l2", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", keras.losses.MeanSquaredError(reduction="sum"))
    (found,) = measure_loss_behaviour(model, take_sample(X, NUMBERS)).values()
    assert found["row_growth"] == pytest.approx(2, rel=1e-5)


def test_a_map_of_classes_is_paired_pixel_by_pixel():
    images = RANDOM.normal(size=(12, 6, 6, 2)).astype("float32")
    kinds = RANDOM.integers(0, 3, (12, 6, 6))
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 1, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    (found,) = measure_loss_behaviour(model, take_sample(images, kinds)).values()
    assert found["row_growth"] == pytest.approx(1, rel=1e-5)
    assert found["decreases_towards_targets"] is True
    assert found["broadcast"] is None
    assert found["clips_scores"] is True
