import keras
import numpy as np
import pytest

from keras_practices.callbacks import OverfitTinySubset
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import SanityCheckError
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
Y = np.arange(48) % 3
X = (RNG.normal(size=(48, 4)) + 2 * np.eye(4)[Y]).astype("float32")


def compiled_model(rate=0.1, initializer="he_normal"):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu", kernel_initializer=initializer),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax", kernel_initializer=initializer),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


def fit(model, check):
    return model.fit(X, Y, batch_size=16, verbose=0, callbacks=[check])


def test_a_healthy_model_learns_by_heart():
    check = OverfitTinySubset((X, Y), n=6, steps=60)
    fit(compiled_model(), check)
    assert check.findings == []
    assert check.losses[-1] < 0.1 * check.losses[0]
    assert len(check.losses) <= 60


def test_the_first_loss_is_that_of_the_rows():
    model, check = compiled_model(), OverfitTinySubset((X, Y), n=48, steps=1)
    model.optimizer.learning_rate = 0.0
    with pytest.warns(KerasPracticesWarning, match="cannot-overfit-tiny-subset"):
        fit(model, check)
    # Dropout is off in the trial, as in inference.
    p = keras.ops.convert_to_numpy(model(X, training=False)).astype("float64")
    expected = -np.log(p[np.arange(48), Y]).mean()
    assert check.losses == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"rate": 0.0}, "cannot-overfit-tiny-subset"),
        ({"initializer": "zeros"}, "initialization-symmetric"),
    ],
)
def test_stop_raises_before_any_weight_moved(arguments, rule):
    model = compiled_model(**arguments)
    check = OverfitTinySubset((X, Y), n=6, steps=10, on_failure="stop")
    before = model.get_weights()
    with pytest.raises(SanityCheckError) as caught:
        fit(model, check)
    assert caught.value.findings[0].rule == rule
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(model.optimizer.iterations) == 0


class OwnStep(keras.Sequential):
    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)


def test_a_train_step_of_its_own_is_refused():
    model = OwnStep([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ArgumentValueError, match="train_step of its own"):
        fit(model, OverfitTinySubset((X, Y)))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n": 0}, ArgumentValueError),
        ({"n": 2.5}, ArgumentTypeError),
        ({"steps": 0}, ArgumentValueError),
        ({"seconds": 0}, ArgumentValueError),
        ({"seconds": "1"}, ArgumentTypeError),
        ({"on_failure": "ignore"}, ArgumentValueError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error, match=f"argument `{next(iter(arguments))}`"):
        OverfitTinySubset((X, Y), **arguments)


def test_a_vault_is_not_data():
    from keras_practices.data import Vault

    with pytest.raises(UsageError, match="Vault: the test set is not handed out"):
        OverfitTinySubset(Vault(X, Y))
