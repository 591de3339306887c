"""The tables of a search: its facts, the best trials, the lost ones, the stages."""

from keras_practices.report.words import duration
from keras_practices.report.words import percent
from keras_practices.search_record import COMPLETED
from keras_practices.search_record import ENDED_EARLY
from keras_practices.search_record import FAILED
from keras_practices.search_record import PRUNED

BEST = 10
MOST_ROWS = 20
REASON_LETTERS = 240


def summary(record):
    """Returns the facts of a search as a flat table."""
    ended = list(record.trials.values())
    table = {
        "objective": f"{record.objective}, {record.direction}",
        "strategy": _strategy(record),
        "seed": record.seed,
        "trials ended": len(ended),
    }
    for status in (COMPLETED, ENDED_EARLY, PRUNED, FAILED):
        count = sum(one.status == status for one in ended)
        if count:
            table[f"of them {status}"] = count
    if record.running:
        table["trials begun and not ended"] = len(record.running)
    # Epochs of a trial that goes on are those of the trials before it among them.
    before = {one.trial: one.epochs for one in ended}
    spent = sum(one.epochs - before.get(one.continues, 0) for one in ended)
    table["epochs"] = max(0, spent)
    table["time of all trials"] = duration(sum(one.seconds for one in ended))
    return table


def _strategy(record):
    name = str(record.strategy.get("name") or "not known")
    return name.removesuffix("Strategy").lower()


def sections(record, chances):
    """Returns heading → rows.

    Args:
        record: A `SearchRecord`.
        chances: Number of a trial → its probability to be the best, or `{}`.
    """
    best = [
        _best(place, one, chances) for place, one in enumerate(record.ranked[:BEST])
    ]
    parts = {
        "Best trials": best or "No trial has a score.",
        "What was searched": [_range(one) for one in record.space],
    }
    stages = _stages(record)
    if len(stages) > 1:
        parts["Stages"] = stages
    for heading, status, why in (
        ("Ended early", ENDED_EARLY, lambda one: one.reason or "no reason kept"),
        ("Failed", FAILED, lambda one: _last_line(one.error)),
    ):
        rows = [
            {"trial": one.trial, "epochs": one.epochs, "why": _cut(why(one))}
            | one.values
            for _, one in sorted(record.trials.items())
            if one.status == status
        ]
        if rows:
            left = len(rows) - MOST_ROWS
            more = f" (the first {MOST_ROWS} of {len(rows)})" if left > 0 else ""
            parts[f"{heading}{more}"] = rows[:MOST_ROWS]
    return parts


def _best(place, one, chances):
    row = {"place": place + 1, "trial": one.trial, "score": one.score}
    if chances:
        row["chance to be the best"] = percent(round(chances[one.trial], 4))
    row |= {"stage": one.stage, "epochs": one.epochs, "best epoch": one.best_epoch}
    taken = {"place", "trial", "score", "stage", "epochs", "best epoch"}
    return row | {
        f"{name} (searched)" if name in taken else name: value
        for name, value in one.values.items()
    }


def _range(one):
    row = {"name": one["name"], "kind": one["kind"]}
    if "low" in one:
        row["from"], row["to"] = one["low"], one["high"]
        row["scale"] = one.get("scale") or "linear"
        if one.get("step"):
            row["step"] = one["step"]
    else:
        row["values"] = one.get("values") or []
    if one.get("conditions"):
        row["where"] = [
            f"{each['name']} is {' or '.join(map(str, each['values']))}"
            for each in one["conditions"]
        ]
    return row


def _stages(record):
    rows = []
    for stage in sorted({one.stage for one in record.trials.values()}):
        inside = [one for one in record.trials.values() if one.stage == stage]
        scored = [one for one in record.ranked if one.stage == stage]
        rows.append(
            {
                "stage": stage,
                "trials": len(inside),
                "of them going on": sum(one.continues is not None for one in inside),
                "epochs of a trial": max(one.epochs for one in inside),
                "best score": scored[0].score if scored else None,
                "time": duration(sum(one.seconds for one in inside)),
            }
        )
    return rows


def _last_line(error):
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no traceback kept"


def _cut(text):
    short = text if len(text) <= REASON_LETTERS else f"{text[:REASON_LETTERS]}…"
    return " ".join(short.split())
