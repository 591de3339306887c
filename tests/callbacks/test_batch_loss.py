import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.callbacks.batch_loss import BatchLoss


class Model:
    """As much of a model as is read: its metrics."""

    def __init__(self, *metrics):
        self.metrics = list(metrics)


BATCHES = st.lists(
    st.tuples(st.floats(-100, 100, width=32), st.integers(1, 50)),
    min_size=1,
    max_size=8,
)


@given(BATCHES)
def test_the_tracker_gives_each_batch_back(batches):
    tracker = keras.metrics.Mean(name="loss")
    model, reader = Model(tracker), BatchLoss()
    for number, (loss, rows) in enumerate(batches):
        tracker.update_state(loss, sample_weight=rows)
        found = reader.read(model, {"loss": -1.0}, number)
        # The sum is kept in float32: the error is that of the sum so far.
        assert found == pytest.approx(loss, rel=1e-4, abs=1e-2)
    assert reader.batches == len(batches)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8))
def test_without_a_tracker_the_mean_is_taken_apart(losses):
    reader = BatchLoss()
    for number in range(len(losses)):
        logs = {"loss": float(np.mean(losses[: number + 1]))}
        found = reader.read(Model(), logs, number)
        assert found == pytest.approx(losses[number], rel=1e-6, abs=1e-6)


def test_a_metric_called_loss_that_is_no_mean_is_not_taken_for_the_tracker():
    metric = keras.metrics.Sum(name="loss")
    metric.update_state(5.0)
    assert BatchLoss().read(Model(metric), {"loss": 2.0}, 0) == 2.0


def test_a_new_epoch_begins_anew():
    tracker, reader = keras.metrics.Mean(name="loss"), BatchLoss()
    tracker.update_state(4.0)
    assert reader.read(Model(tracker), {}, 0) == 4.0
    tracker.reset_state()
    reader.reset()
    tracker.update_state(1.0)
    assert reader.read(Model(tracker), {}, 0) == 1.0


@pytest.mark.parametrize("logs", [None, {}, {"accuracy": 0.5}])
def test_no_loss_is_nan(logs):
    assert np.isnan(BatchLoss().read(Model(), logs, 0))


def test_nan_stays_nan():
    tracker, reader = keras.metrics.Mean(name="loss"), BatchLoss()
    tracker.update_state(1.0)
    assert reader.read(Model(tracker), {}, 0) == 1.0
    tracker.update_state(float("nan"))
    assert np.isnan(reader.read(Model(tracker), {}, 1))


def test_several_batches_at_once_give_their_mean():
    tracker, reader = keras.metrics.Mean(name="loss"), BatchLoss()
    for loss, rows in ((1.0, 16), (4.0, 8)):
        tracker.update_state(loss, sample_weight=rows)
    assert reader.read(Model(tracker), {}, 1) == pytest.approx(2.0)
