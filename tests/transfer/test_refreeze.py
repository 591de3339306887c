import keras
import numpy as np
import pytest

from keras_practices import transfer
from keras_practices.errors import UsageError
from keras_practices.optimizers import layer_groups
from keras_practices.transfer.freezing import put_mask
from keras_practices.transfer.freezing import take_mask

X = np.ones((4, 1), "float32")


def chain(optimizer, units=2):
    """Weights of 1 in a chain, with the output as loss."""
    layers = [
        keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name=f"d{i}")
        for i in range(units)
    ]
    model = keras.Sequential([keras.Input((1,)), *layers])
    model.compile(optimizer, output, metrics=["mae"])
    return model


def output(y, prediction):
    return prediction[:, 0]


def step(model):
    model.fit(X, X, batch_size=4, verbose=0)
    return [float(w[0, 0]) for w in model.get_weights()]


def test_momentum_goes_on():
    model = chain(keras.optimizers.SGD(0.1, momentum=0.5))
    # Both gradients are the other weight: 1.
    assert step(model) == pytest.approx([0.9, 0.9])
    transfer.refreeze(model, ["d1"])
    # Velocity of -0.1 at a half, and the gradient of the first weight, 0.9.
    assert step(model) == pytest.approx([0.9, 0.9 - 0.05 - 0.09])


def test_adam_goes_on_as_one_that_was_never_compiled_anew():
    whole, cut = (chain(keras.optimizers.Adam(0.01)) for _ in range(2))
    step(whole)
    step(cut)
    # The weight that is frozen and set free again has what it had.
    transfer.refreeze(cut)
    assert int(cut.optimizer.iterations) == 1
    assert step(cut) == pytest.approx(step(whole), rel=1e-6)
    assert int(cut.optimizer.iterations) == 2
    np.testing.assert_allclose(
        [float(np.ravel(v.numpy())[0]) for v in cut.optimizer.variables],
        [float(np.ravel(v.numpy())[0]) for v in whole.optimizer.variables],
        rtol=1e-6,
    )


def test_into_groups_with_counts_of_their_own():
    model = chain(keras.optimizers.Adam(0.01))
    transfer.refreeze(model, [model.layers[1]])
    step(model)
    model.layers[0].trainable = True
    groups = layer_groups(
        model, keras.optimizers.Adam(0.01), multipliers=[0.1], groups=["d0"]
    )
    transfer.refreeze(model, ["d0", "d1"], optimizer=groups)
    new, carried = model.optimizer.optimizers
    assert (int(new.iterations), int(carried.iterations)) == (0, 1)
    momentum = float(carried._momentums[0].numpy()[0, 0])
    assert momentum == pytest.approx(0.1)
    assert int(model.optimizer.iterations) == 1
    before = [float(w[0, 0]) for w in model.get_weights()]
    after = step(model)
    # A fresh Adam goes exactly its rate in its first step.
    assert before[0] - after[0] == pytest.approx(0.001, rel=1e-3)


def test_only_the_named_layers_learn_and_batch_norm_is_apart():
    norm = keras.layers.BatchNormalization(name="norm")
    block = keras.Sequential([keras.layers.Dense(2, name="inner"), norm], name="block")
    last = keras.layers.Dense(1, name="last")
    model = keras.Sequential([keras.Input((2,)), block, last])
    model.compile("sgd", "mse")
    transfer.refreeze(model, ["block"])
    assert [v.path.split("/")[-2] for v in model.trainable_variables] == ["inner"] * 2
    assert block.trainable
    assert not norm.trainable
    assert not last.trainable
    transfer.refreeze(model, [block], batch_norm=True)
    assert len(model.trainable_variables) == 4
    before = norm.moving_mean.numpy().copy()
    x = np.random.default_rng(0).normal(3, 1, (8, 2))
    model.fit(x, x[:, :1], verbose=0)
    assert not np.array_equal(before, norm.moving_mean.numpy())
    transfer.refreeze(model, [block])
    before = norm.moving_mean.numpy().copy()
    model.fit(x, x[:, :1], verbose=0)
    np.testing.assert_array_equal(before, norm.moving_mean.numpy())


def test_compile_arguments_stay():
    model = chain("sgd")
    step(model)
    transfer.refreeze(model, ["d1"])
    assert "mae" in model.evaluate(X, X, verbose=0, return_dict=True)
    assert model.loss is output


def test_a_mask_comes_back_as_it_was():
    inner = keras.Sequential(
        [keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="b")]
    )
    model = keras.Sequential([keras.Input((2,)), inner, keras.layers.Dense(1)])
    inner.layers[0].trainable = False
    mask = take_mask(model)
    model.trainable = False
    model.trainable = True
    assert inner.layers[0].trainable
    put_mask(mask)
    assert not inner.layers[0].trainable
    assert inner.layers[1].trainable
    assert len(model.trainable_variables) == 4


@pytest.mark.parametrize(
    ("trainable", "error", "match"),
    [
        ("d0", TypeError, "list"),
        (["none"], ValueError, "names"),
        ([], ValueError, "weights"),
    ],
)
def test_bad_layers(trainable, error, match):
    model = chain("sgd")
    with pytest.raises(error, match=match):
        transfer.refreeze(model, trainable)
    assert len(model.trainable_variables) == 2


def test_a_model_that_is_not_compiled_and_a_used_optimizer():
    with pytest.raises(UsageError, match="compile"):
        transfer.refreeze(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    model = chain("sgd")
    step(model)
    with pytest.raises(ValueError, match="optimizer"):
        transfer.refreeze(model, optimizer=model.optimizer)
    with pytest.raises(TypeError, match="model"):
        transfer.refreeze("model")
