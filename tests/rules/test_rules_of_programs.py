"""Branches of rules that faulty training programs showed to be missing."""

import cases_behaviour
import cases_data as given
import pytest
from rule_cases import CLASSES
from rule_cases import output
from rule_cases import rates
from rule_cases import tiny
from rule_cases import training

from keras_practices.findings import Finding
from keras_practices.rules import CATALOGUE
from keras_practices.rules import explain

pytestmark = pytest.mark.once


def severities(code, figures):
    return [found.severity for found in CATALOGUE[code](figures)]


def test_copied_rows_of_measurements_are_no_twins():
    figures = given.overlap(60, twins=0.7)
    assert severities("validation-overlaps-training", figures) == []
    figures["overlap"]["continuous"] = True
    found = list(CATALOGUE["validation-overlaps-training"](figures))
    assert [one.severity for one in found] == ["error"]
    assert "copied" in found[0].cause
    figures["overlap"]["share"] = 0.05
    assert severities("validation-overlaps-training", figures) == []


@pytest.mark.parametrize(
    ("codes", "expected"),
    [({"zero_rows": 0.06}, ["warning"]), ({"several_rows": 0.06}, ["note"])],
)
def test_rows_without_a_class_cost_nothing(codes, expected):
    figures = {**given.one_hot(**codes), **training(last_loss=0.1)}
    assert severities("labels-wrong-format", figures) == expected


def test_several_labels_by_nature_are_a_question_of_the_activation():
    figures = given.one_hot(several_rows=0.51)
    assert figures["outputs"][0]["activation"] == "softmax"
    assert severities("labels-wrong-format", figures) == []
    assert severities("labels-wrong-format", given.one_hot(several_rows=0.5)) != []


@pytest.mark.parametrize(("largest", "expected"), [(2.0, []), (50.0, ["error"])])
def test_class_numbers_under_a_softmax_are_not_out_of_range(largest, expected):
    target = {**CLASSES, "max": largest}
    head = output(target, loss="mean_squared_error")
    figures = {**head, **given.coding([0, 1, 2], low=0.0, high=largest)}
    assert severities("targets-out-of-range", figures) == expected
    assert severities("loss-output-mismatch", figures) == ["warning"]


@pytest.mark.parametrize(
    ("right", "expected"), [(1.0, ["error"]), (0.9, []), (None, [])]
)
def test_a_loss_that_flattens_one_side_itself(right, expected):
    figures = cases_behaviour.loss(
        broadcast=None,
        pairing=1.0,
        ignores_targets=False,
        value=1.0,
        value_at_targets=right,
    )
    own, keras_own = output(loss="custom"), output(loss="mean_squared_error")
    code = "prediction-target-broadcast"
    assert severities(code, {**figures, **own}) == expected
    assert severities(code, {**figures, **keras_own}) == []


@pytest.mark.parametrize(
    ("loss", "kind", "expected"),
    [
        ("categorical_crossentropy", "multi-label", []),
        ("categorical_crossentropy", "one-hot", ["error"]),
        ("binary_crossentropy", "multi-label", ["error"]),
    ],
)
def test_a_fused_gradient_holds_for_one_hot_rows_only(loss, kind, expected):
    wrong = {"relative_error": 0.1, "analytic": 1.0, "numeric": 1.1}
    target = {**CLASSES, "kind": kind}
    figures = {
        **output(target, loss=loss),
        "gradient_check": {"variables": {"dense/kernel": wrong}},
    }
    assert severities("gradient-check-failed", figures) == expected


@pytest.mark.parametrize(
    ("ratio", "pull", "expected"),
    [(9e-6, 2e-3, ["warning"]), (1e-5, 2e-3, []), (9e-6, 1e-3, [])],
)
def test_steps_that_stand_still_where_no_trial_leads_anywhere(ratio, pull, expected):
    ends = {"x1": 2.0, "x10": 1.99, "x100": 1.98}
    figures = rates(1.99, ends, update_ratio=ratio, gradient_to_weight=pull)
    assert severities("learning-rate-too-low", figures) == expected


@pytest.mark.parametrize(
    ("steps", "left", "expected"),
    [(59, 0.1, ["warning"]), (60, 0.1, []), (59, 1.0, [])],
)
def test_a_training_that_hardly_began(steps, left, expected):
    figures = {**training(steps=steps, last_loss=1.9, kept=0.95), **tiny(left)}
    figures["training"]["epochs"] = 1
    assert severities("training-too-short", figures) == expected


@pytest.mark.parametrize(("run", "expected"), [(0.1, "warning"), (1.9, "error")])
def test_dropout_of_the_outputs_is_never_meant(run, expected):
    node = {
        "name": "dropout",
        "kind": "neutral",
        "gives": [0],
        "outputs": [],
        "inputs": [],
        "hidden": False,
        "rate": 0.4,
        "activation": None,
    }
    figures = {
        **output(),
        **training(last_loss=run),
        "graph": {"nodes": [node]},
        "parts": {"dropout": []},
    }
    assert severities("dropout-misused", figures) == [expected]


def test_rare_classes_account_for_what_a_handful_of_rows_does():
    def finding(code, severity, stage):
        return Finding(
            rule=code,
            severity=severity,
            stage=stage,
            subject="targets",
            message="…",
            cause="…",
            advice="…",
        )

    rare = finding("class-imbalance", "warning", "before")
    slow = finding("learning-rate-too-low", "error", "during")
    assert [(one.rule, one.severity) for one in explain([slow, rare])] == [
        ("class-imbalance", "error")
    ]
