import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.findings import Finding
from keras_practices.findings import json_safe

pytestmark = pytest.mark.once


def make(**changes):
    values = {
        "rule": "loss-not-finite",
        "severity": "error",
        "stage": "during",
        "subject": "loss",
        "message": "The loss is NaN at step 3.",
    }
    return Finding(**{**values, **changes})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
EVIDENCE = st.dictionaries(
    st.text(max_size=5),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    max_size=4,
)


@given(EVIDENCE)
def test_json_and_back_is_the_same_finding(evidence):
    finding = make(evidence=evidence, cause="c", advice="a", source="s")
    text = json.dumps(finding.to_dict(), allow_nan=False)
    assert Finding.from_dict(json.loads(text)) == finding


def test_numpy_evidence_becomes_plain():
    evidence = {
        "scalar": np.float32(0.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "array": np.array([[1.0, np.nan], [np.inf, -np.inf]]),
        "tuple": (1, 2),
        "set": {3, 1, 2},
        1: "number as key",
    }
    assert make(evidence=evidence).evidence == {
        "scalar": 0.5,
        "count": 3,
        "flag": True,
        "array": [[1.0, "nan"], ["inf", "-inf"]],
        "tuple": [1, 2],
        "set": [1, 2, 3],
        "1": "number as key",
    }


@given(st.floats())
def test_a_number_survives_as_number_or_word(value):
    safe = json_safe(value)
    assert isinstance(safe, str) != math.isfinite(value)
    assert math.isnan(float(safe)) if math.isnan(value) else float(safe) == value


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="evidence must hold"):
        make(evidence={"model": object()})


@pytest.mark.parametrize(
    ("name", "value"),
    [("severity", "fatal"), ("stage", "after"), ("rule", ""), ("message", "")],
)
def test_a_bad_field_is_named(name, value):
    with pytest.raises(ValueError, match=f"argument `{name}`"):
        make(**{name: value})


def test_it_is_frozen_and_keeps_its_own_evidence():
    evidence = {"ratio": 1e-6}
    finding = make(evidence=evidence)
    evidence["ratio"] = 1.0
    assert finding.evidence == {"ratio": 1e-6}
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.rule = "other"
    assert len({finding, make(evidence={"ratio": 1e-6})}) == 1


@pytest.mark.parametrize(
    ("severity", "expected"), [("error", True), ("warning", True), ("note", False)]
)
def test_notes_are_no_problems(severity, expected):
    assert make(severity=severity).is_problem is expected
