import json
import math

import numpy as np
import pytest

from keras_practices.measures.training import measure_training
from keras_practices.measures.training_curves import measure_curve
from keras_practices.record import Record

pytestmark = pytest.mark.once


def places(count, per_epoch=10):
    return [(step + 1) / per_epoch for step in range(count)]


def of(losses, per_epoch=10):
    return measure_curve(places(len(losses), per_epoch), list(losses))


def test_the_curve_is_made_of_means_of_pieces():
    losses = np.linspace(5.0, 1.0, 100)
    found = of(losses)
    np.testing.assert_allclose(found["curve"], losses.reshape(20, 5).mean(axis=1))
    assert found["median_curve"] == pytest.approx(found["curve"])
    assert found["curve_width"] == 5
    np.testing.assert_allclose(found["epoch_means"], losses.reshape(10, 10).mean(1))


def test_a_straight_line_loses_a_third_in_its_last_third():
    losses = np.linspace(5.0, 1.0, 400)
    found = of(losses)
    assert found["fall"] == pytest.approx(4.0, rel=0.05)
    assert found["late_fall"] == pytest.approx(4 / 3, rel=0.01)
    assert found["late_share"] == pytest.approx(1 / 3, rel=0.06)
    assert found["late_error"] == pytest.approx(0, abs=1e-6)
    assert found["noise"] == pytest.approx(0, abs=1e-9)


def test_an_exponential_that_is_through_does_not_fall_any_more():
    found = of(1 + 4 * np.exp(-np.arange(300) / 20))
    assert 0 <= found["late_share"] < 0.001
    rising = of(np.linspace(1.0, 5.0, 100))
    assert rising["late_share"] < -0.3
    assert rising["fall"] < -3.5


@pytest.mark.parametrize("count", [80, 200, 3000])
def test_the_noise_is_that_of_the_batches(count):
    random = np.random.default_rng(1)
    losses = np.linspace(3.0, 1.0, count) + random.normal(0, 0.4, count)
    found = of(losses)
    assert found["noise"] == pytest.approx(0.4, rel=0.25)
    late = losses[-(count // 3) :]
    steps = np.arange(len(late))
    (slope, _), covariance = np.polyfit(steps, late, 1, cov=True)
    length = len(late) - 1
    assert found["late_fall"] == pytest.approx(-slope * length)
    assert found["late_error"] == pytest.approx(math.sqrt(covariance[0, 0]) * length)


def test_a_few_wild_batches_are_no_noise():
    losses = np.linspace(3.0, 1.0, 200)
    losses += np.random.default_rng(1).normal(0, 0.1, 200)
    calm = of(losses)["noise"]
    losses[30::80] += 1000
    found = of(losses)
    assert found["noise"] < 1.5 * calm
    assert max(found["median_curve"]) < 4 < 50 < max(found["curve"])


def test_only_what_comes_before_a_loss_that_is_not_finite_is_read():
    losses = [*np.linspace(3, 2, 20), math.nan, 1e9, math.inf]
    found = of(losses)
    assert found["curve"] == of(losses[:20])["curve"]
    assert found["noise"] == of(losses[:20])["noise"]
    assert of([math.nan])["curve"] == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_few_losses_have_a_curve_and_no_shape(count):
    found = of([2.0] * count)
    assert found["curve"] == [2.0] * count
    assert found["noise"] is found["late_share"] is found["late_fall"] is None
    assert of([2.0] * 6)["noise"] == of([2.0] * 6)["late_share"] == 0


def test_epochs_of_unequal_length_and_one_that_is_not_finished():
    found = measure_curve([0.5, 1.0, 1.3, 1.6, 2.0, 2.5], [4.0, 2.0, 1, 2, 3, 9])
    assert found["epoch_means"] == [3.0, 2.0]


def record(losses=(2.0,) * 20, epochs=()):
    made = Record()
    steps = len(losses)
    rates = [0.1] * steps
    made.add("steps", first=0, epoch=places(steps), loss=losses, learning_rate=rates)
    for epoch, line in enumerate(epochs):
        made.add("epoch", epoch=epoch, step=10 * epoch, **{"logs": {}, **line})
    return made


def test_losses_of_epochs_are_of_one_kind():
    # Where time was short, an epoch has no loss on the probe.
    lines = [
        {"probe_loss": 2.0},
        {"probe_loss": 1.0, "logs": {"loss": 1.6}},
        {"probe_loss": None, "logs": {"loss": 1.4}},
        {"probe_loss": 0.5, "logs": {"loss": 1.2}},
    ]
    found = measure_training(record(epochs=lines))
    assert found["training_losses"] == [1.6, 1.4, 1.2]
    assert found["probe_losses"] == [2.0, 1.0, 0.5]
    assert found["epochs"] == 3
    del lines[2]
    assert measure_training(record(epochs=lines))["training_losses"] == [1.0, 0.5]


def test_validation_without_the_penalty_that_keras_adds_to_it():
    lines = [
        {"probe_loss": 2.0, "regularization_loss": 0.8},
        {"probe_loss": 1.0, "regularization_loss": 0.5, "logs": {"val_loss": 2.0}},
        {"logs": {"val_loss": 1.5}},
        {"probe_loss": math.nan, "logs": {"val_loss": math.nan}},
        {"probe_loss": 0.5, "regularization_loss": 0.25, "logs": {"val_loss": 1.25}},
    ]
    found = measure_training(record(epochs=lines))
    assert found["validation_losses"] == [2.0, 1.5, 1.25]
    assert found["validation_data_losses"] == [1.5, 1.0, 1.0]
    assert found["regularization_losses"] == [0.8, 0.5, 0.25]


def test_with_class_weights_the_batches_are_believed():
    # The probe has no class weights: its loss may rise while the weighted one falls.
    lines = [{"probe_loss": 0.5}, {"probe_loss": 0.7, "logs": {"loss": 0.4}}]
    made = record(np.linspace(0.7, 0.3, 20), lines)
    found = measure_training(made, chance=0.69, class_weighted=True)
    assert found["start_loss"] == pytest.approx(0.69, abs=0.02)
    assert found["last_loss"] == pytest.approx(0.31, abs=0.02)
    assert found["probe_losses"] == []
    assert found["chance"] is None
    assert measure_training(made, chance=0.69)["last_loss"] == 0.7


def test_a_probe_that_ends_in_nan_has_no_last_loss():
    lines = [{"probe_loss": 2.0}, {"probe_loss": 1.0}, {"probe_loss": math.nan}]
    found = measure_training(record(epochs=lines))
    assert (found["start_loss"], found["last_loss"]) == (2.0, None)
    assert found["probe_losses"] == [2.0, 1.0]


def test_all_of_it_is_plain_json():
    for losses in ([2.0], [math.nan] * 3, [1.0, math.inf], list(range(50))):
        json.dumps(measure_training(record(losses)), allow_nan=False)
