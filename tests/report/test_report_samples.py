"""Findings and a record like those of a real run, for the tests of the report."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from keras_practices.findings import Finding
from keras_practices.record import Record
from keras_practices.report.plots import draw_all

pytestmark = pytest.mark.once

TITLES = [
    "Loss",
    "Gap between training and validation",
    "Learning rate",
    "Update : weight ratio",
    "Gradients through the layers",
    "Gradient histograms",
    "Activations over the epochs",
    "Activation histograms",
    "First-layer filters",
]


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
    paths = [f"model/{name}/kernel" for name in layers]
    record.add(
        "start",
        schema=1,
        environment={"backend": "jax"},
        fit={},
        variables={path: [4, 25] for path in paths} | {"model/conv/bias": [25]},
    )
    kernel = rng.normal(size=(3, 3, 1, 8))
    filters = {"layer": layers[0], "shape": kernel.shape}
    record.add("filters", epoch=0, values=kernel, smoothness=0.021, **filters)
    figures = {"mean": 0.25, "std": 1.5, "zeros": 0.5, "inactive": 0.125}
    probe = {name: figures for name in layers}
    record.add("probe", epoch=0.0, step=0, layers=probe)
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
            path: {"update_ratio": 1e-3, "weight_norm": 1.0, "gradient_norm": 0.5}
            for path in paths
        }
        weights["model/conv/bias"] = {"update_ratio": float("inf")}
        # Layers with an activation come first, then those that have none.
        flow = {name: {**figures, "gradient_rms": 0.01} for name in layers}
        record.add(
            "sample",
            step=epoch * steps + 1,
            epoch=places[0],
            rows=8,
            weights=weights,
            layers=flow | {"norm": {"gradient_rms": 0.3}},
        )
        record.add("probe", epoch=epoch + 1.0, step=(epoch + 1) * steps, layers=probe)
        own = {"probe_loss": loss(epoch + 1), "regularization_loss": 0.0}
        logs = {"loss": loss(epoch + 1), "accuracy": 0.5 + 0.1 * epoch}
        if validation:
            logs |= {"val_loss": 1.2 * loss(epoch + 1), "val_accuracy": 0.5}
            own["validation_loss"] = logs["val_loss"]
            own["gap"] = 0.2 * loss(epoch + 1)
        record.add(
            "epoch",
            epoch=epoch + 1,
            step=(epoch + 1) * steps,
            seconds=0.1,
            logs=logs,
            **own,
        )
        add_histograms(record, epoch + 1, "activations", layers, rng, np.abs)
        add_histograms(record, epoch + 1, "gradients", paths, rng)
        add_histograms(record, epoch + 1, "gradients", ["model/conv/bias"], rng)
    record.add(
        "filters",
        epoch=epochs,
        values=(kernel * 2).tolist(),
        smoothness=0.608,
        **filters,
    )
    record.add(
        "end",
        status="completed",
        steps=epochs * steps,
        seconds=2.0,
        monitor_seconds=0.1,
        compile_seconds=1.4,
        share=0.05,
    )
    return record


def add_histograms(record, epoch, of, names, rng, change=lambda values: values):
    """Adds a histogram line for each name."""
    for name in names:
        counts, edges = np.histogram(change(rng.normal(size=200)), 12)
        found = {"edges": edges, "counts": counts}
        record.add("histogram", epoch=epoch, step=8, of=of, layer=name, **found)


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


def pictures(record, subjects=()):
    """Draws a record; returns what was drawn and what was not, both by title."""
    drawn, missing = draw_all(record, subjects, "t")
    assert sorted(each.title for each in [*drawn, *missing]) == sorted(TITLES)
    for picture in drawn:
        for panel in picture.panels:
            if panel.svg:
                ET.fromstring(panel.svg)
    return {each.title: each for each in drawn}, {m.title: m.why for m in missing}


def texts(panel):
    """The texts in a drawing."""
    return [each.text for each in ET.fromstring(panel.svg).iter("text")]


def test_the_record_holds_the_lines_that_a_report_reads():
    kinds = {line["kind"] for line in make_record().lines}
    shown = {"start", "steps", "sample", "probe", "epoch"}
    assert kinds == shown | {"histogram", "filters", "end"}
