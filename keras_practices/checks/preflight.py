"""Everything that is looked at before training, within a time budget."""

import dataclasses
import time
import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.validation import check_number
from keras_practices.checks.progress import progress
from keras_practices.errors import first_line
from keras_practices.findings import Finding
from keras_practices.measures import before
from keras_practices.measures.arrays import measure_finite
from keras_practices.measures.features import measure_features
from keras_practices.measures.gradient_check import measure_gradients
from keras_practices.measures.graph import measure_graph
from keras_practices.measures.initial_loss import measure_draws
from keras_practices.measures.initial_weights import measure_initial_weights
from keras_practices.measures.label_format import measure_label_format
from keras_practices.measures.label_signal import measure_label_signal
from keras_practices.measures.loss_behaviour import measure_loss_behaviour
from keras_practices.measures.model_card import has_custom_train_step
from keras_practices.measures.model_card import measure_model
from keras_practices.measures.modes import measure_output_dependence
from keras_practices.measures.optimizer_behaviour import measure_optimizer_behaviour
from keras_practices.measures.partition import figures_of_partition
from keras_practices.measures.parts import measure_parts
from keras_practices.measures.sample import Sample
from keras_practices.measures.set_up import check_model
from keras_practices.rules import check_codes
from keras_practices.rules import explain
from keras_practices.rules import run_rules
from keras_practices.rules import thresholds
from keras_practices.rules.outcome import kept_share

GRADIENT_SECONDS = 4.0


@dataclasses.dataclass
class Preflight:
    """What was measured before training.

    Attributes:
        figures: Name → plain figures, what the rules read.
        not_measured: Pairs `(what, why)`.
        timings: What → seconds.
        findings: Explained findings, most probable cause first.
    """

    figures: dict = dataclasses.field(default_factory=dict)
    not_measured: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)


def preflight(
    model: keras.Model,
    sample: Sample,
    *,
    whole: tuple[Any, Any] = (None, None),
    validation: Any = None,
    facts: dict[str, Any] | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    budget_seconds: float = 20.0,
    owner: str = "check",
    verbose: str | int = 0,
) -> Preflight:
    """Measures a model and a sample of its data, and runs the rules over it.

    Args:
        model: Built and compiled Keras model; it is not written.
        sample: From `take_sample`.
        whole: `(x, y)` in full where they are arrays, to look at every row.
        validation: Validation data as for `fit`, or None.
        facts: What the arguments of `fit` say, from `fit_facts`; None for `check`.
        select: Rule codes to run, None for all.
        ignore: Rule codes to leave out.
        budget_seconds: Seconds for all of it; trials that no longer fit in are
            listed as not measured.
        owner: Name for error messages.
        verbose: Whether to show what is being measured, see `progress`.

    Returns:
        A `Preflight`.

    Raises:
        ValueError, TypeError: bad arguments, before anything is run.
    """
    check_model(owner, model)
    check_number(owner, "budget_seconds", budget_seconds, low=0)
    select = check_codes(owner, "select", select)
    ignore = check_codes(owner, "ignore", ignore)
    result = Preflight(figures=dict(facts or {}))
    x, y = (
        part if part is not None else own
        for part, own in zip(whole, (sample.x, sample.y), strict=True)
    )
    with progress(owner, verbose) as say:
        run = _Run(result, time.perf_counter() + budget_seconds, say)
        _look_at_data(run, sample, x, y, validation)
        _look_at_model(run, model, sample)
        _dry_run(run, model, sample)
    found = run_rules(result.figures, stages=("before",), select=select, ignore=ignore)
    result.findings = explain(found)
    return result


def _look_at_data(run, sample, x, y, validation):
    run.measure("finite inputs", lambda: {"inputs_finite": measure_finite(x, "inputs")})
    run.measure(
        "finite targets", lambda: {"targets_finite": measure_finite(y, "targets")}
    )
    run.measure("features", lambda: {"input_features": measure_features(sample.x)})
    split = run.result.figures.get("validation_split", 0.0)
    run.measure(
        "validation", lambda: figures_of_partition(sample, x, y, validation, split)
    )


