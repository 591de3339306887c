import keras
import numpy as np
import pytest

from keras_practices.optimizers import Lookahead
from keras_practices.optimizers import layer_groups
from keras_practices.schedules import Warmup

X = np.ones((4, 1), "float32")


def chain(frozen=False):
    """Three weights of 1 in a chain: each has the same gradient."""
    layers = [
        keras.layers.Dense(
            1, use_bias=False, kernel_initializer="ones", name=f"dense_{place}"
        )
        for place in range(3)
    ]
    layers[0].trainable = not frozen
    return keras.Sequential([keras.Input((1,)), *layers])


def output(y, prediction):
    return prediction[:, 0]


def moved(model, optimizer, batches=1):
    model.compile(optimizer, output)
    model.fit(X[:batches], X[:batches], batch_size=1, verbose=0)
    return [1 - float(w[0, 0]) for w in model.get_weights()]


def rates(optimizer):
    return [float(one.learning_rate) for one in optimizer.optimizers]


def test_each_layer_moves_at_its_rate():
    model = chain()
    optimizer = layer_groups(model, keras.optimizers.SGD(0.1), decay=0.5)
    np.testing.assert_allclose(moved(model, optimizer), [0.025, 0.05, 0.1], rtol=1e-5)


def test_groups_by_name_and_the_rest():
    model = chain()
    groups = ["dense_0", [model.layers[1]]]
    optimizer = layer_groups(
        model, keras.optimizers.SGD(0.1), multipliers=[0, 2.0], groups=groups
    )
    np.testing.assert_allclose(moved(model, optimizer), [0, 0.2, 0.1], rtol=1e-5)


def test_a_base_is_one_group_and_frozen_layers_are_none():
    base = chain(frozen=True)
    model = keras.Sequential([keras.Input((1,)), base, keras.layers.Dense(1)])
    optimizer = layer_groups(model, keras.optimizers.SGD(1.0), decay=0.1)
    np.testing.assert_allclose(rates(optimizer), [0.1, 1.0, 1.0], rtol=1e-6)
    optimizer.build(model.trainable_variables)
    counts = [len(one._trainable_variables) for one in optimizer.optimizers]
    assert counts == [2, 2, 0]


def test_all_groups_follow_a_schedule():
    schedule = Warmup(0.1, steps=2)
    model = chain()
    optimizer = layer_groups(model, keras.optimizers.SGD(schedule), decay=0.5)
    found = moved(model, optimizer)
    np.testing.assert_allclose(found, [0.0125, 0.025, 0.05], rtol=1e-5)


def test_goes_on_after_saving(tmp_path):
    whole, half = chain(), chain()
    adam = keras.optimizers.Adam(0.01)
    moved(whole, layer_groups(whole, adam, decay=0.5), 2)
    moved(half, layer_groups(half, adam, decay=0.5), 1)
    half.save(tmp_path / "model.keras")
    again = keras.models.load_model(
        tmp_path / "model.keras", custom_objects={"output": output}
    )
    np.testing.assert_allclose(rates(again.optimizer), rates(half.optimizer))
    again.fit(X[:1], X[:1], verbose=0)
    found = [float(w[0, 0]) for w in again.get_weights()]
    expected = [float(w[0, 0]) for w in whole.get_weights()]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_lookahead_goes_around_it():
    model = chain()
    optimizer = layer_groups(model, keras.optimizers.SGD(0.1), decay=0.5)
    found = moved(model, Lookahead(optimizer, sync_period=1, slow_step_size=0.5))
    np.testing.assert_allclose(found, [0.0125, 0.025, 0.05], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, ValueError, "decay"),
        ({"decay": 0.5, "multipliers": [1, 1, 1]}, ValueError, "decay"),
        ({"decay": 0}, ValueError, "decay"),
        ({"multipliers": [1, 2]}, ValueError, "multipliers"),
        ({"multipliers": [1, 2, -1]}, ValueError, "multipliers"),
        ({"decay": 0.5, "groups": "dense_0"}, TypeError, "groups"),
        ({"decay": 0.5, "groups": ["no_such"]}, ValueError, "no_such"),
        ({"decay": 0.5, "groups": ["dense_0", "dense_0"]}, ValueError, "groups"),
        (
            {"decay": 0.5, "optimizer": keras.optimizers.SGD(global_clipnorm=1.0)},
            ValueError,
            "global_clipnorm",
        ),
        ({"decay": 0.5, "optimizer": Lookahead("sgd")}, TypeError, "optimizer"),
    ],
)
def test_bad_arguments_are_named(arguments, error, text):
    arguments = {"optimizer": "sgd"} | arguments
    with pytest.raises(error, match=text):
        layer_groups(chain(), **arguments)


def test_a_model_without_weights_is_refused():
    with pytest.raises(RuntimeError, match="weights"):
        layer_groups(keras.Sequential(), "sgd", decay=0.5)
    with pytest.raises(TypeError, match="model"):
        layer_groups("model", "sgd", decay=0.5)
