"""What the pictures say and draw, also for records that are not nice."""

import base64
import io
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib import image
from test_report_samples import TITLES
from test_report_samples import make_record
from test_report_samples import pictures
from test_report_samples import texts

from keras_practices.record import Record
from keras_practices.report.plots import canvas
from keras_practices.report.plots import filters
from keras_practices.report.plots import loss

pytestmark = pytest.mark.once


def test_a_nice_record_gives_every_picture():
    drawn, missing = pictures(make_record())
    assert list(drawn) == TITLES
    assert missing == {}


def test_loss_names_first_last_and_best():
    values = iter([1.0, 0.5, 0.25, 0.5])
    record = Record()
    for epoch, value in enumerate(values, 1):
        logs = {"loss": 9.0, "val_loss": 2 * value}
        record.add("epoch", epoch=epoch, logs=logs, probe_loss=value)
    drawn, _ = pictures(record)
    assert drawn["Loss"].fact == (
        "Training 1 to 0.5, validation 2 to 1; its best is 0.5 after epoch 3."
    )
    assert [key.value for key in drawn["Loss"].legend] == ["0.5", "1"]
    gap = drawn["Gap between training and validation"]
    assert gap.fact == "The gap in loss (validation minus training): 1 to 0.5."


def test_epoch_mean_stands_in_for_the_probe_and_says_so():
    record = Record()
    record.add("epoch", epoch=1, logs={"loss": 0.5})
    legend = pictures(record)[0]["Loss"].legend
    assert [key.text for key in legend] == [
        "training loss, mean over the epoch while it changed"
    ]


def test_log_axis_only_where_the_loss_is_positive():
    positive, _ = pictures(make_record())
    assert [p.label for p in positive["Loss"].panels] == ["Linear axis", "Log axis"]
    negative, _ = pictures(make_record(loss=lambda place: 1.0 - place))
    assert [p.label for p in negative["Loss"].panels] == ["Linear axis"]
    assert "no log axis" in negative["Loss"].reading


def test_the_place_where_the_loss_breaks_is_marked():
    def diverge(place):
        return 2.0**place if place < 1.5 else float("nan")

    drawn, _ = pictures(make_record(loss=diverge))
    assert drawn["Loss"].fact == "The loss is not finite from epoch 1.5 on."
    for panel in drawn["Loss"].panels:
        assert "not finite from here" in texts(panel)
    assert drawn["Loss"].legend[-1].value == "not finite"
    gap = drawn["Gap between training and validation"]
    assert "not finite from here" in texts(gap.panels[0])


def test_one_bad_batch_is_not_called_the_end():
    def hiccup(place):
        return float("inf") if place == 1.5 else 1.0

    drawn, _ = pictures(make_record(loss=hiccup))
    assert "not finite at 1 places, first at epoch 1.5" in drawn["Loss"].fact
    assert "not finite here" in texts(drawn["Loss"].panels[0])


def test_a_loss_that_is_never_finite_is_not_drawn():
    _, missing = pictures(make_record(loss=lambda place: float("nan")))
    assert missing["Loss"] == "the record holds no finite loss."


def test_a_spike_does_not_flatten_the_linear_axis():
    drawn, _ = pictures(
        make_record(steps=50, loss=lambda place: 900.0 if place == 1.5 else 1.0)
    )
    linear, log = drawn["Loss"].panels
    assert "↑ 1 of the losses above, up to 900" in texts(linear)
    numbers = [float(t) for t in texts(linear) if t.replace(".", "").isdigit()]
    assert max(numbers) <= 5
    assert not any("above" in text for text in texts(log))


def test_a_steady_divergence_is_not_cut():
    drawn, _ = pictures(make_record(loss=lambda place: 2.0 * np.exp(5 * place)))
    assert not any("above" in text for text in texts(drawn["Loss"].panels[0]))


def test_gap_uses_the_epochs_that_were_validated():
    record = Record()
    for epoch in range(1, 7):
        logs = {"loss": 1.0, "accuracy": 0.5}
        if epoch % 2 == 0:
            logs |= {"val_loss": 1.0 + epoch, "val_accuracy": 0.25}
        record.add("epoch", epoch=epoch, logs=logs, probe_loss=1.0)
    gap = pictures(record)[0]["Gap between training and validation"]
    assert gap.fact == "The gap in loss (validation minus training): 2 to 6."
    assert [panel.label for panel in gap.panels] == ["Loss", "Accuracy"]
    assert gap.legend[1].value == "loss 7, accuracy 0.25"


