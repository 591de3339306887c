"""`check`: what is wrong is named first, what is sound is not named."""

import keras
import numpy as np
import pytest

import keras_practices as kp
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
Y = np.arange(96) % 3
X = (RNG.normal(size=(96, 4)) + 2 * np.eye(4)[Y]).astype("float32")
SPARSE = "sparse_categorical_crossentropy"


def compiled_model(
    *, units=3, head="softmax", loss=SPARSE, initializer="he_normal", bias=0.0, rate=0.1
):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(
                8,
                activation="relu",
                kernel_initializer=initializer,
                bias_initializer=keras.initializers.Constant(bias),
            ),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(units, activation=head, kernel_initializer=initializer),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def plain_model(**arguments):
    """Without BatchNorm, whose scale hides what stands before it."""
    whole = compiled_model(**arguments)
    dense = [x for x in whole.layers if isinstance(x, keras.layers.Dense)]
    model = keras.Sequential([keras.Input((4,)), *dense])
    model.compile(whole.optimizer.__class__(0.1), arguments.get("loss", SPARSE))
    return model


def with_nan(array):
    bad = array.astype("float32")
    bad[5] = np.nan
    return bad


def late_regularizer():
    model = plain_model()
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.01)
    return model


BROKEN = {
    "inputs-not-finite": (plain_model, with_nan(X), Y),
    "targets-not-finite": (lambda: plain_model(units=1, head=None, loss="mse"), X, 1),
    "inputs-not-scaled": (plain_model, 300 * X, Y),
    "softmax-degenerate": (
        lambda: plain_model(units=1, loss="binary_crossentropy"),
        X,
        Y % 2,
    ),
    "loss-output-mismatch": (lambda: plain_model(head=None), X, Y),
    "output-units-mismatch": (plain_model, X, Y + 1),
    "initialization-symmetric": (lambda: plain_model(initializer="zeros"), X, Y),
    "dead-units": (lambda: plain_model(bias=-100.0), X, Y),
    "regularization-has-no-effect": (late_regularizer, X, Y),
    "learning-rate-out-of-range": (lambda: compiled_model(rate=0.0), X, Y),
    # Two rows, each with all the labels.
    "cannot-overfit-tiny-subset": (plain_model, np.repeat(X[:2], 48, axis=0), Y),
}


# What the others need is read from the data and the configuration.
TRIED = (
    "initialization-symmetric",
    "dead-units",
    "regularization-has-no-effect",
    "cannot-overfit-tiny-subset",
)


@pytest.mark.parametrize(
    "rule",
    [
        rule if rule in TRIED else pytest.param(rule, marks=pytest.mark.once)
        for rule in BROKEN
    ],
)
def test_what_is_broken_is_named_first(rule):
    make, x, y = BROKEN[rule]
    if rule == "targets-not-finite":
        y = with_nan(X[:, :1])
    report = kp.check(make(), x, y, budget_seconds=60.0)
    assert report.first.rule == rule, report.text()
    assert report.first.is_problem
    assert report.first.advice


@pytest.fixture(scope="module")
def healthy():
    # Made before the fixture that sets the seeds of each test.
    keras.utils.set_random_seed(0)
    return kp.check(compiled_model(), X, Y, budget_seconds=60.0)


def test_what_is_sound_is_silent(healthy):
    assert healthy.ok, healthy.text()
    assert healthy.findings == []
    assert healthy.not_measured == []
    assert {"model", "outputs", "tiny subset"} <= set(healthy.timings)
    assert healthy.environment


def bits(model):
    values = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(value)) for value in values]


