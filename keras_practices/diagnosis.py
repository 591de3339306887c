"""The verbs that join checks, monitor and report: `check` and `diagnose`."""

import os
import time
from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.validation import check_number
from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks.training_monitor import PROBE_ROWS
from keras_practices.checks import preflight
from keras_practices.checks.fit_arguments import build_from_rows
from keras_practices.checks.fit_arguments import callback_list
from keras_practices.checks.fit_arguments import check_batches_last
from keras_practices.checks.fit_arguments import check_validation_data
from keras_practices.checks.fit_arguments import fit_facts
from keras_practices.checks.postflight import postflight
from keras_practices.data import Vault
from keras_practices.errors import UsageError
from keras_practices.errors import first_line
from keras_practices.measures.environment import measure_environment
from keras_practices.measures.recorded import figures_of_training
from keras_practices.measures.sample import MAX_ROWS
from keras_practices.measures.sample import as_arrays
from keras_practices.measures.sample import take_sample
from keras_practices.measures.set_up import check_model
from keras_practices.measures.side_state import snapshot
from keras_practices.report import Report
from keras_practices.report.tables import tables_of
from keras_practices.report.tables import timings_of
from keras_practices.rules import check_codes
from keras_practices.rules import explain
from keras_practices.rules import run_rules


def check(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    validation_data: Any = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    budget_seconds: float = 20.0,
    verbose: str | int = "auto",
) -> Report:
    """Finds out before training what is wrong with model, settings and data.

    Reads model and compile settings, looks at a sample of the data, and runs a few
    steps on state at the side. The model's variables are never written.

    Args:
        model: Built and compiled Keras model.
        x: What `fit` would get: arrays (dicts and lists of them), `tf.data.Dataset`,
            `PyDataset`, PyTorch `DataLoader`, Python generator. A generator's first
            rows are used up; give `check` a fresh one.
        y: Targets, for arrays.
        sample_weight: Weights, for arrays.
        validation_data: `(x, y)` or a dataset: compared with the training rows.
        select: List of rule codes to run, None for all.
        ignore: List of rule codes to leave out.
        budget_seconds: Seconds for all of it. What no longer fits in is listed in the
            report as not measured.
        verbose: `"auto"` shows what is being measured in a line of the terminal, 0
            nothing, 1 a line each where there is no terminal.

    Returns:
        A `Report`, most probable root cause first.

    Raises:
        TypeError, ValueError: the model is not built or not compiled; data that are
            empty, of unequal length or of dtype object.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(0, 255, (64, 4))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    >>> model.compile("sgd", "sparse_categorical_crossentropy")
    >>> check(model, x, np.arange(64) % 3).first.rule
    'inputs-not-scaled'

    References:
        CS231n, Neural Networks Part 2 and 3.
    """
    check_model("check", model)
    sample = take_sample(x, y, sample_weight, owner="check")
    check_validation_data("check", validation_data)
    whole = (x, y) if sample.batch_size is None else (None, None)
    result = preflight(
        model,
        sample,
        whole=whole,
        validation=validation_data,
        select=select,
        ignore=ignore,
        budget_seconds=budget_seconds,
        verbose=verbose,
    )
    return Report(
        result.findings,
        title=f"Check of {model.name}",
        figures=tables_of(result.figures),
        not_measured=result.not_measured,
        timings=result.timings,
        environment=measure_environment(),
    )


def diagnose(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    validation_split: float = 0.0,
    budget_seconds: float = 20.0,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    directory: str | os.PathLike[str] | None = None,
    **fit_kwargs: Any,
) -> Report:
    """Checks, trains as `fit` would under the monitor, and explains what happened.

    Args:
        model: Compiled Keras model. One that is not built yet is built from the first
            rows, as `fit` does.
        x: What `fit` takes; see `check`. A generator loses no rows.
        y: Targets, for arrays.
        validation_data: As for `fit`.
        validation_split: As for `fit`.
        budget_seconds: Seconds for checks and trials, beside the training itself.
        select: List of rule codes to run, None for all.
        ignore: List of rule codes to leave out.
        directory: Folder for the record, or None to keep it in memory.
        **fit_kwargs: Everything else `fit` takes: `epochs`, `batch_size`,
            `callbacks`, `class_weight`, `sample_weight`, `steps_per_epoch`, ….

    Returns:
        A `Report`, most probable root cause first; `report.history` is what `fit`
        returned, None where it raised; then `report.raised` is the exception.

    Raises:
        TypeError, ValueError: bad model, data or arguments, before any training.
        OSError: `directory` cannot be written.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> diagnose(model, x, x[:, :1], epochs=20, verbose=0).ok
    True

    References:
        CS231n, Neural Networks Part 3: "Babysitting the learning process".
    """
    check_model("diagnose", model, must_be_built=False)
    check_number("diagnose", "budget_seconds", budget_seconds, low=0)
    select = check_codes("diagnose", "select", select)
    ignore = check_codes("diagnose", "ignore", ignore)
    check_validation_data("diagnose", validation_data)
    fit_kwargs["callbacks"] = callback_list(fit_kwargs.get("callbacks"))
    sample = take_sample(
        x, y, fit_kwargs.get("sample_weight"), owner="diagnose", max_rows=MAX_ROWS
    )
    check_batches_last(sample, fit_kwargs)
    build_from_rows(model, sample)
    arrays = sample.batch_size is None
    facts = fit_facts(sample, validation_split, fit_kwargs)
    weights = fit_kwargs.get("sample_weight")
    probe = _probe_of(sample, (x, y, weights), validation_split)
    monitor = TrainingMonitor(directory, probe=probe)
    result = preflight(
        model,
        sample,
        whole=(x, y) if arrays else (None, None),
        validation=validation_data,
        facts=facts,
        select=select,
        ignore=ignore,
        budget_seconds=0.35 * budget_seconds,
        owner="diagnose",
        # A line each is for `check`: `fit` prints its own.
        verbose="auto" if fit_kwargs.get("verbose", "auto") else 0,
    )
    figures, spent = result.figures, sum(result.timings.values())
    monitor.extra_figures = _for_record(figures)
    initial = snapshot(model)

    history, raised = _train(
        model,
        monitor,
        result,
        x if arrays else sample.data,
        y,
        validation_data=validation_data,
        validation_split=validation_split,
        **fit_kwargs,
    )
    figures.update(figures_of_training(monitor.record, figures))
    # The monitor's step is compiled within `fit`, but `fit` alone would not need it.
    spent += monitor.record.end.get("compile_seconds", 0.0)
    postflight(
        model,
        sample,
        initial,
        result,
        batch_size=figures["fit"]["batch_size"],
        # A tenth is left for what is not timed; the trials decide, and take their part.
        seconds=max(0.4 * budget_seconds, 0.9 * budget_seconds - spent),
    )
    report = _report_of(
        result, monitor.record, f"Diagnosis of {model.name}", select, ignore
    )
    report.history, report.raised = history, raised
    return report


