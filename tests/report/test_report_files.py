"""Files appear whole or not at all."""

import os

import pytest
from test_report_samples import make_finding
from test_report_samples import make_record

from keras_practices.errors import MissingExtraError
from keras_practices.errors import OutputPathError
from keras_practices.report import Report
from keras_practices.report import files
from keras_practices.report import html

pytestmark = pytest.mark.once


def test_save_html_writes_one_file_and_returns_its_path(tmp_path):
    path = Report(record=make_record()).save_html(tmp_path / "a" / "b" / "r.html")
    assert path == tmp_path / "a" / "b" / "r.html"
    assert [each.name for each in path.parent.iterdir()] == ["r.html"]
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_same_report_gives_the_same_bytes(tmp_path):
    one = Report(record=make_record()).save_html(tmp_path / "1.html").read_bytes()
    two = Report(record=make_record()).save_html(tmp_path / "2.html").read_bytes()
    assert one == two


def test_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("old")
    Report(title="New one").save_html(path)
    assert "New one" in path.read_text("utf-8")


@pytest.mark.parametrize("where", ["file/r.html", "file/deeper/r.html", "folder"])
def test_an_unwritable_path_is_refused_before_rendering(tmp_path, monkeypatch, where):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(html, "_render", lambda *_: pytest.fail("rendered"))
    with pytest.raises(OutputPathError, match=r"Report\.save_html: argument `path`"):
        Report().save_html(tmp_path / where)
    names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    assert names == ["file", "folder"]


def test_nothing_half_written_stays_when_the_disk_fails(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OutputPathError, match="No space left"):
        Report().save_html(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]


def test_nothing_half_written_stays_when_rendering_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("in the template")

    monkeypatch.setattr(html, "_render", fail)
    with pytest.raises(RuntimeError):
        Report().save_html(tmp_path / "r.html")
    assert os.listdir(tmp_path) == []


@pytest.fixture(params=["jinja2", "matplotlib"])
def without(request, monkeypatch):
    """The process as it is where one package of the extra is not installed."""
    real = html.require

    def require(module, extra, purpose):
        if module.split(".")[0] == request.param:
            module = "package_that_is_not_installed"
        return real(module, extra, purpose)

    html._environment.cache_clear()
    monkeypatch.setattr(html, "require", require)
    monkeypatch.setattr("keras_practices.report.plots.canvas.require", require)
    yield request.param
    html._environment.cache_clear()


def test_a_missing_extra_is_named_and_nothing_is_written(tmp_path, without):
    with pytest.raises(MissingExtraError, match=r"keras-practices\[report\]"):
        Report(record=make_record()).save_html(tmp_path / "new" / "r.html")
    assert os.listdir(tmp_path) == []


def test_a_notebook_falls_back_to_escaped_text(without):
    report = Report([make_finding(message="a <script> & b")], record=make_record())
    shown = report._repr_html_()
    assert shown.startswith("<pre")
    assert "<script>" not in shown
    assert "a &lt;script&gt; &amp; b" in shown
    assert "keras-practices[report]" in shown


def test_text_that_utf8_cannot_hold_is_replaced(tmp_path):
    path = Report(title="broken \udc80 name").save_html(tmp_path / "r.html")
    assert "broken ? name" in path.read_text("utf-8")
