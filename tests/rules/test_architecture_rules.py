"""Boundaries of the rules on architecture and settings that one case does not show."""

import pytest
from cases_architecture import CASES
from cases_architecture import FAILED
from cases_architecture import LEARNED
from cases_architecture import LINEAR
from cases_architecture import MIXED
from cases_architecture import NARROW
from cases_architecture import NOWHERE
from cases_architecture import NUMBERS
from cases_architecture import SOFT
from cases_architecture import activation
from cases_architecture import batchnorm
from cases_architecture import chain
from cases_architecture import dense
from cases_architecture import dropout
from cases_architecture import optimizer
from cases_architecture import parts
from cases_architecture import passing
from cases_architecture import sigmoids
from cases_architecture import task
from cases_architecture import weights
from rule_cases import BINARY
from rule_cases import output
from rule_cases import training

from keras_practices.rules.architecture import activation_missing
from keras_practices.rules.architecture import activation_saturating
from keras_practices.rules.architecture import capacity_too_small
from keras_practices.rules.catalogue import CATALOGUE
from keras_practices.rules.initial_weights import initialization_scale
from keras_practices.rules.optimizer_settings import learning_rate_out_of_range
from keras_practices.rules.optimizer_settings import optimizer_settings
from keras_practices.rules.output_layer import double_softmax
from keras_practices.rules.output_layer import output_activation_mismatch
from keras_practices.rules.settings import batchnorm_misused
from keras_practices.rules.settings import dropout_misused

pytestmark = pytest.mark.once

ONE_HOT = {"kind": "one-hot", "shape": [3], "min": 0.0, "max": 1.0, "distinct": 2}
LABELS = {**ONE_HOT, "kind": "multi-label"}


def severities(rule, *figures):
    joined = {}
    for part in figures:
        joined.update(part)
    return [found.severity for found in rule(joined)]


@pytest.mark.parametrize("code", sorted(CASES))
def test_cases(code):
    rule, case = CATALOGUE[code], CASES[code]
    assert rule(case.healthy) == []
    assert rule(case.silent) == []
    assert len(rule(case.fires)) == 1
    (found,) = rule(case.sick)
    assert (found.severity, found.subject) == (case.severity, case.subject)
    assert case.advice in found.advice
    assert rule({}) == []


def test_a_linear_network_is_judged_by_how_it_ended():
    assert severities(activation_missing, LINEAR) == ["warning"]
    assert severities(activation_missing, LINEAR, FAILED) == ["error"]
    assert severities(activation_missing, LINEAR, LEARNED) == ["note"]
    assert severities(activation_missing, MIXED) == ["note"]
    assert severities(activation_missing, MIXED, NOWHERE) == ["warning"]


def test_a_linear_bottleneck_among_other_layers_is_meant():
    normed = passing("bn", norm="batch")
    layers = (dense("a", 64, "relu"), dense("b", 64), normed, dense("head", 10))
    assert severities(activation_missing, chain(*layers), NOWHERE) == []


def test_what_stands_between_linear_layers():
    def between(*nodes):
        return chain(dense("a", 64), *nodes, dense("head", 10, "softmax"))

    normed = passing("bn", norm="batch")
    assert severities(activation_missing, between(normed)) == ["warning"]
    assert severities(activation_missing, between(passing("flatten"))) == ["warning"]
    relu = activation("relu", "relu")
    assert severities(activation_missing, between(normed, relu)) == []
    layer_norm = passing("ln", norm="row")
    assert severities(activation_missing, between(layer_norm)) == []
    pool = {"name": "pool", "class": "MaxPooling2D", "kind": "pool-max"}
    assert severities(activation_missing, between(pool)) == []
    merge = {"name": "add", "class": "Add", "kind": "merge"}
    assert severities(activation_missing, between(merge)) == []
    words = {"name": "words", "class": "Embedding", "kind": "embedding"}
    embedded = chain(words, dense("a", 64), dense("head", 10))
    assert severities(activation_missing, embedded) == []
    deep = chain(dense("a", 64, part="depthwise"), dense("head", 10))
    assert severities(activation_missing, deep) == []


