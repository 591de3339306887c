import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.errors import UsageError
from keras_practices.regularizers import regularize

# Layer, shape of one sample, and the ends of the paths of its weights.
CASES = {
    "dense": (lambda: layers.Dense(3), (4,), ["kernel"]),
    "conv": (lambda: layers.Conv2D(3, 2), (4, 4, 2), ["kernel"]),
    "transposed": (lambda: layers.Conv1DTranspose(3, 2), (4, 2), ["kernel"]),
    "depthwise": (lambda: layers.DepthwiseConv2D(2), (4, 4, 2), ["kernel"]),
    "separable": (
        lambda: layers.SeparableConv1D(3, 2),
        (5, 2),
        ["depthwise_kernel", "pointwise_kernel"],
    ),
    "embedding": (lambda: layers.Embedding(6, 3), (4,), ["embeddings"]),
    "lstm": (lambda: layers.LSTM(3), (4, 2), ["kernel", "recurrent_kernel"]),
    "gru": (lambda: layers.GRU(3), (4, 2), ["kernel", "recurrent_kernel"]),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.SimpleRNN(2)),
        (4, 2),
        ["kernel", "recurrent_kernel"] * 2,
    ),
    "time_distributed": (
        lambda: layers.TimeDistributed(layers.Dense(3)),
        (4, 2),
        ["kernel"],
    ),
    "einsum": (
        lambda: layers.EinsumDense("abc,cd->abd", (4, 3), bias_axes="bd"),
        (4, 2),
        ["kernel"],
    ),
    "batch_norm": (lambda: layers.BatchNormalization(), (4,), []),
    "layer_norm": (lambda: layers.LayerNormalization(axis=(1, 2)), (4, 2), []),
    "prelu": (lambda: layers.PReLU(), (4, 2), []),
}


def attention_model():
    inputs = keras.Input((4, 6))
    outputs = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    return keras.Model(inputs, layers.Flatten()(outputs), name="attention")


def built(name):
    make, shape, _ = CASES[name]
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Flatten()(make()(inputs)), name=name)


def value_of(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")


def penalty(model, paths, l2, l1):
    values = [value_of(v) for v in model.trainable_variables if v.path in paths]
    assert len(values) == len(paths)
    return sum(l2 / 2 * (v**2).sum() + l1 * np.abs(v).sum() for v in values)


def total(losses):
    return sum(float(keras.ops.convert_to_numpy(loss)) for loss in losses)


def small_model(**dense):
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="relu", **dense),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )


@pytest.mark.parametrize("name", [*CASES, "attention"])
def test_every_layer_type_and_saving(name, tmp_path):
    model = attention_model() if name == "attention" else built(name)
    ends = ["kernel"] * 4 if name == "attention" else CASES[name][2]
    added = regularize(model, l2=0.3, l1=0.02)
    assert [path.rsplit("/", 1)[1] for path in added] == ends
    expected = penalty(model, added, 0.3, 0.02)
    np.testing.assert_allclose(sum(added.values()), expected, rtol=1e-5)
    np.testing.assert_allclose(total(model.losses), expected, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(total(loaded.losses), expected, rtol=1e-5)


def test_one_sgd_step_subtracts_lambda_w():
    # With a data loss of zero gradient, w -> w - rate * (l2 * w + l1 * sign(w)).
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    regularize(model, l2=0.2, l1=0.03)
    model.compile(keras.optimizers.SGD(0.5), "mse")
    kernel, bias = model.layers[0].kernel, model.layers[0].bias
    bias.assign(np.ones(2))
    before = value_of(kernel)
    model.fit(np.zeros((4, 3)), np.ones((4, 2)), batch_size=4, verbose=0)
    expected = before - 0.5 * (0.2 * before + 0.03 * np.sign(before))
    np.testing.assert_allclose(value_of(kernel), expected, rtol=1e-5)
    np.testing.assert_array_equal(value_of(bias), 1)


def test_works_on_a_model_that_was_trained(backend):
    jit = backend != "torch"  # torch.compile warns about parts of PyTorch itself
    model = small_model()
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=jit)
    x, y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")
    model.fit(x, y, validation_data=(x, y), verbose=0)
    steps = int(model.optimizer.iterations)
    plain = model.evaluate(x, y, verbose=0)
    for l2 in (0.4, 0.8, 0.0):  # put on, changed, taken off
        added = regularize(model, l2=l2)
        expected = penalty(model, added, l2, 0.0)
        with_penalty = model.evaluate(x, y, verbose=0)
        np.testing.assert_allclose(with_penalty - plain, expected, rtol=1e-4)
        assert int(model.optimizer.iterations) == steps
    regularize(model, l2=0.4)
    model.optimizer.learning_rate = 0.1
    kernel = model.layers[0].kernel
    before = value_of(kernel)
    # Rows of weight zero: nothing but the penalty moves the kernel.
    model.fit(x, y, sample_weight=np.zeros(8), verbose=0)
    np.testing.assert_allclose(value_of(kernel), before * (1 - 0.1 * 0.4), rtol=1e-5)


