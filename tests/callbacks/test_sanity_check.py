import keras
import numpy as np
import pytest

from keras_practices.callbacks import SanityCheck
from keras_practices.data import Split
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import SanityCheckError
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
Y = np.arange(48) % 3
X = (RNG.normal(size=(48, 4)) + Y[:, None]).astype("float32")


def compiled_model(penalty=None):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="relu", kernel_regularizer=penalty),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def fit(model, check, x=X, y=Y):
    return model.fit(x, y, batch_size=16, verbose=0, callbacks=[check])


def ours(caught):
    """Keras adds warnings of its own."""
    return [one for one in caught if one.category is KerasPracticesWarning]


def test_a_healthy_model_is_silent():
    check = SanityCheck(data=(X, Y))
    fit(compiled_model("l2"), check)
    assert check.findings == []


def test_warn_says_it_once_and_trains_on():
    model, check = compiled_model(), SanityCheck(data=(200 * X, Y))
    before = model.get_weights()
    with pytest.warns(KerasPracticesWarning) as caught:
        fit(model, check, 200 * X)
    (warning,) = ours(caught)
    assert "inputs-not-scaled" in str(warning.message)
    assert check.findings[0].rule == "inputs-not-scaled"
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(before, model.get_weights(), strict=True)
    )


def test_stop_raises_before_any_weight_moved():
    model, check = compiled_model(), SanityCheck((200 * X, Y), on_failure="stop")
    before = model.get_weights()
    with pytest.raises(SanityCheckError, match="before the first step") as caught:
        fit(model, check, 200 * X)
    assert [f.rule for f in caught.value.findings] == [f.rule for f in check.findings]
    assert check.findings[0].rule == "inputs-not-scaled"
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(model.optimizer.iterations) == 0


def test_nan_in_the_data_stops():
    bad = X.copy()
    bad[3, 1] = np.nan
    model, check = compiled_model(), SanityCheck((bad, Y), on_failure="stop")
    with pytest.raises(SanityCheckError) as caught:
        fit(model, check, bad)
    assert caught.value.findings[0].rule == "inputs-not-finite"


def test_stop_only_warns_of_what_is_no_error():
    model = compiled_model()
    # Set on the built layer it changes nothing, which Keras does not say.
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.01)
    check = SanityCheck((X, Y), on_failure="stop")
    with pytest.warns(KerasPracticesWarning, match="regularization-has-no-effect"):
        fit(model, check)
    assert [f.rule for f in check.findings] == ["regularization-has-no-effect"]


def test_a_first_loss_far_from_chance_is_found():
    model = compiled_model()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + [40.0, 0.0, 0.0]])
    check = SanityCheck((X, Y))
    with pytest.warns(KerasPracticesWarning, match="initial-loss-off-chance"):
        fit(model, check)
    found = check.findings[0].evidence
    probabilities = keras.ops.convert_to_numpy(model(X)).astype("float64")
    assert found["chance"] == pytest.approx(np.log(3))
    assert found["data_loss"] > 5 * np.log(3)
    assert probabilities.shape == (48, 3)


def test_a_second_fit_is_checked_afresh():
    model, check = compiled_model(), SanityCheck((X, Y))
    fit(model, check)
    model.layers[-1].bias.assign([40.0, 0.0, 0.0])
    with pytest.warns(KerasPracticesWarning, match="initial-loss-off-chance"):
        fit(model, check)
    model.layers[-1].bias.assign([0.0, 0.0, 0.0])
    fit(model, check)
    assert check.findings == []


def test_a_fault_of_its_own_is_one_warning(monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("no such figure")

    monkeypatch.setattr(
        "keras_practices.measures.before.figures_of_initial_loss", broken
    )
    model, check = compiled_model(), SanityCheck((X, Y), on_failure="stop")
    with pytest.warns(KerasPracticesWarning, match="switched off") as caught:
        history = fit(model, check)
    (warning,) = ours(caught)
    assert "ValueError: no such figure" in str(warning.message)
    assert np.isfinite(history.history["loss"][0])


def test_a_model_that_is_not_built_is_an_error():
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    check = SanityCheck((X, Y))
    check.set_model(model)
    with pytest.raises(ArgumentValueError, match="must be built"):
        check.on_train_begin()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"data": (X, Y), "on_failure": "raise"}, ArgumentValueError),
        ({"data": (X, Y[:-1])}, ArgumentValueError),
        ({"data": (X[:0], Y[:0])}, ArgumentValueError),
        ({"data": None}, ArgumentTypeError),
        ({"data": (np.array([[1], None], dtype=object), Y[:2])}, ArgumentTypeError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error, match="SanityCheck"):
        SanityCheck(**arguments)


def test_a_part_is_data_and_a_vault_is_not():
    split = Split(X, Y, validation=0.2, test=0.2, seed=0)
    check = SanityCheck(data=split.train)
    fit(compiled_model(), check, *split.train)
    assert check.findings == []
    with pytest.raises(UsageError, match="Vault: the test set is not handed out"):
        SanityCheck(data=split.test)
