import gc
import weakref

import keras
import numpy as np
import pytest

from keras_practices._core import backend

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the others have no graphs"
)


def trained_graphs():
    """Returns weak references to the graphs that a model's training made."""
    from tensorflow.python.framework.func_graph import FuncGraph

    before = {id(one) for one in gc.get_objects() if isinstance(one, FuncGraph)}
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    graphs = [one for one in gc.get_objects() if isinstance(one, FuncGraph)]
    return [weakref.ref(one) for one in graphs if id(one) not in before]


def release():
    keras.utils.clear_session(free_memory=False)
    backend.forget_compiled()
    gc.collect()


@tensorflow_only
def test_the_graphs_of_a_model_that_is_gone_go_too():
    graphs = trained_graphs()
    assert graphs
    release()
    trained_graphs()  # TensorFlow keeps what it ran last
    release()
    assert [one().name for one in graphs if one() is not None] == []


@tensorflow_only
def test_a_gradient_is_found_as_long_as_its_graph_lives():
    import tensorflow as tf
    from tensorflow.python.framework import ops

    registry = ops.gradient_registry._registry
    before = set(registry)

    def made():
        @tf.custom_gradient
        def square(x):
            return x * x, lambda upstream: upstream * 30.0 * x  # told by its falsity

        inner = tf.function(lambda x: square(x))
        outer = tf.function(lambda x: 2.0 * inner(x))
        outer(tf.constant(1.0))
        return outer

    outer = made()
    release()
    assert len(set(registry) - before) == 1
    point = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = outer(point)
    assert float(tape.gradient(value, point)) == 120.0
    del outer, tape, value
    gc.collect()
    assert set(registry) - before == set()


@tensorflow_only
def test_what_is_not_understood_stays_registered():
    from tensorflow.python.framework import ops

    registry = ops.gradient_registry._registry
    registry["CustomGradient-foreign"] = {"type": max}
    backend.forget_compiled()
    assert registry.pop("CustomGradient-foreign") == {"type": max}