def test_the_penalty_of_the_weights_is_no_gap():
    record = Record()
    for epoch, penalty in ((0, 4.0), (1, 2.0), (2, 1.0)):
        logs = {"loss": 9.0, "val_loss": 1.25 + penalty} if epoch else {}
        own = {"probe_loss": 1.0, "regularization_loss": penalty, "gap": 0.25}
        record.add("epoch", epoch=epoch, logs=logs, **own)
    drawn, _ = pictures(record)
    gap = drawn["Gap between training and validation"]
    assert gap.fact == "The gap in loss (validation minus training): 0.25 to 0.25."
    assert gap.legend[0].value == "loss 2"
    assert drawn["Loss"].fact.startswith("Training 5 to 2, validation 3.25 to 2.25;")
    assert "All include the penalty of the weights, 4 to 1." in drawn["Loss"].reading
    assert "penalty" not in pictures(make_record())[0]["Loss"].reading


def test_without_validation_the_reader_is_told_how():
    drawn, missing = pictures(make_record(validation=False))
    assert "validation_data" in missing["Gap between training and validation"]
    assert "no finite validation loss" in drawn["Loss"].fact


def test_a_constant_rate_is_said_not_drawn():
    _, missing = pictures(make_record(rate=lambda epoch: 0.001))
    assert missing == {"Learning rate": "it stayed at 0.001 throughout."}


def test_update_ratio_reads_weights_and_leaves_biases_out():
    picture = pictures(make_record())[0]["Update : weight ratio"]
    names = [key.text for key in picture.legend[:-1]]
    assert names == ["model/conv/kernel", "model/dense/kernel"]
    assert [key.value for key in picture.legend[:-1]] == ["1.0e-3", "1.0e-3"]
    assert picture.fact == "At the end 2 of 2 weight matrices lie inside the band."


@pytest.mark.parametrize(
    ("ratio", "text", "inside"),
    [
        (0.0, "0", 0),
        (1e-4, "1.0e-4", 1),
        (1e-2, "1.0e-2", 1),
        (2e-2, "2.0e-2", 0),
        (1e-30, "1.0e-30", 0),
        (1e9, "1.0e9", 0),
        (float("nan"), "not finite", 0),
        (float("inf"), "not finite", 0),
    ],
)
def test_update_ratio_at_and_beyond_the_band(ratio, text, inside):
    record = Record()
    for place in (0.5, 1.0):
        weights = {"w/kernel": {"update_ratio": ratio}}
        record.add("sample", step=1, epoch=place, weights=weights, layers={})
    picture = pictures(record)[0]["Update : weight ratio"]
    assert picture.legend[0].value == text
    assert f"{inside} of 1" in picture.fact


def test_a_long_run_stays_small():
    record = Record()
    steps = 60_000
    place = (np.arange(steps) + 1) / 1000
    values = np.random.default_rng(0).lognormal(size=steps)
    values[31_234] = 0.001
    rate = 0.1 / (1 + place)
    record.add("steps", first=0, epoch=place, loss=values, learning_rate=rate)
    drawn, _ = pictures(record)
    for title in ("Loss", "Learning rate"):
        for panel in drawn[title].panels:
            paths = ET.fromstring(panel.svg).iter("path")
            longest = max((path.get("d") for path in paths), key=len)
            assert longest.count("L") <= 2000, title


def test_one_epoch_and_one_step():
    drawn, missing = pictures(make_record(epochs=1, steps=1))
    assert list(missing) == ["Learning rate"]
    assert len(drawn) == len(TITLES) - 1
    assert drawn["Activation histograms"].legend[0].text == "after epoch 1"


@pytest.mark.parametrize("value", [0.0, 1e308, -1e308, 1e-320, 5e-324, 3.4e38])
def test_numbers_at_the_end_of_the_scale(value):
    pictures(make_record(loss=lambda place: value))
    pictures(make_record(loss=lambda place: value if place > 1 else 1.0))


