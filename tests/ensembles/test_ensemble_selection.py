import keras
import numpy as np
import pytest
from ensemble_models import sigmoid
from ensemble_models import softmax
from ensemble_models import table_member

from keras_practices.ensembles import Ensemble
from keras_practices.ensembles import select

pytestmark = pytest.mark.once

ROWS, CLASSES = 60, 3
RNG = np.random.default_rng(3)
Y = RNG.integers(CLASSES, size=ROWS)
IDS = np.arange(ROWS)
# One good member, two that are good on halves of the rows, one bad one.
LOGITS = RNG.normal(size=(4, ROWS, CLASSES))
LOGITS[0, IDS, Y] += 1.0
LOGITS[1, IDS[:30], Y[:30]] += 4.0
LOGITS[2, IDS[30:], Y[30:]] += 4.0


def loss_of(probabilities):
    return -np.log(probabilities[IDS, Y]).mean()


def accuracy_of(probabilities):
    return np.mean(probabilities.argmax(-1) == Y)


def brute(given, size, score, combine=lambda total: total):
    """Greedy selection as the paper says: a float64 reference."""
    picks, trace = [], []
    for _ in range(size):
        scores = [
            score(combine(given[[*picks, one]].mean(axis=0)))
            for one in range(len(given))
        ]
        picks.append(int(np.argmin(scores)))
        trace.append(min(scores))
    best = int(np.argmin(trace)) + 1
    return np.bincount(picks[:best], minlength=len(given)) / best


@pytest.fixture(scope="module")
def members():
    return [table_member(one) for one in LOGITS]


def options():
    return {"member_outputs": "softmax_logits"}


@pytest.mark.parametrize("targets", ["numbers", "column", "one-hot"])
def test_weights_are_those_of_brute_force(members, targets):
    expected = brute(softmax(LOGITS), 12, loss_of)
    y = {"numbers": Y, "column": Y[:, None], "one-hot": np.eye(CLASSES)[Y]}[targets]
    found = select(members, IDS, y, size=12, **options())
    kept = np.flatnonzero(expected)
    assert found.members == [members[place] for place in kept]
    np.testing.assert_allclose(found.weights_of_members, expected[kept])
    assert 1 < len(kept) < 4
    given = softmax(LOGITS)
    best = min(loss_of(one) for one in given)
    assert loss_of(found.predict(IDS, verbose=0)) <= best


def test_accuracy_with_ties_decided_by_the_loss(members):
    found = select(members, IDS, Y, size=6, metric="accuracy", **options())
    expected = brute(
        softmax(LOGITS), 6, lambda p: -round(accuracy_of(p), 12) + 1e-6 * loss_of(p)
    )
    shares = np.zeros(4)
    for member, share in zip(found.members, found.weights_of_members, strict=True):
        shares[[one is member for one in members].index(True)] = share
    np.testing.assert_allclose(shares, expected)


def test_in_the_space_of_logits_from_an_ensemble(members):
    pool = Ensemble(members, "logits", **options())
    found = select(pool, IDS, Y, size=5)
    expected = brute(np.log(softmax(LOGITS)), 5, loss_of, softmax)
    np.testing.assert_allclose(
        found.weights_of_members, expected[np.flatnonzero(expected)]
    )
    assert found.ways == ["logits"]
    with pytest.raises(TypeError, match="has them already"):
        select(pool, IDS, Y, combine="votes")


def test_numbers_and_labels_and_one_of_several_outputs():
    numbers = [LOGITS[place, :, :1] for place in range(3)]
    y = np.mean(numbers[:2], axis=0)
    members = [table_member(one) for one in numbers]
    found = select(members, IDS, y, size=4, combine="mean")
    np.testing.assert_allclose(found.weights_of_members, [0.5, 0.5])
    labels = (sigmoid(LOGITS[0]) > 0.5).astype(int)
    tables = [table_member(one) for one in LOGITS]
    chosen = select(tables, IDS, labels, size=1, member_outputs="sigmoid_logits")
    assert chosen.members == tables[:1]
    inputs = keras.Input((), dtype="int32")
    pairs = [
        keras.Model(inputs, {"a": one(inputs), "b": other(inputs)})
        for one, other in zip(members, tables, strict=False)
    ]
    kinds = {"a": "numbers", "b": "softmax_logits"}
    found = select(pairs, IDS, y, size=4, output="a", member_outputs=[kinds] * 3)
    assert found.members == pairs[:2]
    for wrong in (None, "c"):
        with pytest.raises(ValueError, match=r"argument `output`.*\['a', 'b'\]"):
            select(pairs, IDS, y, output=wrong, member_outputs=[kinds] * 3)


@pytest.mark.parametrize(
    ("y", "more", "message"),
    [
        (Y, {"size": 0}, "argument `size`"),
        (Y, {"metric": "f1"}, "argument `metric`"),
        (Y + 1, {}, "class numbers from 0 to 2"),
        (Y[:5], {}, "argument `y`"),
        (Y + 0.5, {}, "argument `y`"),
        (np.where(IDS == 3, np.nan, Y), {}, "finite"),
        (np.zeros((ROWS, 4)), {}, "argument `y`"),
        (Y, {"output": 1}, "None, as there is one"),
        (Y, {"member_outputs": "scores", "combine": "mean"}, "mean of scores"),
        (
            LOGITS[0],
            {"member_outputs": "numbers", "metric": "accuracy"},
            "give numbers",
        ),
    ],
)
def test_bad_arguments(members, y, more, message):
    with pytest.raises((ValueError, TypeError), match=message):
        select(members, IDS, y, **{**options(), **more})
