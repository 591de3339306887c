"""What a sampled step of a large model needs beside a plain one."""

import gc
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_practices._core import backend
from keras_practices.callbacks import TrainingMonitor
from keras_practices.measures.step_figures import StepFigures

MB = 10**6


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="the others do not tell it beforehand"
)
def test_memory_does_not_grow_with_the_model(monkeypatch):
    """JAX tells what a compiled step needs: one per cent of the weights and 8 MB."""
    trainer = sys.modules[keras.Model.make_train_function.__module__]
    needed, compiled = {}, trainer.jit

    def noted(function, **options):
        run = compiled(function, **options)

        def call(*args):
            if run not in needed:
                plan = run.lower(*args).compile().memory_analysis()
                needed[run] = plan.temp_size_in_bytes
            return run(*args)

        return call

    monkeypatch.setattr(trainer, "jit", noted)
    hidden = [layers.Dense(700, activation="relu") for _ in range(12)]
    model = keras.Sequential([keras.Input((700,)), *hidden, layers.Dense(3)])
    model.compile("adam", "mse")
    x, y = np.ones((8, 700), "float32"), np.ones((8, 3), "float32")
    weights = 4 * model.count_params()
    assert weights > 20 * MB
    for callbacks in ([], [TrainingMonitor(every=1, overhead=1.0)]):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=callbacks)
    plain, sampled = needed.values()
    assert plain < sampled < plain + 0.01 * weights + 8 * MB


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="the others free what is not needed"
)
def test_no_output_is_kept_until_the_update():
    """Some rows of a tensor are a view of PyTorch's, which keeps all of it."""
    torch = sys.modules["torch"]
    held = []

    class Looking(keras.optimizers.SGD):
        def apply(self, grads, trainable_variables=None):
            alive = [x for x in gc.get_objects() if type(x) is torch.Tensor]
            sizes = [tensor.untyped_storage().nbytes() for tensor in alive]
            held.append(sizes.count(output))
            return super().apply(grads, trainable_variables)

    rows, units = 32, 701
    output = 4 * rows * units
    hidden = [layers.Dense(units, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((5,)), *hidden, layers.Dense(3)])
    model.compile(Looking(0.01), "mse")
    x, y = np.ones((2 * rows, 5), "float32"), np.ones((2 * rows, 3), "float32")
    monitor = TrainingMonitor(every=1, overhead=1.0)
    model.fit(x, y, batch_size=rows, verbose=0, callbacks=[monitor])
    assert held == [0, 0]
    # How many of the two steps are sampled depends on what the first has cost.
    assert {len(sample["layers"]) for sample in monitor.record.samples} == {4}


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the others have no such edges"
)
def test_the_edges_of_a_graph_grow_with_its_nodes():
    """One from each weight to each node of the update would be their product."""
    tf = sys.modules["tensorflow"]
    hidden = [layers.Dense(3, activation="relu") for _ in range(20)]
    model = keras.Sequential([keras.Input((5,)), *hidden])
    model.compile("adam", "mse")
    rows = np.ones((8, 5), "float32"), np.ones((8, 3), "float32")
    model.fit(*rows, verbose=0)
    figures = StepFigures(model)
    sampled = backend.watched_train_step(model, figures)
    with figures.hooked():
        graph = tf.function(sampled).get_concrete_function(rows).graph
    nodes = graph.get_operations()
    assert [op for op in nodes if op.type == "L2Loss"]  # it does measure
    assert sum(len(op.control_inputs) for op in nodes) < len(nodes)