def test_old_penalties_are_replaced_and_those_of_biases_stay():
    model = small_model(kernel_regularizer="l2", bias_regularizer="l1")
    model.layers[0].bias.assign(np.ones(4))
    regularize(model, l2=0.0)
    np.testing.assert_allclose(total(model.losses), 0.04, rtol=1e-6)
    regularize(model, l1=0.5)
    first, last = (
        model.layers[0].kernel_regularizer,
        model.layers[-1].kernel_regularizer,
    )
    assert first.get_config() == last.get_config() == {"l1": 0.5, "l2": 0.0}


def test_frozen_layers_count_from_when_they_are_unfrozen():
    model = small_model()
    model.layers[0].trainable = False
    added = regularize(model, l2=1.0)
    assert len(added) == 2
    assert len(model.losses) == 1
    model.layers[0].trainable = True
    np.testing.assert_allclose(total(model.losses), sum(added.values()), rtol=1e-5)


def test_layers_of_the_users_own_and_nested_and_shared_ones():
    class Own(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 2), name="w")
            self.my_bias = self.add_weight(shape=(1, 2), name="my_bias")

        def call(self, x):
            return keras.ops.matmul(x, self.w) + self.my_bias

    shared = layers.Dense(3)
    inner = keras.Sequential([keras.Input((3,)), shared, shared])
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Own()(inner(inputs)))
    added = regularize(model, l2=0.1)
    assert [path.rsplit("/", 1)[1] for path in added] == ["kernel", "w"]
    np.testing.assert_allclose(
        total(model.losses), penalty(model, added, 0.1, 0), rtol=1e-5
    )


def test_another_regularizer_is_refused_and_nothing_is_changed():
    model = small_model()
    other = keras.regularizers.OrthogonalRegularizer()
    model.layers[-1].kernel.regularizer = other
    with pytest.raises(ValueError, match="argument `model`.*another regularizer"):
        regularize(model, l2=0.1)
    assert model.layers[0].kernel.regularizer is None


def test_computed_weights_are_refused():
    model = small_model()
    model.layers[0].enable_lora(2)
    with pytest.raises(UsageError, match="LoRA"):
        regularize(model, l2=0.1)


def test_a_model_without_weights_is_refused():
    with pytest.raises(UsageError, match="not built"):
        regularize(keras.Sequential([layers.Dense(2)]), l2=0.1)


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"l2": -0.1}, "l2", ValueError),
        ({"l2": "l2"}, "l2", TypeError),
        ({"l1": float("nan")}, "l1", ValueError),
        ({"l1": True}, "l1", TypeError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        regularize(small_model(), **arguments)


def test_a_layer_is_not_a_model():
    with pytest.raises(TypeError, match="argument `model`"):
        regularize(layers.Dense(2), l2=0.1)
