"""What must not stand in the source, read with `ast`."""

import ast
import re

import pytest
from source_tree import ROOT
from source_tree import imports
from source_tree import sources

pytestmark = pytest.mark.once

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
# Found by everyone who imports Keras with them installed, but not ours to load.
HEAVY = {
    "IPython",
    "jinja2",
    "keras_tuner",
    "matplotlib",
    "optuna",
    "pandas",
    "rich",
    "scipy",
    "sklearn",
}
LINES = 400
FUNCTION_LINES = 60


def top(module):
    return module.split(".")[0]


def test_no_private_keras():
    wrong = [
        f"{source}:{item.line} imports {item.module}"
        for source in sources()
        for item in imports(source)
        if re.match(r"keras\.(src|_tf_keras)\b", item.module)
    ]
    wrong += [
        f"{source}:{node.lineno} reads keras.{node.attr}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("src", "_tf_keras")
        and isinstance(node.value, ast.Name)
        and node.value.id == "keras"
    ]
    assert wrong == []


def test_backends_are_imported_in_their_own_file_only():
    wrong = [
        f"{source}:{item.line} imports {item.module}"
        for source in sources()
        for item in imports(source)
        if top(item.module) in BACKENDS
        and source.module
        != f"keras_practices._core._backend_{BACKENDS[top(item.module)]}"
    ]
    assert wrong == []


def test_heavy_packages_are_imported_where_they_are_used():
    wrong = [
        f"{source}:{item.line} imports {item.module}"
        for source in sources()
        for item in imports(source)
        if top(item.module) in HEAVY and not item.in_function
    ]
    assert wrong == []


def test_no_assert_in_the_library():
    # `python -O` removes them; an error of ours names the argument and the advice.
    wrong = [
        f"{source}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assert)
    ]
    assert wrong == []


def test_no_bare_except():
    wrong = [
        f"{source}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert wrong == []


def test_files_are_short():
    files = [source.path for source in sources()]
    files += sorted((ROOT / "tests").rglob("*.py"))
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in files
    }
    assert {name: n for name, n in lengths.items() if n > LINES} == {}


def test_functions_are_short():
    wrong = {
        f"{source}:{node.lineno} {node.name}": code_lines(node)
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef) and code_lines(node) > FUNCTION_LINES
    }
    assert wrong == {}


def code_lines(function):
    """Lines of a function's body without its docstring."""
    documented = ast.get_docstring(function) is not None
    before = function.body[0].end_lineno if documented else function.body[0].lineno - 1
    return function.end_lineno - before
