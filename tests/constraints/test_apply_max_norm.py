import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.constraints import MaxNorm
from keras_practices.constraints import apply_max_norm
from keras_practices.errors import UsageError

LIMIT = 0.05

# Layer, shape of one sample, and for each weight the axes of its inputs.
CASES = {
    "dense": (lambda: layers.Dense(3), (4,), {"kernel": [0]}),
    "conv1d": (lambda: layers.Conv1D(3, 2), (5, 2), {"kernel": [0, 1]}),
    "conv2d": (lambda: layers.Conv2D(3, 2), (4, 4, 2), {"kernel": [0, 1, 2]}),
    "conv3d": (lambda: layers.Conv3D(2, 2), (3, 3, 3, 2), {"kernel": [0, 1, 2, 3]}),
    "grouped": (lambda: layers.Conv1D(4, 2, groups=2), (5, 4), {"kernel": [0, 1]}),
    "transposed1d": (lambda: layers.Conv1DTranspose(3, 2), (4, 2), {"kernel": [0, 2]}),
    "transposed2d": (
        lambda: layers.Conv2DTranspose(3, 2),
        (3, 3, 2),
        {"kernel": [0, 1, 3]},
    ),
    "transposed3d": (
        lambda: layers.Conv3DTranspose(3, 2),
        (2, 2, 2, 2),
        {"kernel": [0, 1, 2, 4]},
    ),
    "depthwise1d": (
        lambda: layers.DepthwiseConv1D(2, depth_multiplier=2),
        (5, 2),
        {"kernel": [0]},
    ),
    "depthwise2d": (
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=2),
        (4, 4, 2),
        {"kernel": [0, 1]},
    ),
    "separable1d": (
        lambda: layers.SeparableConv1D(3, 2),
        (5, 2),
        {"depthwise_kernel": [0], "pointwise_kernel": [0, 1]},
    ),
    "separable2d": (
        lambda: layers.SeparableConv2D(3, 2),
        (4, 4, 2),
        {"depthwise_kernel": [0, 1], "pointwise_kernel": [0, 1, 2]},
    ),
    "embedding": (lambda: layers.Embedding(6, 3), (4,), {"embeddings": [1]}),
    "simple_rnn": (
        lambda: layers.SimpleRNN(3),
        (4, 2),
        {"kernel": [0], "recurrent_kernel": [0]},
    ),
    "lstm": (lambda: layers.LSTM(3), (4, 2), {"kernel": [0], "recurrent_kernel": [0]}),
    "gru": (lambda: layers.GRU(3), (4, 2), {"kernel": [0], "recurrent_kernel": [0]}),
    "conv_lstm": (
        lambda: layers.ConvLSTM1D(2, 2),
        (3, 4, 2),
        {"kernel": [0, 1], "recurrent_kernel": [0, 1]},
    ),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.SimpleRNN(2)),
        (4, 2),
        {"kernel": [0], "recurrent_kernel": [0]},
    ),
    "time_distributed": (
        lambda: layers.TimeDistributed(layers.Dense(3)),
        (4, 2),
        {"kernel": [0]},
    ),
    "einsum": (
        lambda: layers.EinsumDense("abc,cde->abde", (4, 2, 3)),
        (4, 2),
        {"kernel": [0]},
    ),
    "einsum_two": (
        lambda: layers.EinsumDense("abcd,cde->abe", (4, 3)),
        (4, 2, 2),
        {"kernel": [0, 1]},
    ),
}
if keras.backend.backend() != "torch":
    # The others compile for each shape anew: one layer of every kind.
    names = ("dense", "conv2d", "transposed2d", "depthwise2d", "embedding", "lstm")
    CASES = {name: CASES[name] for name in (*names, "einsum", "einsum_two")}


def built(name):
    make, shape, _ = CASES[name]
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Flatten()(make()(inputs)), name=name)


