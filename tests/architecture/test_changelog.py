"""The version and the changelog say the same."""

import re

import pytest
from source_tree import ROOT

pytestmark = pytest.mark.once


def test_changelog_has_the_current_version_on_top():
    literal = (ROOT / "keras_practices" / "version.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"$', literal, re.MULTILINE)[1]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[0] == version
