import cases_data as given
import pytest
from rule_cases import CLASSES
from rule_cases import output
from rule_cases import tiny
from rule_cases import training

from keras_practices.rules import CATALOGUE

pytestmark = pytest.mark.once

FINE, STUCK = training(last_loss=0.2), training(last_loss=2.0)


def run(code, figures):
    return CATALOGUE[code](figures)


def severities(code, figures):
    return [one.severity for one in run(code, figures)]


@pytest.mark.parametrize(
    ("code", "figures", "before", "stuck", "fine"),
    [
        ("inputs-scaled-twice", given.inputs(0.001, 0.004), "warning", "error", "note"),
        ("inputs-constant-features", given.constant(10), "error", "error", "error"),
        ("inputs-constant-features", given.constant(2), "note", "note", "note"),
        ("targets-not-scaled", given.numbers(500.0), "warning", "error", "note"),
        ("targets-out-of-range", given.sigmoid(30.0), "error", "error", "error"),
        ("labels-independent-of-inputs", given.signal(0.5), "warning", "error", "note"),
        ("class-imbalance", given.classes(500, 480, 5), "warning", "warning", None),
        ("class-imbalance", given.classes(500, 5), "warning", "warning", "note"),
    ],
)
def test_severity_follows_the_outcome(code, figures, before, stuck, fine):
    # Without losses of validation: they have their own say.
    unheld = {"validation_losses": []}
    assert severities(code, figures) == [before]
    assert severities(code, {**figures, **training(last_loss=2.0, **unheld)}) == [stuck]
    if fine is not None:
        learned = {**figures, **training(last_loss=0.2, **unheld)}
        assert severities(code, learned) == [fine]


def test_validation_decides_whether_labels_are_independent():
    code, figures = "labels-independent-of-inputs", {"constant_loss": 2.0}
    heart = training(last_loss=0.1, validation_losses=[2.1, 2.4])
    assert severities(code, given.signal(0.5, **figures, **heart)) == ["error"]
    fine = training(last_loss=0.1, validation_losses=[1.7, 2.4])
    assert severities(code, given.signal(0.5, **figures, **fine)) == ["note"]


def test_targets_in_large_units_are_a_note_where_a_tiny_subset_was_learned():
    code, figures = "targets-not-scaled", {**given.numbers(500.0), "constant_loss": 2.0}
    assert severities(code, {**figures, **tiny(1.0)}) == ["note"]
    assert severities(code, {**figures, **tiny(1.01)}) == ["warning"]
    assert severities(code, {**figures, **tiny(0.1), "constant_loss": None}) == [
        "warning"
    ]


def test_labels_are_not_judged_where_something_else_is_seen():
    code = "labels-independent-of-inputs"
    assert run(code, given.signal(0.5, rows=199)) == []
    assert run(code, {**given.signal(0.5), **given.shift(0.1, 9.0)}) == []
    assert run(code, {"label_signal": {"skipped": "names"}, **output()}) == []
    assert run(code, given.signal(-9.0)) == []
    custom = given.signal(0.5, **output(loss="custom"))
    custom["label_signal"]["task"] = "numbers"
    assert run(code, custom) == []


def test_a_model_that_brings_the_scale_of_its_targets():
    code = "targets-not-scaled"
    own = {"layers_before": {"dense_1": {"mean": 300.0, "std": 1.0}}}
    assert run(code, given.numbers(500.0, **own)) == []
    own["layers_before"]["dense_1"]["mean"] = 100.0
    assert severities(code, given.numbers(500.0, **own)) == ["warning"]
    figures = given.numbers(500.0)
    figures["outputs"][0]["activation"] = None
    assert run(code, figures) == []


def test_between_learned_and_stuck_simple_means_decide():
    half = {**training(last_loss=1.0), "constant_loss": 2.0}
    figures = given.numbers(500.0, **half)
    told = {"label_signal": {"explained": 0.7}}
    assert severities("targets-not-scaled", {**figures, **told}) == ["warning"]
    told["label_signal"]["explained"] = 0.6
    assert severities("targets-not-scaled", {**figures, **told}) == ["note"]
    assert severities("targets-not-scaled", figures) == ["note"]


