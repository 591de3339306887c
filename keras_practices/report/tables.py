"""Plain figures as the small flat tables that a report shows."""

import math

from keras_practices.record import Record


def tables_of(figures: dict) -> dict[str, dict]:
    """Picks what a reader wants to see out of the figures of checks and training.

    Args:
        figures: Name → plain figures, as the rules read them.

    Returns:
        Heading → flat dict, in the order of the flow.
    """
    tables = {}
    model = figures.get("model")
    if model:
        flat = {k: v for k, v in model.items() if isinstance(v, int | float | str)}
        tables["model"] = flat
        tables["optimizer"] = model["optimizer"]
    for output in figures.get("outputs", []):
        target = output.get("target") or {}
        tables[f"output {output['name']}"] = {
            **{k: output[k] for k in ("layer", "activation", "loss", "from_logits")},
            "units": (output["shape"] or [None])[-1],
            **{
                f"target {k}": target[k]
                for k in ("kind", "min", "max", "distinct")
                if k in target
            },
        }
    for name, scale in figures.get("first_inputs", {}).items():
        tables[f"inputs of {name}"] = scale
    initial = figures.get("initial_loss")
    if initial:
        tables["initial loss"] = {
            k: v for k, v in initial.items() if v is not None and k != "unbounded"
        }
    tiny = figures.get("tiny_subset")
    if tiny:
        keys = ("rows", "steps", "first_loss", "last_loss", "learning_rate")
        tables["tiny subset"] = {key: tiny[key] for key in keys}
        if tiny.get("other_rows") is not None:
            tables["tiny subset"]["loss on as many other rows"] = tiny["other_rows"]
    training = figures.get("training")
    if training:
        tables["training"] = {
            k: v
            for k, v in training.items()
            if isinstance(v, int | float) and math.isfinite(v)
        }
    for trial in figures.get("rate_trials", []):
        tables[f"trial at learning rate {trial['learning_rate']:.2g}"] = {
            key: trial[key] for key in ("steps", "first_loss", "last_loss")
        }
    return tables


def timings_of(record: Record) -> dict[str, float]:
    """Picks what the end of a record says of time.

    Args:
        record: A `Record`; one that was interrupted says nothing.

    Returns:
        Name → seconds.
    """
    keys = {
        "fit": "seconds",
        "monitor, within fit": "monitor_seconds",
        "monitor, compiling": "compile_seconds",
    }
    return {name: record.end[key] for name, key in keys.items() if key in record.end}
