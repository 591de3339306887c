import math

import numpy as np
import pytest

from keras_practices.measures.training import latest_layers
from keras_practices.measures.training import measure_training
from keras_practices.record import Record

pytestmark = pytest.mark.once


def record(losses, *, probes=(), validation=()):
    made = Record()
    made.add("start", schema=1, fit={"epochs": 4, "steps_per_epoch": 10})
    places = [(step + 1) / 10 for step in range(len(losses))]
    rates = [0.1] * len(losses)
    made.add("steps", first=0, epoch=places, loss=list(losses), learning_rate=rates)
    for epoch, probe in enumerate(probes):
        logs = {"loss": 9.0, "val_loss": validation[epoch]} if validation else {}
        made.add("epoch", epoch=epoch, step=10 * epoch, logs=logs, probe_loss=probe)
    return made


def test_the_probe_is_believed_before_the_batches():
    run = record(np.linspace(5, 1, 40), probes=[4.0, 3.0, 2.0], validation=[0, 3, 2.5])
    found = measure_training(run, floor=1.0, chance=2.3)
    assert (found["start_loss"], found["last_loss"]) == (4.0, 2.0)
    assert found["kept"] == pytest.approx((2 - 1) / (4 - 1))
    # The line of epoch 0 was measured before the first step.
    assert found["training_losses"] == [3.0, 2.0]
    assert found["validation_losses"] == [3.0, 2.5]
    assert (found["steps"], found["planned_steps"]) == (40, 40)
    assert (found["floor"], found["chance"]) == (1.0, 2.3)
    assert found["learning_rate"] == 0.1
    assert found["first_not_finite"] is found["update_ratio"] is None


def test_without_a_probe_the_batches_are_smoothed():
    losses = np.linspace(4.0, 0.1, 40)
    found = measure_training(record(losses))
    assert found["start_loss"] == pytest.approx(np.median(losses[:4]))
    assert found["last_loss"] == pytest.approx(np.median(losses[-4:]))
    assert found["kept"] == pytest.approx(found["last_loss"] / found["start_loss"])


def test_nan_is_found_with_its_step():
    found = measure_training(record([2.0, 1.5, math.nan, math.nan]))
    assert (found["first_not_finite"], found["first_not_finite_epoch"]) == (2, 0.3)
    assert (found["start_loss"], found["last_loss"]) == (2.0, None)
    assert found["kept"] == 1.0


def test_weights_that_are_not_finite_count_where_the_loss_hides_them():
    run = record([2.0, 0.0, 0.0, 0.0])
    for step, share in ((1, 1.0), (3, 0.5)):
        weights = {"kernel": {"finite": share, "update_ratio": None}}
        run.add("sample", step=step, epoch=0.1, weights=weights, layers={})
    assert measure_training(run)["first_not_finite"] == 2


def test_the_update_ratio_is_a_median_over_kernels_and_samples():
    run = record([1.0] * 30)
    for step, ratios in enumerate([(1e-3, 2e-3), (3e-3, None), (math.nan, 9.0)]):
        weights = {str(i): {"update_ratio": ratio} for i, ratio in enumerate(ratios)}
        run.add("sample", step=step, epoch=0.1, weights=weights, layers={})
    assert measure_training(run)["update_ratio"] == pytest.approx(2.5e-3)


def test_layers_of_the_first_and_of_the_last_probe():
    run = record([1.0])
    assert latest_layers(run) == ({}, {})
    for step, layers in enumerate([{}, {"a": {"inactive": 0}}, {"a": {"inactive": 1}}]):
        run.add("probe", step=step, epoch=0.1, layers=layers)
    first, last = latest_layers(run)
    assert (first["a"]["inactive"], last["a"]["inactive"]) == (0, 1)


def test_a_record_without_a_step_says_nothing():
    assert measure_training(Record()) is None


@pytest.mark.parametrize(
    ("rates", "highest", "faded"),
    [
        ([0.1] * 6, 0.1, None),
        ([0.01, 0.1, 0.2, 0.1, 0.05, 0.003], 0.2, None),
        ([0.1, 0.05, 0.002, 0.0009, 0.0004, 0.0001], 0.1, 3),
        ([0.1, 0.0001, 0.0001, 0.0001, 0.1, 0.1], 0.1, None),
        ([0.1, math.nan, 0.0, 0.0, 0.0, 0.0], 0.1, 2),
        ([math.nan] * 6, None, None),
    ],
)
def test_the_highest_rate_and_the_step_from_which_little_is_left(rates, highest, faded):
    run = Record()
    run.add(
        "steps",
        first=0,
        epoch=[(step + 1) / 6 for step in range(6)],
        loss=[1.0] * 6,
        learning_rate=rates,
    )
    found = measure_training(run)
    assert (found["learning_rate"], found["rate_faded_at"]) == (highest, faded)


@pytest.mark.parametrize(
    ("rates", "below"),
    [
        ([0.3, 0.1, -0.1], 2),
        ([0.3, 0.1, -0.002], None),  # as good as zero
        ([-0.1, -0.1, -0.1], 0),
        ([0.1, 0.0, 0.1], None),
    ],
)
def test_the_step_from_which_the_rate_is_negative(rates, below):
    run = Record()
    epoch = [1 / 3, 2 / 3, 1.0]
    run.add("steps", first=0, epoch=epoch, loss=[1.0] * 3, learning_rate=rates)
    assert measure_training(run)["rate_negative_at"] == below