TARGETS, HEAD = "targets-out-of-range", "output-activation-mismatch"
RANGES = [
    # loss, activation, width, lowest, highest, the rule that says so
    ("mean_squared_error", "tanh", 1, -1.1, 1.1, None),
    ("mean_squared_error", "tanh", 1, -3.0, 3.0, HEAD),
    ("mean_squared_error", "relu", 1, -2.0, 3.0, HEAD),
    ("mean_squared_error", "relu", 1, 0.0, 300.0, None),
    ("mean_squared_error", "sigmoid", 1, 5.0, 50.0, HEAD),
    ("mean_squared_error", "sigmoid", 784, 0.0, 255.0, TARGETS),
    ("mean_squared_error", "linear", 1, -300.0, 300.0, None),
    ("binary_crossentropy", "sigmoid", 784, 0.0, 255.0, TARGETS),
    ("binary_crossentropy", "sigmoid", 1, 0.0, 255.0, None),
    ("custom", "sigmoid", 1, 0.0, 255.0, None),
]


@pytest.mark.parametrize(("loss", "activation", "width", "low", "high", "code"), RANGES)
def test_ranges_of_activations(loss, activation, width, low, high, code):
    target = {"kind": "numbers", "shape": [width], "distinct": 90}
    figures = output(target, loss=loss, activation=activation)
    figures |= given.coding([low, 0.5, high])
    found = [rule for rule in (TARGETS, HEAD) if severities(rule, figures)]
    assert found == ([] if code is None else [code])


NUMBERS = [
    # values, changes, words of the advice (None: silent)
    ([0, 1, 2], {}, None),
    ([-1, 0, 1], {}, "y = y + 1"),
    ([-1, 0, 1], {"ignore_class": -1}, None),
    ([0, 1 / 255, 2 / 255], {}, "astype('int32')"),
    ([0.1, 0.2, 0.3], {"distinct": 90}, None),
]


@pytest.mark.parametrize(("values", "changes", "advice"), NUMBERS)
def test_class_numbers(values, changes, advice):
    figures = {**output(), **given.coding(values, **changes), **FINE}
    found = run("targets-out-of-range", figures)
    assert [one.severity for one in found] == (["error"] if advice else [])
    assert all(advice in one.advice for one in found)


def test_labels_of_another_coding():
    code = "labels-wrong-format"
    binary = {"loss": "binary_crossentropy", "activation": "sigmoid", "shape": [1]}
    head = output({**CLASSES, "shape": [1]}, **binary)
    (found,) = run(code, {**head, **given.coding([-1, 1])})
    assert "y == 1" in found.advice
    assert run(code, {**head, **given.coding([0, 1])}) == []
    assert run(code, {**head, **given.coding([0.05, 0.95])}) == []
    assert run(code, {**output(loss="hinge"), **given.coding([-1, 1])}) == []


def test_other_forms_of_wrong_labels():
    code = "labels-wrong-format"
    (scaled,) = run(code, given.one_hot(one_value=255.0))
    assert "y / 255" in scaled.advice
    (several,) = run(code, given.one_hot(several_rows=0.2))
    assert (several.severity, "sigmoid" in several.advice) == ("warning", True)
    assert severities(code, {**given.one_hot(several_rows=0.2), **FINE}) == ["note"]
    target = {"kind": "one-hot", "shape": [3, 2], "distinct": 2}
    twice = output(target, loss="categorical_crossentropy", shape=[3])
    (found,) = run(code, {**twice, **given.coding([0, 1])})
    assert "once" in found.advice
    one = {**given.classes(100), **given.coding([0])}
    assert severities(code, one) == ["error"]
    assert run(code, {**given.classes(100, complete=False), **given.coding([0])}) == []


def test_rare_classes_that_are_natural():
    code = "class-imbalance"
    many = given.classes(*[400] * 30, 3)
    assert severities(code, many) == ["note"]
    held = {"rows": 100, "counts": {"30": 5, "0": 95}, "complete": True}
    assert severities(code, {**many, "validation_class_counts": held}) == ["warning"]
    thin = given.classes(500, 480, 5)
    assert run(code, {**thin, "class_weighted": True}) == []
    assert run(code, {**thin, **output(loss="mean_squared_error")}) == []
    assert severities(code, given.classes(99_000, 900)) == ["warning"]
    assert run(code, given.classes(99_000, 1_000)) == []


def test_rare_classes_in_a_part_of_the_rows():
    code = "class-imbalance"
    part = given.classes(1000, 10, complete=False)
    assert severities(code, part) == ["warning"]
    part = given.classes(1000, 30, complete=False)
    assert run(code, part) == []
    fit = {"batch_size": 10, "epochs": 2, "steps": 160}
    assert severities(code, {**part, "fit": fit}) == ["warning"]
    mixed = {"order": {"changes": 3, "expected_changes": 40.0}}
    assert run(code, {**part, "fit": fit, **mixed}) == []


