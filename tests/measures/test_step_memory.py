"""What a sampled step of a large model needs beside a plain one."""

import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.callbacks import TrainingMonitor

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
