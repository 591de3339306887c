"""Who may import whom. The reasons stand in docs/decisions/0001 and 0004."""

import graphlib

import pytest
from source_tree import module_names
from source_tree import own_imports
from source_tree import room_of
from source_tree import sources

pytestmark = pytest.mark.once

FIRST = {"errors", "version"}
VALUES = FIRST | {"findings", "record", "search_record", "charts", "_core"}
LOOKING = VALUES | {"measures", "rules"}

# Room -> the rooms it may import from, besides itself. A new room needs a line here.
ALLOWED = {
    "version": set(),
    "errors": set(),
    "_core": FIRST,
    "findings": FIRST,
    "record": FIRST | {"findings"},
    "search_record": FIRST,
    "charts": FIRST,
    # What a model or a pipeline is made of.
    "initializers": FIRST | {"_core"},
    "constraints": FIRST | {"_core"},
    "layers": FIRST | {"_core", "initializers", "constraints"},
    "losses": FIRST | {"_core"},
    "metrics": FIRST | {"_core"},
    "regularizers": FIRST | {"_core"},
    "schedules": FIRST | {"_core"},
    "optimizers": FIRST | {"_core", "schedules"},
    "augmentation": FIRST | {"_core", "data"},
    "data": FIRST | {"_core", "charts"},
    # Looking: measures give numbers, rules turn plain numbers into findings.
    "measures": FIRST | {"_core", "record", "search_record", "charts"},
    "rules": VALUES,
    "checks": LOOKING,
    "callbacks": LOOKING | {"tensorboard"},
    # Acting.
    "tuners": LOOKING | {"callbacks"},
    "ensembles": LOOKING | {"callbacks"},
    "transfer": LOOKING | {"callbacks", "data", "layers", "optimizers"},
    "tensorboard": FIRST | {"_core", "record"},
    # Showing reads values only, so it shows any new producer for free; a report of a
    # record alone has the rules run on it.
    "report": LOOKING,
    # Joining.
    "diagnosis": LOOKING | {"checks", "callbacks", "data", "report", "tensorboard"},
    "demo": LOOKING
    | {"initializers", "constraints", "layers", "data"}
    | {"checks", "callbacks", "report", "diagnosis"},
    "scripts": FIRST | {"diagnosis", "report"},
    "__main__": FIRST | {"demo", "report", "scripts", "tuners"},
}
# Rooms that join others late, so that `import keras_practices` stays cheap.
MAY_IMPORT_IN_FUNCTIONS = {"__init__", "demo", "__main__"}


def test_every_room_has_a_line():
    rooms = {source.room for source in sources()} - {"__init__"}
    assert rooms - set(ALLOWED) == set()


def test_rooms_import_only_what_they_may():
    wrong = [
        f"{source}:{item.line} imports {item.module}"
        for source in sources()
        if source.room != "__init__"
        for item in own_imports(source)
        if room_of(item.module) not in ALLOWED[source.room] | {source.room}
    ]
    assert wrong == []


def test_own_modules_are_imported_at_the_top():
    wrong = [
        f"{source}:{item.line} imports {item.module}"
        for source in sources()
        if source.room not in MAY_IMPORT_IN_FUNCTIONS
        for item in own_imports(source)
        if item.in_function
    ]
    assert wrong == []


def test_no_cycles():
    graph = {
        source.module: {
            item.module
            for item in own_imports(source)
            if not item.in_function and item.module in module_names()
        }
        - {source.module}
        for source in sources()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_allowed_rooms_have_no_cycle():
    graphlib.TopologicalSorter(ALLOWED).prepare()
