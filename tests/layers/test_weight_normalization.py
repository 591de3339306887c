import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices._core import backend as door
from keras_practices.layers.weight_normalization import WeightNormalization
from keras_practices.layers.weight_normalization import initialize_weight_normalization

RNG = np.random.default_rng(0)
# Layer, shape of the inputs without the batch.
KINDS = {
    "Dense": (layers.Dense(5), (4,)),
    "Conv1D": (layers.Conv1D(5, 3), (6, 2)),
    "Conv2D": (layers.Conv2D(4, 3, groups=2), (6, 6, 4)),
    "Conv3D": (layers.Conv3D(3, 2), (4, 4, 4, 2)),
    "Conv1DTranspose": (layers.Conv1DTranspose(5, 3), (6, 2)),
    "Conv2DTranspose": (layers.Conv2DTranspose(5, 3, strides=2), (4, 4, 2)),
    "DepthwiseConv1D": (layers.DepthwiseConv1D(3, depth_multiplier=2), (6, 3)),
    "DepthwiseConv2D": (layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 6, 3)),
}


def fresh(kind):
    layer, shape = KINDS[kind]
    return type(layer).from_config(layer.get_config()), shape


def kernel_by_hand(kind, v, g):
    """g v / ‖v‖ unit by unit, in float64."""
    v = np.float64(v)
    w = np.empty_like(v)
    if kind.startswith("Depthwise"):
        multiplier = v.shape[-1]
        for channel in range(v.shape[-2]):
            for m in range(multiplier):
                unit = v[..., channel, m]
                norm = np.sqrt((unit**2).sum())
                w[..., channel, m] = g[channel * multiplier + m] * unit / norm
        return w
    for unit in range(len(g)):
        place = (..., unit, slice(None)) if "Transpose" in kind else (..., unit)
        w[place] = g[unit] * v[place] / np.sqrt((v[place] ** 2).sum())
    return w


