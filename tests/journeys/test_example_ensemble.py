import importlib.util
import pathlib

import pytest

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "04_ensemble.py"


@pytest.mark.once
def test_the_example_runs_and_shows_what_it_says(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("example_ensemble", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(["--epochs", "5", "--directory", str(tmp_path)])
    printed = capsys.readouterr().out
    assert set(found) == {"five seeds", "snapshots", "selected"}
    # Ten classes: guessing is right in a tenth.
    assert all(one.ensemble.value > 0.8 for one in found.values())
    assert str(found["selected"].ensemble) in printed
    assert len(list((tmp_path / "snapshots").iterdir())) == 5
    page = (tmp_path / "ensembles.html").read_text(encoding="utf-8")
    assert "As the number of members grows" in page
    assert "five seeds: members" in page
