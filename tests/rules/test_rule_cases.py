import json
import re

import cases_architecture
import cases_behaviour
import cases_data
import cases_ensembles
import cases_gradient_check
import cases_search
import cases_training
import pytest
import rule_cases
from rule_cases import BINARY
from rule_cases import CLASSES
from rule_cases import first_loss
from rule_cases import output
from rule_cases import rates
from rule_cases import scale
from rule_cases import tiny
from rule_cases import training
from rule_cases import units

from keras_practices.rules import CATALOGUE
from keras_practices.rules.explanation import EXPLAINS

pytestmark = pytest.mark.once

TOPICS = (
    rule_cases,
    cases_data,
    cases_architecture,
    cases_behaviour,
    cases_ensembles,
    cases_gradient_check,
    cases_search,
    cases_training,
)
CASES = {code: case for topic in TOPICS for code, case in topic.CASES.items()}

ONE_HOT = {"kind": "one-hot", "shape": [3], "min": 0.0, "max": 1.0, "distinct": 2}
NUMBERS = {"kind": "numbers", "shape": [], "min": -3.0, "max": 7.5, "distinct": 90}
SECTIONS = ("What it sees", "Why it matters", "Example", "Fix", "Threshold")


def run(code, figures):
    return CATALOGUE[code](figures)


def test_every_rule_has_its_cases_and_its_place():
    assert set(CASES) == set(CATALOGUE) == set(EXPLAINS)
    assert sum(len(topic.CASES) for topic in TOPICS) == len(CASES)
    assert {code for after in EXPLAINS.values() for code in after} <= set(CATALOGUE)


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_healthy_is_silent(code):
    assert run(code, CASES[code].healthy) == []


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_sick_fires(code):
    case = CASES[code]
    (found,) = run(code, case.sick)
    assert found.rule == code
    assert (found.severity, found.subject) == (case.severity, case.subject)
    assert case.advice in found.advice
    assert found.cause
    assert found.source == CATALOGUE[code].source
    assert found.stage == CATALOGUE[code].stage
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_boundary(code):
    assert run(code, CASES[code].silent) == []
    assert len(run(code, CASES[code].fires)) == 1


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_missing_figures_are_silent(code):
    assert run(code, {}) == []
    assert run(code, dict.fromkeys(CATALOGUE[code].needs)) == []


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_the_docstring_is_a_page(code):
    text = CATALOGUE[code].function.__doc__
    found = re.findall(rf"^ *({'|'.join(SECTIONS)}): ", text, re.MULTILINE)
    assert tuple(found) == SECTIONS


def test_scale_is_a_warning_then_an_error():
    (one,) = run("inputs-not-scaled", scale(50.0))
    (two,) = run("inputs-not-scaled", scale(50.1))
    assert (one.severity, two.severity) == ("warning", "error")
    assert "Standardization" in one.advice


SCORES = "sparse_categorical_crossentropy"
PAIRS = [
    # targets, changes to the head, severity (None: silent), words of the advice
    (ONE_HOT, {}, "error", "'categorical_crossentropy'"),
    (ONE_HOT, {"loss": "categorical_crossentropy"}, None, ""),
    (CLASSES, {"loss": "categorical_crossentropy"}, "error", f"'{SCORES}'"),
    (NUMBERS, {}, "error", "'mean_squared_error'"),
    (CLASSES, {"activation": "relu"}, "error", "activation='softmax'"),
    (CLASSES, {"activation": None}, None, ""),
    (ONE_HOT, {"loss": "mean_squared_error"}, "warning", "'categorical_cross"),
    (
        ONE_HOT,
        {"loss": "mean_squared_error", "activation": "linear"},
        "warning",
        "activation='softmax'",
    ),
    (NUMBERS, {"loss": "mean_squared_error", "activation": "linear"}, None, ""),
    (
        BINARY,
        {"loss": "binary_crossentropy", "activation": "linear", "shape": [1]},
        "error",
        "activation='sigmoid'",
    ),
    (
        NUMBERS,
        {"loss": "binary_crossentropy", "activation": "sigmoid", "shape": [1]},
        "error",
        "'mean_squared_error'",
    ),
    (ONE_HOT, {"loss": "binary_crossentropy"}, "warning", "categorical_crossentropy"),
    (CLASSES, {"loss": "custom", "activation": "linear"}, None, ""),
    (CLASSES, {"loss": None}, None, ""),
    (None, {}, None, ""),
    # Nothing finite among the targets: another rule says so.
    ({"kind": "numbers", "shape": [], "distinct": 0}, {}, None, ""),
]


