"""What `search.json` says of a search, and whether another one is the same."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from keras_practices.errors import ArgumentValueError
from keras_practices.search_record import SCHEMA
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.files import finite_or_none
from keras_practices.tuners.objectives import describe_objective

# More trials may be asked for later; the seed of the first start stays.
_MAY_CHANGE = ("max_trials", "seed")


def describe_search(
    objective: Any, strategy: Any, space: Any, seed: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what `search.json` shall hold, less the fingerprint of the data."""
    table = {
        "schema": SCHEMA,
        # A search that is overwritten has another one: a data base may hold both.
        "id": secrets.token_hex(8),
        "objective": describe_objective(objective),
        "seed": seed,
        "strategy": {
            "name": type(strategy).__name__,
            "arguments": strategy.get_config(),
        },
        "settings": dict(settings),
        "data": None,
        "space": describe_space(space),
        "hyperparameters": space.get_config(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(finite_or_none(table)))
    return plain


def describe_space(space: Any) -> list[dict[str, Any]]:
    """Returns the hyperparameters of a space as JSON-safe dicts.

    Args:
        space: `keras_tuner.HyperParameters`.

    Returns:
        List of dicts, in the order of declaration; see `keras_practices.search_record`.
    """
    return [finite_or_none(_describe(parameter)) for parameter in space.space]


def check_same(
    owner: Any,
    folder: SearchFolder,
    stored: Mapping[str, Any],
    given: Mapping[str, Any],
) -> None:
    """Refuses to go on with a folder that another search has made.

    Args:
        owner: Object that messages begin with.
        folder: The folder of the search.
        stored: What its `search.json` holds.
        given: What this search would write there.

    Raises:
        ValueError: they differ; the message names all differences.
    """
    wrong = [
        f"{name}: there {_short(old)}, here {_short(new)}"
        for name, old, new in _differences(stored, given)
    ]
    if wrong:
        raise ArgumentValueError(
            f"{type(owner).__name__}: the folder {str(folder.path)!r} holds another "
            f"search. They differ in {'; '.join(wrong)}. Take another `project_name` "
            "or `directory`, or pass overwrite=True to delete what is there."
        )


def _differences(stored, given):
    for name in ("objective", "settings"):
        yield from _unequal(name, stored.get(name), given[name])
    old, new = stored.get("strategy") or {}, given["strategy"]
    yield from _unequal("strategy", old.get("name"), new["name"])
    before, now = (
        {k: v for k, v in (one.get("arguments") or {}).items() if k not in _MAY_CHANGE}
        for one in (old, new)
    )
    yield from _unequal("arguments of the strategy", before, now)
    if stored.get("data") and given["data"]:
        yield from _unequal("fingerprint of the data", stored["data"], given["data"])
    yield from _by_name(stored.get("space") or [], given["space"])


def _by_name(old, new):
    before, now = ({_key(one): one for one in space} for space in (old, new))
    for key in [*before, *(key for key in now if key not in before)]:
        yield from _unequal(f"hyperparameter {key[0]!r}", before.get(key), now.get(key))


def _key(one):
    return one["name"], json.dumps(one.get("conditions"))


def _unequal(name, old, new):
    if old != new:
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            old = {key: old.get(key) for key in keys}
            new = {key: new.get(key) for key in keys}
        yield name, old, new


def _short(value):
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _describe(parameter):
    config = parameter.get_config()
    kind = type(parameter).__name__.lower()
    table = {
        "name": config["name"],
        "kind": kind,
        "default": parameter.default,
        "conditions": [_condition(one) for one in parameter.conditions],
    }
    if kind in ("float", "int"):
        return {
            **table,
            "low": config["min_value"],
            "high": config["max_value"],
            "step": config["step"],
            "scale": config["sampling"],
        }
    if kind == "choice":
        return {**table, "values": config["values"], "ordered": config["ordered"]}
    if kind == "boolean":
        return {**table, "values": [False, True]}
    return {**table, "values": [config.get("value")]}


def _condition(condition):
    return {"name": condition.name, "values": list(condition.values)}
