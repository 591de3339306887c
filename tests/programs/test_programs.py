"""Real training runs: a part of the table that `make diagnosis` prints."""

import keras
import pytest
from faulty import FAULTY
from healthy import HEALTHY
from score import LOUD
from score import totals
from score import verdict

import keras_practices as kp

pytestmark = pytest.mark.once
# Every so many-th of the table: each takes seconds, all of them many minutes.
PART = 24


def loud(program):
    """Codes of warnings and errors that the report of a program has."""
    keras.utils.set_random_seed(0)
    run = program.build()
    report = kp.diagnose(
        run.model,
        run.x,
        run.y,
        validation_data=run.validation,
        **{"verbose": 0, **run.fit},
    )
    return [one.rule for one in report.findings if one.severity in LOUD]


def test_programs_have_names_of_their_own():
    names = [program.id for program in (*FAULTY, *HEALTHY)]
    assert len(set(names)) == len(names) > 60
    assert all(program.accepted for program in FAULTY)
    assert not any(program.accepted for program in HEALTHY)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("program", FAULTY[::PART], ids=lambda one: one.id)
def test_the_cause_is_named(program):
    codes = loud(program)
    assert verdict(program.accepted, codes, "") in ("first", "named"), codes


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("program", HEALTHY[::PART], ids=lambda one: one.id)
def test_a_healthy_program_is_left_alone(program):
    assert loud(program) == []


def test_the_verdict_on_what_was_found():
    assert verdict(("a",), ["a", "b"], "") == "first"
    assert verdict(("b",), ["a", "b"], "") == "named"
    assert verdict(("c",), ["a", "b"], "") == "MISSED"
    assert verdict((), ["a"], "") == "FALSE ALARM"
    assert verdict((), [], "") == "quiet"
    assert verdict((), [], "no answer") == "CRASH"
    line = totals("healthy", ["quiet", "quiet", "FALSE ALARM"])
    assert line == "healthy: 3 programs: quiet 2, FALSE ALARM 1, CRASH 0"
