"""Charts and images in a report: kept, drawn, written and read back."""

import base64
import io
import re
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib import image

from keras_practices.charts import Chart
from keras_practices.charts import Images
from keras_practices.charts import Line
from keras_practices.charts import Panels
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.record import Record
from keras_practices.report import Report
from keras_practices.report.plots import draw_charts

pytestmark = pytest.mark.once
NAN = float("nan")


def chart(*lines, **fields):
    lines = lines or (Line("a", [1, 2, 3], [1.0, 4.0, 2.0], [0, 3, 1], [2, 5, 3]),)
    return Chart(
        **{"title": "T", "x": "across", "y": "up", "reading": "R", **fields},
        lines=lines,
    )


def drawn(one):
    pictures, missing = draw_charts([one], "kp")
    assert missing == []
    return pictures[0]


def words_of(panel):
    return [e.text for e in ET.fromstring(panel.svg).iter("text") if e.text]


def paths_of(panel):
    return [e.get("d") for e in ET.fromstring(panel.svg).iter("path")]


def heights(panel, colour):
    """Places down the drawing of the corners of what is painted in a colour."""
    for element in ET.fromstring(panel.svg).iter("path"):
        if f"stroke:var(--kp-{colour})" in element.get("style", ""):
            pairs = re.findall(r"[ML] (\S+) (\S+)", element.get("d"))
            if len(pairs) > 1:
                return np.array(pairs, float)
    raise AssertionError(f"nothing is drawn in {colour}")


ALL = [
    chart(),
    chart(Line("b", ["x", "y"], [NAN, 2.0], faint=True), marks="points"),
    Panels("P", [chart(), chart(marks="bars")], "R", "B", "F"),
    Images("I", np.arange(24).reshape(2, 2, 2, 3), ["one", "two"], "R"),
]


def test_charts_come_back_from_json_as_they_were():
    report = Report(charts=ALL)
    again = Report.from_json(report.to_json())
    assert again.to_dict() == report.to_dict()
    assert again.charts[0] == ALL[0]
    assert again.charts[2] == ALL[2]
    assert again.charts[1].lines[0].x == ("x", "y")
    assert np.isnan(again.charts[1].lines[0].y[0])
    np.testing.assert_array_equal(again.charts[3].arrays, ALL[3].arrays)


def test_extended_keeps_charts_and_adds():
    report = Report(charts=ALL[:1]).extended(charts=ALL[3:])
    assert [one.title for one in report.charts] == ["T", "I"]
    assert Report().extended().charts == []


def test_the_text_gives_the_fact():
    text = Report(charts=[chart(title="Curve", fact="Best 4.")]).text()
    assert "Charts\nCurve  Best 4.\n" in text


def test_a_page_holds_charts_before_the_pictures_of_the_record(tmp_path):
    record = Record()
    record.add("epoch", epoch=1, logs={"loss": 1.0, "val_loss": 2.0})
    report = Report(record=record, charts=ALL)
    page = report.save_html(tmp_path / "r.html").read_text("utf-8")
    titles = re.findall(r"<figure [^>]*>\n<h3>(.*?)</h3>", page)
    assert titles == ["T", "T", "P", "I", "Loss", *titles[5:]]
    assert len(set(re.findall(r' id="([^"]+)"', page))) == page.count(' id="')


def test_a_line_goes_through_its_points():
    panel = drawn(chart(Line("a", [0, 1, 2], [0.0, 10.0, 5.0]))).panels[0]
    x, y = heights(panel, "train").T
    # Upside down: the second is highest, the third half as high.
    assert (y[0] - y[2]) / (y[0] - y[1]) == pytest.approx(0.5, abs=1e-4)
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("side", ["x", "y"])
def test_a_log_axis_has_equal_steps_for_equal_factors(side):
    small, plain = [0.001, 0.1, 10.0], [1.0, 2.0, 3.0]
    x, y = (small, plain) if side == "x" else (plain, small)
    one = chart(Line("a", x, y), **{f"{side}_scale": "log"})
    places = heights(drawn(one).panels[0], "train")[:, "xy".index(side)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], rel=1e-4)


def test_a_gap_is_left_where_a_value_is_not_finite():
    panel = drawn(chart(Line("a", range(5), [1, 2, NAN, 2, 1]))).panels[0]
    longest = max(paths_of(panel), key=lambda path: path.count("M"))
    assert longest.count("M") >= 2


def test_values_without_a_place_on_a_log_axis_are_counted():
    picture = drawn(chart(Line("a", [1, 2, 3], [0.0, -1.0, 1.0]), y_scale="log"))
    assert picture.reading == "R 2 values at or below 0 have no place on a log axis."
    picture = drawn(chart(Line("a", [0, 2], [1.0, 1.0]), x_scale="log"))
    assert "1 values" in picture.reading or "1 value " in picture.reading


