"""Branches of rules that faulty programs written by others showed to be missing."""

import math

import cases_architecture as built
import cases_behaviour as behaving
import cases_data as given
import cases_training as ran
import pytest
from rule_cases import BINARY
from rule_cases import output
from rule_cases import rates
from rule_cases import training
from rule_cases import units

from keras_practices.findings import Finding
from keras_practices.rules import CATALOGUE
from keras_practices.rules import explain

pytestmark = pytest.mark.once
LN_3 = math.log(3)


def severities(code, figures):
    return [found.severity for found in CATALOGUE[code](figures)]


def one(code, figures):
    (found,) = CATALOGUE[code](figures)
    return found


@pytest.mark.parametrize(("outside", "expected"), [(60, ["warning"]), (59, [])])
def test_a_handful_of_rows_of_a_class_says_nothing_of_its_signal(outside, expected):
    figures = given.signal(0.5)
    figures["label_signal"]["outside_largest"] = outside
    assert severities("labels-independent-of-inputs", figures) == expected


@pytest.mark.parametrize(
    ("recall", "rows", "others", "count", "expected"),
    [
        (0.0, 20, 1.0, 30, ["warning"]),
        (0.24, 20, 1.0, 30, ["warning"]),
        (0.25, 20, 1.0, 30, []),
        (0.0, 9, 1.0, 30, []),
        (0.0, 20, 0.89, 30, []),  # nothing was learned at all
        (0.0, 20, 1.0, 50, []),  # a twentieth of the rows is not rare
    ],
)
def test_a_rare_class_that_is_never_named(recall, rows, others, count, expected):
    figures = given.classes(1000 - count, count, **output(BINARY))
    figures["recall_after"] = {"0": [100, others], "1": [rows, recall]}
    assert severities("class-imbalance", figures) == expected
    weighted = {**figures, "class_weighted": True}
    assert severities("class-imbalance", weighted) == []


@pytest.mark.parametrize(
    ("values", "high", "rows", "loss", "expected"),
    [
        ([0], 0.0, 100, "mean_squared_error", ["error"]),
        ([0, 1], 0.0, 100, "mean_squared_error", ["warning"]),
        ([0, 1], 0.1, 100, "mean_squared_error", []),
        ([0], 0.0, 31, "mean_squared_error", []),
        ([0], 0.0, 100, "custom", []),  # dummies
    ],
)
def test_numbers_that_are_all_the_same(values, high, rows, loss, expected):
    target = {"kind": "numbers", "shape": [1], "min": 0.0, "max": 1.0, "distinct": 2}
    head = output(target, loss=loss, activation="linear", shape=[1])
    codes = given.coding(values, high=high, rows=rows)
    assert severities("labels-wrong-format", {**head, **codes}) == expected
    if expected == ["warning"]:
        learned = {**head, **codes, **training(last_loss=0.1)}
        assert severities("labels-wrong-format", learned) == ["note"]


def test_several_labels_under_sigmoids_ask_for_another_loss():
    target = {"kind": "multi-label", "shape": [3], "min": 0.0, "max": 1.0}
    target["distinct"] = 2
    figures = given.one_hot(several_rows=0.4)
    head = {"activation": "sigmoid", "loss": "categorical_crossentropy"}
    figures = {**figures, **output(target, **head)}
    assert severities("labels-wrong-format", figures) == []
    assert "binary_crossentropy" in one("loss-output-mismatch", figures).advice
    figures = {**figures, **output(target, loss="categorical_crossentropy")}
    assert severities("loss-output-mismatch", figures) == []


@pytest.mark.parametrize(
    ("loss", "run", "expected"),
    [
        ("mean_squared_error", {}, ["error"]),
        ("binary_crossentropy", {}, ["error"]),
        ("mean_squared_error", training(last_loss=0.1), ["note"]),
        ("custom", {}, []),
    ],
)
def test_one_target_for_every_step_of_a_window(loss, run, expected):
    shapes = {"prediction": [20, 1], "target": [1]}
    figures = {**behaving.loss(repeated=shapes), **output(loss=loss), **run}
    assert severities("prediction-target-broadcast", figures) == expected
    if expected == ["error"]:
        found = one("prediction-target-broadcast", figures)
        assert "each of 20 outputs" in found.message
        assert "return_sequences=False" in found.advice


