"""What a sample costs, from few steps that are timed."""

import pytest

from keras_practices._core.step_times import _KEPT
from keras_practices._core.step_times import StepTimes

pytestmark = pytest.mark.once


def test_the_first_step_of_a_kind_compiles_and_is_not_timed():
    times = StepTimes()
    assert times.is_first(True)
    assert times.is_first(False)
    assert not times.wants(True, 0)
    times.note(True, False, 12.0)
    times.note(False, False, 3.0)
    assert times.compile_seconds == 12.0
    assert not times.is_first(True)
    times.note(True, False, 0.1)
    assert times.compile_seconds == 12.0


def test_what_an_earlier_fit_compiled_is_no_compilation():
    times = StepTimes()
    times.compiled_before()
    assert times.wants(True, 1)
    times.note(True, False, 0.2)
    assert times.compile_seconds == 0.0


def test_a_plain_step_behind_a_timed_sample_is_timed_and_no_other():
    times = StepTimes()
    times.note(True, False, 1.0)
    times.note(False, False, 1.0)
    assert not times.wants(False, 1)
    assert times.wants(True, 1)
    assert times.wants(False, 1)
    assert not times.wants(False, 1)
    # Of later samples every fortieth.
    assert [n for n in range(6, 100) if times.wants(True, n)] == [40, 80]


def test_medians_of_the_last_pairs():
    times = StepTimes()
    for sampled, seconds in [(True, 5.0), (True, 7.0), (True, 6.0), (False, 2.0)]:
        times.note(sampled, True, seconds)
    assert (times.of_a_sample, times.ratio) == (4.0, 2.0)
    for _ in range(3 * _KEPT):
        times.note(True, True, 3.0)
    assert (times.of_a_sample, times.ratio) == (1.0, 0.5)
    for _ in range(3 * _KEPT):
        times.note(False, True, 9.0)
    assert times.of_a_sample == 0.0


def test_nothing_is_known_without_a_pair():
    times = StepTimes()
    times.note(True, True, 1.0)
    assert (times.of_a_sample, times.ratio) == (None, None)
