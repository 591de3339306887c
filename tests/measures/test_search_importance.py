import sys

import pytest
from searches import RATE
from searches import random_search

from keras_practices.errors import ArgumentValueError
from keras_practices.errors import MissingExtraError
from keras_practices.measures.search.importance import measure_importances

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def additive():
    # Variances 1/12 and 1/48: the rate has 0.8 of what both have.
    return random_search(lambda u: u["rate"] + 0.5 * u["drop"], trials=100)


def test_fanova_finds_the_shares_of_an_additive_score(additive):
    pytest.importorskip("optuna")
    figures = measure_importances(additive, "fanova", resamples=2)
    shares = {one["name"]: one["share"] for one in figures["shares"]}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["rate"] == pytest.approx(0.8, abs=0.1)
    assert shares["drop"] == pytest.approx(0.2, abs=0.1)
    assert figures["dimension"] == 2
    assert figures["trials"] == 100


def test_ped_anova_finds_what_makes_a_trial_good(additive):
    pytest.importorskip("optuna")
    figures = measure_importances(additive, resamples=5)
    first = figures["shares"][0]
    assert first["name"] == "rate"
    assert first["low"] <= first["share"] <= first["high"]
    assert figures == measure_importances(additive, resamples=5)
    low, high = figures["dimension_low"], figures["dimension_high"]
    assert 1 <= low <= high <= 4


def test_one_wild_loss_decides_nothing(additive):
    pytest.importorskip("optuna")

    def loss(u):
        return 1e12 if 0.5 < u["width"] < 0.53 else u["rate"]

    record = random_search(loss, trials=60, direction="min")
    figures = measure_importances(record, "fanova", resamples=2)
    assert figures["shares"][0]["name"] == "rate"
    assert figures["shares"][0]["share"] > 0.8


def test_few_trials_are_refused_with_a_reason():
    with pytest.raises(
        ArgumentValueError, match="29 independent trials.*fewer than 30"
    ):
        measure_importances(random_search(lambda u: u["rate"], trials=29))


def test_a_single_hyperparameter_is_refused():
    record = random_search(lambda u: u["rate"], space=[RATE])
    with pytest.raises(ArgumentValueError, match="single hyperparameter"):
        measure_importances(record)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"method": "mdi"}, "`method`"), ({"resamples": 1}, "`resamples`")],
)
def test_bad_arguments_are_named(additive, arguments, named):
    with pytest.raises(ArgumentValueError, match=named):
        measure_importances(additive, **arguments)


def test_without_optuna_the_extra_is_named(additive, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"keras-practices\[search\]"):
        measure_importances(additive)