def test_sorted_rows_that_do_no_harm():
    code = "data-sorted"
    assert run(code, given.order(2, validation_split=0.0)) == []
    lazy = {"validation_split": 0.0, "shuffled": False, "fit": {"batch_size": 32}}
    (found,) = run(code, given.order(2, **lazy))
    assert "shuffle=False" in found.advice
    assert severities(code, given.order(2, **lazy, **FINE)) == ["note"]
    assert severities(code, given.order(2, **lazy, **STUCK)) == ["error"]
    whole = {**lazy, "fit": {"batch_size": 150}}
    assert run(code, given.order(2, **whole)) == []


def test_classes_that_training_never_sees():
    held = {"rows": 100, "counts": {"0": 50, "7": 50}, "complete": True}
    figures = given.order(98, **given.classes(50, 50, 50))
    (found,) = run("data-sorted", {**figures, "validation_class_counts": held})
    assert (found.severity, "(7)" in found.message) == ("error", True)
    few = {**held, "counts": {"0": 95, "7": 5}}
    assert run("data-sorted", {**figures, "validation_class_counts": few}) == []


def test_batches_of_one_class():
    def stream(each, expected, number=10, **more):
        found = {"batches": number, "batch_classes": each, "tail": None}
        found |= {"expected_batch_classes": expected, "rows": 320, "classes": 3}
        found |= {"changes": 2, "expected_changes": 200.0, **more}
        return {"order": found}

    code = "data-sorted"
    assert severities(code, stream(1.2, 2.9)) == ["warning"]
    assert severities(code, {**stream(1.2, 2.9), **FINE}) == ["note"]
    assert run(code, stream(1.3, 2.9)) == []
    assert run(code, stream(1.0, 2.9, number=3)) == []
    alone = stream(1.0, 1.0, classes=1)
    assert run(code, alone) == []
    held = {"rows": 99, "counts": {"0": 50, "1": 49}, "complete": True}
    assert severities(code, {**alone, "validation_class_counts": held}) == ["warning"]


def test_rows_that_repeat_by_nature_are_no_leak():
    code = "validation-overlaps-training"
    assert run(code, given.overlap(60, twins=0.5)) == []
    assert severities(code, given.overlap(50)) == ["warning"]
    assert severities(code, given.overlap(90, twins=0.5)) == ["error"]
    few = given.overlap(100)
    few["overlap"]["validation_rows"] = 9
    assert run(code, few) == []


def test_images_that_look_different():
    def images(distance, effect, name="mean"):
        found = {"distance": distance, "effect": effect, "median": 1, "other_median": 2}
        return given.shift(0.3, 0.3, {name: found})

    code = "validation-preprocessed-differently"
    assert severities(code, images(0.7, 0.6)) == ["warning"]
    assert run(code, images(0.65, 0.6)) == []
    assert run(code, images(1.0, 0.5)) == []
    assert run(code, images(1.0, 5.0, "roughness")) == []
    assert severities(code, images(1.0, 5.1, "roughness")) == ["warning"]
    assert severities(code, {**images(0.7, 0.6), **STUCK}) == ["error"]
    known = {"constant_loss": 2.0, **training(validation_losses=[1.0])}
    assert severities(code, {**images(0.7, 0.6), **known}) == ["note"]
    assert severities(code, given.shift(1.0, 1.0, off_scale=0.6)) == ["error"]
    assert run(code, given.shift(1.0, 1.0, off_scale=0.5)) == []


def test_batches_of_one_row_that_learn():
    code = "batch-size-extreme"
    assert run(code, given.batches(1, 4000, 0.2)) == []
    swings = {"training_losses": [1.0, 0.3, 0.25, 0.2, 0.41]}
    assert severities(code, given.batches(1, 4000, 0.2, **swings)) == ["warning"]
    swings["training_losses"][-1] = 0.4
    assert run(code, given.batches(1, 4000, 0.2, **swings)) == []
    assert run(code, given.batches(3, 4000, 1.9)) == []


def test_batches_of_all_rows():
    code = "batch-size-extreme"
    assert severities(code, given.batches(500, 20, 1.9)) == ["warning"]
    assert run(code, given.batches(500, 20, 0.2)) == []
    assert run(code, given.batches(127, 20, 1.9)) == []
    figures = given.batches(300, 2, 1.9)
    figures["fit"]["epochs"] = 2
    assert run(code, figures) == []


MSLE, MAPE = "mean_squared_logarithmic_error", "mean_absolute_percentage_error"


