"""The code of the README runs from top to bottom."""

import pathlib
import re

import pytest

import keras_practices as kp

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.once
def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 7
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("Check of sequential\n\n2 errors: sparse_categorical")
    assert "The learning rate of 5 is too high" in printed
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert isinstance(names["report"], kp.Report)
    assert names["report"].figures["test set"]["openings"] == 1
