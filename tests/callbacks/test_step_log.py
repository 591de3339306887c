"""Rates of the steps, the log of the steps by itself, and what it holds in memory."""

import keras
import numpy as np
import pytest
from keras import ops
from linear_model import X
from linear_model import Y
from linear_model import fit
from linear_model import linear_model
from linear_model import shared_model

from keras_practices import record as record_module
from keras_practices._core.train_function import Step
from keras_practices.callbacks import TrainingMonitor
from keras_practices.callbacks import step_sampler
from keras_practices.callbacks.budget import Budget
from keras_practices.callbacks.step_log import StepLog
from keras_practices.record import Record

RNG = np.random.default_rng(0)


# --- rates -------------------------------------------------------------------------


class SetsRate(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        optimizer.learning_rate = 0.9 * ops.convert_to_numpy(optimizer.learning_rate)


def decay():
    return keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)


SGD = keras.optimizers.SGD
RATES = {
    "each epoch": (
        lambda: SGD(0.1),
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)),
    ),
    "plateau": (
        lambda: SGD(0.1),
        lambda: keras.callbacks.ReduceLROnPlateau(
            "loss", patience=0, factor=0.5, min_delta=99.0, mode="min"
        ),
    ),
    "each batch": (lambda: SGD(0.1), SetsRate),
    "wrapped": (
        lambda: keras.optimizers.LossScaleOptimizer(SGD(0.1), initial_scale=2.0),
        SetsRate,
    ),
    "schedule": (
        lambda: SGD(decay(), gradient_accumulation_steps=2),
        keras.callbacks.Callback,
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_the_rate_of_each_step_is_the_one_it_was_taken_with(name):
    optimizer, callback = (make() for make in RATES[name])
    used = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rate = self.model.optimizer.learning_rate
            used.append(float(ops.convert_to_numpy(rate)))

    monitor = TrainingMonitor(every=1, overhead=1.0)
    fit(linear_model(optimizer), monitor, callback, Look(), epochs=3)
    assert not monitor.broken
    found = monitor.record.curve("learning_rate")[1]
    np.testing.assert_allclose(found, used, rtol=1e-5)
    assert len(set(used)) > 1
    accumulates = name == "schedule"
    for line in monitor.record.samples:
        for figures in line["weights"].values():
            if not accumulates:
                expected = used[line["step"] - 1] * figures["gradient_norm"]
                assert figures["update_norm"] == pytest.approx(expected, rel=1e-3)
            elif line["step"] % 2:
                assert figures["update_norm"] == 0.0
            else:
                assert figures["update_norm"] > 0.0


def test_rates_of_uneven_executions_follow_the_schedule(backend):
    if backend == "torch":
        pytest.skip("Keras refuses steps_per_execution on PyTorch")
    monitor = TrainingMonitor()
    fit(linear_model(SGD(decay()), steps_per_execution=2), monitor, epochs=2)
    # Of the last batch in each execution: steps 1, 2, 4 and 5.
    expected = 0.1 * 0.5 ** (np.array([1, 2, 4, 5]) / 2)
    found = monitor.record.curve("learning_rate")[1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_optimizer_of_several_has_no_rate_of_its_own():
    monitor, rates = TrainingMonitor(), keras.optimizers.OptimizerMap(SGD(0.1))
    fit(linear_model(keras.optimizers.MultiOptimizer(rates)), monitor)
    assert np.isfinite(monitor.record.curve("loss")[1]).all()
    assert np.isnan(monitor.record.curve("learning_rate")[1]).all()


# --- the log by itself -------------------------------------------------------------


def steps_of(losses, weights, **arguments):
    """`Step`s of one epoch as Keras gives them: float32 running means."""
    total = np.cumsum(np.multiply(losses, weights))
    means = (total / np.cumsum(weights)).astype("float32")
    counts = np.cumsum(weights) if arguments.get("cumulative") else weights
    arguments = {"rate": 0.1, "cumulative": False} | arguments
    return [
        Step(loss=mean, weight=float(count), **arguments)
        for mean, count in zip(means, counts, strict=True)
    ]


@pytest.mark.parametrize("cumulative", [False, True])
def test_losses_of_batches_from_means(cumulative):
    losses, weights = RNG.uniform(1, 2, 30), RNG.integers(1, 9, 30)
    log = StepLog(shared_model())
    for place, step in enumerate(steps_of(losses, weights, cumulative=cumulative)):
        log.add(step, place, 1)
    first = log.take(keep=4)
    assert len(log) == 4
    second = log.take()
    assert len(log) == 0
    assert first[0] + second[0] == list(range(30))
    np.testing.assert_allclose(first[1] + second[1], losses, rtol=3e-5)
    assert log.take() == ([], [], [])


def test_a_mean_that_was_reset_unseen_begins_anew():
    log = StepLog(shared_model())
    losses = [3.0, 5.0, 2.0, 7.0]
    for half in (losses[:2], losses[2:]):
        for step in steps_of(half, [8, 8], cumulative=True):
            log.add(step, 0, 1)
    np.testing.assert_allclose(log.take()[1], losses)


def test_a_mean_that_was_written_is_given_with_the_step():
    log = StepLog(shared_model())
    one, two = steps_of([3.0, 5.0], [8, 8])
    base = (90.0, 10.0)  # ten rows with a mean of 9
    after = Step((90 + 8 * 5) / 18, 8.0, False, 0.1, base)
    for step in (one, after):
        log.add(step, 0, 1)
    np.testing.assert_allclose(log.take()[1], [3.0, 5.0])
    assert two.base is None


def test_one_batch_of_nan_hides_those_after_it_until_the_epoch_ends():
    log = StepLog(shared_model())
    for _ in range(2):
        log.begin_epoch()
        for step in steps_of([1.0, np.nan, 2.0], [8, 8, 8]):
            log.add(step, 0, 1)
        assert [np.isnan(loss) for loss in log.take()[1]] == [False, True, True]


# --- memory ------------------------------------------------------------------------


class FakeFigures:
    """Figures of forty variables and ten layers."""

    def read(self, vector):
        figures = {
            "gradient_norm": 1.0,
            "weight_norm": 1.0,
            "update_norm": float(vector),
        }
        weights = {f"layer/{i}": dict(figures) for i in range(40)}
        layers = {f"layer{i}": {"mean": 0.0, "std": 1.0} for i in range(10)}
        return weights, layers, {"layer/0": np.ones(4)}


@pytest.mark.once
@pytest.mark.parametrize(
    ("steps", "steps_per_epoch"), [(100_000, 5_000), (5_000, None)]
)
def test_memory_does_not_grow_with_the_steps(tmp_path, steps, steps_per_epoch):
    model, record = shared_model(), Record(tmp_path)
    model.fit(X, Y, verbose=0)
    lost = []
    sampler = step_sampler.StepSampler(
        model,
        record,
        every=25,
        budget=Budget(1.0),
        steps_per_epoch=steps_per_epoch,
        on_lost=lambda *args: lost.append(args),
        on_failed=lost.append,
    )
    figures, waiting, held, samples = FakeFigures(), 0, 0, 0
    bad = steps * 7 // 10 + 1
    for number in range(steps):
        if number % 5_000 == 0:
            sampler.flush()
            sampler.begin_epoch(number // 5_000)
        vector = None
        if sampler.steps_to_sample() == 0:
            vector, samples = np.float32(number), samples + 1
        loss = np.float32("nan") if number == bad else np.float32(1.0)
        sampler.took_step(Step(loss, None, False, 0.1, None, vector), figures)
        waiting = max(waiting, len(sampler._log))
        held = max(held, len(sampler._samples))
    sampler.flush()
    sampler.leave()
    record.close()
    assert lost == []
    # Steps 1, 2, 4, 8, 16 and then every 25th.
    assert samples == 5 + (steps - 16) // 25
    unknown = step_sampler.HELD if steps_per_epoch is None else 0
    assert waiting <= unknown + step_sampler.STEPS_A_LINE + step_sampler.IN_FLIGHT
    assert held <= step_sampler.SAMPLES_A_BLOCK + 1 + unknown // 25 + 5
    assert len(record.step_numbers) <= record_module.MAX_STEPS
    figures_held = sum(
        len(found)
        for line in record.samples
        for table in (line["weights"], line["layers"])
        for found in table.values()
    )
    assert figures_held <= record_module.MAX_FIGURES
    assert len(record.lines) < 1_000
    # The first and the last ones, and the first that is not finite, are there.
    numbers, losses = record.step_numbers, record.curve("loss")[1]
    assert (numbers[0], numbers[-1]) == (0, steps - 1)
    assert [numbers[i] for i in np.flatnonzero(np.isnan(losses))] == [bad]
    assert record.samples[0]["step"] == 1
    assert record.samples[-1]["step"] > steps - 30
    # The file has them all.
    whole = Record.load(tmp_path)
    assert whole.step_numbers == list(range(steps))
    assert len(whole.samples) == samples


def test_thinning_keeps_the_first_step_that_is_not_finite(monkeypatch):
    monkeypatch.setattr(record_module, "MAX_STEPS", 64)
    record = Record()
    losses = np.ones(1_000)
    losses[[333, 334, 700]] = np.inf, np.nan, np.nan
    for first in range(0, 1_000, 10):
        part = losses[first : first + 10].tolist()
        epoch = [(first + i + 1) / 1_000 for i in range(10)]
        rates = [0.1] * 10
        record.add("steps", first=first, epoch=epoch, loss=part, learning_rate=rates)
        assert len(record.step_numbers) <= 64 + 10
        assert record.step_numbers[0] == 0
        assert record.step_numbers[-1] == first + 9
    numbers, found = record.step_numbers, record.curve("loss")[1]
    bad = [n for n, loss in zip(numbers, found, strict=True) if not np.isfinite(loss)]
    assert bad[0] == 333
    np.testing.assert_array_equal(found, losses[numbers])
    np.testing.assert_allclose(record.curve("loss")[0], (np.array(numbers) + 1) / 1_000)
