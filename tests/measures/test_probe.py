"""Figures on the probe, of layers with few and with very many outputs."""

import keras
import numpy as np
import pytest

from keras_practices.measures import probe

ROWS = 40


def test_figures_of_large_outputs_are_those_of_the_first_rows(monkeypatch):
    monkeypatch.setattr(probe, "FIGURE_ENTRIES", 16 * 8 * 8 * 3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="large"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="relu", name="small"),
        ]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(ROWS, 8, 8, 2)).astype("float32")
    (loss, penalty), layers, _ = probe.Probe(model).measure(x, np.ones((ROWS, 5)))
    inner = keras.Model(model.inputs, [layer.output for layer in model.layers])
    large, _, small = (np.float64(a) for a in inner.predict(x, verbose=0))
    for name, outputs in (("large", large[:16]), ("small", small)):
        found = layers[name]
        assert found["mean"] == pytest.approx(outputs.mean(), rel=1e-4)
        assert found["zeros"] == pytest.approx((outputs == 0).mean(), abs=1e-6)
    # The loss is that of all rows.
    assert loss == pytest.approx(((small - 1) ** 2).mean(), rel=1e-4)
    assert penalty == 0


def test_no_fewer_rows_than_a_sampled_step_looks_at(monkeypatch):
    monkeypatch.setattr(probe, "FIGURE_ENTRIES", 1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(9, "relu")])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
    _, layers, entries = probe.Probe(model).measure(x)
    (found,) = layers.values()
    expected = model.predict(x[:8], verbose=0)
    assert found["mean"] == pytest.approx(expected.mean(), rel=1e-4)
    (kept,) = entries.values()
    assert kept.size == expected.size
