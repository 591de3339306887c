"""Findings and a record like those of a real run, for the tests of the report."""

import numpy as np
import pytest

from keras_practices.findings import Finding
from keras_practices.record import Record

pytestmark = pytest.mark.once


def make_record(
    epochs=3,
    steps=8,
    layers=("conv", "dense"),
    loss=lambda place: 2.0 * np.exp(-place) + 0.1,
    rate=lambda epoch: 0.01 * 0.5**epoch,
    validation=True,
):
    """A record as a monitor writes it, with every kind of line."""
    rng = np.random.default_rng(0)
    record = Record()
    record.add("start", schema=1, environment={"backend": "jax"}, model={}, fit={})
    kernel = rng.normal(size=(3, 3, 1, 8))
    record.add("filters", epoch=0, layer=layers[0], shape=kernel.shape, values=kernel)
    for epoch in range(epochs):
        places = [epoch + (step + 1) / steps for step in range(steps)]
        record.add(
            "steps",
            first=epoch * steps,
            epoch=places,
            loss=[loss(place) for place in places],
            learning_rate=[rate(epoch)] * steps,
        )
        weights = {
            f"model/{name}/kernel": {"update_ratio": 1e-3, "weight_norm": 1.0}
            for name in layers
        }
        weights["model/conv/bias"] = {"update_ratio": float("inf")}
        figures = {"mean": 0.25, "std": 1.5, "zeros": 0.5, "inactive": 0.125}
        record.add(
            "sample",
            step=epoch * steps,
            epoch=places[0],
            weights=weights,
            layers={name: figures for name in layers},
        )
        logs = {"loss": loss(epoch + 1), "accuracy": 0.5 + 0.1 * epoch}
        if validation:
            logs |= {"val_loss": 1.2 * loss(epoch + 1), "val_accuracy": 0.5}
        record.add(
            "epoch",
            epoch=epoch + 1,
            step=(epoch + 1) * steps,
            seconds=0.1,
            logs=logs,
            probe_loss=loss(epoch + 1),
            regularization_loss=0.0,
        )
        for name in layers:
            counts, edges = np.histogram(np.maximum(rng.normal(size=200), 0), 12)
            record.add(
                "histogram", epoch=epoch + 1, layer=name, edges=edges, counts=counts
            )
    record.add("filters", epoch=epochs, layer=layers[0], shape=[8, 9], values=[])
    record.lines[-1] |= {"shape": [3, 3, 1, 8], "values": (kernel * 2).tolist()}
    record.add(
        "end",
        status="completed",
        steps=epochs * steps,
        seconds=2.0,
        monitor_seconds=0.1,
    )
    return record


def make_finding(severity="error", rule="loss-not-finite", **parts):
    """A finding with every field filled."""
    values = {
        "stage": "during",
        "subject": "conv",
        "message": "The loss is NaN after 7 steps.",
        "cause": "The learning rate is too high.",
        "advice": "Set learning_rate to about 0.003",
        "evidence": {"steps": 7, "loss": 0.1234567},
        "source": "Course notes",
    }
    return Finding(rule, severity, **{**values, **parts})


def test_the_record_holds_the_lines_that_a_report_reads():
    kinds = {line["kind"] for line in make_record().lines}
    shown = {"start", "steps", "sample", "epoch", "histogram", "filters", "end"}
    assert kinds == shown