@pytest.mark.parametrize(
    ("sums", "shape", "expected"),
    [([1], [16, 12], ["error"]), ([2], [16, 12], []), ([1, 2], [16, 12], [])]
    + [([0], [12], []), ([], [16, 12], [])],
)
def test_a_softmax_over_time(sums, shape, expected):
    seen = {"min": 0.0, "max": 1.0, "probabilities": True, "sums_to_one": sums}
    head = output(shape=shape, activation=None)
    figures = {**behaving.loss(prediction=seen), **head}
    assert severities("softmax-degenerate", figures) == expected
    scores = {**behaving.loss(prediction=seen), **output(shape=shape, from_logits=True)}
    assert severities("softmax-degenerate", scores) == []


@pytest.mark.parametrize(
    ("last", "epochs", "expected"),
    [(0.17, 3, ["warning"]), (0.15, 3, []), (0.17, 6, [])],
)
def test_the_last_of_a_few_epochs_still_took_much_off(last, epochs, expected):
    losses = [1.1 + last] * epochs + [1.1]
    figures = ran.short(1.1, steps=40, late=0.1, epochs=epochs, probe_losses=losses)
    assert severities("training-too-short", figures) == expected


def one_sided(gain, **changes):
    figures = built.weights(1.0, 1.0)
    figures["initial_weights"]["dense_0"].update(one_sided=True, gain=gain, **changes)
    return figures


def test_first_weights_of_one_sign():
    found = one("initialization-scale", one_sided(4.0))
    assert (found.severity, found.subject) == ("warning", "dense_0")
    assert severities("initialization-scale", one_sided(1.5)) == []
    # Biases of a trained layer: no run of layers is read, one sign is.
    assert len(severities("initialization-scale", one_sided(4.0, fresh=False))) == 1
    assert severities("initialization-scale", one_sided(4.0, trainable=False)) == []


def test_the_sign_of_a_bias_is_told():
    figures = built.weights(1.0, 1.0, bias=20.0)
    figures["initial_weights"]["dense_0"]["bias_mean"] = -20.0
    found = one("initialization-scale", figures)
    assert "-20" in found.message
    assert "bias_initializer='zeros' in dense_0" in found.advice
    dead = units(1.0)
    weights = {"hidden": {"bias_mean": -20.0, "gain": 0.3}}
    found = one("dead-units", {**dead, "initial_weights": weights})
    assert "begin at -20" in found.cause


@pytest.mark.parametrize(
    ("at", "end", "expected"),
    [
        (40, 1.7, ["error"]),
        (41, 1.7, []),
        (None, 1.7, []),
        (40, 1.72, []),  # at its height the rate gets no further
        (40, None, ["warning"]),
    ],
)
def test_a_schedule_that_is_over_early(at, end, expected):
    ends = {} if end is None else {"x1": end}
    figures = rates(1.9, ends, steps=100, rate_faded_at=at)
    assert severities("learning-rate-too-low", figures) == expected
    learned = rates(0.1, ends, steps=100, rate_faded_at=at)
    assert severities("learning-rate-too-low", learned) == []


@pytest.mark.parametrize(
    ("clip", "ratio", "last_loss", "kind", "expected"),
    [
        (0.001, 1e-5, 1.5, "SGD", ["warning"]),
        (0.01, 1e-5, 1.5, "SGD", []),
        (0.001, 1e-3, 1.5, "SGD", []),
        # Steps of a usual size, and nothing learned by them.
        (0.001, 1e-3, 2.2, "SGD", ["warning"]),
        (0.01, 1e-3, 2.2, "SGD", []),
        (0.001, 1e-5, 2.2, "Adam", []),
    ],
)
def test_a_norm_that_is_cut_to_nothing(clip, ratio, last_loss, kind, expected):
    settings = {"class": kind, "learning_rate": 0.3, "global_clipnorm": clip}
    run = training(last_loss=last_loss, first_gradient=0.26, update_ratio=ratio)
    figures = {**built.parts(optimizer=settings), **run}
    assert severities("optimizer-settings", figures) == expected


@pytest.mark.parametrize(
    ("twins", "wide", "expected"),
    [(0.98, True, ["error"]), (0.9, True, []), (0.98, False, [])],
)
def test_wide_rows_of_whole_numbers_that_are_nearly_all_twins(twins, wide, expected):
    figures = given.overlap(98, twins=twins)
    figures["overlap"]["wide"] = wide
    if twins == 0.9:
        figures["overlap"]["share"] = 0.9
    assert severities("validation-overlaps-training", figures) == expected