def test_lying_bars_have_their_names_and_lengths():
    bars = Line("share", ["rate", "width"], [0.8, 0.2], [0.7, 0.1], [0.9, 0.3])
    panel = drawn(chart(bars, marks="bars")).panels[0]
    assert {"rate", "width"} <= set(words_of(panel))
    lengths = []
    for element in ET.fromstring(panel.svg).iter("path"):
        if "fill:var(--kp-train)" in element.get("style", ""):
            x = np.array(re.findall(r"[ML] (\S+) \S+", element.get("d")), float)
            lengths.append(np.ptp(x))
    assert lengths[0] / lengths[1] == pytest.approx(4, rel=1e-3)


def test_bars_at_numbers_stand():
    one = chart(Line("a", [1, 2], [3, 1]), Line("b", [1, 2], [2, NAN]), marks="bars")
    styles = "".join(
        e.get("style", "") for e in ET.fromstring(drawn(one).panels[0].svg).iter()
    )
    assert "fill:var(--kp-train)" in styles
    assert "fill:var(--kp-validation)" in styles


def test_a_legend_names_each_line_once_with_its_last_value():
    lines = Line("", [1], [1.0]), Line("b", [1, 2], [1.0, 0.5])
    legend = drawn(chart(*lines)).legend
    assert [(key.text, key.value) for key in legend] == [("b", "0.5")]
    ground = Line("60 trials", [1, 2], [1.0, 0.5], faint=True)
    both = Panels("P", [chart(ground, lines[1]), chart(ground, lines[1])], "R")
    assert [(k.mark, k.text) for k in drawn(both).legend] == [
        ("thin", "60 trials"),
        ("line", "b"),
    ]


def test_what_cannot_be_drawn_is_said():
    nothing = chart(Line("a", [1, 2], [NAN, float("inf")]), title="Empty")
    pictures, missing = draw_charts([nothing, chart(Line("a", [], []))], "kp")
    assert pictures == []
    assert missing[0] == ("Empty", "it holds no finite value.")
    half = drawn(Panels("P", [chart(), nothing], "R"))
    assert words_of(half.panels[1]) == ["no finite value"]


@pytest.mark.parametrize("marks", ["lines", "points", "bars"])
def test_any_text_of_a_user_is_shown_as_it_is(marks, tmp_path):
    name = '<b>$x^2$ & "q" 层'
    one = chart(Line(name, [name, "\x07\ud800"], [1.0, 2.0]), marks=marks, title=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = Report(charts=[one]).save_html(tmp_path / "r.html").read_text("utf-8")
    assert "<b>$x" not in page
    assert name in words_of(drawn(one).panels[0])


def test_images_are_scaled_each_to_its_own_range():
    arrays = np.zeros((2, 2, 2))
    arrays[0, 0, 0], arrays[1, 1, 1] = 1e-3, 1e3
    picture = drawn(Images("I", arrays, ["first", "second"]))
    for panel, corner in zip(picture.panels, ((0, 0), (-1, -1)), strict=True):
        pixels = image.imread(io.BytesIO(base64.b64decode(panel.png)))
        assert pixels[corner][:3].tolist() == [1, 1, 1]
        assert (pixels[..., 0] == 1).mean() == 0.25
    assert picture.panels[1].rows == (("", "second"),)


def test_more_images_than_fit_are_counted():
    picture = drawn(Images("I", np.zeros((70, 2, 2))))
    assert len(picture.panels) == 64
    assert picture.reading == "The first 64 are drawn; 6 are not."


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Line("a", [1], [1, 2]), "`y`.*as many"),
        (lambda: Line("a", [1, "b"], [1, 2]), "`x`"),
        (lambda: Line("a", [NAN], [1]), "`x`.*finite"),
        (lambda: Line("a", [1], ["one"]), "`y`.*numbers"),
        (lambda: Line("a", [1], [1], low=[0]), "`low`.*together"),
        (lambda: chart(marks="pie"), "`marks`.*'lines'"),
        (lambda: chart(x_scale="sqrt"), "`x_scale`"),
        (lambda: chart(title=""), "`title`"),
        (lambda: chart(Line("a", ["b"], [1]), x_scale="log"), "`x_scale`"),
        (lambda: chart(Line("a", ["b"], [1]), Line("a", [1], [1])), "`lines`"),
        (lambda: Images("I", np.zeros((2, 2))), "`arrays`.*shape"),
        (lambda: Images("I", [[1], [1, 2]]), "`arrays`"),
        (lambda: Images("I", np.zeros((2, 2, 2)), ["one"]), "`captions`"),
    ],
)
def test_bad_values_are_named(make, named):
    with pytest.raises(ArgumentValueError, match=named):
        make()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: chart("line"), "`lines`.*Line"),
        (lambda: chart(reading=None), "`reading`.*text"),
        (lambda: Panels("P", [1], "R"), "`charts`.*Chart"),
        (lambda: Report(charts=["T"]), "`charts`"),
        (lambda: Report(charts=chart()), "`charts`"),
    ],
)
def test_bad_kinds_are_named(make, named):
    with pytest.raises(ArgumentTypeError, match=named):
        make()


def test_a_chart_of_an_unknown_kind_is_refused():
    text = (
        Report(charts=[chart()]).to_json().replace('"kind": "chart"', '"kind": "pie"')
    )
    with pytest.raises(ArgumentValueError, match="no such kind of chart: 'pie'"):
        Report.from_json(text)
