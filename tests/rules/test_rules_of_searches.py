import pytest
from cases_search import border
from cases_search import lost

from keras_practices.rules import CATALOGUE

pytestmark = pytest.mark.once


def fires(**changes):
    return bool(CATALOGUE["best-on-border"](border(**changes)))


@pytest.mark.parametrize(
    ("silent", "loud"),
    [
        ({"peak": 0.949}, {"peak": 0.95}),
        ({"middle": 0.69}, {"middle": 0.7}),
        ({"outer": 0.41}, {"outer": 0.4}),
        ({"outer": None}, {"outer": 0.0}),
    ],
)
def test_a_trend_that_does_not_lead_to_the_end_is_none(silent, loud):
    assert not fires(**silent)
    assert fires(**loud)


def test_the_lower_end_is_named():
    changes = {"side": "low", "half": 2e-4, "next_low": 1e-5, "next_high": 1e-3}
    (found,) = CATALOGUE["best-on-border"](border(**changes))
    assert "lower end of rate (0.0001 to 0.1): half of the best 6 lie below 0.0002" in (
        found.message
    )
    assert found.advice == "Search rate from 1e-05 to 0.001."


def test_a_range_that_diverges_below_begins_later():
    apart = {"name": "eps", "side": "below", "value": 1e-6, "there": 20, "chance": 0.0}
    (found,) = CATALOGUE["trial-diverged"](lost(25, apart=apart))
    assert "20 of them have eps below 1e-06" in found.message
    assert found.advice == "Begin the range of eps at 1e-06."


def test_no_trials_are_no_loss():
    assert CATALOGUE["trial-diverged"](lost(0, trials=0)) == []
