import pathlib
import runpy

import pytest

pytestmark = pytest.mark.once

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_the_pages_say_what_the_catalogue_says():
    make = runpy.run_path(str(DOCS / "make_rule_pages.py"))
    written = {
        path.name: path.read_text(encoding="utf-8")
        for path in (DOCS / "rules").glob("*.md")
    }
    assert written == make["pages"](), "run: python docs/make_rule_pages.py"
