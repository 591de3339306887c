import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.errors import UsageError
from keras_practices.layers.insert_batch_norm import insert_batch_norm


def names(model):
    return [layer.name for layer in model.layers]


def same_predictions(model, copy, x):
    expected = model.predict(x, verbose=0)
    # One more product and sum for each normalized layer, in float32.
    np.testing.assert_allclose(copy.predict(x, verbose=0), expected, 1e-4, 1e-5)


def draw_weights(model, seed=0):
    """Gives all weights, biases too, values other than those they start with."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))


def convnet(**first):
    inputs = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", **first)(inputs)
    y = layers.SeparableConv2D(4, 3, padding="same", activation="tanh", name="b")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Conv2DTranspose(3, 2, use_bias=False, name="c")(x)
    x = layers.DepthwiseConv2D(2, activation="gelu", name="d")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(5, name="e")(x)
    x = keras.ops.relu(x)
    outputs = layers.Dense(3, activation="softmax", name="head")(x)
    return keras.Model(inputs, outputs, name="net")


X = np.random.default_rng(1).normal(size=(8, 6, 6, 2)).astype("float32")


def test_functional_model_predicts_the_same_and_normalizes_in_training(tmp_path):
    model = convnet(name="a")
    draw_weights(model)
    copy = insert_batch_norm(model)
    same_predictions(model, copy, X)
    inserted = [x for x in copy.layers if isinstance(x, layers.BatchNormalization)]
    assert [x.name for x in inserted] == [f"{stem}_batch_norm" for stem in "abcde"]
    assert not any(copy.get_layer(stem).use_bias for stem in "abcde")
    assert copy.get_layer("head").use_bias
    assert {"a_activation", "b_activation", "d_activation"} < set(names(copy))
    assert "c_activation" not in names(copy)
    assert not copy.compiled

    # What reaches the first activation has mean beta and deviation gamma.
    before = keras.Model(copy.inputs[0], copy.get_layer("a_batch_norm").output)
    figures = keras.ops.convert_to_numpy(before(X, training=True)).astype("float64")
    bias = keras.ops.convert_to_numpy(model.get_layer("a").bias)
    np.testing.assert_allclose(figures.mean((0, 1, 2)), bias, atol=1e-4)
    assert (np.abs(figures.std((0, 1, 2)) - 1) < 0.01).all()

    copy.compile("sgd", "sparse_categorical_crossentropy")
    copy.fit(X, np.zeros(8), verbose=0)
    copy.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), copy.predict(X, verbose=0), rtol=1e-5
    )
    assert np.isfinite(model.predict(X, verbose=0)).all()  # it has its own weights


def test_sequential_model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu", name="a"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(8, name="b"),
            layers.ReLU(name="relu"),
            layers.Dense(8, name="c", use_bias=False),
            layers.BatchNormalization(name="bn"),
            layers.Dense(3, name="head"),
            layers.Softmax(name="softmax"),
        ],
        name="net",
    )
    draw_weights(model)
    model.compile("sgd", lambda y, p: p)
    copy = insert_batch_norm(model, momentum=0.9, epsilon=0.01)
    assert type(copy) is keras.Sequential
    assert copy.name == "net"
    assert names(copy) == [
        *("a", "a_batch_norm", "a_activation", "drop", "b", "b_batch_norm", "relu"),
        *("c", "bn", "head", "softmax"),
    ]
    assert model.compiled
    assert copy.get_layer("a_batch_norm").momentum == 0.9
    assert copy.get_layer("a_batch_norm").epsilon == 0.01
    same_predictions(model, copy, np.random.default_rng(0).normal(size=(9, 4)))
    everywhere = insert_batch_norm(model, skip=["b"])
    assert "head_batch_norm" in names(everywhere)
    assert "b_batch_norm" not in names(everywhere)


def test_nested_and_shared_layers_and_several_outputs():
    branch = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, activation="relu", name="inner")],
        name="branch",
    )
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    x = layers.Subtract()([branch(left), branch(right)])
    shared = layers.Dense(6, activation="elu", name="shared")
    x = shared(shared(x))
    inputs = keras.Input((6,))
    head = keras.Model(inputs, layers.Dense(2, name="two")(inputs), name="heads")
    outputs = {"one": layers.Dense(1, name="one")(x), "two": head(x)}
    model = keras.Model([left, right], outputs)
    draw_weights(model)
    copy = insert_batch_norm(model)
    assert names(copy.get_layer("branch"))[1:] == [
        "inner_batch_norm",
        "inner_activation",
    ]
    assert "shared_batch_norm" in names(copy)
    assert names(copy.get_layer("heads"))[-1] == "two"
    rng = np.random.default_rng(2)
    x = [rng.normal(size=(5, 4)).astype("float32") for _ in range(2)]
    expected, got = (net.predict(x, verbose=0) for net in (model, copy))
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, 1e-4, 1e-5)


def test_bias_settings_move_to_the_shift_and_frozen_stays_frozen():
    inputs = keras.Input((4,))
    norm = layers.Normalization(mean=[1.0] * 4, variance=[4.0] * 4)(inputs)
    x = layers.Dense(
        5,
        activation=layers.PReLU(),
        bias_regularizer="l1",
        bias_constraint="non_neg",
        kernel_regularizer="l2",
        activity_regularizer="l2",
        name="a",
    )(norm)
    model = keras.Model(inputs, layers.Dense(2)(x))
    draw_weights(model)
    model.get_layer("a").trainable = False
    copy = insert_batch_norm(model)
    batch_norm = copy.get_layer("a_batch_norm")
    assert isinstance(batch_norm.beta_regularizer, keras.regularizers.L1)
    assert isinstance(batch_norm.beta_constraint, keras.constraints.NonNeg)
    assert isinstance(copy.get_layer("a").kernel_regularizer, keras.regularizers.L2)
    assert copy.get_layer("a").activity_regularizer is None
    assert copy.get_layer("a_activation").activity_regularizer is not None
    assert not copy.get_layer("a").trainable
    assert not batch_norm.trainable
    same_predictions(model, copy, np.random.default_rng(3).normal(size=(5, 4)))


def test_recurrent_output_leaves_the_dense_layer_before_it_free():
    inputs = keras.Input((5, 3))
    x = layers.Dense(4, activation="relu", name="a")(inputs)
    model = keras.Model(inputs, layers.SimpleRNN(2)(x))
    assert "a_batch_norm" in names(insert_batch_norm(model))


def test_mixed_precision_and_channels_first():
    inputs = keras.Input((2, 6, 6))
    x = layers.Conv2D(
        3, 1, data_format="channels_first", dtype="mixed_float16", name="a"
    )(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    batch_norm = insert_batch_norm(model).get_layer("a_batch_norm")
    assert batch_norm.axis == 1
    assert batch_norm.gamma.shape == (3,)
    assert batch_norm.compute_dtype == "float16"


def test_the_class_of_the_model_is_kept_or_refused():
    class Kept(keras.Model):
        pass

    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(layers.Dense(3, activation="relu")(inputs))
    assert type(insert_batch_norm(Kept(inputs, outputs))) is Kept

    class Own(keras.Model):
        def __init__(self, units):
            inputs = keras.Input((4,))
            hidden = layers.Dense(units, activation="relu")(inputs)
            super().__init__(inputs, layers.Dense(2)(hidden))

    with pytest.raises(ValueError, match="argument `model`.*class"):
        insert_batch_norm(Own(3))


def test_what_cannot_be_rebuilt_is_refused():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Subclassed()
    model(np.ones((1, 3)))
    with pytest.raises(ValueError, match="argument `model`.*subclassed"):
        insert_batch_norm(model)
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="argument `model`.*subclassed"):
        insert_batch_norm(keras.Model(inputs, layers.Dense(1)(Subclassed()(inputs))))
    with pytest.raises(UsageError, match="not built"):
        insert_batch_norm(keras.Sequential([layers.Dense(2)]))
    adapted = convnet(name="a")
    adapted.get_layer("a").enable_lora(2)
    with pytest.raises(UsageError, match="LoRA"):
        insert_batch_norm(adapted)


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"skip": "head"}, "skip", TypeError),
        ({"skip": ["nothing"]}, "skip", ValueError),
        ({"momentum": 1.0}, "momentum", ValueError),
        ({"epsilon": 0.0}, "epsilon", ValueError),
        ({"epsilon": "small"}, "epsilon", TypeError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        insert_batch_norm(convnet(), **arguments)


def test_a_layer_is_not_a_model():
    with pytest.raises(TypeError, match="argument `model`"):
        insert_batch_norm(layers.Dense(2))
