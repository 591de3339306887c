import itertools

import numpy as np
import pytest
from ensemble_models import softmax
from ensemble_models import table_member

from keras_practices.ensembles import Ensemble
from keras_practices.ensembles import diversity
from keras_practices.ensembles import summary
from keras_practices.report import Report

pytestmark = pytest.mark.once

ROWS, CLASSES, MEMBERS = 400, 3, 4
RNG = np.random.default_rng(5)
Y = RNG.integers(CLASSES, size=ROWS)
IDS = np.arange(ROWS)
LOGITS = RNG.normal(size=(MEMBERS, ROWS, CLASSES)) * 2
LOGITS[:, IDS, Y] += 1.5
P = softmax(LOGITS)
WEIGHTS = np.array([1.0, 2.0, 1.0, 4.0])


@pytest.fixture(scope="module")
def ensemble():
    members = [table_member(one) for one in LOGITS]
    return Ensemble(members, weights=WEIGHTS, member_outputs="softmax_logits")


def rows_of(places, metric):
    shares = WEIGHTS[list(places)] / WEIGHTS[list(places)].sum()
    mean = np.tensordot(shares, P[list(places)], 1)
    if metric == "accuracy":
        return (mean.argmax(-1) == Y).astype(float)
    return -np.log(mean[IDS, Y])


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_every_number_is_that_of_brute_force(ensemble, metric):
    found = summary(ensemble, IDS, Y, metric=metric)
    sign = 1 if metric == "accuracy" else -1
    for size in range(1, MEMBERS + 1):
        subsets = itertools.combinations(range(MEMBERS), size)
        expected = np.mean([rows_of(places, metric).mean() for places in subsets])
        assert found.growth[size - 1].value == pytest.approx(expected, rel=1e-5)
    whole = rows_of(range(MEMBERS), metric).mean()
    alone = [rows_of([place], metric).mean() for place in range(MEMBERS)]
    assert found.ensemble.value == pytest.approx(whole, rel=1e-5)
    assert [one.value for one in found.members] == pytest.approx(alone, rel=1e-5)
    assert found.gain_over_mean.value == pytest.approx(
        sign * (whole - np.mean(alone)), rel=1e-4
    )
    best = max(alone) if metric == "accuracy" else min(alone)
    assert found.gain_over_best.value == pytest.approx(sign * (whole - best), rel=1e-3)
    for place in range(MEMBERS):
        others = [other for other in range(MEMBERS) if other != place]
        expected = sign * (whole - rows_of(others, metric).mean())
        assert found.adds[place].value == pytest.approx(expected, abs=1e-6)
    assert found.names[2] == "member 2"
    assert found.weights == pytest.approx(WEIGHTS / 8)


def test_intervals_are_those_of_the_normal_approximation(ensemble):
    found = summary(ensemble, IDS, Y, metric="loss", resamples=2000)
    for figure, rows in (
        (found.ensemble, rows_of(range(MEMBERS), "loss")),
        (found.adds[3], rows_of(range(3), "loss") - rows_of(range(MEMBERS), "loss")),
    ):
        error = rows.std() / np.sqrt(ROWS)
        # A quantile at 2.5 % of 2000 draws has a standard error of
        # sqrt(.025 * .975 / 2000) / 0.0584 = 0.060 errors; five of these, and a tenth
        # for a skewed mean.
        assert figure.low == pytest.approx(rows.mean() - 1.96 * error, abs=0.4 * error)
        assert figure.high == pytest.approx(rows.mean() + 1.96 * error, abs=0.4 * error)
    again = summary(ensemble, IDS, Y, metric="loss", resamples=2000)
    assert again == found
    narrow = summary(ensemble, IDS, Y, metric="loss", confidence=0.5).ensemble
    assert narrow.high - narrow.low < 0.5 * (found.ensemble.high - found.ensemble.low)


def test_diversity_by_its_definitions(ensemble):
    found = summary(ensemble, IDS, Y)
    answers = P.argmax(-1)
    right = answers == Y
    np.testing.assert_allclose(found.error_correlation, np.corrcoef(~right), atol=1e-12)
    a, b = right[0], right[2]
    both, none = (a & b).sum(), (~a & ~b).sum()
    first, second = (a & ~b).sum(), (~a & b).sum()
    q = (both * none - first * second) / (both * none + first * second)
    assert found.q_statistic[0][2] == pytest.approx(q)
    assert found.disagreement[0][2] == np.mean(answers[0] != answers[2])
    assert found.disagreement[1][1] == 0


