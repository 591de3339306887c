import dataclasses

import pytest
from rule_cases import CASES

from keras_practices.errors import KerasPracticesWarning
from keras_practices.findings import STAGES
from keras_practices.rules import CATALOGUE
from keras_practices.rules import check_codes
from keras_practices.rules import run_rules

pytestmark = pytest.mark.once

DATA = {
    **CASES["inputs-not-finite"].sick,
    **CASES["targets-not-finite"].sick,
    **CASES["loss-diverging"].sick,
}


def codes(**options):
    return [one.rule for one in run_rules(DATA, **{"stages": STAGES, **options})]


def test_stages_select_and_ignore():
    every = ["inputs-not-finite", "targets-not-finite", "loss-diverging"]
    assert sorted(codes()) == sorted([*every, "loss-not-decreasing"])
    assert codes(stages=("before",)) == every[:2]
    assert codes(select={"targets-not-finite"}) == every[1:2]
    assert codes(stages=("before",), ignore={"targets-not-finite"}) == every[:1]
    assert codes(select={"inputs-not-finite"}, ignore={"inputs-not-finite"}) == []
    assert codes(select=set()) == []


def test_codes_are_checked():
    assert check_codes("check", "select", None) is None
    assert check_codes("check", "select", ["overfitting"]) == {"overfitting"}
    with pytest.raises(ValueError, match=r"check: argument `ignore` .* typo\. Known"):
        check_codes("check", "ignore", ["overfitting", "typo"])
    for wrong in ("overfitting", [3]):
        with pytest.raises(TypeError, match="argument `select`"):
            check_codes("check", "select", wrong)


def test_a_rule_that_raises_is_left_out_and_the_others_run(monkeypatch):
    def broken(figures):
        raise KeyError("gone")
        yield

    rule = dataclasses.replace(CATALOGUE["inputs-not-finite"], function=broken)
    monkeypatch.setitem(CATALOGUE, "inputs-not-finite", rule)
    with pytest.warns(KerasPracticesWarning) as caught:
        found = codes(stages=("before",))
    assert found == ["targets-not-finite"]
    assert len(caught) == 1
    assert "'inputs-not-finite'" in str(caught[0].message)
    assert "gone" in str(caught[0].message)


def test_every_rule_has_a_known_stage_and_a_source():
    assert {one.stage for one in CATALOGUE.values()} == set(STAGES)
    assert all(code == one.code and one.source for code, one in CATALOGUE.items())