def _look_at_model(run, model, sample):
    figures = run.result.figures
    run.measure("model", lambda: {"model": measure_model(model)})
    run.measure("outputs", lambda: before.figures_of_outputs(model, sample))
    run.measure(
        "coding of the labels",
        lambda: {
            "label_format": measure_label_format(model, sample, figures["outputs"])
        },
    )
    run.measure("graph", lambda: measure_graph(model, sample))
    run.measure("settings", lambda: measure_parts(model))
    run.measure("initial weights", lambda: measure_initial_weights(model))
    run.measure("layers", lambda: before.figures_of_layers(model, sample))
    if _why_no_loss(model, sample, figures) is None:
        run.measure(
            "initial loss",
            lambda: before.figures_of_initial_loss(model, sample, figures["outputs"]),
        )
        if run_rules(figures, stages=("before",), select=["initial-loss-off-chance"]):
            run.measure(
                "initial loss, other draws",
                lambda: {"initial_loss_draws": measure_draws(model, sample)},
            )
    run.measure(
        "loss behaviour",
        lambda: {
            "loss_behaviour": measure_loss_behaviour(
                model, sample, figures.get("outputs")
            )
        },
    )
    run.measure(
        "optimizer behaviour",
        lambda: {"optimizer_behaviour": measure_optimizer_behaviour(model.optimizer)},
    )
    run.measure(
        "labels from inputs",
        lambda: {"label_signal": measure_label_signal(model, sample)},
    )
    run.measure(
        "output dependence",
        lambda: {"output_dependence": measure_output_dependence(model, sample.x)},
    )


def _dry_run(run, model, sample):
    """What needs a loss: the first loss, the tiny subset, the gradients."""
    figures = run.result.figures
    reason = _why_no_loss(model, sample, figures)
    if reason is not None:
        skipped = ("initial loss", "tiny subset", "gradient check")
        run.result.not_measured += [(what, reason) for what in skipped]
        return
    # Half of what is left: the trial ends between two steps, a compilation may not.
    run.measure(
        "tiny subset",
        lambda: before.figures_of_tiny_subset(
            model, sample, figures["floor"], seconds=run.seconds_left() / 2
        ),
    )
    run.measure("gradient check", lambda: _gradients(model, sample, run))
    tiny = figures.get("tiny_subset")
    if tiny is not None and _not_fitted(tiny):
        run.measure(
            "tiny subset with changes",
            lambda: before.figures_of_tiny_changes(
                model,
                sample,
                tiny,
                figures["outputs"],
                seconds=run.seconds_left() / 2,
            ),
        )


def _gradients(model, sample, run):
    seconds = min(GRADIENT_SECONDS, run.seconds_left() / 2)
    found = measure_gradients(model, sample, seconds=seconds)
    if "skipped" in found:
        run.result.not_measured.append(("gradient check", found["skipped"]))
        return {}
    return {"gradient_check": found}


def _not_fitted(tiny):
    kept = kept_share(tiny["first_loss"], tiny["best_loss"], tiny["floor"])
    return kept is not None and kept > thresholds.TINY_SUBSET_KEPT


def _why_no_loss(model, sample, figures):
    if has_custom_train_step(model):
        return "the model trains by a train_step of its own"
    if "outputs" not in figures:
        return "the outputs could not be read"
    if sample.y is None and getattr(model, "loss", None) is not None:
        return "there are no targets"
    if sample.y is None and not model.losses:
        return "there are no targets and the model adds no loss of its own"
    for name in ("inputs_finite", "targets_finite"):
        if any(found["bad_rows"] for found in figures.get(name, {}).values()):
            return "the data hold NaN or infinity"
    return None


class _Run:
    """Runs one measure after the other; a failing one costs only itself."""

    def __init__(self, result, deadline, say):
        self.result = result
        self.deadline = deadline
        self.say = say

    def seconds_left(self):
        return max(0.0, self.deadline - time.perf_counter())

    def measure(self, what, function):
        begun = time.perf_counter()
        if begun >= self.deadline:
            self.result.not_measured.append((what, "the time budget was used up"))
            return
        self.say(what)
        try:
            with warnings.catch_warnings():
                # What Keras warns of here it says again when `fit` runs.
                warnings.simplefilter("ignore")
                self.result.figures.update(function())
        except Exception as error:
            self.result.not_measured.append((what, first_line(error)))
        self.result.timings[what] = time.perf_counter() - begun
