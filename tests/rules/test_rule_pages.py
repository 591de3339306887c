import pathlib
import re
import runpy

import pytest

from keras_practices.rules import CATALOGUE

pytestmark = pytest.mark.once

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_the_pages_say_what_the_catalogue_says():
    make = runpy.run_path(str(DOCS / "make_rule_pages.py"))
    written = {
        path.name: path.read_text(encoding="utf-8")
        for path in (DOCS / "rules").glob("*.md")
    }
    assert written == make["pages"](), "run: python docs/make_rule_pages.py"


def test_the_symptoms_name_pages_that_exist():
    text = (DOCS / "symptoms.md").read_text(encoding="utf-8")
    named = re.findall(r"\[([a-z-]+)\]\(rules/([a-z-]+)\.md\)", text)
    assert len(named) > 40
    assert all(label == page for label, page in named)
    assert {label for label, _ in named} <= set(CATALOGUE)
