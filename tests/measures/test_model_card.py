import keras
import pytest
from keras import layers
from keras import losses

from keras_practices.measures.model_card import measure_loss
from keras_practices.measures.model_card import measure_model
from keras_practices.measures.model_card import measure_optimizer
from keras_practices.measures.model_card import measure_outputs


def sequential(*tail):
    return keras.Sequential([keras.Input((4,)), layers.Dense(6), *tail])


def card(model, loss="mse"):
    model.compile("sgd", loss)
    (output,) = measure_outputs(model)
    return output["activation"], output["shape"], output["layer"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = layers.Dense(3, activation="sigmoid", name="head")
        self.drop = layers.Dropout(0.1)

    def call(self, x):
        return self.drop(self.head(x))


def test_heads_of_sequential_models():
    soft = layers.Dense(3, activation="softmax", name="soft")
    assert card(sequential(soft)) == ("softmax", [3], "soft")
    apart = layers.Softmax(axis=0, name="apart")
    model = sequential(apart)
    assert card(model) == ("softmax", [6], "apart")
    assert measure_outputs(model)[0]["softmax_axis"] == 0
    shaped = sequential(layers.Reshape((3, 2)), layers.Flatten(), layers.Dropout(0.1))
    assert card(shaped)[:2] == ("linear", [6])


def test_a_head_that_computes_by_itself_is_left_unread():
    inputs = keras.Input((4,))
    scaled = keras.Model(inputs, layers.Dense(2, activation="tanh")(inputs) * 3.0)
    assert card(scaled)[0] is None
    ends = keras.ops.softmax(layers.Dense(2)(inputs))
    assert card(keras.Model(inputs, ends))[0] == "softmax"
    assert card(sequential(layers.BatchNormalization()))[0] is None


def test_heads_of_subclassed_models():
    model = Subclassed()
    model(keras.ops.ones((1, 4)))
    assert card(model) == ("sigmoid", None, "head")


def test_heads_of_nested_models():
    inner = sequential(layers.Dense(2, activation="sigmoid", name="deep"))
    inputs = keras.Input((4,))
    nested = keras.Model(inputs, layers.Reshape((2, 1))(inner(inputs)))
    assert card(nested) == ("sigmoid", [2, 1], "deep")


def several(loss):
    inputs = keras.Input((4,))
    a = layers.Dense(3, activation="softmax", name="kind")(inputs)
    b = layers.Dense(1, name="size")(inputs)
    model = keras.Model(inputs, {"kind": a, "size": b})
    model.compile("sgd", loss)
    return {
        one["name"]: (one["activation"], one["loss"]) for one in measure_outputs(model)
    }


def test_each_output_has_its_own_loss():
    both = {"kind": "categorical_crossentropy", "size": "mse"}
    assert several(both) == {
        "kind": ("softmax", "categorical_crossentropy"),
        "size": ("linear", "mean_squared_error"),
    }
    inputs = keras.Input((4,))
    heads = [layers.Dense(1, name=name)(inputs) for name in ("a", "b")]
    model = keras.Model(inputs, heads)
    model.compile("sgd", ["mse", "mae"])
    found = [one["loss"] for one in measure_outputs(model)]
    assert found == ["mean_squared_error", "mean_absolute_error"]


def own(y_true, y_pred):
    return y_pred - y_true


class OwnLoss(losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred - y_true


@pytest.mark.parametrize(
    ("loss", "name", "from_logits"),
    [
        ("mse", "mean_squared_error", None),
        ("sparse_categorical_crossentropy", "sparse_categorical_crossentropy", False),
        (losses.binary_crossentropy, "binary_crossentropy", False),
        (losses.BinaryCrossentropy(from_logits=True), "binary_crossentropy", True),
        (losses.CategoricalHinge(), "categorical_hinge", None),
        (losses.KLDivergence(), "kl_divergence", None),
        (own, "custom", None),
        (OwnLoss(), "custom", None),
        (None, None, None),
    ],
)
def test_losses_by_name_function_and_object(loss, name, from_logits):
    found = measure_loss(loss)
    assert (found["loss"], found["from_logits"]) == (name, from_logits)


def test_optimizers():
    found = measure_optimizer(keras.optimizers.SGD(0.5, momentum=0.9))
    assert found["class"] == "SGD"
    assert found["learning_rate"] == pytest.approx(0.5)
    assert (found["momentum"], found["scheduled"]) == (0.9, False)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.25, 10, 0.9)
    adam = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(schedule))
    found = measure_optimizer(adam)
    assert found["class"] == "Adam"
    assert found["learning_rate"] == pytest.approx(0.25)
    assert found["scheduled"]


class OwnStep(keras.Model):
    def train_step(self, *args):
        return super().train_step(*args)


def test_what_has_no_penalty_now_is_not_listed():
    zeros = layers.Dense(2, kernel_initializer="zeros", kernel_regularizer="l2")
    off = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.0))
    on = layers.Dense(2, kernel_regularizer="l1")
    model = sequential(zeros, off, on)
    model.compile("sgd", "mse")
    assert measure_model(model)["regularized"] == [on.kernel.path]


def test_a_model_card_counts_what_there_is():
    penalised = layers.Dense(2, kernel_regularizer="l2", name="penalised")
    late = layers.Dense(3, name="late")
    model = sequential(layers.BatchNormalization(), late, penalised)
    late.kernel_regularizer = keras.regularizers.L2(0.1)
    model.compile("sgd", "mse")
    found = measure_model(model)
    assert found["parameters"] == 30 + 24 + 21 + 8
    assert found["trainable_parameters"] == 30 + 12 + 21 + 8
    assert found["regularized"] == [penalised.kernel.path]
    assert found["regularizers_lost"] == ["late"]
    assert not found["custom_train_step"]
    inputs = keras.Input((2,))
    own_step = OwnStep(inputs, layers.Dense(1)(inputs))
    own_step.compile("sgd", "mse")
    assert measure_model(own_step)["custom_train_step"]
