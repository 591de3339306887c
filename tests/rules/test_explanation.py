import itertools

import pytest

from keras_practices.findings import Finding
from keras_practices.rules import CATALOGUE
from keras_practices.rules import explain
from keras_practices.rules.explanation import EXPLAINS

pytestmark = pytest.mark.once


def finding(rule, severity="error", stage=None):
    stage = stage or CATALOGUE[rule].stage
    return Finding(rule, severity, stage, "subject", f"message of {rule}")


def codes(findings):
    return [one.rule for one in findings]


def test_symptoms_fold_under_their_cause():
    found = [
        finding("loss-not-decreasing"),
        finding("cannot-overfit-tiny-subset"),
        finding("loss-output-mismatch"),
    ]
    (cause,) = explain(found)
    assert cause.rule == "loss-output-mismatch"
    assert cause.evidence["accounts for"] == [
        "cannot-overfit-tiny-subset: message of cannot-overfit-tiny-subset",
        "loss-not-decreasing: message of loss-not-decreasing",
    ]


def test_order_of_arrival_does_not_matter():
    found = [
        finding("overfitting", "warning"),
        finding("loss-not-decreasing"),
        finding("inputs-not-scaled", "warning"),
        finding("test-set-reused", "warning"),
    ]
    first = explain(found)
    assert all(explain(list(order)) == first for order in itertools.permutations(found))
    assert codes(first) == ["inputs-not-scaled", "test-set-reused"]


def test_a_cause_takes_over_the_severity_of_what_it_explains():
    mild = finding("inputs-not-scaled", "warning")
    (cause,) = explain([mild, finding("loss-diverging", "error")])
    assert (cause.rule, cause.severity) == ("inputs-not-scaled", "error")
    assert explain([mild]) == [mild]


def test_a_note_accounts_for_nothing():
    found = [finding("loss-output-mismatch", "note"), finding("loss-not-decreasing")]
    assert codes(explain(found)) == ["loss-not-decreasing", "loss-output-mismatch"]


def test_errors_first_then_the_more_fundamental_cause():
    found = [
        finding("overfitting", "note"),
        finding("test-set-reused", "warning"),
        finding("regularization-has-no-effect", "warning"),
        finding("targets-not-finite"),
        finding("inputs-not-finite"),
    ]
    assert codes(explain(found)) == [
        "inputs-not-finite",
        "targets-not-finite",
        "regularization-has-no-effect",
        "test-set-reused",
        "overfitting",
    ]


@pytest.mark.parametrize(
    ("stage", "kept"),
    [
        ("during", ["learning-rate-too-high"]),
        # Units dead at the start account for what the rate seems to do.
        ("before", ["dead-units"]),
    ],
)
def test_units_dead_at_the_start_are_a_cause_and_later_a_symptom(stage, kept):
    found = [
        finding("learning-rate-too-high", "warning"),
        finding("dead-units", "error", stage),
    ]
    assert codes(explain(found)) == kept


def test_symptoms_of_two_causes_stand_once():
    found = [
        finding("inputs-not-finite"),
        finding("targets-not-finite"),
        finding("loss-not-finite"),
    ]
    first, second = explain(found)
    assert len(first.evidence["accounts for"]) == 1
    assert second.evidence == {}


def test_the_order_has_no_cycles():
    ranks = {code: place for place, code in enumerate(EXPLAINS)}
    backward = [
        (cause, symptom)
        for cause, symptoms in EXPLAINS.items()
        for symptom in symptoms
        if ranks[cause] >= ranks[symptom]
    ]
    # Units that die on the way follow from the rate and are ranked behind it.
    assert set(backward) <= {("learning-rate-too-high", "dead-units")}


def test_nothing_found_nothing_explained():
    assert explain([]) == []
