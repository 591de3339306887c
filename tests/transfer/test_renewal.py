"""BatchNorm's statistics of the new rows, where a probe reads better with them."""

import keras
import numpy as np
import pytest

from keras_practices import transfer
from keras_practices.transfer.renewal import new_statistics

SCALE, SHIFT = 0.02, 3.0


def rows(count, seed, scale=1.0, shift=0.0):
    """Inputs, and whether the first two have one sign, in units of their own."""
    x = np.random.default_rng(seed).normal(size=(count, 4)).astype("float32")
    return scale * x + shift, (x[:, 0] * x[:, 1] > 0).astype("int64")


def network():
    """Knows the task of inputs that are centred and of unit variance: |a ± b|."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(4, "relu", name="knowing"),
        ]
    )
    kernel = np.zeros((4, 4), "float32")
    kernel[:2] = [[1, -1, 1, -1], [1, -1, -1, 1]]
    model.get_layer("knowing").set_weights([kernel, np.zeros(4, "float32")])
    return model


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("count", [40, 192])
def test_statistics_are_those_of_the_rows(frozen, count):
    model = network()
    model.trainable = not frozen
    x = rows(count, 1, SCALE, SHIFT)[0]
    before = [np.array(weight) for weight in model.get_weights()]
    found = {variable.name: value for variable, value in new_statistics(model, x)}
    np.testing.assert_allclose(found["moving_mean"], x.astype("f8").mean(0), rtol=1e-5)
    # PyTorch's Keras takes a mean of squares less a squared mean, 9 less 9 in float32.
    # Of several batches the variance of their means, 1 / 64 of it, is missing.
    np.testing.assert_allclose(
        found["moving_variance"],
        x.astype("f8").var(0),
        rtol=0.01 if count < 64 else 0.01 + 3 / 64,
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.trainable is model.get_layer("norm").trainable is not frozen


def test_a_head_stands_on_the_statistics_that_were_planned_for():
    model = network()
    given = rows(200, 1, SCALE, SHIFT)
    plan = transfer.plan(model, *given)
    assert plan.renewed
    assert plan.probes[-1].pretrained[0] > 0.85
    assert any("of the new rows" in note for note in plan.notes)
    np.testing.assert_array_equal(model.get_layer("norm").moving_mean.numpy(), 0)
    result = transfer.fine_tune(model, given, plan=plan, head=2, epochs=1, verbose=0)
    mean = model.get_layer("norm").moving_mean.numpy()
    np.testing.assert_allclose(mean, SHIFT, atol=3 * SCALE)
    x, y = rows(500, 2, SCALE, SHIFT)
    assert (result.model.predict(x, verbose=0).argmax(-1) == y).mean() > 0.85


def test_old_statistics_stay_where_nothing_is_won():
    # In rows that are all the same there is nothing to read, by either statistics.
    x, y = rows(200, 1)
    x[:] = x[:1]
    assert not transfer.plan(network(), x, y).renewed


def test_without_batch_norm_there_is_nothing_to_renew():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, "relu")])
    assert new_statistics(model, rows(40, 1)[0]) == []
    assert not transfer.plan(model, *rows(40, 1)).renewed


def test_the_models_own_head_keeps_the_statistics_it_knows():
    model = network()
    model.add(keras.layers.Dense(2, "softmax"))
    given = rows(200, 1, SCALE, SHIFT)
    plan = transfer.plan(model, *given)
    assert plan.renewed
    transfer.fine_tune(model, given, plan=plan, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.get_layer("norm").moving_mean.numpy(), 0)
