"""The HTML page, read back with a parser."""

import html.parser
import re

import pytest
from test_report_samples import TITLES
from test_report_samples import make_finding
from test_report_samples import make_record

from keras_practices.record import Record
from keras_practices.report import Report
from keras_practices.report.palette import PALETTE

pytestmark = pytest.mark.once

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}
BAD = "<script>alert('x')</script> \"quoted\" & <b>bold</b> $x^2$ 层"


class Page(html.parser.HTMLParser):
    """Elements of a page; fails where it is not well-formed."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(tmp_path):
    def render(report):
        return Page(report.save_html(tmp_path / "report.html").read_text("utf-8"))

    return render


def check_self_contained(page):
    assert page.of("script") == page.of("link") == page.of("iframe") == []
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("#", "data:image/png;base64,")), value
            for address in re.findall(r"url\(([^)]*)\)", value or ""):
                assert address.startswith("#")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        target = attributes.get("href") or ""
        if target.startswith("#"):
            assert target[1:] in ids, (tag, target)
        for name in ("clip-path", "mask"):
            if name in attributes:
                assert attributes[name][5:-1] in ids


def test_page_is_well_formed_and_needs_nothing_from_outside(page, tmp_path):
    got = page(Report([make_finding()], record=make_record(), figures={"a": {"b": 1}}))
    check_self_contained(got)
    source = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|javascript:", source)
    policies = [each.get("content", "") for each in got.of("meta")]
    assert any("default-src 'none'" in policy for policy in policies)


def report_of(name):
    """A report in which every string that can come from a user is `name`."""
    found = make_finding(
        rule=name,
        subject=name,
        message=name,
        cause=name,
        advice=name,
        evidence={name: name, "deep": {name: [name]}},
        source=name,
    )
    return Report(
        [found],
        title=name,
        record=make_record(layers=(name, "dense")),
        figures={name: {name: name}},
        not_measured=[(name, name)],
        timings={name: 1.0},
        environment={name: name},
        sections={name: [{name: name}], "text": name},
    )


def skeleton(page):
    """Elements and the names of their attributes, but for places to wrap."""
    return [(tag, set(each)) for tag, each in page.elements if tag != "wbr"]


def test_every_string_of_the_user_is_escaped(page):
    got = page(report_of(BAD))
    check_self_contained(got)
    tame = page(report_of("tame"))
    assert skeleton(got) == skeleton(tame)
    assert got.words.count(BAD) == tame.words.count("tame") > 20


def test_first_screen_is_the_verdict(page):
    found = [
        make_finding("note", message="Just so."),
        make_finding("error", message="The loss is NaN"),
        make_finding("warning", message="Slow."),
        make_finding("warning", message="Slower."),
    ]
    text = page(Report(found)).words
    verdict = (
        "1 error, 2 warnings, 1 note: The loss is NaN. "
        "Do: Set learning_rate to about 0.003."
    )
    assert verdict in text
    assert text.index(verdict) < text.index("Findings Most probable")


def test_findings_stand_in_the_order_given(page):
    found = [make_finding("note", "rule-a"), make_finding("error", "rule-b")]
    text = page(Report(found)).words
    assert text.index("rule-a") < text.index("rule-b")
    assert re.search(r"Note\s*rule-a\s*on conv\s*in the training", text)
    assert re.search(r"Error\s*rule-b", text)  # a word, not only a colour


def test_numbers_are_shown_short_and_kept_exact(page):
    values = {"accuracy": 0.9763888888888889, "rows": 1437, "tiny": 1.23456e-7}
    report = Report(
        [make_finding(evidence={"ratio": 0.1234567890123})],
        figures={"test set": values},
        timings={"training": 14.3712345},
        sections={"Trials": [{"score": 0.87654321}]},
    )
    got = page(report)
    exact = [float(each["value"]) for each in got.of("data")]
    assert exact == [0.1234567890123, *values.values(), 0.87654321, 14.3712345]
    for text in ("0.1235", "0.9764", "1437", "1.235e-7", "0.8765", "14.4 s"):
        assert text in got.words


def test_long_names_wrap_at_their_joints_and_keep_their_text(page, tmp_path):
    name = "model/conv_1.kernel at 2.173"
    assert name in page(Report(environment={name: name})).words
    source = (tmp_path / "report.html").read_text("utf-8")
    assert source.count("model/<wbr>conv_1.<wbr>kernel at 2.173") == 2


def test_what_was_not_measured_is_always_there(page):
    text = page(Report(not_measured=[("gradient check", "no time")])).words
    assert "Not measured (1)" in text
    assert re.search(r"gradient check\s*no time", text)
    assert "Not measured (0)" in page(Report()).words
    record = Record()
    record.add("fault", what="loss on the probe", why="shapes differ")
    text = page(Report(record=record)).words
    assert "Not measured (1)" in text
    assert re.search(r"loss on the probe\s*shapes differ", text)


def test_all_pictures_come_with_words(page):
    got = page(Report(record=make_record()))
    places = [got.words.index(title) for title in TITLES]
    assert places == sorted(places)
    assert len(got.of("figure")) == len(TITLES)
    assert got.words.count("How to read it") == got.words.count("A bad one.") == 9
    # 2 loss, 2 gap, 1 rate, 1 ratio, 1 flow, 2 spread, 2 + 2 histograms
    drawings = got.of("svg")
    assert len(drawings) == 13
    # Filters before and after.
    assert len(got.of("img")) == 2
    for each in drawings:
        assert each["role"] == "img"
        assert each["aria-label"]
    assert all(each["alt"] for each in got.of("img"))
    for text in ("mean 0.25", "std 1.5", "zeros 50 %", "inactive 12.5 %"):
        assert text in got.words


def test_pictures_follow_light_and_dark(page, tmp_path):
    page(Report(record=make_record()))
    source = (tmp_path / "report.html").read_text("utf-8")
    drawings = "".join(re.findall(r"<svg.*?</svg>", source, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) == set()
    names = set(re.findall(r"var\(--kp-([a-z0-9-]+)\)", source)) - {"sans", "mono"}
    assert names <= set(PALETTE)
    assert "@media screen and (prefers-color-scheme: dark)" in source
    assert "@media print" in source


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("paper", [0, 1])
@pytest.mark.parametrize(
    ("text", "grounds"),
    [
        ("ink", ("page", "card")),
        ("muted", ("page", "card")),
        ("error", ("error-tint", "card", "page")),
        ("warning", ("warning-tint", "card")),
        ("note", ("note-tint", "card")),
        ("ok", ("ok-tint", "card")),
    ],
)
def test_text_has_the_contrast_of_wcag_aa(paper, text, grounds):
    for ground in grounds:
        pair = [luminance(PALETTE[name][paper]) for name in (text, ground)]
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5, ground


@pytest.mark.parametrize("paper", [0, 1])
def test_lines_have_the_contrast_of_wcag_graphics(paper):
    ground = luminance(PALETTE["card"][paper])
    lines = [name for name in PALETTE if name.startswith("depth-")]
    for name in [*lines, "train", "validation"]:
        pair = sorted([luminance(PALETTE[name][paper]), ground])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3.0, name


def test_an_empty_record_says_what_is_missing(page):
    text = page(Report(record=Record())).words
    assert "Not drawn" in text
    assert text.count("the record holds no") >= 5


def test_findings_only(page):
    got = page(Report([make_finding()]))
    check_self_contained(got)
    assert got.of("figure") == []
    assert "Pictures" not in got.words


def test_notebook_shows_the_body_with_styles_of_its_own():
    shown = Report([make_finding()], record=make_record())._repr_html_()
    got = Page(shown)
    check_self_contained(got)
    assert got.of("html") == got.of("body") == []
    assert "The loss is NaN after 7 steps." in got.words
    style = re.search(r"<style>(.*?)</style>", shown, re.DOTALL).group(1)
    selectors = re.findall(r"(?:^|[{}])\s*([^{}@]+)\{", style)
    for selector in (each.strip() for each in selectors if each.strip()):
        assert "kp-report" in selector or "kp-theme" in selector, selector