@pytest.mark.parametrize(("target", "changes", "severity", "advice"), PAIRS)
def test_pairs_of_loss_and_output(target, changes, severity, advice):
    found = run("loss-output-mismatch", output(target, **changes))
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all(advice in one.advice for one in found)


def test_widths_of_targets_and_units():
    code = "output-units-mismatch"
    loss = "categorical_crossentropy"
    (found,) = run(code, output(ONE_HOT, shape=[4], loss=loss))
    assert found.advice == "Give the last layer 3 units."
    assert run(code, output(ONE_HOT, shape=[3], loss=loss)) == []
    sigmoid = {"shape": [1], "activation": "sigmoid", "loss": "binary_crossentropy"}
    (found,) = run(code, output(CLASSES, **sigmoid))
    assert "Dense(3, activation='softmax')" in found.advice
    assert run(code, output(BINARY, **sigmoid)) == []
    assert run(code, output(shape=None)) == []
    # Each pixel of a map has its own class; its rows are no wide target.
    pixels = {**CLASSES, "shape": [8, 8]}
    assert run(code, output(pixels, shape=[8, 8, 3])) == []
    # Time and event under a loss of one's own: it alone knows what they mean.
    two = {"kind": "numbers", "shape": [2], "min": 0.0, "max": 4.0}
    assert run(code, output(two, shape=[1], loss="custom")) == []
    assert len(run(code, output(two, shape=[1], loss="mean_squared_error"))) == 1


def test_a_loss_that_still_falls_asks_for_longer_steps():
    (found,) = run("cannot-overfit-tiny-subset", tiny(1.9, still_falling=True))
    assert found.severity == "note"
    assert "0.1" in found.advice
    # Time was up before the trial had begun to speak.
    assert run("cannot-overfit-tiny-subset", tiny(1.9, steps=99)) == []
    assert len(run("cannot-overfit-tiny-subset", tiny(1.9, steps=100))) == 1
    assert run("cannot-overfit-tiny-subset", tiny(1.9, floor=None)) == []
    assert run("cannot-overfit-tiny-subset", tiny(1.9, floor=1.88)) == []
    (nan,) = run("cannot-overfit-tiny-subset", tiny(float("inf"), steps=3))
    assert nan.severity == "error"


def test_a_change_that_fits_the_tiny_subset_is_the_advice():
    change = {"change": "standardised inputs", "learning_rate": 0.01, "steps": 200}
    change |= {"first_loss": 2.0, "floor": 0.0}
    figures = tiny(1.9)
    (found,) = run(
        "cannot-overfit-tiny-subset",
        {**figures, "tiny_changes": [{**change, "best_loss": 0.1}]},
    )
    assert "standardised inputs" in found.advice
    (found,) = run(
        "cannot-overfit-tiny-subset",
        {**figures, "tiny_changes": [{**change, "best_loss": 1.8}]},
    )
    assert "standardised inputs" not in found.advice
    # Another loss is measured by itself: from 0.2 to 0.15 is not fitted.
    head = {**change, "change": "another head", "first_loss": 0.2, "best_loss": 0.15}
    trials = [head, {**change, "best_loss": 0.3}]
    (found,) = run("cannot-overfit-tiny-subset", {**figures, "tiny_changes": trials})
    assert "standardised inputs" in found.advice


def test_a_first_loss_that_is_not_finite_is_far_above_guessing():
    (found,) = run("initial-loss-off-chance", first_loss(float("nan")))
    assert found.evidence["data_loss"] == "nan"
    assert run("initial-loss-off-chance", first_loss(50.0, chance=None)) == []


def test_weights_that_were_trained_on_something_else_are_a_note():
    high = first_loss(20.0)
    (found,) = run("initial-loss-off-chance", {**high, "initial_loss_draws": [2.1, 3]})
    assert found.severity == "note"
    (found,) = run("initial-loss-off-chance", {**high, "initial_loss_draws": [2.1, 9]})
    assert found.severity == "warning"
    assert found.evidence["other_draws"] == [2.1, 9]