def finding(rule, stage="before", severity="error"):
    return Finding(rule, severity, stage, "subject", "message")


def test_units_dead_from_the_start_account_for_outputs_that_do_not_vary():
    ignored = finding("output-ignores-inputs", "during")
    (found,) = explain([finding("dead-units"), ignored])
    assert found.rule == "dead-units"
    later = explain([finding("dead-units", "during"), ignored])
    assert {one.rule for one in later} == {"dead-units", "output-ignores-inputs"}


@pytest.mark.parametrize("cause", ["batchnorm-misused", "initialization-scale"])
def test_what_else_accounts_for_outputs_that_do_not_vary(cause):
    (found,) = explain([finding(cause), finding("output-ignores-inputs", "during")])
    assert found.rule == cause


@pytest.mark.parametrize(
    ("low", "std", "first", "last_loss", "expected"),
    [
        (0.5, 0.2, 0.5, 1.9, ["warning"]),
        (0.49, 0.2, 0.5, 1.9, []),
        (0.5, 0.2, 0.4, 1.9, []),
        (0.5, 0.04, 0.5, 1.9, []),  # one value for all: something else is wrong
        (0.5, 0.2, 0.5, 0.1, []),
    ],
)
def test_a_sigmoid_that_never_says_no(low, std, first, last_loss, expected):
    seen = {"min": first, "max": 0.9, "probabilities": True}
    target = {**BINARY, "mean": 0.5}
    head = {"shape": [1], "activation": "sigmoid", "loss": "binary_crossentropy"}
    figures = {
        **behaving.loss(prediction=seen),
        **output(target, **head),
        **training(last_loss=last_loss),
        "predictions_after": {"answer": {"low": low, "std": std}},
    }
    assert severities("output-activation-mismatch", figures) == expected


def test_masks_of_0_and_255_are_out_of_range():
    target = {"kind": "numbers", "shape": [8, 8, 1], "min": 0.0, "max": 255.0}
    target["distinct"] = 2
    head = {"activation": "sigmoid", "loss": "binary_crossentropy", "shape": [8, 8, 1]}
    figures = {**output(target, **head), **given.coding([0, 255])}
    assert severities("labels-wrong-format", figures) == []
    assert "Divide the targets by 255" in one("targets-out-of-range", figures).advice
    column = {**output({**target, "shape": [1]}, **head), **given.coding([1, 2])}
    assert severities("labels-wrong-format", column) == ["error"]


@pytest.mark.parametrize(
    ("layers", "last_loss", "trial", "expected"),
    [
        (["flip"], 1.9, 0.5, ["warning"]),
        ([], 1.9, 0.5, []),
        (["flip"], 1.5, 0.5, []),  # something was learned
        (["flip"], 1.9, 1.4, []),  # nor is without it
    ],
)
def test_augmentation_that_leaves_nothing_to_learn(layers, last_loss, trial, expected):
    figures = rates(last_loss, {"x1": trial}, steps=100)
    figures |= built.parts(augmentation=layers)
    code = "validation-preprocessed-differently"
    assert severities(code, figures) == expected
    longer = {**figures, **training(last_loss=last_loss, steps=49)}
    assert severities(code, longer) == []


def test_absolute_errors_are_compared_with_a_share_of_the_variance():
    figures = given.numbers(500.0, **training(last_loss=0.7, chance=None))
    figures |= {"constant_loss": 1.0, "label_signal": {"explained": 0.6}}
    assert severities("targets-not-scaled", figures) == ["warning"]
    # 0.7 of the distance is half of the variance.
    figures["outputs"][0]["loss"] = "mean_absolute_error"
    assert severities("targets-not-scaled", figures) == ["note"]


def test_masks_of_0_and_255_are_an_error_though_the_loss_falls():
    # Under a target of 255 the binary cross-entropy falls without end.
    target = {"kind": "numbers", "shape": [16, 16, 1], "distinct": 2}
    target |= {"min": 0.0, "max": 255.0}
    figures = output(target, loss="binary_crossentropy", activation="sigmoid")
    figures |= given.coding([0, 255]) | training(last_loss=-900.0)
    assert severities("targets-out-of-range", figures) == ["error"]
    found = [
        finding
        for code in ("targets-out-of-range", "loss-output-mismatch")
        for finding in CATALOGUE[code](figures)
    ]
    assert [one.rule for one in explain(found)] == ["targets-out-of-range"]


