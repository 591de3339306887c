import importlib.util
import pathlib

import pytest

from keras_practices.tuners.stages import Stage

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "03_search.py"


# keras-tuner 1.4.8 asks threads for their names in the old way.
@pytest.mark.filterwarnings(
    "ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning"
)
@pytest.mark.once
def test_the_example_finds_a_model_and_reports(tmp_path, capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location("example_search", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(
        example, "STAGES", [Stage(1, trials=4), Stage(4, keep=1, trials=1)]
    )
    page = tmp_path / "search.html"
    arguments = ["--directory", str(tmp_path), "--report", str(page), "--no-browser"]
    found = example.main(arguments)
    # Ten classes: guessing is right in a tenth.
    assert found["validation"] > 0.5
    assert found["test"] > 0.5
    printed = capsys.readouterr().out
    assert "6 of 6" in printed or "6/6" in printed
    assert "best of 6 trials" in printed
    assert "learning_rate" in page.read_text(encoding="utf-8")
