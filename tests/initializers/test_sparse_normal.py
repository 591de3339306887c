import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

from keras_practices.initializers import SparseNormal


def draw(shape, dtype=None, **arguments):
    return ops.convert_to_numpy(SparseNormal(**arguments)(shape, dtype=dtype))


def inbound(kernel):
    return (kernel.reshape(-1, kernel.shape[-1]) != 0).sum(axis=0)


@pytest.mark.parametrize("shape", [(40, 7), (5, 6, 3), (3, 3, 8, 5)], ids=str)
def test_every_unit_has_exactly_k_inputs(shape):
    kernel = draw(shape, connections=10, seed=1)
    assert kernel.shape == shape
    np.testing.assert_array_equal(inbound(kernel), 10)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=10)
def test_the_count_holds_for_any_seed(seed):
    kernel = draw((40, 7), connections=10, seed=seed)
    np.testing.assert_array_equal(inbound(kernel), 10)


def test_every_input_is_equally_likely():
    fan_in, units, connections = 20, 4000, 5
    kernel = draw((fan_in, units), connections=connections, seed=2)
    share = connections / fan_in
    bound = 5 * np.sqrt(share * (1 - share) / units)
    assert abs((kernel != 0).mean(axis=1) - share).max() < bound


@pytest.mark.parametrize(
    ("stddev", "expected"), [(None, 10**-0.5), (0.2, 0.2)], ids=["default", "given"]
)
def test_moments_of_the_weights(stddev, expected):
    values = draw((100, 2000), connections=10, stddev=stddev, seed=3)
    values = values[values != 0].astype("float64")
    count = values.size
    assert count == 20000
    assert abs(values.mean()) < 5 * expected / np.sqrt(count)
    # Of a normal sample the variance has standard error s^2 sqrt(2 / (n - 1)), the
    # mean fourth power 3 s^4 with standard error s^4 sqrt(96 / n).
    assert abs(values.var() - expected**2) < 5 * expected**2 * np.sqrt(2 / count)
    fourth = (values / expected) ** 4
    assert abs(fourth.mean() - 3) < 5 * np.sqrt(96 / count)


def test_default_keeps_the_variance_of_the_inputs():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((500, 300))
    outputs = inputs @ draw((300, 400), connections=10, seed=4).astype("float64")
    # Over units the mean square has the spread of sums of 10 squares, 0.447.
    assert abs(outputs.var() - 1) < 5 * np.sqrt(2 / 10 / 400)


def test_few_inputs_give_a_dense_kernel():
    kernel = draw((6, 4000), connections=10, seed=5)
    assert (kernel != 0).all()
    variance, count = 1 / 6, kernel.size
    assert abs(kernel.var() - variance) < 5 * variance * np.sqrt(2 / count)


def test_seeds():
    same = [draw((30, 5), seed=11) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (draw((30, 5), seed=12) != same[0]).any()
    assert (draw((30, 5)) != draw((30, 5))).any()
    one = SparseNormal(seed=11)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(one((30, 5))), ops.convert_to_numpy(one((30, 5)))
    )
    moving = SparseNormal(seed=keras.random.SeedGenerator(11))
    draws = [ops.convert_to_numpy(moving((30, 5))) for _ in range(2)]
    assert (draws[0] != draws[1]).any()


@pytest.mark.parametrize("seed", [6, "generator"])
def test_weights_do_not_depend_on_the_choice_of_inputs(seed):
    if seed == "generator":
        seed = keras.random.SeedGenerator(6)
    # One seed for both draws would keep only values from one end.
    values = draw((1000, 2000), connections=1, stddev=1.0, seed=seed)
    values = values[values != 0]
    assert abs(values.mean()) < 5 / np.sqrt(values.size)
    assert abs((values > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(values.size)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtype(dtype):
    kernel = SparseNormal(connections=3, seed=1)((50, 20), dtype=dtype)
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype
    counts = ops.convert_to_numpy(ops.sum(ops.cast(kernel != 0, "int32"), axis=0))
    np.testing.assert_array_equal(counts, 3)


def test_model_trains_and_survives_saving(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, kernel_initializer=SparseNormal(5, seed=1)),
            keras.layers.Flatten(),
            keras.layers.Dense(
                2, kernel_initializer=SparseNormal(stddev=0.1, seed=2), name="head"
            ),
        ]
    )
    np.testing.assert_array_equal(inbound(model.get_weights()[0]), 5)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
    model.fit(x, np.ones((8, 2)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    initializer = loaded.get_layer("head").kernel_initializer
    assert type(initializer) is SparseNormal
    assert initializer.get_config() == {"connections": 10, "stddev": 0.1, "seed": 2}
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("connections", 0, ValueError),
        ("connections", 2.5, TypeError),
        ("connections", True, TypeError),
        ("stddev", 0.0, ValueError),
        ("stddev", -1.0, ValueError),
        ("stddev", float("nan"), ValueError),
        ("stddev", "1", TypeError),
    ],
)
def test_bad_argument_names_it(name, value, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        SparseNormal(**{name: value})


def test_shape_without_axes_is_refused():
    with pytest.raises(ValueError, match="argument `shape`"):
        SparseNormal()(())
