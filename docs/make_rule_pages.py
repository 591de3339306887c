"""Writes a page for each rule, and their index, from the catalogue.

Run it after a change to a rule: `python docs/make_rule_pages.py`.
"""

import inspect
import pathlib
import re

from keras_practices.rules import CATALOGUE

FOLDER = pathlib.Path(__file__).parent / "rules"
STAGES = {
    "before": "Before training",
    "during": "During training",
    "act": "After training",
}
SECTIONS = ("What it sees", "Why it matters", "Example", "Fix", "Threshold")


def pages():
    """Returns `{file name: Markdown}` of every rule and of the index."""
    written = {f"{code}.md": _page(rule) for code, rule in CATALOGUE.items()}
    return {**written, "index.md": _index()}


def _paragraphs(rule):
    text = inspect.cleandoc(rule.function.__doc__)
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _page(rule):
    heads = re.compile(rf"^({'|'.join(SECTIONS)}): ")
    body = [heads.sub(r"**\1.** ", part) for part in _paragraphs(rule)]
    facts = [f"- Stage: {STAGES[rule.stage].lower()}", f"- Source: {rule.source}"]
    parts = [f"# {rule.code}", *body, "\n".join(facts), "[All rules](index.md)"]
    return "\n\n".join(parts) + "\n"


def _index():
    lines = [
        "# Rules",
        "",
        "Each finding names its rule by one of these codes; `select=` and `ignore=` "
        "take them.",
    ]
    for stage, title in STAGES.items():
        lines += ["", f"## {title}", "", "| code | what it says |", "|---|---|"]
        lines += [
            f"| [{code}]({code}.md) | {_paragraphs(rule)[0]} |"
            for code, rule in sorted(CATALOGUE.items())
            if rule.stage == stage
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
