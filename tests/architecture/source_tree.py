"""Reads the package's source with `ast`: what imports what, without importing."""

import ast
import dataclasses
import functools
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "keras_practices"


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module, and where in the file it is imported."""

    module: str
    line: int
    in_function: bool


@dataclasses.dataclass(frozen=True)
class Source:
    """One file of the package."""

    path: pathlib.Path
    module: str
    text: str

    def __str__(self):
        return str(self.path.relative_to(ROOT))

    @functools.cached_property
    def tree(self):
        return ast.parse(self.text)

    @property
    def room(self):
        """First name below the package; the package's own face is `__init__`."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 1 else "__init__"


@functools.cache
def sources():
    """Returns every file of the package."""
    found = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found.append(Source(path, ".".join(parts), path.read_text(encoding="utf-8")))
    return tuple(found)


@functools.cache
def module_names():
    """Returns the dotted names of every module of the package."""
    return frozenset(source.module for source in sources())


def resolve(source, node, alias):
    """Returns the module that one name of an import statement stands for."""
    if isinstance(node, ast.Import):
        return alias.name
    base = node.module or ""
    if node.level:
        parts = source.module.split(".")
        is_package = source.path.name == "__init__.py"
        kept = len(parts) - node.level + (1 if is_package else 0)
        base = ".".join(parts[:kept] + ([base] if base else []))
    # `from package import module` needs the module, not the package's names.
    inner = f"{base}.{alias.name}"
    return inner if inner in module_names() else base


def imports(source):
    """Returns every `Import` of a file, in the order they stand."""
    found = []

    def visit(node, in_function):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                module = resolve(source, node, alias)
                found.append(Import(module, node.lineno, in_function))
        inside = in_function or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(source.tree, False)
    return found


def own_imports(source):
    """Returns those imports that name a module of the package."""
    return [
        item
        for item in imports(source)
        if item.module == PACKAGE or item.module.startswith(f"{PACKAGE}.")
    ]


def room_of(module):
    """Returns the room that a dotted name of ours lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"
