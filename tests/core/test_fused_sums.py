"""Programs of PyTorch give the same with fewer sums, and others are left alone."""

import collections

import keras
import numpy as np
import pytest

from keras_practices._core.fused_sums import FEW_CLASSES
from keras_practices._core.fused_sums import fuse

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="programs of PyTorch"
    ),
]


def both(function, *shapes, dtype="float32"):
    """Kinds of sums after fusing; what the function and the program give."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    rng = np.random.default_rng(0)
    given = [
        torch.as_tensor(rng.normal(size=shape)).to(getattr(torch, dtype))
        for shape in shapes
    ]
    program = fuse(make_fx(function)(*given), torch.ops.aten)
    kinds = collections.Counter(
        str(node.target).split(".")[1]
        for node in program.graph.nodes
        if node.op == "call_function"
    )
    found, expected = program(*given), function(*given)
    # Up to eight products in another order, in float32.
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found.float().numpy(), expected.float().numpy(), rtol=2e-6, atol=2e-6
    )
    return kinds


def dense(x, w, b):
    return (x @ w + b).relu()


def classify(x, w, b):
    return (x @ w + b).softmax(-1)


def test_a_dense_layer_is_one_sum_and_a_relu_in_place():
    assert both(dense, (9, 4), (4, 7), (7,)) == {"addmm": 1, "relu_": 1}


@pytest.mark.parametrize("classes", [2, 3, FEW_CLASSES - 1])
def test_a_softmax_over_few_classes_is_by_columns(classes):
    kinds = both(classify, (200, 8), (8, classes), (classes,))
    # Turned over: the weights twice, the logits, and what comes out.
    assert (kinds["addmm"], kinds["_softmax"], kinds["t"]) == (1, 1, 4)


@pytest.mark.parametrize("classes", [FEW_CLASSES, 40])
def test_a_softmax_over_many_classes_stays(classes):
    kinds = both(classify, (20, 8), (8, classes), (classes,))
    assert kinds == {"addmm": 1, "_softmax": 1}


def test_a_softmax_over_the_rows_stays():
    def over_rows(x, w, b):
        return (x @ w + b).softmax(0)

    kinds = both(over_rows, (20, 8), (8, 3), (3,))
    assert kinds == {"addmm": 1, "_softmax": 1}


def test_what_is_used_twice_is_neither_joined_nor_overwritten():
    def product_twice(x, w, b):
        product = x @ w
        return product + b + product

    def sum_twice(x, w, b):
        logits = x @ w + b
        return logits.relu() + logits

    def shares_and_logits(x, w, b):
        logits = x @ w + b
        return logits.softmax(-1) + logits

    shapes = (9, 4), (4, 7), (7,)
    assert both(product_twice, *shapes) == {"mm": 1, "add": 2}
    assert both(sum_twice, *shapes) == {"addmm": 1, "relu": 1, "add": 1}
    assert both(shares_and_logits, *shapes) == {"addmm": 1, "_softmax": 1, "add": 1}


def test_other_sums_stay():
    def scaled(x, w, b):
        import torch

        return torch.add(x @ w, b, alpha=2)

    def number(x, w):
        return x @ w + 1.5

    shapes = (9, 4), (4, 7)
    assert both(scaled, *shapes, (7,)) == {"mm": 1, "add": 1}
    assert both(number, *shapes) == {"mm": 1, "add": 1}
    assert both(dense, *shapes, (9, 7)) == {"mm": 1, "add": 1, "relu": 1}
    assert both(dense, *shapes, (2, 9, 7)) == {"mm": 1, "add": 1, "relu": 1}


def test_what_is_added_with_a_weight_takes_one_sum():
    def mean(a, b, c):
        return 0.25 * a + 0.5 * b + c * 0.25

    def twice(a, b):
        product = 0.5 * b
        return a + product + product

    def whole_number(a, b):
        return a + 2 * b

    shape = (9, 4)
    assert both(mean, shape, shape, shape) == {"mul": 1, "add": 2}
    assert both(twice, shape, shape) == {"mul": 1, "add": 2}
    assert both(whole_number, shape, shape) == {"mul": 1, "add": 1}
    # Of other shapes and types the sum is the same too.
    assert both(mean, (9, 1), (4,), (9, 4)) == {"mul": 1, "add": 2}
    assert both(mean, shape, shape, shape, dtype="float64") == {"mul": 1, "add": 2}


def test_whole_numbers_are_not_added_with_a_weight():
    def weighted(a, b):
        return a + 0.5 * b

    kinds = both(weighted, (9, 4), (9, 4), dtype="int64")
    assert kinds == {"mul": 1, "add": 1}


def test_half_precision_is_rounded_as_before():
    kinds = both(dense, (9, 4), (4, 7), (7,), dtype="bfloat16")
    assert kinds == {"mm": 1, "add": 1, "relu": 1}
    kinds = both(lambda a, b: a + 0.3 * b, (9, 4), (9, 4), dtype="float16")
    assert kinds == {"mul": 1, "add": 1}
