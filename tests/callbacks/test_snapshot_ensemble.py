import os

import keras
import numpy as np
import pytest

from keras_practices.callbacks.snapshot_ensemble import SnapshotEnsemble
from keras_practices.errors import KerasPracticesWarning

X = np.random.default_rng(0).normal(size=(24, 2)).astype("float32")
Y = X[:, :1] - X[:, 1:]
RATE = 0.2


def model(**options):
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(RATE, **options), "mse")
    return made


def fit(made, callbacks, epochs, **options):
    options = {"batch_size": 8, "verbose": 0, **options}
    return made.fit(X, Y, epochs=epochs, callbacks=callbacks, **options)


def cosine(share):
    return RATE / 2 * (np.cos(np.pi * share) + 1)


class Kernels(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(keras.ops.convert_to_numpy(self.model.layers[0].kernel).copy())


def test_rates_snapshots_and_the_rate_afterwards(tmp_path):
    made, kernels = model(), Kernels()
    snapshots = SnapshotEnsemble(tmp_path / "runs", cycles=2)
    history = fit(made, [kernels, snapshots], 5)
    # Five epochs of 3 steps: a cycle of two epochs, then one of three.
    expected = [cosine(t / 6) for t in range(6)] + [cosine(t / 9) for t in range(9)]
    np.testing.assert_allclose(snapshots.history["learning_rate"], expected, rtol=1e-5)
    assert [os.path.basename(path) for path in snapshots.paths] == [
        "snapshot-01_epoch-0002.keras",
        "snapshot-02_epoch-0005.keras",
    ]
    assert sorted(os.listdir(tmp_path / "runs")) == sorted(
        os.path.basename(path) for path in snapshots.paths
    )
    for path, epoch in zip(snapshots.paths, (1, 4), strict=True):
        stored = keras.saving.load_model(path).layers[0].kernel
        stored = keras.ops.convert_to_numpy(stored)
        np.testing.assert_array_equal(stored, kernels.seen[epoch])
    assert float(made.optimizer.learning_rate) == pytest.approx(RATE)
    assert history.history["learning_rate"][-1] == pytest.approx(cosine(8 / 9))
    # A second fit starts from the top again, and its paths are its own.
    fit(made, [snapshots], 2)
    assert snapshots.history["learning_rate"][15] == pytest.approx(RATE)
    assert len(snapshots.paths) == 2
    assert snapshots.get_config()["cycles"] == 2


def test_resumed_with_its_state_it_goes_on(tmp_path):
    made, first = model(), SnapshotEnsemble(tmp_path, cycles=2)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(made, "stop_training", epoch == 1)
    )
    fit(made, [first, stop], 4)
    again = SnapshotEnsemble(tmp_path, cycles=2)
    again.set_state(first.get_state())
    fit(made, [again], 4, initial_epoch=2)
    expected = [cosine(t / 6) for t in range(6)] * 2
    np.testing.assert_allclose(again.history["learning_rate"], expected, rtol=1e-5)
    assert len(again.paths) == 2


def test_unknown_length_accumulation_and_several_steps_a_call(tmp_path, backend):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return X[:8], Y[:8]

    def endless():
        while True:
            yield X[:8], Y[:8]

    snapshots = SnapshotEnsemble(tmp_path, cycles=1)
    model().fit(
        endless(),
        steps_per_epoch=4,
        epochs=1,
        verbose=0,
        shuffle=False,
        callbacks=[snapshots],
    )
    expected = [cosine(t / 4) for t in range(4)]
    np.testing.assert_allclose(snapshots.history["learning_rate"], expected, rtol=1e-5)
    # Four batches make two updates.
    grouped = model(gradient_accumulation_steps=2)
    snapshots = SnapshotEnsemble(tmp_path, cycles=1)
    grouped.fit(Batches(), epochs=2, verbose=0, callbacks=[snapshots])
    expected = [cosine(t / 4) for t in range(4)]
    np.testing.assert_allclose(snapshots.history["learning_rate"], expected, rtol=1e-5)


@pytest.mark.once
def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="no more than the epochs of fit, 2"):
        fit(model(), [SnapshotEnsemble(tmp_path, cycles=3)], 2)
    for options in ({"cycles": 0}, {"initial_learning_rate": 0.0}):
        with pytest.raises(ValueError, match=f"argument `{next(iter(options))}`"):
            SnapshotEnsemble(tmp_path, **options)
    with pytest.raises(TypeError, match="argument `directory`"):
        SnapshotEnsemble(3)
    made = model()
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    made.compile(keras.optimizers.SGD(schedule), "mse")
    with pytest.raises(TypeError, match="one plain learning rate"):
        fit(made, [SnapshotEnsemble(tmp_path)], 5)


@pytest.mark.once
def test_a_snapshot_that_cannot_be_written_is_one_warning(tmp_path, monkeypatch):
    def full(folder, model):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_practices.callbacks.snapshot_ensemble.check_room", full)
    snapshots = SnapshotEnsemble(tmp_path, cycles=1)
    with pytest.warns(KerasPracticesWarning, match="No space left"):
        fit(model(), [snapshots], 1)
    assert snapshots.paths == []
    assert os.listdir(tmp_path) == []