def test_a_linear_layer_with_another_use_is_no_mistake():
    figures = chain(dense("code", 64), dense("head", 10))
    figures["graph"]["nodes"][0]["gives"] = [1]
    assert severities(activation_missing, figures) == []
    figures = chain(dense("a", 64), dense("b", 64), dense("head", 10, "relu"))
    figures["graph"]["nodes"][0]["outputs"] = [1, 2]
    (found,) = activation_missing(figures)
    assert found.evidence["layers"] == ["b"]


def test_sigmoids_in_a_row_and_how_training_ended():
    for count, nothing, failed, nowhere in (
        (1, [], [], ["warning"]),
        (2, [], [], ["warning"]),
        (3, ["warning"], [], ["warning"]),
        (5, ["warning"], ["warning"], ["warning"]),
    ):
        figures = sigmoids(count)
        assert severities(activation_saturating, figures) == nothing
        assert severities(activation_saturating, figures, FAILED) == failed
        assert severities(activation_saturating, figures, NOWHERE) == nowhere
        assert severities(activation_saturating, figures, LEARNED) == []


def test_a_rate_that_works_clears_the_sigmoids():
    trial = {"factor": 10.0, "learning_rate": 1.0, "first_loss": 2.0, "last_loss": 0.9}
    figures = {**sigmoids(2), **NOWHERE}
    works = {"rate_trials": [trial]}
    assert severities(activation_saturating, figures, works) == []
    poor = {"rate_trials": [{**trial, "last_loss": 1.0}]}
    assert severities(activation_saturating, figures, poor) == ["warning"]
    nan = {"rate_trials": [{**trial, "last_loss": float("nan")}]}
    assert severities(activation_saturating, figures, nan) == ["warning"]


def test_normalised_sigmoids_and_tanh():
    layers = []
    for number in range(6):
        bn = passing(f"bn_{number}", norm="batch")
        layers += [dense(f"d{number}", 8), bn, activation(f"a{number}", "sigmoid")]
    figures = chain(*layers, dense("head", 3))
    assert severities(activation_saturating, figures) == []
    six, five = sigmoids(6, "tanh"), sigmoids(5, "tanh")
    assert severities(activation_saturating, six) == []
    assert severities(activation_saturating, six, FAILED) == ["warning"]
    assert severities(activation_saturating, five, FAILED) == []


def test_softmax_between_layers_is_an_error_unless_it_is_a_gate():
    assert severities(activation_saturating, SOFT, FAILED) == ["error"]
    assert severities(activation_saturating, SOFT, LEARNED) == ["note"]
    gate = {"name": "times", "class": "Multiply", "kind": "merge"}
    for name in ("softmax", "sigmoid"):
        gated = chain(dense("a", 8, name), gate, dense("head", 3))
        assert severities(activation_saturating, gated, NOWHERE) == []
    growing = chain(dense("a", 8, "exponential"), dense("head", 3))
    assert severities(activation_saturating, growing) == ["warning"]


def test_capacity_is_judged_only_where_training_failed():
    for outcome, wanted in ((FAILED, ["warning"]), (LEARNED, []), ({}, [])):
        assert severities(capacity_too_small, task(NARROW, outcome)) == wanted
    small = chain(dense("a", 2, "relu"), dense("head", 3))
    mse = {"loss": "mean_squared_error", "activation": "linear"}
    figures = task(small, FAILED, target=NUMBERS, **mse)
    wide = {"first_inputs": {"a": {"features": 8}}}
    assert severities(capacity_too_small, figures, wide) == ["warning"]
    few = {"first_inputs": {"a": {"features": 7}}}
    assert severities(capacity_too_small, figures, few) == []
    coder = {"first_inputs": {"a": {"features": 3}}}
    assert severities(capacity_too_small, figures, coder) == []