def test_a_rate_must_gain_twice_what_the_own_rate_gains():
    ends = {"d10": 0.3, "x1": 0.9, "x10": 2.0}
    assert run("learning-rate-too-high", rates(2.0, ends)) == []
    assert len(run("learning-rate-too-high", rates(2.0, {**ends, "x1": 1.5}))) == 1


def test_a_training_that_ended_in_nan_is_judged_by_its_trials():
    figures = rates(
        None, {"d10": 0.4, "x1": float("nan")}, start_loss=None, first_not_finite=1
    )
    (found,) = run("learning-rate-too-high", figures)
    assert "not finite" in found.message
    assert "NaN" in found.message


def test_update_ratio_speaks_where_there_is_no_trial():
    high = rates(2.5, None, update_ratio=0.2)
    (found,) = run("learning-rate-too-high", high)
    assert (found.severity, found.advice) == ("warning", "Set learning_rate=0.001.")
    assert run("learning-rate-too-low", high) == []
    assert run("learning-rate-too-high", rates(2.5, None, update_ratio=0.1)) == []
    assert run("learning-rate-too-high", rates(0.5, None, update_ratio=0.2)) == []


def test_a_pretrained_start_is_no_stuck_loss():
    stuck = training(start_loss=0.2, last_loss=0.2)
    assert run("loss-not-decreasing", stuck) == []
    assert run("loss-not-decreasing", training(last_loss=2.0, steps=19)) == []
    at_floor = training(start_loss=2.0, last_loss=1.95, floor=1.94)
    assert run("loss-not-decreasing", at_floor) == []


def test_overfitting_needs_three_epochs_and_a_falling_training_loss():
    late = training(validation_losses=[2.0, 1.0, 0.5, 0.9, 1.2])
    assert run("overfitting", late) == []
    turned = [1.0, 0.5, 0.8, 1.0, 1.2]
    both = training(validation_losses=turned, training_losses=[1, 0.6, 0.7, 0.8, 0.9])
    assert run("overfitting", both) == []
    tiny_rise = training(validation_losses=[0.02, 0.01, 0.02, 0.02, 0.02])
    assert run("overfitting", tiny_rise) == []


def test_dead_units_at_the_start_and_on_the_way():
    stuck, fine = training(kept=0.9), training(kept=0.1)
    (start,) = run("dead-units", units(1.0, before=1.0, run=stuck))
    assert (start.stage, start.severity) == ("before", "error")
    (later,) = run("dead-units", units(1.0, before=0.0, run=stuck))
    assert (later.stage, later.severity) == ("during", "error")
    assert "Divide the learning rate by 10" in later.advice
    (sparse,) = run("dead-units", units(0.95, before=0.0, run=fine))
    assert sparse.severity == "note"
    assert run("dead-units", units(0.6, before=0.0, run=fine)) == []
    assert len(run("dead-units", units(0.6, before=0.0, run=stuck))) == 1
    assert run("dead-units", units(0.5, before=0.0, run=stuck)) == []
    assert run("dead-units", units(1.0, rows=31)) == []


@pytest.mark.parametrize(
    ("before", "after", "steps", "expected"),
    [
        (0.1, 0.95, 1, ["warning"]),
        (0.1, 0.95, None, ["warning"]),
        (0.1, 0.5, 1, []),
        (0.95, 0.95, 1, []),  # dead from the beginning
        (0.1, 0.95, 50, []),  # trials that took their steps know better
    ],
)
def test_units_that_died_where_no_trial_tells(before, after, steps, expected):
    ends = {"d10": 2.3, "x1": 2.3, "x10": 2.3}
    figures = rates(2.3, None if steps is None else ends)
    for trial in figures.get("rate_trials") or []:
        # That at the own rate comes first: the time does for it.
        trial["steps"] = 50 if trial["factor"] == 1.0 else steps
    figures["layers"] = {"hidden": {"inactive": after}}
    figures["layers_before"] = {"hidden": {"inactive": before}}
    assert [one.severity for one in run("learning-rate-too-high", figures)] == expected