@pytest.mark.parametrize("place", [None, "measure_tiny_subset", "run_captured"])
def test_the_model_is_only_read(monkeypatch, place):
    model = compiled_model()
    model.fit(X, Y, epochs=1, verbose=0)
    state = np.random.get_state()[1].copy()
    before = bits(model)
    if place:

        def broken(*args, **kwargs):
            # Halfway: after it has begun to work on the model.
            model(X[:2], training=False)
            raise RuntimeError("broken measure\nwith more")

        monkeypatch.setattr(f"keras_practices.measures.before.{place}", broken)
    report = kp.check(model, X, Y, budget_seconds=60.0)
    for old, new in zip(before, bits(model), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(state, np.random.get_state()[1])
    assert all("call" not in layer.__dict__ for layer in model.layers)
    names = {"measure_tiny_subset": "tiny subset", "run_captured": "layers"}
    expected = [(names[place], "RuntimeError: broken measure")] if place else []
    assert report.not_measured == expected


PLACES = [
    "before.measure_tiny_subset",
    pytest.param("before.run_captured", marks=pytest.mark.once),
    pytest.param("before.measure_initial_loss", marks=pytest.mark.once),
]


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_leaves_the_model_as_it_was(monkeypatch, place):
    model = compiled_model()
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(0.1), SPARSE)
    model.fit(X, Y, epochs=1, verbose=0)
    before, function = bits(model), model.train_function

    def interrupted(*args, **kwargs):
        model(X[:2], training=False)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"keras_practices.measures.{place}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kp.check(model, X, Y, budget_seconds=60.0)
    for old, new in zip(before, bits(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [layer.trainable for layer in model.layers][:2] == [False, True]
    assert model.train_function is function
    assert all("call" not in layer.__dict__ for layer in model.layers)


def test_without_a_budget_nothing_is_measured():
    report = kp.check(compiled_model(), X, Y, budget_seconds=0)
    assert report.findings == []
    named = {what for what, _ in report.not_measured}
    assert {"finite inputs", "outputs", "tiny subset", "gradient check"} <= named
    assert report.timings == {}
    assert {why for _, why in report.not_measured} <= {
        "the time budget was used up",
        "the outputs could not be read",
    }


def test_select_and_ignore():
    model, x = plain_model(initializer="zeros"), with_nan(X)
    only = kp.check(model, x, Y, select=["targets-not-finite"])
    assert only.findings == []
    without = kp.check(model, x, Y, ignore=["inputs-not-finite"])
    assert "inputs-not-finite" not in [f.rule for f in without.findings]


class OwnStep(keras.Sequential):
    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)


def test_a_train_step_of_its_own_is_not_measured_through_a_loss():
    model = OwnStep([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", SPARSE)
    report = kp.check(model, X, Y)
    reason = "the model trains by a train_step of its own"
    skipped = ("initial loss", "tiny subset", "gradient check")
    assert report.not_measured == [(what, reason) for what in skipped]


def test_no_targets_are_not_measured():
    report = kp.check(compiled_model(), X)
    assert ("tiny subset", "there are no targets") in report.not_measured


def unbuilt():
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", SPARSE)
    return model


def uncompiled():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (unbuilt, ArgumentValueError, "must be built"),
        (uncompiled, ArgumentValueError, "must be compiled"),
        (lambda: "model", ArgumentTypeError, "must be a keras.Model"),
        (lambda: keras.layers.Dense(3), ArgumentTypeError, "must be a keras.Model"),
    ],
)
def test_bad_models(model, error, text):
    with pytest.raises(error, match=text):
        kp.check(model(), X, Y)


RAGGED = np.array([[1.0], [1.0, 2.0]], dtype=object)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": None}, ArgumentTypeError, "`x` must be the inputs"),
        ({"x": X[:0], "y": Y[:0]}, ArgumentValueError, "at least one row"),
        ({"x": X, "y": Y[:-1]}, ArgumentValueError, "as long as `x`"),
        ({"x": [X, X[:-1]], "y": Y}, ArgumentValueError, "arrays of one length"),
        ({"x": RAGGED, "y": Y[:2]}, ArgumentTypeError, "dtype object"),
        ({"x": X, "y": Y, "sample_weight": Y[:5]}, ArgumentValueError, "sample_weight"),
        ({"x": iter([(X, Y)]), "y": Y}, ArgumentTypeError, "beside a dataset"),
        ({"x": iter([])}, ArgumentValueError, "at least one batch"),
        ({"x": X, "y": Y, "select": ["no-rule"]}, ArgumentValueError, "no-rule"),
        ({"x": X, "y": Y, "ignore": "dead-units"}, ArgumentTypeError, "a list"),
        ({"x": X, "y": Y, "budget_seconds": -1}, ArgumentValueError, "budget_seconds"),
        ({"x": X, "y": Y, "budget_seconds": "1"}, ArgumentTypeError, "budget_seconds"),
        (
            {"x": X, "y": Y, "validation_data": (X, Y[:-1])},
            ArgumentValueError,
            "validation_data",
        ),
    ],
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        kp.check(compiled_model(), **arguments)


def test_a_part_is_data_and_a_vault_is_not():
    split = kp.Split(X, Y, validation=0.2, test=0.2, seed=0)
    model = compiled_model()
    refused = "Vault: the test set is not handed out"
    assert kp.check(model, *split.train, budget_seconds=0).findings == []
    with pytest.raises(UsageError, match=refused):
        kp.check(model, split.test)
    with pytest.raises(UsageError, match=refused):
        kp.check(model, split.test.x, Y)
    with pytest.raises(UsageError, match=refused):
        kp.check(model, X, Y, validation_data=split.test)
