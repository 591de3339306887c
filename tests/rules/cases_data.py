"""Figures for the rules about the data: healthy, sick, both sides of the boundary."""

from rule_cases import Case
from rule_cases import output
from rule_cases import training

LONG = list(range(12))


def inputs(rms, largest, **run):
    scale = {"rms": rms, "min": 0.0, "max": largest, "std": rms / 2}
    return {"first_inputs": {"conv": scale}, **run}


def constant(count, features=10, **changes):
    found = {
        "rows": 100,
        "features": features,
        "constant": count,
        "share": count / features,
        "columns": LONG[: min(count, 5)],
        "same_rows": 0.01,
        "table": True,
        "integer": False,
    }
    return {"input_features": {"inputs": {**found, **changes}}}


def numbers(rms, **run):
    target = {"kind": "numbers", "shape": [1], "min": 0.0, "max": 2 * rms}
    target |= {"mean": 0.6 * rms, "variance": (0.8 * rms) ** 2, "mean_square": rms**2}
    target["distinct"] = 90
    head = {"activation": "linear", "loss": "mean_squared_error", "shape": [1]}
    return {**output(target, **head), **run}


def coding(values, **changes):
    found = {
        "rows": 100,
        "low": float(values[0]),
        "high": float(values[-1]),
        "values": [float(value) for value in values],
        "distinct": len(values),
        "whole": all(value == round(value) for value in values),
        "negative": 0.0,
        "zeros": 0.0,
        "ignore_class": None,
    }
    return {"label_format": [{**found, **changes}]}


def sigmoid(high):
    target = {"kind": "numbers", "shape": [4], "min": 0.0, "max": high, "distinct": 90}
    head = {"activation": "sigmoid", "loss": "binary_crossentropy", "shape": [4]}
    return {**output(target, **head), **coding(LONG, high=high, low=0.0)}


def one_hot(**changes):
    target = {"kind": "one-hot", "shape": [3], "min": 0.0, "max": 1.0, "distinct": 2}
    head = {"loss": "categorical_crossentropy"}
    codes = {"zero_rows": 0.0, "several_rows": 0.0, "one_value": 1.0}
    return {**output(target, **head), **coding([0, 1], **{**codes, **changes})}


def signal(z, rows=500, **run):
    names = ("neighbours", "linear", "random features")
    found = {
        "rows": rows,
        "features": 4,
        "task": "classes",
        "sequences": False,
        "probes": {name: {"score": 0.1, "z": z} for name in names},
        "explained": 0.01,
    }
    return {"label_signal": found, **output(), **run}


def classes(*counts, complete=True, **run):
    pairs = {str(label): count for label, count in enumerate(counts)}
    found = {"rows": sum(counts), "counts": pairs, "complete": complete}
    return {"class_counts": found, **output(), **run}


def order(changes, **run):
    found = {"rows": 150, "classes": 3, "changes": changes, "expected_changes": 100.0}
    tail = {"rows": 30, "classes": 1, "unseen": [], "unseen_share": 0.0}
    return {
        "order": {**found, "tail": {**tail, "distance": 0.8}},
        "validation_split": 0.2,
        **run,
    }


def overlap(shared, twins=0.0):
    found = {"rows": 1000, "validation_rows": 100, "shared": shared}
    return {"overlap": {**found, "share": shared / 100, "twins": twins}}


def shift(rms, other, statistics=None, off_scale=0.0):
    found = {"rows": 500, "other_rows": 500, "rms": rms, "other_rms": other}
    found |= {"off_scale": off_scale, "statistics": statistics or {}}
    return {"input_shift": {"inputs": found}}


def batches(size, steps, last_loss, **changes):
    fit = {"batch_size": size, "epochs": 10, "steps": steps}
    return {
        "fit": fit,
        "constant_loss": 2.0,
        **training(last_loss=last_loss, **changes),
    }


CASES = {
    "inputs-scaled-twice": Case(
        healthy=inputs(0.3, 1.0),
        sick=inputs(0.001, 1 / 255),
        severity="warning",
        subject="conv",
        advice="Divide by 255 once",
        silent=inputs(0.01, 0.019),
        fires=inputs(0.0099, 0.019),
    ),
    "inputs-constant-features": Case(
        healthy=constant(0),
        sick=constant(10),
        severity="error",
        subject="inputs",
        advice="Print ten rows of x",
        silent={**constant(9, table=False), **training(last_loss=2.0)},
        fires={**constant(10, 11, table=False), **training(last_loss=2.0)},
    ),
    "targets-not-scaled": Case(
        healthy=numbers(3.0),
        sick=numbers(500.0),
        severity="warning",
        subject="answer",
        advice="Train on y = (y - 300) / 400",
        silent=numbers(50.0),
        fires=numbers(50.1),
    ),
    "targets-out-of-range": Case(
        healthy=sigmoid(0.9),
        sick=sigmoid(30.0),
        severity="error",
        subject="answer",
        advice="activation='linear'",
        silent=sigmoid(1.05),
        fires=sigmoid(1.06),
    ),
    "labels-wrong-format": Case(
        healthy=one_hot(),
        sick=one_hot(zero_rows=0.6),
        severity="error",
        subject="answer",
        advice="give them a class",
        silent=one_hot(zero_rows=0.05),
        fires=one_hot(zero_rows=0.06),
    ),
    "labels-independent-of-inputs": Case(
        healthy=signal(30.0),
        sick=signal(0.5),
        severity="warning",
        subject="targets",
        advice="one permutation",
        silent=signal(2.51),
        fires=signal(2.5),
    ),
    "class-imbalance": Case(
        healthy=classes(500, 480, 510),
        sick=classes(500, 480, 5),
        severity="warning",
        subject="targets",
        advice="{0: 0.657, 1: 0.684, 2: 65.7}",
        silent=classes(500, 480, 30),
        fires=classes(500, 480, 29),
    ),
    "data-sorted": Case(
        healthy=order(98),
        sick=order(2),
        severity="error",
        subject="training rows",
        advice="one permutation",
        silent=order(21),
        fires=order(20),
    ),
    "validation-overlaps-training": Case(
        healthy=overlap(0),
        sick=overlap(100),
        severity="error",
        subject="validation data",
        advice="Cut validation off first",
        silent=overlap(5),
        fires=overlap(6),
    ),
    "validation-preprocessed-differently": Case(
        healthy=shift(0.3, 0.31),
        sick=shift(0.3, 78.0),
        severity="error",
        subject="inputs",
        advice="one function of preprocessing",
        silent=shift(1.0, 20.0),
        fires=shift(1.0, 20.1),
    ),
    "batch-size-extreme": Case(
        healthy=batches(32, 400, 0.2),
        sick=batches(1, 4000, 1.8),
        severity="warning",
        subject="batch_size",
        advice="batch_size=32",
        silent=batches(500, 21, 1.0),
        fires=batches(500, 20, 1.0),
    ),
}
