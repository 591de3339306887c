"""Pictures of what goes through the layers: activations and gradients."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from test_report_samples import make_record
from test_report_samples import pictures
from test_report_samples import texts

from keras_practices.record import Record

pytestmark = pytest.mark.once

SPREAD = "Activations over the epochs"
FLOW = "Gradients through the layers"


def paths(panel, colour, opacity=False):
    """Numbers of points in each path of one colour that lies inside the axes."""
    counts = []
    for each in ET.fromstring(panel.svg).iter("path"):
        style = each.get("style", "")
        if f"stroke:var(--kp-{colour})" in style and each.get("clip-path"):
            if opacity == ("opacity" in style):
                counts.append(len(re.findall("[ML]", each.get("d"))))
    return counts


def add_sample(record, epoch, layers=None, weights=None):
    line = {"layers": layers or {}, "weights": weights or {}}
    record.add("sample", step=1, epoch=epoch, rows=8, **line)


def flow_of(*samples, shapes=None):
    """A record with one sample for each dict of layer name → gradient."""
    record = Record()
    record.add("start", variables=shapes or {})
    for place, sample in enumerate(samples, 1):
        layers = {name: {"gradient_rms": value} for name, value in sample.items()}
        add_sample(record, place / len(samples), layers)
    return record


def test_two_hundred_layers_are_cut_and_counted():
    names = tuple(f"layer_{place}" for place in range(200))
    drawn, _ = pictures(make_record(epochs=2, steps=2, layers=names), ["layer_77"])
    updates = drawn["Update : weight ratio"]
    assert len(updates.legend) == 8 + 1
    assert "8 of 200 are drawn" in updates.reading
    assert "192 are left out" in updates.reading
    tiles = drawn["Activation histograms"]
    assert len(tiles.panels) == 12
    assert "188 are left out" in tiles.reading
    assert "layer_77" in [panel.label for panel in tiles.panels]
    assert "model/layer_77/kernel" in [key.text for key in updates.legend]


def test_figures_that_are_not_numbers_do_not_stop_the_report():
    record = Record()
    nan = float("nan")
    figures = {"mean": nan, "std": nan, "zeros": nan, "inactive": None}
    for place in (1, 2):
        record.add("sample", step=1, epoch=place, weights={}, layers={"a": figures})
        record.add("probe", step=1, epoch=place, layers={"a": figures})
    record.add("histogram", epoch=1, layer="a", edges=[nan, nan], counts=[0])
    record.add("histogram", epoch=2, layer="a", edges=[0, 1], counts=[0])
    record.add("histogram", epoch=2, layer="b", edges=[0, 1], counts=[3])
    record.add("epoch", epoch=1, logs=None, probe_loss=None)
    drawn, _ = pictures(record)
    tile = drawn["Activation histograms"].panels[0]
    assert ("zeros", "not finite") in tile.rows
    assert texts(tile) == ["no finite values"]
    assert drawn["Activations over the epochs"].legend[0].value == (
        "std not finite, zeros not finite"
    )


def test_a_layer_without_one_of_the_figures_is_drawn_in_the_other():
    record = Record()
    layers = {"a": {"std": 1.0, "zeros": 0.5}, "b": {"std": 2.0}}
    for place in (1, 2):
        record.add("sample", step=1, epoch=place, weights={}, layers=layers)
    legend = pictures(record)[0]["Activations over the epochs"].legend
    assert [key.value for key in legend] == ["std 1, zeros 50 %", "std 2"]


@pytest.mark.parametrize(("reach", "widest"), [(12.0, 12), (3000.0, 10)])
def test_an_early_outlier_does_not_squeeze_the_last_histogram(reach, widest):
    record = Record()
    for epoch, edges in ((1, [0, reach]), (2, [0, 5, 10])):
        counts = [7] * (len(edges) - 1)
        record.add("histogram", epoch=epoch, layer="a", edges=edges, counts=counts)
    tile = pictures(record)[0]["Activation histograms"].panels[0]
    labels = [float(text) for text in texts(tile)]
    assert widest / 2 < max(labels) <= widest


def test_a_layer_that_sends_one_value_only_is_said_not_drawn():
    record = Record()
    counts, edges = np.histogram(np.full(50, 0.25), 40)
    for epoch, layer in ((1, "a"), (2, "a"), (2, "b")):
        line = {"edges": edges.round(6), "counts": counts}
        record.add("histogram", epoch=epoch, layer=layer, **line)
    for panel in pictures(record)[0]["Activation histograms"].panels:
        assert texts(panel) == ["all sampled values are 0.25"]


def test_figures_below_a_histogram_are_those_of_its_own_epoch():
    record = Record()
    for epoch in (0, 1, 2):
        layers = {"a": {"mean": 0.5 + epoch, "zeros": 0.25, "saturated": 0.0}}
        record.add("probe", epoch=float(epoch), step=epoch, layers=layers)
        # A sample of another layer set: it says nothing about the probe.
        add_sample(record, epoch + 0.5, {"a": {"mean": 99.0, "gradient_rms": 1.0}})
    record.add("histogram", epoch=1, layer="a", edges=[0, 1, 2], counts=[3, 4])
    tile = pictures(record)[0]["Activation histograms"].panels[0]
    assert tile.rows == (("mean", "1.5"), ("zeros", "25 %"))


def spread_of(probes, samples):
    record = Record()
    for epoch, value in enumerate(probes):
        layers = {"a": {"std": value, "zeros": 0.5}}
        record.add("probe", epoch=float(epoch), step=epoch, layers=layers)
    for place, value in enumerate(samples, 1):
        figures = {"std": value, "zeros": 0.25, "gradient_rms": 7.0}
        layers = {"a": figures, "norm": {"gradient_rms": 5.0}}
        add_sample(record, place / 10, layers)
    return pictures(record)[0][SPREAD]


def test_the_probe_is_the_line_and_samples_are_dots():
    picture = spread_of([1.0, 2.0, 3.0], [10.0, 20.0])
    assert [(key.text, key.value) for key in picture.legend] == [
        ("a", "std 3, zeros 50 %")
    ]
    assert "the probe batch in inference mode" in picture.reading
    assert "The dots are the first 8 rows of sampled batches" in picture.reading
    spread = picture.panels[0]
    assert 3 in paths(spread, "train")
    assert paths(spread, "train", opacity=True) == [4]  # a dot is a line to itself
    tops = [float(t) for t in texts(spread) if re.fullmatch(r"[0-9.]+", t)]
    assert max(tops) == 20


@pytest.mark.parametrize("probes", [[], [1.0]])
def test_without_a_line_of_the_probe_samples_are_the_line(probes):
    picture = spread_of(probes, [10.0, 20.0, 30.0, 40.0])
    assert [key.value for key in picture.legend] == ["std 40, zeros 25 %"]
    assert 4 in paths(picture.panels[0], "train")
    assert paths(picture.panels[0], "train", opacity=True) == []
    assert "the first 8 rows of sampled batches, inside the" in picture.reading
    assert "probe" not in picture.reading


def test_without_samples_the_text_speaks_of_no_dots():
    picture = spread_of([1.0, 2.0], [])
    assert (
        "the probe batch in inference mode, at the ends of epochs." in picture.reading
    )
    assert "dots" not in picture.reading


def test_a_long_run_has_a_few_hundred_dots():
    picture = spread_of([1.0, 2.0], [1.0 + place % 7 for place in range(3000)])
    (count,) = paths(picture.panels[0], "train", opacity=True)
    assert 200 < count <= 2 * 200


def test_gradients_stand_in_the_order_of_the_weights():
    shapes = {
        "model/first/kernel": [4, 4],
        "model/first/bias": [4],
        "model/norm/gamma": [4],
        "model/attention/query/kernel": [4, 2, 2],
        "model/last/kernel": [4, 2],
    }
    sample = {"first": 1e-5, "last": 1e-2, "norm": 0.5, "attention": 1e-3}
    picture = pictures(flow_of(sample, sample, shapes=shapes))[0][FLOW]
    assert [(key.text, key.colour, key.value) for key in picture.legend] == [
        ("first", "depth-0", "1e-5"),
        ("attention", "depth-4", "0.001"),
        ("last", "depth-7", "0.01"),
    ]
    assert picture.fact == (
        "Gradient of the first layer divided by that of the last: 0.001 at the start, "
        "0.001 at the end."
    )
    assert "Layers without a weight matrix are left out." in picture.reading
    assert "lower edge" not in picture.reading


def test_layers_of_an_unknown_model_are_all_drawn():
    picture = pictures(flow_of({"b": 2.0, "a": 1.0}))[0][FLOW]
    assert [key.text for key in picture.legend] == ["b", "a"]
    assert "left out" not in picture.reading
    assert "2 at the start, 2 at the end" in picture.fact


@pytest.mark.parametrize(
    ("first", "final", "fact"),
    [
        (0.0, 1.0, "0 at the start"),
        (1.0, 0.0, ""),
        (float("nan"), 1.0, ""),
        (1e-300, 1e300, "0 at the start"),
        (1e300, 1e-300, ""),
        (float("inf"), float("inf"), ""),
    ],
)
def test_gradients_that_are_no_numbers_or_none_at_all(first, final, fact):
    sample = {"a": first, "b": final}
    picture = pictures(flow_of(sample, sample))[0][FLOW]
    assert fact in picture.fact
    assert bool(picture.fact) == bool(fact)
    for key, value in zip(picture.legend, (first, final), strict=True):
        assert (key.value == "not finite") == (not np.isfinite(value))


def test_a_gradient_of_zero_lies_on_the_lower_edge_and_the_text_says_so():
    picture = pictures(flow_of({"a": 0.0, "b": 1.0}, {"a": 0.0, "b": 1e30}))[0][FLOW]
    assert "lower edge is 1e-10 or less" in picture.reading
    plain = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    labels = [
        text for text in texts(picture.panels[0]) if re.match("10[⁻⁰-⁹¹²³]", text)
    ]
    powers = [int(label[2:].translate(plain)) for label in labels]
    assert -10 <= min(powers) < -5
    assert 5 < max(powers) <= 10


def test_one_layer_has_nothing_to_be_compared_with():
    assert pictures(flow_of({"a": 0.5}))[0][FLOW].fact == ""


def test_gradient_histograms_are_those_of_the_weight_matrices():
    record = make_record()
    record.samples[-1]["weights"]["model/dense/kernel"]["gradient_finite"] = 0.5
    picture = pictures(record)[0]["Gradient histograms"]
    assert [panel.label for panel in picture.panels] == [
        "model/conv/kernel",
        "model/dense/kernel",
    ]
    # The norm of 0.5 over 4 × 25 entries.
    rms = ("rms", "0.05")
    assert [panel.rows for panel in picture.panels] == [
        (rms,),
        (rms, ("finite", "50 %")),
    ]
    assert [key.text for key in picture.legend] == ["in epoch 3", "in epoch 1"]


def test_gradient_histograms_are_cut_and_counted():
    names = tuple(f"layer_{place}" for place in range(40))
    drawn, _ = pictures(make_record(epochs=1, steps=1, layers=names), ["layer_17"])
    picture = drawn["Gradient histograms"]
    assert len(picture.panels) == 12
    assert "12 of 40 are drawn" in picture.reading
    assert "model/layer_17/kernel" in [panel.label for panel in picture.panels]
    assert [key.text for key in picture.legend] == ["in epoch 1"]
    assert len(drawn[FLOW].legend) == 8
    assert "8 of 40 are drawn" in drawn[FLOW].reading


def test_figures_of_a_gradient_are_the_latest_of_its_epoch():
    record = Record()
    record.add("start", variables={"a/kernel": [2, 8]})
    for epoch, norm in ((0.5, 4.0), (1.0, 8.0), (1.5, 400.0)):
        add_sample(record, epoch, weights={"a/kernel": {"gradient_norm": norm}})
    line = {"of": "gradients", "layer": "a/kernel", "edges": [0, 1, 2]}
    record.add("histogram", epoch=1, counts=[1, 2], **line)
    assert pictures(record)[0]["Gradient histograms"].panels[0].rows == (("rms", "2"),)


def test_activations_and_gradients_do_not_mix():
    record = Record()
    record.add(
        "histogram", epoch=1, of="gradients", layer="a", edges=[0, 1], counts=[1]
    )
    assert "Activation histograms" in pictures(record)[1]
    record = Record()
    record.add("histogram", epoch=1, layer="a", edges=[0, 1], counts=[1])
    assert "Gradient histograms" in pictures(record)[1]
    # Layers without an activation have a gradient and no spread.
    record = flow_of({"norm": 0.5}, {"norm": 0.25})
    drawn, missing = pictures(record)
    assert list(drawn) == [FLOW]
    assert missing[SPREAD] == "the record holds no layer figures."


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ([0.021, 0.3, 0.608], " Smoothness 0.02 to 0.61 (0 is noise, 1 a constant)."),
        ([-0.104], " Smoothness -0.10 (0 is noise, 1 a constant)."),
        ([-0.001, 1.0], " Smoothness 0.00 to 1.00 (0 is noise, 1 a constant)."),
        ([None, None], ""),
        ([None, 0.5], " Smoothness 0.50 at the end (0 is noise, 1 a constant)."),
    ],
)
def test_filters_are_scored_at_start_and_end(scores, text):
    record = Record()
    kernel = np.random.default_rng(0).normal(size=(3, 3, 1, 4))
    line = {"layer": "a", "shape": kernel.shape, "values": kernel}
    for epoch, score in enumerate(scores, 1):
        record.add("filters", epoch=epoch, smoothness=score, **line)
    picture = pictures(record)[0]["First-layer filters"]
    assert picture.fact == f"Layer a: 4 filters, in grey.{text}"