def outputs_of(layer, inputs):
    return ops.convert_to_numpy(layer(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_is_g_v_over_the_norm_of_each_unit(kind):
    layer, shape = fresh(kind)
    wrapper = WeightNormalization(layer)
    inputs = RNG.normal(size=(3, *shape)).astype("float32")
    # At first it is the layer itself.
    wrapper.build(inputs.shape)
    np.testing.assert_allclose(
        outputs_of(wrapper, inputs), outputs_of(layer, inputs), rtol=1e-4, atol=1e-6
    )
    v = RNG.normal(size=layer.kernel.shape).astype("float32")
    g = RNG.normal(size=wrapper.g.shape).astype("float32")
    layer.kernel.assign(v)
    wrapper.g.assign(g)
    plain, _ = fresh(kind)
    plain.build(inputs.shape)
    plain.kernel.assign(kernel_by_hand(kind, v, g).astype("float32"))
    expected = outputs_of(plain, inputs)
    found = outputs_of(wrapper, inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert wrapper.compute_output_shape(inputs.shape) == found.shape
    # The length of v says nothing.
    layer.kernel.assign(7 * v)
    np.testing.assert_allclose(outputs_of(wrapper, inputs), expected, 1e-4, 1e-5)
    # `remove` leaves the same function in the layer, and in the wrapper.
    assert wrapper.remove() is layer
    np.testing.assert_allclose(outputs_of(layer, inputs), expected, 1e-4, 1e-5)
    np.testing.assert_allclose(outputs_of(wrapper, inputs), expected, 1e-4, 1e-5)


def test_gradients_are_those_of_the_paper():
    wrapper = WeightNormalization(layers.Dense(3, use_bias=False))
    inputs = RNG.normal(size=(6, 4)).astype("float32")
    wrapper.build(inputs.shape)
    v = RNG.normal(size=(4, 3)).astype("float32")
    g = RNG.normal(size=3).astype("float32")
    start = {wrapper.g.path: g, wrapper.layer.kernel.path: v}
    targets = RNG.normal(size=(6, 3)).astype("float32")

    def loss(values):
        outputs, _ = wrapper.stateless_call(values, [], ops.convert_to_tensor(inputs))
        return ops.sum(outputs * ops.convert_to_tensor(targets)), ()

    paths = [variable.path for variable in wrapper.trainable_variables]
    values = [ops.convert_to_tensor(start[path]) for path in paths]
    _, gradients = door.value_and_gradients(loss, values)
    found = dict(zip(paths, map(ops.convert_to_numpy, gradients), strict=True))
    # Equation 3: from the gradient by w, which here is inputsᵀ targets.
    by_w = np.float64(inputs).T @ np.float64(targets)
    norms = np.sqrt((np.float64(v) ** 2).sum(0))
    by_g = (by_w * v).sum(0) / norms
    by_v = g / norms * by_w - g * by_g / norms**2 * v
    np.testing.assert_allclose(found[wrapper.g.path], by_g, rtol=1e-4, atol=1e-5)
    found = found[wrapper.layer.kernel.path]
    np.testing.assert_allclose(found, by_v, rtol=1e-4, atol=1e-5)
    # And so a step in v is at right angles to v.
    np.testing.assert_allclose((found * v).sum(0), 0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_by_data_gives_mean_0_and_deviation_1(kind):
    layer, shape = fresh(kind)
    layer.activation = keras.activations.relu
    wrapper = WeightNormalization(layer)
    inputs = RNG.normal(3.0, 2.0, size=(40, *shape)).astype("float32")
    wrapper.build(inputs.shape)
    layer.bias.assign(np.full(layer.bias.shape, 0.5, "float32"))
    initialize_weight_normalization(wrapper, inputs)
    assert layer.activation is keras.activations.relu
    layer.activation = None
    outputs = outputs_of(wrapper, inputs).astype("float64")
    rest = tuple(range(outputs.ndim - 1))
    np.testing.assert_allclose(outputs.mean(rest), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std(rest), 1, rtol=1e-4)


def test_the_start_by_data_goes_layer_by_layer():
    first = WeightNormalization(layers.Dense(6, activation="relu"))
    second = WeightNormalization(layers.Dense(3, use_bias=False))
    model = keras.Sequential([keras.Input((4,)), first, layers.Dropout(0.5), second])
    x = RNG.normal(2.0, 3.0, size=(200, 4)).astype("float32")
    weights = [np.float64(w.layer.kernel) for w in (first, second)]
    paths = initialize_weight_normalization(model, x)
    assert paths == [first.path, second.path]
    # The paper: t = v x / ‖v‖, g = 1 / deviation of t, b = - mean of t / deviation.
    t = x @ (weights[0] / np.sqrt((weights[0] ** 2).sum(0)))
    np.testing.assert_allclose(np.array(first.g), 1 / t.std(0), rtol=1e-4)
    np.testing.assert_allclose(
        np.array(first.layer.bias), -t.mean(0) / t.std(0), rtol=1e-4, atol=1e-5
    )
    hidden = np.maximum((t - t.mean(0)) / t.std(0), 0)
    t = hidden @ (weights[1] / np.sqrt((weights[1] ** 2).sum(0)))
    np.testing.assert_allclose(np.array(second.g), 1 / t.std(0), rtol=1e-4)
    # The directions are as they were.
    for wrapper, weight in zip((first, second), weights, strict=True):
        np.testing.assert_array_equal(np.float64(wrapper.layer.kernel), weight)


def test_units_without_spread_keep_their_scale():
    wrapper = WeightNormalization(layers.Dense(2, kernel_initializer="ones"))
    x = np.ones((5, 3), "float32")
    wrapper.build(x.shape)
    initialize_weight_normalization(wrapper, x)
    np.testing.assert_allclose(np.array(wrapper.g), np.sqrt(3), rtol=1e-6)
    np.testing.assert_allclose(outputs_of(wrapper, x), 0, atol=1e-5)


def test_the_start_by_data_knows_channels_first(backend):
    if backend == "tensorflow":
        pytest.skip("TensorFlow has no such convolution on the CPU")
    wrapper = WeightNormalization(layers.Conv2D(4, 2, data_format="channels_first"))
    x = RNG.normal(1.0, 2.0, size=(9, 3, 5, 5)).astype("float32")
    wrapper.build(x.shape)
    initialize_weight_normalization(wrapper, x)
    outputs = outputs_of(wrapper, x).astype("float64")
    np.testing.assert_allclose(outputs.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std((0, 2, 3)), 1, rtol=1e-4)


def test_an_activation_that_is_a_layer_stays_one():
    dense = layers.Dense(2, activation=layers.LeakyReLU(0.5))
    activation, wrapper = dense.activation, WeightNormalization(dense)
    x = RNG.normal(size=(50, 3)).astype("float32")
    wrapper.build(x.shape)
    initialize_weight_normalization(wrapper, x)
    assert dense.activation is activation
    assert outputs_of(wrapper, x).min() > -3
    assert len(dense._layers) == 1


@pytest.mark.parametrize("compiled", [True, False])
def test_fits_and_survives_saving(tmp_path, compiled, backend):
    if compiled and backend == "torch":
        pytest.skip("torch.compile warns about parts of PyTorch itself")
    if not compiled and backend == "jax":
        pytest.skip("operation by operation is slow, and nobody fits so")
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            WeightNormalization(layers.Conv2D(3, 3, activation="relu")),
            layers.Flatten(),
            WeightNormalization(layers.Dense(1)),
        ]
    )
    x = RNG.normal(size=(16, 6, 6, 2)).astype("float32")
    initialize_weight_normalization(model, x)
    model.compile("adam", "mse", jit_compile=compiled)
    before = model.get_weights()
    losses = model.fit(x, x[:, 0, 0, :1], epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    # Kernel, bias and g of both.
    changed = [
        (old != new).any() for old, new in zip(before, model.get_weights(), strict=True)
    ]
    assert changed == [True] * 6
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in loaded.layers] == [type(x) for x in model.layers]
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5
    )


def test_config_round_trip_and_mixed_precision():
    # Squares of the entries would overflow in float16.
    dense = layers.Dense(
        2,
        kernel_initializer=keras.initializers.Constant(300.0),
        dtype="mixed_float16",
    )
    layer = WeightNormalization(dense, name="normal")
    copy = WeightNormalization.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    outputs = outputs_of(copy, np.ones((1, 4), "float32"))
    assert outputs.dtype == np.float16
    np.testing.assert_allclose(outputs, 1200.0, rtol=2e-3)
    assert keras.backend.standardize_dtype(copy.g.dtype) == "float32"
    np.testing.assert_allclose(np.array(copy.g), 600.0, rtol=1e-5)


def test_a_regulariser_acts_on_the_direction_once():
    dense = layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2")
    wrapper = WeightNormalization(dense)
    outputs_of(wrapper, np.ones((1, 3), "float32"))
    assert [float(ops.convert_to_numpy(x)) for x in wrapper.losses] == pytest.approx(
        [0.06]
    )


@pytest.mark.parametrize(
    "layer", [layers.SeparableConv2D(2, 3), layers.LSTM(3), layers.ReLU(), "dense"]
)
def test_other_layers_are_refused(layer):
    with pytest.raises(TypeError, match="argument `layer`"):
        WeightNormalization(layer)


def test_what_cannot_be_started_is_named():
    with pytest.raises(TypeError, match="argument `model`"):
        initialize_weight_normalization("model", np.ones((2, 3)))
    plain = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="WeightNormalization layers"):
        initialize_weight_normalization(plain, np.ones((2, 3)))
    wrapper = WeightNormalization(layers.Dense(2))
    with pytest.raises(RuntimeError, match="must be built"):
        initialize_weight_normalization(wrapper, np.ones((2, 3)))
    with pytest.raises(RuntimeError, match="built"):
        wrapper.remove()
    with pytest.raises(RuntimeError, match="LoRA"):
        WeightNormalization(layers.Dense(2, lora_rank=1)).build((None, 3))


def test_a_start_that_fails_leaves_nothing_behind():
    wrapper = WeightNormalization(layers.Dense(2))
    x = RNG.normal(size=(20, 3)).astype("float32")
    wrapper.build(x.shape)
    before = wrapper.get_weights()
    with pytest.raises(ValueError, match="incompatible"):
        initialize_weight_normalization(wrapper, x[:, :2])
    outputs_of(wrapper, x)
    for old, new in zip(before, wrapper.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
