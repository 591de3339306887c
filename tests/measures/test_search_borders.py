import numpy as np
import pytest
from searches import DROP
from searches import random_search

from keras_practices.measures.search.borders import best_count
from keras_practices.measures.search.borders import measure_borders
from keras_practices.measures.search.independent import independent_trials
from keras_practices.measures.search.lost import has_diverged
from keras_practices.measures.search.lost import measure_lost
from keras_practices.rules import CATALOGUE
from keras_practices.search_record import TrialResult

pytestmark = pytest.mark.once


def found(record):
    return CATALOGUE["best-on-border"]({"borders": measure_borders(record)})


def test_an_optimum_beyond_the_upper_end_is_found_with_the_next_range():
    record = random_search(lambda u: -((u["rate"] - 1.3) ** 2))
    (one,) = found(record)
    assert (one.subject, one.evidence["side"]) == ("rate", "high")
    # The issue's own example: three decades up to 0.1, the outer one and one beyond.
    assert one.advice == "Search rate from 0.01 to 1."


def test_an_optimum_beyond_the_lower_end_is_found_where_lower_is_better():
    record = random_search(lambda u: (u["width"] + 0.3) ** 2, direction="min")
    (one,) = found(record)
    assert (one.subject, one.evidence["side"]) == ("width", "low")
    # A width of 1 or less: nothing lies below.
    assert one.evidence["next_low"] == 1


def test_a_range_that_ends_at_zero_has_nothing_beyond():
    record = random_search(lambda u: -u["drop"])
    assert [
        one["name"]
        for one in measure_borders(record)["ends"]
        if (one["chance"] <= 0.05)
    ] == []
    assert found(record) == []
    shifted = {**DROP, "low": 0.001}
    space = [shifted if one is DROP else one for one in record.space]
    other = random_search(lambda u: -u["drop"], space=space)
    assert [one.subject for one in found(other)] == ["drop"]


def test_an_optimum_inside_is_none_of_its_business():
    assert found(random_search(lambda u: -((u["rate"] - 0.5) ** 2))) == []


def test_kinds_of_things_have_no_ends_and_do_not_hide_one():
    record = random_search(
        lambda u: 3 * (u["kind"] > 0.5) - (u["rate"] - 1.2) ** 2, trials=80
    )
    assert [one.subject for one in found(record)] == ["rate"]


def test_false_alarms_without_an_effect_are_as_rare_as_derived():
    rng = np.random.default_rng(5)
    searches, trends = 120, 0
    for seed in range(searches):
        record = random_search(lambda u: rng.random(), trials=32, seed=seed)
        ends = measure_borders(record)["ends"]
        trends += any(one["chance"] <= 0.05 for one in ends)
    # Derived: at most 5 %; five standard errors above it.
    assert trends / searches <= 0.05 + 5 * np.sqrt(0.05 * 0.95 / searches)


def test_a_trial_that_diverged_is_the_worst_and_a_failed_one_is_none():
    def score(u):
        if u["rate"] > 0.6:
            return {"status": "ended-early", "reason": "loss-not-finite: NaN"}
        return u["rate"]

    record = random_search(score)
    assert measure_borders(record)["trials"] == 60
    # Better and better up to 0.6, then all lost: not at the end.
    assert found(record) == []
    failed = random_search(lambda u: {"status": "failed", "error": "E"})
    assert measure_borders(failed)["trials"] == 0


def test_few_trials_are_too_few_and_say_so():
    figures = measure_borders(random_search(lambda u: u["rate"], trials=15))
    assert figures["ends"] == []
    assert figures["why"] == "15 independent trials; 16 are needed."


def test_equal_scores_say_nothing():
    assert found(random_search(lambda u: 0.5)) == []


def test_the_number_of_best_ones():
    assert [best_count(n) for n in (16, 40, 64, 96, 1000)] == [5, 5, 8, 12, 12]


def test_only_independent_trials_count():
    def of(name, **arguments):
        strategy = {"name": name, "arguments": arguments}
        return independent_trials(random_search(lambda u: 1.0, strategy=strategy))

    assert len(of("RandomStrategy")) == len(of("StagedStrategy")) == 60
    assert len(of("BayesianStrategy", startup_trials=10)) == 10
    assert of("AnnealedGeneticStrategy") == []
    record = random_search(lambda u: 1.0)
    record.trials[3] = TrialResult(3, {}, stage=2, score=1.0)
    record.trials[4] = TrialResult(4, {}, continues=1, score=1.0)
    record.trials[5] = TrialResult(5, {}, status="pruned", score=1.0)
    kept = {one.trial for one in independent_trials(record)}
    assert kept == set(range(60)) - {3, 4, 5}


def test_what_sets_the_lost_trials_apart():
    def score(u):
        if u["rate"] > 0.7:
            return {"status": "ended-early", "reason": "loss-diverging: It rose."}
        return 1.0

    figures = measure_lost(random_search(score))
    apart = figures["apart"]
    assert (apart["name"], apart["side"]) == ("rate", "above")
    assert apart["there"] == figures["diverged"]
    # 0.7 of three decades from 1e-4, to the next trials on both sides.
    assert apart["value"] == pytest.approx(10 ** (3 * 0.7 - 4), rel=0.35)


def test_lost_trials_anywhere_are_not_explained():
    rng = np.random.default_rng(1)
    record = random_search(
        lambda u: {"score": float("nan")} if rng.random() < 0.3 else 1.0
    )
    figures = measure_lost(record)
    assert figures["diverged"] > 10
    assert figures["apart"] is None
    assert measure_lost(random_search(lambda u: 1.0))["diverged"] == 0


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"status": "ended-early", "reason": "loss-not-finite: x"}, True),
        (
            {"status": "ended-early", "reason": "loss was not finite in any epoch."},
            True,
        ),
        ({"status": "ended-early", "reason": "dead-units: x"}, False),
        ({"score": float("inf")}, True),
        ({"score": 1.0}, False),
        ({"status": "failed", "error": "NaN"}, False),
        ({"status": "pruned"}, False),
    ],
)
def test_what_counts_as_diverged(fields, lost):
    assert has_diverged(TrialResult(0, {}, **fields)) is lost
