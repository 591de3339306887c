"""Tests that pytest would never run are worse than none: find them."""

import ast
import functools
import re

import pytest
from source_tree import ROOT

pytestmark = pytest.mark.once

TESTS = ROOT / "tests"
# Run by name; every other file that pytest does not collect must be imported by one
# that it does.
STARTED_BY_NAME = {
    "conftest.py",
    "run_suite.py",
    "augmentation/librosa_reference.py",
    "parity/addons_reference.py",
    "tuners/light_worker.py",
}
LOOKS_LIKE_A_TEST = re.compile(r"_*test|.*_tests?$|tset_", re.IGNORECASE)


def files():
    return sorted(TESTS.rglob("*.py"))


def relative(path):
    return path.relative_to(TESTS).as_posix()


@functools.cache
def imported_names():
    """Names that test files import from, to tell helpers from lost tests."""
    found = set()
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
    return found


def is_helper(path):
    return relative(path) in STARTED_BY_NAME or (
        not path.name.startswith("test_") and path.stem in imported_names()
    )


def is_fixture(function):
    return any("fixture" in ast.unparse(item) for item in function.decorator_list)


def is_marked(function):
    """Whether a decorator says that pytest or Hypothesis should run it."""
    return any(
        re.match(r"(pytest\.mark\.|(hypothesis\.)?given\b)", ast.unparse(item))
        for item in function.decorator_list
    )


HELPERS = [path for path in files() if is_helper(path)]
TEST_FILES = [path for path in files() if path not in HELPERS]


def test_the_files_are_found():
    assert TESTS / "architecture" / "test_collection.py" in TEST_FILES
    assert TESTS / "architecture" / "source_tree.py" in HELPERS


@pytest.mark.parametrize("path", HELPERS, ids=relative)
def test_a_helper_holds_no_test(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [name for name in names if name.startswith("test_")] == []


@pytest.mark.parametrize("path", TEST_FILES, ids=relative)
def test_file_is_collected(path):
    assert re.fullmatch(r"test_\w+\.py", path.name)
    assert "def test_" in path.read_text(encoding="utf-8")


def test_file_names_are_unique():
    # Without packages in tests/, pytest imports each file by its bare name.
    names = [path.name for path in files()]
    assert sorted(names) == sorted(set(names))
    assert list(TESTS.rglob("__init__.py")) == []


def uncollected(tree):
    """Yields functions that look like tests where pytest does not look."""

    def visit(node, collected):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                good = collected and child.name.startswith("Test")
                yield from visit(child, good)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                looks = LOOKS_LIKE_A_TEST.match(child.name) or is_marked(child)
                runs = collected and child.name.startswith("test_")
                if looks and not runs and not is_fixture(child):
                    yield f"line {child.lineno}: {child.name}"
                yield from visit(child, False)
            else:
                yield from visit(child, collected)

    yield from visit(tree, True)


@pytest.mark.parametrize("path", TEST_FILES, ids=relative)
def test_functions_are_collected(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(uncollected(tree)) == []


@pytest.mark.parametrize("path", TEST_FILES, ids=relative)
def test_no_test_hides_another(path):
    """A second function of the same name replaces the first without a word."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.ClassDef):
            names = [
                item.name
                for item in scope.body
                if isinstance(item, ast.FunctionDef | ast.ClassDef)
            ]
            assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "text",
    [
        "def _test_a(): pass",
        "def testA(): pass",
        "def drop_path_test(): pass",
        "class Checks:\n    def test_a(self): pass",
        "def test_a():\n    def test_b(): pass",
        "@pytest.mark.parametrize('x', [1])\ndef check_a(x): pass",
        "@given(x=integers())\ndef holds(x): pass",
    ],
)
def test_a_lost_test_is_found(text):
    assert len(list(uncollected(ast.parse(text)))) == 1


def test_a_good_test_is_not_reported():
    text = "@pytest.fixture\ndef test_data(): pass\ndef test_a(test_data): pass"
    assert list(uncollected(ast.parse(text))) == []