@pytest.mark.parametrize(("units", "wanted"), [(1, ["warning"]), (2, [])])
def test_an_autoencoder_may_be_narrow_but_not_of_one_number(units, wanted):
    network = chain(dense("a", units, "relu"), dense("head", 9))
    mse = {"loss": "mean_squared_error", "activation": "linear", "shape": [None, 9]}
    figures = task(network, FAILED, target=NUMBERS, **mse)
    coder = {"first_inputs": {"a": {"features": 9}}}
    assert severities(capacity_too_small, figures, coder) == wanted


def test_softmax_twice_in_the_loss_or_at_the_end():
    inside = {"loss_behaviour": {"answer": {"softmax_inside": True}}}
    own = output(ONE_HOT, loss="custom")
    assert severities(double_softmax, own, inside) == ["error"]
    unseen = {"loss_behaviour": {"answer": None}}
    assert severities(double_softmax, own, unseen) == []
    scores = output(ONE_HOT, loss="custom", activation="linear")
    assert severities(double_softmax, scores, inside) == []
    soft = activation("soft", "softmax")
    drop = passing("drop", rate=0.1)
    twice = chain(dense("a", 3, "softmax"), drop, soft)
    (found,) = double_softmax({**output(), **twice})
    assert found.subject == "soft"
    assert "activation of a" in found.advice
    normed = chain(dense("a", 3, "softmax"), passing("bn", norm="batch"), soft)
    assert severities(double_softmax, output(), normed) == []
    assert severities(double_softmax, output(), chain(soft)) == []


HEADS = [
    # targets, changes to the head, severity before training (None: silent)
    (LABELS, {"loss": "binary_crossentropy"}, "warning"),
    (LABELS, {"loss": "binary_crossentropy", "activation": "sigmoid"}, None),
    (NUMBERS, {"loss": "mean_absolute_error"}, "error"),
    (NUMBERS, {"loss": "mean_absolute_error", "activation": "linear"}, None),
    ({**NUMBERS, "min": 0.0, "max": 1.0}, {"loss": "mean_absolute_error"}, None),
    (ONE_HOT, {"loss": "categorical_crossentropy", "activation": "gelu"}, "error"),
    (ONE_HOT, {"loss": "categorical_crossentropy", "activation": "relu"}, None),
    (ONE_HOT, {"loss": "categorical_crossentropy", "activation": "sigmoid"}, "warning"),
    (ONE_HOT, {"loss": "kl_divergence", "activation": "linear"}, "error"),
    (ONE_HOT, {"loss": "kl_divergence"}, None),
    (BINARY, {"loss": "hinge", "activation": "sigmoid", "shape": [1]}, "warning"),
    (BINARY, {"loss": "hinge", "activation": "tanh", "shape": [1]}, None),
    (ONE_HOT, {"loss": "custom", "activation": "relu"}, "note"),
    (ONE_HOT, {"loss": "custom", "activation": None}, None),
    (
        BINARY,
        {"loss": "mean_squared_error", "activation": "relu", "shape": [1]},
        "note",
    ),
    (NUMBERS, {"loss": "mean_squared_error", "activation": "relu"}, None),
    (None, {}, None),
]


@pytest.mark.parametrize(("target", "changes", "severity"), HEADS)
def test_heads(target, changes, severity):
    found = severities(output_activation_mismatch, output(target, **changes))
    assert found == ([severity] if severity else [])


def test_heads_after_training():
    sigmoid = output(ONE_HOT, loss="categorical_crossentropy", activation="sigmoid")
    for outcome, severity in ((NOWHERE, "warning"), (FAILED, "note")):
        assert severities(output_activation_mismatch, sigmoid, outcome) == [severity]
    cut = output(ONE_HOT, loss="custom", activation="relu")
    assert severities(output_activation_mismatch, cut, FAILED) == ["warning"]
    seen = {"prediction": {"probabilities": False}, "clips_scores": True}
    behaviour = {"loss_behaviour": {"answer": seen}}
    assert severities(output_activation_mismatch, cut, behaviour) == ["error"]
    assert severities(output_activation_mismatch, cut, behaviour, LEARNED) == ["note"]


