"""The best epoch of a run, and the best of several runs."""

import math
from typing import Any

from keras_practices.record import Record

VALIDATION = "val_loss"


def best_epoch(record: Record) -> dict[str, Any]:
    """Returns the line of the epoch with the lowest validation loss.

    Args:
        record: A `Record`.

    Returns:
        A line of kind `"epoch"`: without validation the last one; `{}` without epochs
        or where no validation loss is finite.
    """
    lines = [line for line in record.epochs if line.get("logs")]
    if not any(VALIDATION in line["logs"] for line in lines):
        return lines[-1] if lines else {}
    judged = [
        (float(line["logs"][VALIDATION]), place)
        for place, line in enumerate(lines)
        if VALIDATION in line["logs"]
    ]
    finite = [pair for pair in judged if math.isfinite(pair[0])]
    return lines[min(finite)[1]] if finite else {}


def best_run(runs: dict[str, Record]) -> tuple[str, float, int] | None:
    """Returns the run with the lowest validation loss.

    Args:
        runs: Dict of name to `Record`.

    Returns:
        `(name, loss, epoch)`; None where no run or only one has a validation loss, or
        where their losses are known to be of different kinds.
    """
    kinds = {
        repr([output.get("loss") for output in outputs])
        for run in runs.values()
        if (outputs := run.start.get("figures", {}).get("outputs"))
    }
    found = []
    for name, run in runs.items():
        line = best_epoch(run)
        if VALIDATION in line.get("logs", {}):
            found.append((float(line["logs"][VALIDATION]), line["epoch"], name))
    if len(found) < 2 or len(kinds) > 1:
        return None
    loss, epoch, name = min(found)
    return name, loss, epoch