def value_of(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")


def largest_norms(model):
    """Largest norm of each constrained weight, by the axes it was given."""
    return {
        variable.path: np.sqrt(
            (value_of(variable) ** 2).sum(axis=tuple(variable.constraint.axis))
        ).max()
        for variable in model.trainable_variables
        if variable.constraint is not None
    }


def projected(value, axis):
    norms = np.sqrt((value**2).sum(axis=tuple(axis), keepdims=True))
    return value * np.minimum(1, LIMIT / norms)


def test_every_layer_type(tmp_path):
    # One model, because building and compiling cost more than the training.
    parts = [built(name) for name in CASES]
    model = keras.Model(
        [part.input for part in parts],
        layers.Concatenate()([part(part.input) for part in parts]),
    )
    before = {v.path: value_of(v) for v in model.trainable_variables}

    axes = apply_max_norm(model, LIMIT)

    for part, (_, _, expected) in zip(parts, CASES.values(), strict=True):
        of_part = [v.path for v in part.trainable_variables if v.path in axes]
        assert {path.rsplit("/", 1)[1]: axes[path] for path in of_part} == expected
    for variable in model.trainable_variables:
        expected = before[variable.path]
        if variable.path in axes:
            expected = projected(expected, axes[variable.path])
        np.testing.assert_allclose(
            value_of(variable), expected, rtol=1e-5, atol=1e-12, err_msg=variable.path
        )

    rng = np.random.default_rng(0)
    x = [rng.integers(0, 6, (8, *shape)) for _, shape, _ in CASES.values()]
    y = 10 * rng.normal(size=(8, model.output_shape[1]))
    model.compile(keras.optimizers.SGD(1000.0), "mse")
    model.fit(x, y, verbose=0)
    norms = largest_norms(model)
    assert norms.keys() == axes.keys()
    assert max(norms.values()) <= LIMIT * (1 + 1e-5)
    assert min(norms.values()) > LIMIT * 0.99  # each was pushed out and put back

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    kept = [v.constraint.axis for v in loaded.trainable_variables if v.constraint]
    assert kept == list(axes.values())


def test_attention_is_limited_by_projection():
    inputs = keras.Input((3, 4))
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    axes = {
        path.split("/")[-2]: axis for path, axis in apply_max_norm(model, LIMIT).items()
    }
    assert axes == {
        "query": [0],
        "key": [0],
        "value": [0],
        "attention_output": [0, 1],
    }
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x = np.random.default_rng(0).normal(size=(8, 3, 4)).astype("float32")
    model.fit(x, 10 * x, verbose=0)
    assert max(largest_norms(model).values()) <= LIMIT * (1 + 1e-5)


def trained_dense():
    model = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(), layers.Dense(3, name="head")]
    )
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    model.compile(optimizer, "mse")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    y = 10 * x[:, :3]
    model.fit(x, y, verbose=0, batch_size=4)
    return model, x, y


def test_needs_no_new_compile_and_keeps_the_optimizer():
    model, x, y = trained_dense()
    optimizer = model.optimizer
    assert list(apply_max_norm(model, LIMIT).values()) == [[0]]
    model.fit(x, y, verbose=0, batch_size=4)
    assert max(largest_norms(model).values()) <= LIMIT * (1 + 1e-5)
    assert model.optimizer is optimizer
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 4


def test_biases_and_normalization_are_left_out():
    model, _, _ = trained_dense()
    model.layers[0].gamma.assign([9.0] * 4)
    model.layers[1].bias.assign([9.0] * 3)
    apply_max_norm(model, LIMIT)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.layers[0].gamma), 9.0
    )
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.layers[1].bias), 9.0)


def test_frozen_weights_are_left_alone():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, name="frozen", trainable=False),
            layers.Dense(3, name="head"),
        ]
    )
    before = model.get_weights()[0]
    (path,) = apply_max_norm(model, LIMIT)
    assert "head" in path
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_a_shared_layer_is_listed_once_and_a_second_limit_replaces_the_first():
    inputs = keras.Input((4,))
    shared = layers.Dense(4)
    model = keras.Model(inputs, shared(shared(inputs)))
    assert len(apply_max_norm(model, 1.0)) == 1
    apply_max_norm(model, LIMIT)
    assert shared.kernel.constraint.max_value == LIMIT


def test_nested_models_and_own_layers():
    class Scale(layers.Layer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.kernel_constraint = None

        def build(self, input_shape):
            self.kernel = self.add_weight(
                shape=(input_shape[-1],), initializer="ones", name="kernel"
            )

        def call(self, inputs):
            return inputs * self.kernel

    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="inner")])
    model = keras.Sequential([keras.Input((4,)), inner, Scale()])
    (path,) = apply_max_norm(model, LIMIT)
    assert path.endswith("inner/kernel")


def test_unbuilt_model_is_refused():
    model = keras.Sequential([layers.Dense(2)])
    with pytest.raises(UsageError, match="argument `model` must be built"):
        apply_max_norm(model)


def test_another_constraint_is_refused_before_anything_changes():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3),
            layers.Dense(2, kernel_constraint="non_neg", name="positive"),
        ]
    )
    before = model.get_weights()
    with pytest.raises(ValueError, match="positive/kernel.*one constraint"):
        apply_max_norm(model, LIMIT)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.layers[0].kernel.constraint is None


def test_lora_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.layers[0].enable_lora(2)
    with pytest.raises(UsageError, match="LoRA"):
        apply_max_norm(model)


def test_bad_arguments():
    with pytest.raises(TypeError, match="argument `model`"):
        apply_max_norm(layers.Dense(3))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="argument `max_value`"):
        apply_max_norm(model, 0.0)
    assert isinstance(MaxNorm(), keras.constraints.MaxNorm)
