"""The same promises for every public class that a model can hold.

Configuration and file bring it back, `mixed_float16`, `jit_compile=True` and batches
of any size work, inference is repeatable, and a bad argument is named.
"""

import os

import keras
import numpy as np
import parts
import pytest

import keras_practices as kp

ROOMS = {
    "layers": parts.LAYERS,
    "augmentation": parts.LAYERS,
    "data": parts.LAYERS,
    "metrics": parts.METRICS,
    "losses": parts.LOSSES,
    "initializers": parts.INITIALIZERS,
    "constraints": parts.CONSTRAINTS,
    "schedules": parts.SCHEDULES,
    "optimizers": parts.OPTIMIZERS,
}
OTHERS = [
    (kind, name)
    for kind in ("metrics", "losses", "initializers", "constraints", "schedules")
    for name in ROOMS[kind]
]
OTHERS += [("optimizers", name) for name in parts.OPTIMIZERS]
LAYERS = pytest.mark.parametrize("name", parts.LAYERS)
# On PyTorch with its compiler only when asked to: it takes half a minute a model, and
# a compiler of C++ that a machine need not have.
COMPILES = keras.backend.backend() != "torch" or "COMPILE_ON_TORCH" in os.environ
# Raised inside PyTorch 2.13 when it compiles.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:Dynamo detected a call to a:UserWarning"),
    pytest.mark.filterwarnings("ignore:Torchinductor does not support:UserWarning"),
]


@pytest.mark.once
def test_every_public_class_is_in_the_table():
    lacking = []
    for room, table in ROOMS.items():
        module = getattr(kp, room)
        found = {n for n in module.__all__ if isinstance(getattr(module, n), type)}
        left_out = parts.NOT_SAVED.get(room, set())
        lacking += [f"{room}.{name}" for name in found - set(table) - left_out]
    assert lacking == []


def comes_back(made):
    serialize = keras.saving.serialize_keras_object
    # Keras takes the inner layer out of the configuration that it reads.
    again = keras.saving.deserialize_keras_object(serialize(made))
    assert type(again) is type(made)
    assert serialize(again) == serialize(made)


def network(name):
    """A small classifier with the layer in it."""
    part = parts.LAYERS[name]
    layer = part.make()
    inputs = keras.Input(part.shape)
    outputs = layer([inputs, inputs]) if part.inputs > 1 else layer(inputs)
    if len(outputs.shape) > 2:
        outputs = keras.layers.Flatten()(outputs)
    head = keras.layers.Dense(3, activation="softmax", dtype="float32")
    return keras.Model(inputs, head(outputs))


def compiled(model, **options):
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.01), loss, **options)
    return model


def labels(count=12):
    return np.arange(count) % 3


@LAYERS
def test_a_layer_comes_back_from_its_configuration(name):
    comes_back(parts.LAYERS[name].make())


@LAYERS
def test_a_model_with_it_comes_back_from_its_file(name, tmp_path):
    model = network(name)
    x = parts.rows(parts.LAYERS[name].shape)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    found = again.predict(x, verbose=0)
    assert found.shape == expected.shape
    if parts.LAYERS[name].repeatable:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@LAYERS
def test_it_trains_in_half_precision(name):
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = compiled(network(name))
    x = parts.rows(parts.LAYERS[name].shape)
    history = model.fit(x, labels(), batch_size=6, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(model.predict(x, verbose=0)).all()


@LAYERS
def test_it_trains_compiled_on_batches_of_any_size(name):
    model = compiled(network(name), jit_compile=COMPILES)
    x = parts.rows(parts.LAYERS[name].shape)
    # Batches of 5, 5 and 2 rows.
    history = model.fit(x, labels(), batch_size=5, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert model.predict(x[:7], verbose=0).shape == (7, 3)


@LAYERS
def test_inference_is_repeatable_and_the_shape_is_the_promised_one(name):
    part = parts.LAYERS[name]
    layer, x = part.make(), keras.ops.convert_to_tensor(parts.rows(part.shape))
    given = [x, x] if part.inputs > 1 else x
    first, second = (
        keras.ops.convert_to_numpy(layer(given, training=False))
        if part.training
        else keras.ops.convert_to_numpy(layer(given))
        for _ in range(2)
    )
    if part.repeatable:
        np.testing.assert_array_equal(first, second)
    shapes = [(None, *part.shape)] * part.inputs
    promised = layer.compute_output_shape(shapes if part.inputs > 1 else shapes[0])
    assert tuple(promised)[1:] == first.shape[1:]


@LAYERS
def test_a_bad_argument_of_a_layer_is_named(name):
    part = parts.LAYERS[name]
    if not part.bad:
        pytest.skip("Keras checks its arguments")
    (argument,) = part.bad
    with pytest.raises((TypeError, ValueError), match=argument):
        part.make(**part.bad)


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_a_bad_argument_is_named(kind, name):
    make, bad = ROOMS[kind][name]
    (argument,) = bad
    with pytest.raises((TypeError, ValueError), match=argument):
        make(**bad)


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_it_comes_back_from_its_configuration(kind, name):
    comes_back(ROOMS[kind][name][0]())


def model_with(kind, name):
    """A compiled model that holds one of each kind but layers."""
    made = ROOMS[kind][name][0]()
    options = {
        "bias_initializer": made if name == "PriorBias" else "zeros",
        "kernel_initializer": made if name == "SparseNormal" else "glorot_uniform",
        "kernel_constraint": made if kind == "constraints" else None,
    }
    head = keras.layers.Dense(3, dtype="float32", **options)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), head])
    optimizer = keras.optimizers.SGD(made if kind == "schedules" else 0.01)
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        made if kind == "optimizers" else optimizer,
        made if kind == "losses" else crossentropy,
        metrics=[made] if kind == "metrics" else None,
        jit_compile=COMPILES,
    )
    return model


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_a_compiled_model_with_it_trains_and_comes_back(kind, name, tmp_path):
    model, x = model_with(kind, name), parts.rows((6,))
    history = model.fit(x, labels(), batch_size=5, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5
    )
    again.fit(x, labels(), batch_size=6, verbose=0)


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_a_compiled_model_with_it_trains_in_half_precision(kind, name):
    keras.mixed_precision.set_global_policy("mixed_float16")
    model, x = model_with(kind, name), parts.rows((6,))
    history = model.fit(x, labels(), batch_size=6, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
