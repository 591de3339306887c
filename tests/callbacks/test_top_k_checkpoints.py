import functools
import math
import pathlib
import re

import keras
import numpy as np
import pytest

from keras_practices.callbacks import disk
from keras_practices.callbacks.top_k_checkpoints import TopKCheckpoints
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError

ROWS = np.linspace(-1, 1, 8, dtype="float32")[:, None]


class Score(keras.callbacks.Callback):
    """Puts given scores into the logs, before the callback under test sees them."""

    def __init__(self, scores, name="val_loss"):
        super().__init__()
        self.scores = dict(enumerate(scores, 1))
        self.name = name

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.scores:
            logs[self.name] = self.scores[epoch + 1]


class Files(keras.callbacks.Callback):
    """Notes after each epoch what lies in the folder."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.names = []

    def on_epoch_end(self, epoch, logs=None):
        self.names.append(names_in(self.folder))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def make_model(**arguments):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **arguments)
    return model


def train(model, *callbacks, epochs, **arguments):
    return model.fit(
        ROWS,
        2 * ROWS,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    ).history


@functools.cache
def plain_model():
    """One for all tests that look at files only."""
    return make_model()


def run(folder, scores, first=1, **arguments):
    """Calls the hooks as a training with these scores would; returns the callback."""
    best = TopKCheckpoints(folder, **arguments)
    best.set_model(plain_model())
    best.on_train_begin()
    for epoch, score in enumerate(scores, first - 1):
        best.on_epoch_begin(epoch)
        best.on_epoch_end(epoch, {"loss": 0.0, best.monitor: score})
    best.on_train_end()
    return best


def expected(scores, k, sign):
    """The best k epochs, counted from 1, by an independent rule."""
    finite = [(sign * s, e) for e, s in enumerate(scores, 1) if math.isfinite(s)]
    return [epoch for _, epoch in sorted(finite)[:k]]


def epochs_of(best):
    return [
        int(re.match(r"epoch-(\d+)_", pathlib.Path(path).name)[1])
        for path in best.best_paths
    ]


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
@pytest.mark.parametrize("k", [1, 3, 20])
def test_keeps_the_best_epochs(tmp_path, mode, sign, k):
    scores = [3.0, math.nan, 1.0, 2.0, -0.5, 1.0, math.inf, 1e-7, -math.inf, 2.5]
    best = run(tmp_path, scores, k=k, mode=mode, save_weights_only=True)
    assert epochs_of(best) == expected(scores, k, sign)
    assert best.best_score == scores[epochs_of(best)[0] - 1]
    assert names_in(tmp_path) == sorted(pathlib.Path(p).name for p in best.best_paths)


def test_the_files_hold_the_weights_of_their_epochs(tmp_path):
    weights = []

    class Weights(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights.append(self.model.get_weights())

    model = make_model()
    best = TopKCheckpoints(tmp_path, k=2)
    history = train(model, best, Weights(), epochs=4, validation_data=(ROWS, ROWS))
    order = np.argsort(history["val_loss"], kind="stable")[:2]
    assert epochs_of(best) == (order + 1).tolist()
    assert best.best_score == min(history["val_loss"])
    for path, epoch in zip(best.best_paths, order, strict=True):
        loaded = keras.saving.load_model(path)
        for value, reference in zip(loaded.get_weights(), weights[epoch], strict=True):
            np.testing.assert_array_equal(value, reference)


def test_score_in_the_name_is_exact(tmp_path):
    scores = [0.123456, 1 / 3, 1e-9, 1e30, -0.25, np.inf]
    scores = [float(score) for score in np.array(scores, "float32")]
    best = run(tmp_path, scores, k=9, mode="min", save_weights_only=True)
    assert "epoch-0001_val_loss-0.123456.weights.h5" in names_in(tmp_path)
    assert "epoch-0005_val_loss--0.25.weights.h5" in names_in(tmp_path)
    again = run(tmp_path, [], k=9, mode="min", save_weights_only=True)
    assert again.best_paths == best.best_paths
    assert again._kept == best._kept
    assert [kept.score for kept in again._kept] == sorted(scores[:5])


def test_never_more_than_one_file_above_k(tmp_path, monkeypatch):
    seen = []
    save = keras.Model.save_weights

    def save_and_count(model, path, **arguments):
        save(model, path, **arguments)
        seen.append(names_in(tmp_path))

    monkeypatch.setattr(keras.Model, "save_weights", save_and_count)
    run(tmp_path, [5.0, 4.0, 3.0, 2.0, 1.0], k=2, save_weights_only=True)
    assert [len(names) for names in seen] == [1, 2, 3, 3, 3]
    # The new one has a temporary name while the ones before it are all there.
    assert [sum(n.startswith("partial_") for n in names) for names in seen] == [1] * 5


def test_goes_on_with_the_files_of_an_earlier_training(tmp_path):
    scores = [3.0, 1.0, 2.0, 0.5, 4.0, 0.75]
    whole = run(tmp_path / "whole", scores, k=3)
    run(tmp_path / "parts", scores[:3], k=3)
    parts = run(tmp_path / "parts", scores[3:], first=4, k=3)
    assert names_in(tmp_path / "whole") == names_in(tmp_path / "parts")
    assert epochs_of(parts) == epochs_of(whole) == [4, 6, 2]


def test_a_smaller_k_removes_files_once_a_better_one_is_there(tmp_path):
    run(tmp_path, [3.0, 2.0, 1.0], k=3, save_weights_only=True)
    best = run(tmp_path, [9.0], first=4, k=1, save_weights_only=True)
    assert (len(names_in(tmp_path)), epochs_of(best)) == (3, [3])
    best = run(tmp_path, [0.5], first=5, k=1, save_weights_only=True)
    assert names_in(tmp_path) == ["epoch-0005_val_loss-0.5.weights.h5"]


def test_files_of_others_stay(tmp_path):
    others = [
        "epoch-0001_val_loss-9.0.keras",  # whole models, not weights
        "epoch-0001_val_accuracy-9.0.weights.h5",
        "epoch-0001_val_loss-9.0.weights.h5.bak",
        "my-epoch-0001_val_loss-9.0.weights.h5",
        "partial_notes.txt",
    ]
    for name in others:
        (tmp_path / name).write_text("mine")
    # A killed training left this one.
    (tmp_path / "partial_epoch-0001_val_loss-9.0.weights.h5").write_text("half")
    run(tmp_path, [3.0, 2.0, 1.0], k=1, save_weights_only=True)
    assert names_in(tmp_path) == sorted([*others, "epoch-0003_val_loss-1.0.weights.h5"])


def test_an_epoch_trained_again_replaces_its_file(tmp_path):
    run(tmp_path, [3.0, 2.0], k=3, save_weights_only=True)
    best = run(tmp_path, [2.0, 1.0], first=2, k=3, save_weights_only=True)
    assert epochs_of(best) == [3, 2, 1]


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_full_disk_is_one_warning(tmp_path, monkeypatch, weights_only):
    name = "save_weights" if weights_only else "save"
    save = getattr(keras.Model, name)
    full = {2, 3}
    calls = []

    def fail(model, path, **arguments):
        calls.append(path)
        if len(calls) in full:
            pathlib.Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(model, path, **arguments)

    monkeypatch.setattr(keras.Model, name, fail)
    with pytest.warns(KerasPracticesWarning, match="No space left") as record:
        best = run(tmp_path, [5.0, 4.0, 3.0, 2.0], k=2, save_weights_only=weights_only)
    assert [item.category for item in record].count(KerasPracticesWarning) == 1
    assert epochs_of(best) == [4, 1]
    assert names_in(tmp_path) == sorted(pathlib.Path(p).name for p in best.best_paths)


def test_hdf5_is_not_begun_without_room(tmp_path, monkeypatch):
    monkeypatch.setattr(
        disk.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100})
    )
    monkeypatch.setattr(keras.Model, "save_weights", None)  # must not be called
    with pytest.warns(KerasPracticesWarning, match="bytes needed, 100 free"):
        best = run(tmp_path, [1.0], save_weights_only=True)
    assert (best.best_paths, best.best_score) == ([], None)


def test_other_faults_leave_no_half_file(tmp_path, monkeypatch):
    def fail(model, path, **arguments):
        pathlib.Path(path).write_bytes(b"half")
        raise NotImplementedError("get_config")

    monkeypatch.setattr(keras.Model, "save", fail)
    with pytest.raises(NotImplementedError):
        run(tmp_path, [1.0])
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("monitor", "metrics", "mode"),
    [
        ("val_loss", [], "min"),
        ("val_accuracy", ["accuracy"], "max"),
        ("mae", ["mae"], "min"),
    ],
)
def test_auto_mode_is_that_of_keras(tmp_path, monitor, metrics, mode):
    scores = [2.0, 1.0, 3.0]
    best = TopKCheckpoints(tmp_path, monitor=monitor, save_weights_only=True)
    train(make_model(metrics=metrics), Score(scores, monitor), best, epochs=3)
    assert epochs_of(best) == expected(scores, 3, 1 if mode == "min" else -1)


def test_a_metric_without_direction_needs_a_mode(tmp_path):
    with pytest.raises(ValueError, match="argument `mode` must be 'min' or 'max'"):
        run(tmp_path, [1.0], monitor="val_profit")
    assert epochs_of(run(tmp_path, [1.0, 2.0], monitor="val_profit", mode="max")) == [
        2,
        1,
    ]


def test_a_missing_score_is_an_error_after_the_first_epoch(tmp_path):
    files = Files(tmp_path)
    with pytest.raises(UsageError, match="'val_loss' is not in.* 'loss'.*validation"):
        train(make_model(), files, TopKCheckpoints(tmp_path), epochs=3)
    assert files.names == [[]]


def test_validation_in_some_epochs_only(tmp_path):
    best = TopKCheckpoints(tmp_path, k=9, validation_freq=2, save_weights_only=True)
    data = {"validation_data": (ROWS, ROWS), "validation_freq": 2}
    train(make_model(), best, epochs=5, **data)
    assert sorted(epochs_of(best)) == [2, 4]
    # A score that is missing later, once it was there, is left out.
    best = TopKCheckpoints(tmp_path, monitor="val_f", mode="max")
    train(make_model(), Score([1.0], "val_f"), best, epochs=2)
    assert epochs_of(best) == [1]


def test_a_score_of_several_numbers_is_refused(tmp_path):
    with pytest.raises(TypeError, match="argument `monitor` .*one number"):
        run(tmp_path, [np.array([1.0, 2.0])])


def test_an_odd_name_is_made_fit_for_a_file(tmp_path):
    for first in (1, 2):
        best = run(tmp_path, [1.0], first=first, monitor="val_a/b", mode="min")
    assert names_in(tmp_path) == ["epoch-0001_val_a_b-1.0.keras"] + [
        "epoch-0002_val_a_b-1.0.keras"
    ]
    assert epochs_of(best) == [1, 2]


def test_training_is_not_changed(tmp_path):
    plain, other = make_model(), make_model()
    other.set_weights(plain.get_weights())
    arguments = {"epochs": 2, "shuffle": False, "validation_data": (ROWS, ROWS)}
    reference = train(plain, **arguments)
    assert train(other, TopKCheckpoints(tmp_path), **arguments) == reference


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"directory": ""}, "directory", ValueError),
        ({"directory": "gs://bucket/run"}, "directory", ValueError),
        ({"directory": None}, "directory", TypeError),
        ({"k": 0}, "k", ValueError),
        ({"k": 1.5}, "k", TypeError),
        ({"monitor": None}, "monitor", TypeError),
        ({"mode": "best"}, "mode", ValueError),
        ({"validation_freq": 0}, "validation_freq", ValueError),
    ],
)
def test_bad_argument_names_it(arguments, name, error):
    with pytest.raises(error, match=f"argument `{name}`"):
        TopKCheckpoints(**{"directory": "here", **arguments})


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = make_model()
    before = model.get_weights()
    with pytest.raises(OSError, match="Cannot make the folder"):
        train(model, TopKCheckpoints(tmp_path / "file" / "runs"), epochs=1)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