def _probe_of(sample, whole, validation_split):
    """Rows that the training loss is measured on: none that validation holds back."""
    if sample.batch_size is not None or not validation_split:
        return sample.head(PROBE_ROWS)
    # `fit` cuts validation off the end.
    rows = int(sample.total_rows * (1 - validation_split))
    if not rows:
        return sample.head(PROBE_ROWS)

    def first(part):
        if part is None:
            return None
        part = as_arrays(part, "diagnose", "x")
        return keras.tree.map_structure(lambda array: array[:rows], part)

    x, y, weights = map(first, whole)
    part = take_sample(x, y, weights, owner="diagnose", max_rows=PROBE_ROWS)
    return part.head(PROBE_ROWS)


def _train(model, monitor, result, x, y, *, callbacks, **fit_kwargs):
    """Runs `fit` under the monitor; what it raises becomes a figure."""
    begun = time.perf_counter()
    history = raised = None
    try:
        history = model.fit(x, y, callbacks=[*callbacks, monitor], **fit_kwargs)
    except Exception as error:
        raised = error
        monitor.record.close()
        result.figures["exception"] = {
            "type": type(error).__name__,
            "text": first_line(error),
            "steps": len(monitor.record.curve("loss")[1]),
        }
    result.timings["training"] = time.perf_counter() - begun
    return history, raised


def report_test_set(report: Report, vault: Vault) -> Report:
    """Adds what a vault recorded to a report: figures, and a finding if reused.

    A figure that has a confidence interval is followed by it.

    Args:
        report: A `Report`.
        vault: A `Vault` that was opened.

    Returns:
        A new `Report` with the table "test set" and, from the second opening on, the
        finding `test-set-reused`.

    Raises:
        RuntimeError: the vault was never opened.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> vault = Vault(np.ones((8, 2), "float32"), np.ones((8, 1), "float32"))
    >>> metrics = vault.evaluate(model)
    >>> sorted(report_test_set(Report(), vault).figures["test set"])
    ['loss', 'opened', 'openings']
    """
    openings = vault.openings
    if not openings:
        raise UsageError(
            "report_test_set: argument `vault` must have been opened. Call "
            "vault.evaluate(model) once, when every choice is made."
        )
    last = openings[-1]
    table: dict[str, Any] = {}
    for name, value in last["metrics"].items():
        table[name] = value
        # Lines of older ledgers have none.
        if name in last.get("intervals", {}):
            low, high = last["intervals"][name]
            share = f"{100 * last['confidence']:g} %"
            table[f"{name}, {share} interval"] = f"{low:.4g} to {high:.4g}"
    table |= {"opened": last["time"], "openings": len(openings)}
    found = run_rules({"openings": openings}, stages=("act",))
    return report.extended(found, figures={"test set": table})


def _report_of(result, record, title, select, ignore):
    findings = run_rules(
        result.figures, stages=("before", "during"), select=select, ignore=ignore
    )
    return Report(
        explain(findings),
        title=title,
        record=record,
        figures=tables_of(result.figures),
        not_measured=result.not_measured,
        timings=result.timings | timings_of(record),
        environment=record.start.get("environment") or measure_environment(),
    )


def _for_record(figures):
    """What a record keeps of the checks, so that it can be explained by itself."""
    tiny = figures.get("tiny_subset")
    # The layers are in the record anyway, on the probe before the first step.
    chosen = {name: found for name, found in figures.items() if name != "layers"}
    if tiny is not None:
        chosen["tiny_subset"] = {**tiny, "losses": []}
    return chosen