def test_numbers_and_members_of_no_weight():
    tables = [table_member(one[:, :1]) for one in LOGITS]
    ensemble = Ensemble(tables, "mean", [1, 0, 1, 1])
    y = LOGITS[:, :, 0].mean(0)
    found = summary(ensemble, IDS, y, names=["a", "b", "c", "d"])
    assert (found.metric, found.names, found.q_statistic) == (
        "loss",
        ("a", "c", "d"),
        (),
    )
    kept = LOGITS[[0, 2, 3], :, 0]
    assert found.ensemble.value == pytest.approx(
        np.mean((kept.mean(0) - y) ** 2), rel=1e-5
    )
    np.testing.assert_allclose(
        found.error_correlation, np.corrcoef(kept - y), atol=1e-6
    )
    assert found.disagreement[0][1] == pytest.approx(
        np.sqrt(np.mean((kept[0] - kept[1]) ** 2)), rel=1e-5
    )
    alone = summary(Ensemble(tables[:1], "mean"), IDS, y)
    assert (alone.adds, len(alone.growth), alone.gain_over_mean.value) == ((), 1, 0.0)
    assert len(alone.table()) == len(alone.charts()) == 1


def test_random_orders_where_there_are_too_many(ensemble):
    few = summary(ensemble, IDS, Y, subsets=3, seed=1)
    every = summary(ensemble, IDS, Y)
    assert few.growth[-1] == few.ensemble
    assert few.ensemble.value == every.ensemble.value
    sizes = {rows_of(p, "accuracy").mean() for p in itertools.combinations(range(4), 2)}
    assert min(sizes) <= few.growth[1].value <= max(sizes)


def test_another_class_order_is_noticed(ensemble):
    assert summary(ensemble, IDS, Y).notes == ()
    good = 3 * np.eye(CLASSES)[Y] + RNG.normal(size=(ROWS, CLASSES))
    turned = 3 * np.eye(CLASSES)[Y][:, [2, 0, 1]] + RNG.normal(size=(ROWS, CLASSES))
    pair = [table_member(good), table_member(turned)]
    (note,) = summary(Ensemble(pair, member_outputs="softmax_logits"), IDS, Y).notes
    assert note.startswith("member 1 seems")
    assert "[2, 0, 1]" in note
    orders = {"classes": [[0, 1, 2], [2, 0, 1]]}
    right = Ensemble(pair, member_outputs="softmax_logits", **orders)
    assert summary(right, IDS, Y).notes == ()
    # Too few rows of a class to tell.
    assert diversity.suspected_order([1, 2, 0] * 19, [0, 1, 2] * 19, 3) is None
    assert diversity.suspected_order([1, 2, 0] * 20, [0, 1, 2] * 20, 3) == [2, 0, 1]


def test_it_is_shown_in_a_report(ensemble):
    found = summary(ensemble, IDS, Y)
    text = str(found)
    assert "Ensemble of 4 on 400 rows" in text
    assert f"member 3 adds {found.adds[3]}" in text
    report = Report(sections=found.sections(), charts=found.charts())
    assert Report.from_json(report.to_json()).to_dict() == report.to_dict()
    assert found.table()[3]["weight"] == 0.5
    growth, adds = found.charts()
    assert growth.lines[0].y == tuple(one.value for one in found.growth)
    assert adds.lines[0].low == tuple(one.low for one in found.adds)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ensemble": table_member(LOGITS[0])}, "an Ensemble"),
        ({"confidence": 1.0}, "argument `confidence`"),
        ({"resamples": 99}, "argument `resamples`"),
        ({"subsets": 0}, "argument `subsets`"),
        ({"seed": -1}, "argument `seed`"),
        ({"names": ["a"] * 4}, "all different"),
        ({"names": "abcd"}, "a list of texts"),
        ({"metric": "auc"}, "argument `metric`"),
    ],
)
def test_bad_arguments(ensemble, more, message):
    with pytest.raises((ValueError, TypeError), match=message):
        summary(**{"ensemble": ensemble, "x": IDS, "y": Y, **more})