def test_dropout_behind_the_last_layer():
    def ending(rate, *after):
        return chain(dense("a", 3, "softmax"), passing("drop", rate=rate), *after)

    entry = parts(dropout=[{"layer": "drop", "rate": 0.8, "argument": "rate"}])
    assert severities(dropout_misused, entry, output(), ending(0.8)) == ["error"]
    soft = activation("soft", "softmax")
    figures = (parts(), output(), ending(0.5, soft))
    assert severities(dropout_misused, *figures) == ["error"]
    assert severities(dropout_misused, *figures, LEARNED) == ["warning"]
    assert severities(dropout_misused, parts(), output(), ending(0.05)) == []
    assert (
        severities(dropout_misused, parts(), output(loss="custom"), ending(0.5)) == []
    )
    before = ending(0.5, dense("head", 3))
    assert severities(dropout_misused, parts(), output(), before) == []
    assert severities(dropout_misused, dropout(0.8), LEARNED) == ["note"]


def test_batch_statistics_that_have_not_settled():
    def run(steps, inference, momentum=0.99):
        modes = {"inference_loss": inference, "training_loss": 0.5, "rows": 256}
        fit = {"steps": steps, "batch_size": 32}
        return batchnorm(momentum, fit=fit, modes_after=modes, constant_loss=2.0)

    # 0.99 ** 119 = 0.302 and 0.99 ** 120 = 0.299; a gap of 0.6 is 30 % of 2.0
    assert severities(batchnorm_misused, run(119, 1.2)) == ["warning"]
    assert severities(batchnorm_misused, run(120, 1.2)) == []
    assert severities(batchnorm_misused, run(119, 1.09)) == []
    assert severities(batchnorm_misused, run(1000, 0.5, 0.9999)) == ["warning"]
    assert severities(batchnorm_misused, run(20_000, 0.5, 0.9999)) == []
    one_row = batchnorm(0.9, fit={"steps": 9, "batch_size": 1})
    assert severities(batchnorm_misused, one_row) == ["warning"]
    still = batchnorm(0.9999)
    still["parts"]["batchnorm"][0]["trainable"] = False
    assert severities(batchnorm_misused, still) == []


def test_batch_norm_behind_the_last_activation():
    normed = passing("bn", norm="batch")
    behind = chain(dense("a", 3, "softmax"), normed)
    assert severities(batchnorm_misused, parts(), behind) == ["warning"]
    before = chain(dense("a", 3), normed, activation("soft", "softmax"))
    assert severities(batchnorm_misused, parts(), before) == []
    hidden = chain(dense("a", 3, "sigmoid"), normed, dense("head", 3))
    assert severities(batchnorm_misused, parts(), hidden) == []


def test_rates():
    for changes, wanted in (
        ({"learning_rate": 0.0}, ["warning"]),
        ({"learning_rate": 1e-8}, []),
        ({"learning_rate": -1.0}, []),
        ({"class": "SGD", "learning_rate": 20.0}, []),
        ({"class": "SGD", "learning_rate": 20.1}, ["warning"]),
        ({"class": "SGD", "learning_rate": 20.1, "clipnorm": 1.0}, []),
        ({"class": "Adadelta", "learning_rate": 1.0}, []),
    ):
        assert severities(learning_rate_out_of_range, optimizer(**changes)) == wanted
    assert severities(
        learning_rate_out_of_range, optimizer(learning_rate=1.0), LEARNED
    ) == ["note"]
    assert severities(learning_rate_out_of_range, parts(optimizer=None)) == []