@pytest.mark.parametrize(
    ("loss", "activation", "changes", "expected", "after"),
    [
        (MSLE, "linear", {"negative": 0.5}, ["error"], ["error"]),
        (MSLE, "linear", {"negative": 0.02}, [], []),
        (MAPE, "linear", {"negative": 0.5}, ["error"], ["note"]),
        (MAPE, "linear", {"negative": 1.0}, [], []),
        (MAPE, "linear", {"zeros": 0.01}, ["error"], ["note"]),
        (MAPE, "linear", {}, [], []),
        ("poisson", "softplus", {}, [], []),
        ("poisson", "linear", {}, ["error"], ["note"]),
        ("poisson", "exponential", {"negative": 0.5}, ["error"], ["error"]),
        ("kl_divergence", "softmax", {"low": 0.0, "high": 1.0 + 1e-6}, [], []),
        ("kl_divergence", "softmax", {"low": 0.0, "high": 5.0}, ["error"], ["note"]),
        ("mean_squared_error", "linear", {"negative": 0.5}, [], []),
    ],
)
def test_targets_outside_the_domain_of_a_loss(
    loss, activation, changes, expected, after
):
    code = "loss-output-mismatch"
    target = {"kind": "numbers", "shape": [1], "min": 0.0, "max": 9.0, "distinct": 90}
    figures = output(target, loss=loss, activation=activation, shape=[1])
    figures |= given.coding([0.5, 2, 9], **changes)
    assert [one.severity for one in run(code, figures)] == expected
    # Where the loss takes all negative targets for one, that it fell says nothing.
    assert [one.severity for one in run(code, {**figures, **FINE})] == after
    # A record of an older version has no share of zeros.
    del figures["label_format"][0]["zeros"]
    run(code, figures)


@pytest.mark.parametrize(
    ("rows", "weights", "expected"),
    [
        ((950, 50), {"0": 0.95, "1": 0.05}, ["warning"]),
        ((950, 50), {"0": 0.53, "1": 10.0}, []),
        ((950, 50), {"0": 1.0, "1": 1.0}, []),
        ((600, 400), {"0": 0.95, "1": 0.05}, []),
        ((950, 50), {"0": 1.0}, []),
        ((950, 50), None, []),
    ],
)
def test_class_weights_the_wrong_way_round(rows, weights, expected):
    figures = {**given.classes(*rows), "class_weighted": True, "class_weight": weights}
    found = run("class-imbalance", figures)
    assert [one.severity for one in found] == expected
    assert all("1: 10," in one.advice for one in found)


@pytest.mark.parametrize(
    ("momentum", "steps", "expected"),
    [
        (0.9999, 300, ["error"]),
        (0.999, 690, ["error"]),
        (0.999, 700, []),  # 0.999 ** 693 is a half
        (0.9999, None, []),
        (None, 300, []),
    ],
)
def test_averages_that_forget_more_slowly_than_training_lasts(
    momentum, steps, expected
):
    settings = {"class": "Adam", "learning_rate": 1e-3, "scheduled": False}
    settings |= {} if momentum is None else {"ema_momentum": momentum}
    figures = {"parts": {"optimizer": settings}, "fit": {"steps": steps}, **FINE}
    found = run("optimizer-settings", figures)
    assert [one.severity for one in found] == expected


@pytest.mark.parametrize("steps", [2, 11, 12, 64, 470, 5000])
def test_the_momentum_advised_for_an_average_is_a_good_one(steps):
    def judged(momentum):
        settings = {"class": "Adam", "learning_rate": 1e-3, "scheduled": False}
        settings["ema_momentum"] = momentum
        figures = {"parts": {"optimizer": settings}, "fit": {"steps": steps}, **FINE}
        return run("optimizer-settings", figures)

    (found,) = judged(0.99999)
    advised = float(found.advice.split("=")[1].split(",")[0])
    assert judged(advised) == []


def test_probabilities_of_any_layer_under_from_logits():
    """An average of two softmaxes is no softmax layer, yet adds up to 1."""
    head = output(activation=None, from_logits=True)
    (name,) = (one["name"] for one in head["outputs"])
    seen = {"probabilities": True, "sums_to_one": [1], "min": 0.1, "max": 0.6}
    figures = {**head, "loss_behaviour": {name: {"prediction": seen}}}
    (found,) = run("double-softmax", figures)
    assert (found.severity, "from_logits=False" in found.advice) == ("error", True)
    seen["sums_to_one"] = []
    assert run("double-softmax", figures) == []
