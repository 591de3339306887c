import keras
import numpy as np
import pytest
from keras import ops

from keras_practices._core.backend import as_one
from keras_practices._core.backend import compiled
from keras_practices._core.backend import own_copy
from keras_practices._core.backend import value_and_gradients

X = np.arange(6, dtype="float32").reshape(3, 2)
Y = np.array([1.0, -1.0, 0.5], dtype="float32")
W = np.array([0.25, -0.5], dtype="float32")


def squares(values):
    weights, bias = values[0], values[1]
    error = ops.subtract(ops.matmul(X, weights) + bias, Y)
    return ops.sum(error * error), {"error": error}


def expected():
    error = X.astype("float64") @ W + 0.5 - Y
    return np.sum(error**2), error, 2 * X.T @ error, 2 * np.sum(error)


def check(result):
    (loss, aux), (by_weights, by_bias) = result
    exact_loss, error, exact_weights, exact_bias = expected()
    for received, exact in [
        (loss, exact_loss),
        (aux["error"], error),
        (by_weights, exact_weights),
        (by_bias, exact_bias),
    ]:
        received = ops.convert_to_numpy(received)
        np.testing.assert_allclose(received, exact, rtol=1e-5)


def values():
    return [ops.convert_to_tensor(W), ops.convert_to_tensor(0.5)]


def test_gradients_equal_the_ones_on_paper():
    check(value_and_gradients(squares, values()))


def test_gradients_inside_a_compiled_function():
    check(compiled(lambda given: value_and_gradients(squares, given))(values()))


def test_gradients_of_variables_leave_them_alone():
    variables = [keras.Variable(W), keras.Variable(0.5)]
    check(value_and_gradients(squares, [v.value for v in variables]))
    np.testing.assert_array_equal(ops.convert_to_numpy(variables[0]), W)


def test_a_value_without_influence_has_no_gradient():
    unused = ops.ones((2,))
    _, gradients = value_and_gradients(squares, [*values(), unused])
    last = gradients[2]
    assert last is None or not np.any(ops.convert_to_numpy(last))


def test_a_gathered_table_has_a_dense_gradient():
    def pick(given):
        return ops.sum(ops.take(given[0], [0, 2, 2], axis=0)), {}

    table = ops.convert_to_tensor(np.ones((3, 2), "float32"))
    _, (gradient,) = value_and_gradients(pick, [table])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(gradient), [[1, 1], [0, 0], [2, 2]]
    )


def test_compiled_takes_and_gives_lists_and_dicts():
    double = compiled(lambda tree: {"a": [2 * tree["a"][0]]})
    result = double({"a": [ops.ones((2,))]})
    np.testing.assert_array_equal(ops.convert_to_numpy(result["a"][0]), [2, 2])


def test_as_one_gives_what_the_function_gives():
    run = as_one(lambda values, more: {"sum": values[0] + more["b"], "none": None})
    found = run([ops.convert_to_tensor(W)], {"b": ops.convert_to_tensor(W)})
    np.testing.assert_allclose(ops.convert_to_numpy(found["sum"]), 2 * W)
    assert found["none"] is None


def test_as_one_runs_what_reads_values_in_python():
    def branch(x):
        return x * 2 if float(ops.convert_to_numpy(ops.sum(x))) > 0 else x

    run = as_one(branch)
    for values in (W, -W, W):
        found = run(ops.convert_to_tensor(values))
        expected = 2 * values if values.sum() > 0 else values
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected)


def test_as_one_raises_what_the_function_raises():
    def broken(x):
        raise RuntimeError("of the loss")

    with pytest.raises(RuntimeError, match="of the loss"):
        as_one(broken)(ops.convert_to_tensor(W))


def test_an_own_copy_is_not_the_memory_of_the_variable():
    variable = keras.Variable(W)
    copy = own_copy(variable.value)
    variable.assign(np.zeros_like(W))
    np.testing.assert_array_equal(ops.convert_to_numpy(copy), W)
