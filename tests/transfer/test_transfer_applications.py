import keras
import numpy as np
import pytest

from keras_practices import transfer

X = np.random.default_rng(0).uniform(-1, 1, (24, 32, 32, 3)).astype("float32")
Y = (X[..., 0].mean(axis=(1, 2)) > np.median(X[..., 0].mean(axis=(1, 2)))).astype(int)


@pytest.fixture(scope="module")
def nested():
    """A network of `keras.applications` as a layer, behind preprocessing."""
    base = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None
    )
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, base(keras.layers.Rescaling(0.5)(inputs)))


def test_an_application_as_a_layer(nested):
    plan = transfer.plan(nested, X, Y, max_places=3, max_rows=24, budget_seconds=20)
    assert len(plan.probes) == 3
    assert all("mobilenet" in probe.name for probe in plan.probes)
    assert plan.unread == ()
    learnt = list(nested.trainable_variables)
    before = [np.array(variable.numpy()) for variable in learnt]
    result = transfer.fine_tune(
        nested, (X, Y), plan=plan, head=2, epochs=1, batch_size=24, verbose=0
    )
    assert result.model.predict(X[:2], verbose=0).shape == (2, 2)
    for old, new in zip(before, learnt, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_a_backbone_of_keras_hub():
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    base = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 16],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    plan = transfer.plan(base, X, Y, max_places=2, max_rows=24, budget_seconds=20)
    assert plan.probes
