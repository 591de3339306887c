import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.errors import UsageError
from keras_practices.regularizers import exclude_from_weight_decay

RATE, DECAY = 0.5, 0.1


def value_of(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")


def small_model():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.PReLU(),
        ]
    )
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, 2.0))
    return model


def sgd():
    return keras.optimizers.SGD(RATE, weight_decay=DECAY)


def decayed(model):
    """Names of the variables that a step without a gradient changes, and how."""
    before = {v.path: value_of(v) for v in model.trainable_variables}
    # A weight of zero for all rows: nothing but the decay moves the variables.
    x, y = np.ones((4, 3), "float32"), np.ones((4, 4), "float32")
    model.fit(x, y, sample_weight=np.zeros(4), batch_size=4, verbose=0)
    ratios = {v.name: value_of(v) / before[v.path] for v in model.trainable_variables}
    return {name: r.mean() for name, r in ratios.items() if not (r == 1).all()}


def test_only_kernels_decay(backend):
    jit = backend != "torch"  # torch.compile warns about parts of PyTorch itself
    model = small_model()
    model.compile(sgd(), "mse", jit_compile=jit)
    assert set(decayed(model)) == {"kernel", "bias", "gamma", "beta", "alpha"}
    paths = exclude_from_weight_decay(model.optimizer, model)  # after a fit
    names = [path.rsplit("/", 1)[1] for path in paths]
    assert names == ["bias", "gamma", "beta", "alpha"]
    steps = int(model.optimizer.iterations)
    changed = decayed(model)
    assert set(changed) == {"kernel"}
    np.testing.assert_allclose(changed["kernel"], 1 - RATE * DECAY, rtol=1e-5)
    assert int(model.optimizer.iterations) == steps + 1


def test_before_the_first_fit_and_again_after_loading(tmp_path):
    model = small_model()
    model.compile(sgd(), "mse")
    exclude_from_weight_decay(model.optimizer, model)
    assert set(decayed(model)) == {"kernel"}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    exclude_from_weight_decay(loaded.optimizer, loaded)
    assert set(decayed(loaded)) == {"kernel"}


def test_inside_wrapped_optimizers():
    model = small_model()
    wrapped = keras.optimizers.LossScaleOptimizer(sgd(), initial_scale=2.0)
    model.compile(wrapped, "mse")
    exclude_from_weight_decay(model.optimizer, model)
    assert set(decayed(model)) == {"kernel"}


def test_frozen_layers_do_not_decay_later_either():
    model = small_model()
    model.layers[1].trainable = False
    model.compile(sgd(), "mse")
    exclude_from_weight_decay(model.optimizer, model)
    model.layers[1].trainable = True
    # Another optimizer would have lost it; this one is built at the first fit.
    assert set(decayed(model)) == {"kernel"}


def test_bad_arguments_are_named():
    model = small_model()
    with pytest.raises(TypeError, match="argument `model`"):
        exclude_from_weight_decay(sgd(), layers.Dense(2))
    with pytest.raises(TypeError, match="argument `optimizer`"):
        exclude_from_weight_decay("adamw", model)
    with pytest.raises(UsageError, match="not built"):
        exclude_from_weight_decay(sgd(), keras.Sequential([layers.Dense(2)]))