SGD = {"class": "SGD", "learning_rate": 0.01}
SETTINGS = [
    # settings, before training, after one that did not learn
    ({"epsilon": 1e-16}, "warning", "warning"),
    ({"class": "Adadelta", "learning_rate": 1.0, "epsilon": 1e-16}, None, None),
    ({"epsilon": 0.1}, "note", "warning"),
    ({"epsilon": 0.09}, None, None),
    ({"beta_1": 0.999}, "warning", "warning"),
    ({"beta_1": 0.99}, None, None),
    ({"beta_2": 0.89}, "warning", "warning"),
    ({"beta_2": 0.9}, None, None),
    ({**SGD, "momentum": 0.999}, "warning", "warning"),
    ({**SGD, "momentum": 0.99}, None, None),
    ({**SGD, "clipnorm": 1e-4}, "warning", "warning"),
    ({**SGD, "clipnorm": 1e-3}, None, None),
    ({**SGD, "learning_rate": 2.0, "clipnorm": 1e-4}, None, None),
    ({"clipnorm": 1e-4}, "note", "warning"),
    ({"weight_decay": 100.0}, "warning", "warning"),
    ({"weight_decay": 99.0}, None, None),
    ({"class": "Adadelta"}, "note", "warning"),
    ({"class": "Adagrad"}, "note", "warning"),
    ({"class": "Adagrad", "learning_rate": 0.01}, None, None),
]


@pytest.mark.parametrize(("changes", "before", "after"), SETTINGS)
def test_settings_of_optimizers(changes, before, after):
    figures = optimizer(**changes)
    assert severities(optimizer_settings, figures) == ([before] if before else [])
    assert severities(optimizer_settings, figures, FAILED) == ([after] if after else [])
    learned = severities(optimizer_settings, figures, LEARNED)
    assert learned == (["note"] if before else [])


def test_an_optimizer_that_climbs_is_an_error_whatever_it_is_set_to():
    seen = {"uphill": True, "rate_negative": False, "moved": 0.03, "steps": 3}
    found = severities(optimizer_settings, parts(), {"optimizer_behaviour": seen})
    assert found == ["error"]
    assert severities(optimizer_settings, parts(optimizer=None)) == []


def test_first_weights_that_shrink_the_signal():
    small = weights(0.02, 0.02, 0.02, 1.0)
    assert severities(initialization_scale, small) == ["warning"]
    assert severities(initialization_scale, small, LEARNED) == ["note"]
    # Ten calibrated layers with half of Glorot's power each leave 0.71 ** 10 = 0.03.
    assert severities(initialization_scale, weights(*[1.0] * 10), FAILED) == []
    # 0.71 ** 21 = 7e-4: said only where training did not learn.
    deep = weights(*[1.0] * 22)
    assert severities(initialization_scale, deep) == []
    assert severities(initialization_scale, deep, FAILED) == ["warning"]
    # Fifteen calibrated layers leave 6e-3: a fault where nothing at all was learned.
    nowhere = training(last_loss=1.9)
    tower = weights(*[1.0] * 16)
    assert severities(initialization_scale, tower, FAILED) == []
    assert severities(initialization_scale, tower, nowhere) == ["warning"]
    grown = weights(*[3.5] * 9)
    assert severities(initialization_scale, grown) == ["warning"]
    assert severities(initialization_scale, weights(3.5, 3.5, 3.5)) == []


def test_what_takes_the_scale_out():
    figures = weights(8.0, 8.0, 8.0)
    for changes in ({"fresh": False}, {"trainable": False}):
        found = {n: {**w, **changes} for n, w in figures["initial_weights"].items()}
        assert (
            severities(initialization_scale, figures, {"initial_weights": found}) == []
        )
    normed = []
    for number in range(2):
        norm = passing(f"bn_{number}", norm="batch")
        normed += [dense(f"dense_{number}", 64), norm, activation(f"r{number}", "relu")]
    graph = chain(*normed, dense("dense_2", 3))
    assert severities(initialization_scale, figures, graph) == []


def test_first_biases_and_saturated_ends():
    biased = weights(1.4, 1.0, bias=5.1 * 1.4)
    (found,) = initialization_scale(biased)
    assert "bias_initializer='zeros'" in found.advice
    assert severities(initialization_scale, weights(1.4, 1.0, bias=5.0)) == []
    graph = chain(dense("dense_0", 64, "tanh"), dense("dense_1", 3))
    figures = {**weights(5.0, 1.0), **graph}
    for share, wanted in ((0.51, ["warning"]), (0.5, [])):
        layers = {"layers": {"dense_0": {"saturated": share}}}
        assert severities(initialization_scale, figures, layers) == wanted