@pytest.mark.parametrize(
    ("at", "last", "expected"),
    [(None, 1.9, []), (60, 1.9, ["error"]), (60, 0.05, ["warning"])],
)
def test_a_schedule_that_runs_below_zero(at, last, expected):
    figures = built.optimizer() | training(last_loss=last, rate_negative_at=at)
    assert severities("optimizer-settings", figures) == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("binary_crossentropy", ["warning"]), ("categorical_crossentropy", ["note"])],
)
def test_a_softmax_on_several_labels_that_learned(loss, expected):
    # TensorFlow's Keras takes the scores behind the softmax: the loss falls as if it
    # were a sigmoid, and the predictions add up to 1.
    target = {"kind": "multi-label", "shape": [3], "min": 0.0, "max": 1.0}
    target["distinct"] = 2
    figures = output(target, loss=loss, activation="softmax", shape=[3])
    figures |= training(last_loss=0.05)
    assert severities("output-activation-mismatch", figures) == expected


@pytest.mark.parametrize(("low", "expected"), [(1.0, ["error"]), (0.2, [])])
def test_a_softmax_over_an_axis_of_length_one(low, expected):
    head = output(activation="softmax", shape=[10])
    (name,) = [one["name"] for one in head["outputs"]]
    prediction = {"min": low, "max": 1.0, "probabilities": True, "sums_to_one": []}
    figures = {**head, "loss_behaviour": {name: {"prediction": prediction}}}
    assert severities("softmax-degenerate", figures) == expected


@pytest.mark.parametrize(
    ("rows", "last", "validation", "expected"),
    [
        (1000, 0.7 * LN_3, [1.0 * LN_3, 1.1 * LN_3], ["warning"]),
        (999, 0.7 * LN_3, [1.0 * LN_3, 1.1 * LN_3], []),
        (1000, 0.71 * LN_3, [1.0 * LN_3, 1.1 * LN_3], []),
        (1000, 0.5 * LN_3, [0.98 * LN_3, 1.3 * LN_3], []),  # it saw something
        (1000, 0.5 * LN_3, [1.0 * LN_3, 1.09 * LN_3], []),
    ],
)
def test_names_that_are_only_learned_by_heart(rows, last, validation, expected):
    figures = {**given.classes(rows - 600, 300, 300), "constant_loss": LN_3}
    figures["label_signal"] = {"skipped": "the model reads its inputs as names"}
    figures |= training(last_loss=last, validation_losses=validation, floor=0.0)
    assert severities("labels-independent-of-inputs", figures) == expected


@pytest.mark.parametrize(
    ("share", "last_loss", "expected"),
    [(0.9, 2.2, ["warning"]), (0.9, 1.5, []), (0.4, 2.2, [])],
)
def test_rows_that_are_one_and_the_same(share, last_loss, expected):
    figures = given.constant(0, same_rows=share) | training(last_loss=last_loss)
    assert severities("inputs-constant-features", figures) == expected


@pytest.mark.parametrize(
    ("strength", "course", "last_loss", "expected"),
    [
        (1.5, [1.5, 0.4, 0.1], 2.2, ["warning"]),
        (1.5, [1.5, 1.4, 1.3], 2.2, []),
        (1.5, [1.5, 0.4, 0.1], 1.0, []),
        (0.9, [0.9, 0.2, 0.01], 2.2, []),
    ],
)
def test_a_penalty_that_took_the_weights(strength, course, last_loss, expected):
    run = training(last_loss=last_loss, regularization_losses=course)
    figures = behaving.penalty(strength, **run)
    assert severities("regularization-dominates", figures) == expected


@pytest.mark.parametrize(("size", "expected"), [(0.1, []), (8.0, ["warning"])])
def test_a_penalty_of_activities(size, expected):
    figures = behaving.penalty(0.01, **training(last_loss=2.2))
    figures["initial_loss"] |= {"activity_loss": size, "activity_penalized": ["code"]}
    assert severities("regularization-dominates", figures) == expected
    found = CATALOGUE["regularization-dominates"](figures)
    assert all("activity_regularizer" in one.cause for one in found)
