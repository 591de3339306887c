import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.layers.drop_connect import DropConnect

INPUTS, UNITS = 40, 50
# Layer and inputs that give the kernel as outputs, entry by entry.
EYE = np.eye(INPUTS, dtype="float32")
KINDS = {
    "Dense": (layers.Dense(UNITS, use_bias=False), EYE),
    "Conv1D": (layers.Conv1D(UNITS, 1, use_bias=False), EYE[:, None]),
    "Conv2D": (layers.Conv2D(UNITS, 1, use_bias=False), EYE[:, None, None]),
    "Conv3D": (layers.Conv3D(UNITS, 1, use_bias=False), EYE[:, None, None, None]),
    "Conv2DTranspose": (
        layers.Conv2DTranspose(UNITS, 1, use_bias=False),
        EYE[:, None, None],
    ),
    "DepthwiseConv2D": (
        layers.DepthwiseConv2D(1, depth_multiplier=UNITS, use_bias=False),
        np.ones((1, 1, 1, INPUTS), "float32"),
    ),
}


def wrapped(kind, rate, **kwargs):
    layer, inputs = KINDS[kind]
    copy = type(layer).from_config(layer.get_config())
    return DropConnect(copy, rate, **kwargs), inputs


def entries(layer, inputs, training=True):
    return ops.convert_to_numpy(layer(inputs, training=training)).reshape(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_entries_of_the_kernel_are_zero_or_scaled(kind):
    rate = 0.3
    layer, inputs = wrapped(kind, rate, seed=1)
    kernel = entries(layer, inputs, training=False)
    np.testing.assert_array_equal(kernel, entries(layer.layer, inputs))
    dropped = entries(layer, inputs)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], kernel[kept] / (1 - rate), rtol=1e-5)
    share_error = np.sqrt(rate * (1 - rate) / kernel.size)
    assert abs((~kept).mean() - rate) < 5 * share_error
    # Entry by entry, not by rows or columns of a dense kernel.
    if kind == "Dense":
        table = kept.reshape(INPUTS, UNITS)
        assert 0 < table.mean(0).min()
        assert table.mean(0).max() < 1


def test_expected_kernel_is_the_kernel():
    rate, draws = 0.4, 300
    layer, inputs = wrapped("Dense", rate, seed=2)
    kernel = entries(layer, inputs, training=False)
    mean = np.mean([entries(layer, inputs) for _ in range(draws)], axis=0)
    errors = np.abs(kernel) * np.sqrt(rate / (1 - rate) / draws)
    # 2000 entries: the largest of as many normal draws is beyond 5 once in 900 runs.
    assert (np.abs(mean - kernel) < 5 * errors + 1e-6).all()


def test_bias_stays_and_rate_zero_is_the_layer():
    layer = DropConnect(layers.Dense(30, bias_initializer="ones"), 0.9, seed=0)
    np.testing.assert_array_equal(
        entries(layer, np.zeros((2, 3), "float32")), np.ones(60)
    )
    layer, inputs = wrapped("Dense", 0)
    np.testing.assert_array_equal(
        entries(layer, inputs), entries(layer, inputs, training=False)
    )


def test_the_layer_has_its_variable_again_also_after_an_error():
    layer, inputs = wrapped("Dense", 0.5)
    layer.build(inputs.shape)
    kernel = layer.layer.kernel
    before = ops.convert_to_numpy(kernel)
    entries(layer, inputs)
    assert layer.layer.kernel is kernel
    with pytest.raises(ValueError, match="incompatible"):
        layer(np.ones((2, INPUTS + 1), "float32"), training=True)
    assert layer.layer.kernel is kernel
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel), before)
    assert [v is kernel for v in layer.trainable_variables] == [True]


def test_penalties_of_the_layer_are_counted_once():
    dense = layers.Dense(
        2,
        kernel_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(1.0),
        activity_regularizer=keras.regularizers.L2(1.0),
    )
    layer = DropConnect(dense, 0.5, seed=1)
    outputs = entries(layer, np.ones((1, 3), "float32"))
    losses = sorted(float(ops.convert_to_numpy(loss)) for loss in layer.losses)
    assert losses == pytest.approx(sorted([6.0, float((outputs**2).sum())]), rel=1e-5)


def test_same_seed_same_masks_and_new_masks_at_every_call():
    made = [wrapped("Dense", 0.5, seed=seed) for seed in (7, 7, 8)]
    made.append(made[0])
    masks = [entries(layer, inputs) != 0 for layer, inputs in made]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()
    assert (masks[0] != masks[3]).any()


def test_config_round_trip_and_mixed_precision():
    dense = layers.Dense(UNITS, use_bias=False, dtype="mixed_float16")
    layer = DropConnect(dense, 0.25, seed=5, name="drop")
    copy = DropConnect.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.compute_dtype == "float16"
    outputs = ops.convert_to_numpy(copy(EYE, training=True))
    assert outputs.dtype == np.float16
    kernel = ops.convert_to_numpy(copy.layer.kernel)
    kept = outputs != 0
    np.testing.assert_allclose(outputs[kept], (kernel / 0.75)[kept], rtol=2e-3)


def test_masks_pass_through():
    inputs = np.int32([[1, 2, 0]])
    embedded = layers.Embedding(3, 4, mask_zero=True)(inputs)
    outputs = DropConnect(layers.Dense(2), 0.5)(embedded, training=True)
    mask = ops.convert_to_numpy(outputs._keras_mask)
    np.testing.assert_array_equal(mask, [[True, True, False]])


@pytest.mark.parametrize(
    ("rate", "error"),
    [(1.0, ValueError), (-0.1, ValueError), (True, TypeError), (None, TypeError)],
)
def test_a_bad_rate_is_named(rate, error):
    with pytest.raises(error, match="argument `rate`"):
        DropConnect(layers.Dense(2), rate)


@pytest.mark.parametrize(
    "layer", [layers.SeparableConv2D(2, 3), layers.LSTM(3), layers.ReLU(), "dense"]
)
def test_other_layers_are_refused(layer):
    with pytest.raises(TypeError, match="argument `layer`"):
        DropConnect(layer)


def test_a_kernel_that_is_computed_is_refused():
    layer = DropConnect(layers.Dense(3, lora_rank=1))
    with pytest.raises(RuntimeError, match="LoRA"):
        layer(np.ones((2, 4), "float32"))