def test_filters_are_tiles_each_on_its_own_scale():
    kernel = np.arange(2 * 3 * 1 * 4, dtype=float).reshape(2, 3, 1, 4)
    kernel[..., 1] *= 1000
    kernel[..., 2] = 7.0
    kernel[0, 0, 0, 3] = np.nan
    line = {"shape": [2, 3, 1, 4], "values": kernel.tolist()}
    images = filters.as_images(line)
    np.testing.assert_array_equal(images[1, ..., 0], kernel[..., 0, 1])
    sheet = filters.tiles(images)
    zoom, gap = 16, filters.TILE_GAP
    columns = (sheet.shape[1] + gap) // (3 * zoom + gap)

    def tile(place):
        top = place // columns * (2 * zoom + gap)
        left = place % columns * (3 * zoom + gap)
        return sheet[top : top + 2 * zoom : zoom, left : left + 3 * zoom : zoom]

    wanted = (kernel[..., 0, 0] - kernel[..., 0].min()) / np.ptp(kernel[..., 0])
    np.testing.assert_allclose(tile(0)[..., 0], wanted)
    np.testing.assert_allclose(tile(1)[..., :3], tile(0)[..., :3])
    np.testing.assert_array_equal(tile(2)[..., :3], 0.5)
    assert tile(3)[0, 0, 0] > 2 * tile(3)[0, 0, 1]  # red: not finite
    assert (tile(0)[..., 3] == 1).all()
    assert (sheet[..., 3] == 0).any()  # the page shows between the tiles


def test_dense_filters_of_square_images_take_their_shape():
    kernel = np.random.default_rng(0).normal(size=(64, 5))
    images = filters.as_images({"shape": [64, 5], "values": kernel.ravel().tolist()})
    np.testing.assert_array_equal(images[3, ..., 0], kernel[:, 3].reshape(8, 8))


@pytest.mark.parametrize("shape", [(10, 4), (1, 1, 3, 8), (3, 3, 7, 2), (5, 2, 3)])
def test_kernels_that_are_no_images_are_said_not_drawn(shape):
    record = Record()
    record.add("filters", epoch=1, layer="a", shape=shape, values=np.zeros(shape))
    why = pictures(record)[1]["First-layer filters"]
    assert " × ".join(map(str, shape)) in why


def test_filters_cut_short_are_no_images():
    assert filters.as_images({"shape": [3, 3, 1, 8], "values": [1.0] * 71}) is None
    assert filters.as_images({"shape": [3, 3, 1, 0], "values": []}) is None


def test_colour_filters_and_many_of_them():
    record = Record()
    kernel = np.random.default_rng(0).normal(size=(5, 5, 3, 70))
    record.add("filters", epoch=2, layer="a", shape=kernel.shape, values=kernel)
    picture = pictures(record)[0]["First-layer filters"]
    assert picture.fact == "Layer a: 70 filters, in colour."
    assert "6 are not" in picture.reading
    pixels = image.imread(io.BytesIO(base64.b64decode(picture.panels[0].png)))
    assert pixels.shape[1::-1] == picture.panels[0].size
    assert pixels.shape[2] == 4


def test_drawing_leaves_the_user_settings_and_pyplot_alone():
    matplotlib.rcParams["lines.linewidth"] = 11.0
    try:
        before = dict(matplotlib.rcParams)
        loaded = "matplotlib.pyplot" in sys.modules
        wide, _ = pictures(make_record())
        assert dict(matplotlib.rcParams) == before
        assert ("matplotlib.pyplot" in sys.modules) == loaded
        assert "stroke-width:11" not in wide["Loss"].panels[0].svg
    finally:
        matplotlib.rcdefaults()


def test_ids_of_two_drawings_do_not_clash():
    drawer = canvas.Canvas("one")
    with canvas.drawing():
        ids = []
        for _ in range(2):
            axes = drawer.axes()
            canvas.line(axes, np.arange(3.0), np.arange(3.0), "train")
            root = ET.fromstring(drawer.svg(axes, 'alt "<x>"'))
            ids += [each.get("id") for each in root.iter() if each.get("id")]
            assert root.get("aria-label") == 'alt "<x>"'
    assert len(ids) == len(set(ids)) > 2
    assert all(each.startswith("one-") for each in ids)


@pytest.mark.parametrize(
    "font", ["font: 10px 'DejaVu Sans', serif", "font-size: 10px; font-family: serif"]
)
def test_text_takes_the_font_of_the_page(font):
    # matplotlib 3.9 writes the short form, later releases the long one.
    source = f'<svg viewBox="0 0 1 1"><text style="{font}; fill: #000">x</text></svg>'
    text = ET.fromstring(canvas.inline(source.encode(), "t", "alt")).find("text")
    assert text.get("style") == "font-size:10px;fill:#000"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (0.0025, "0.0025"),
        (1e-5, "10⁻⁵"),
        (2.5e-7, "2.5·10⁻⁷"),
        (1e6, "10⁶"),
        (-3e5, "-3·10⁵"),
    ],
)
def test_tick_labels(value, text):
    assert canvas.power(value) == text


def test_train_curve_is_empty_for_an_empty_record():
    epochs, values, _ = loss.train_curve(Record())
    assert len(epochs) == len(values) == 0
