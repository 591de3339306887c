"""`diagnose`: what was found when the training is over."""

import keras
import numpy as np
import pytest

import keras_practices as kp
from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import OutputPathError
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
Y = np.arange(96) % 3
X = (RNG.normal(size=(96, 4)) + 2 * np.eye(4)[Y]).astype("float32")
SPARSE = "sparse_categorical_crossentropy"
FIT = {"epochs": 2, "batch_size": 16, "verbose": 0}


def compiled_model(rate=0.05, optimizer=keras.optimizers.Adam, units=8):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer(rate), SPARSE)
    return model


class Ends(keras.callbacks.Callback):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            raise self.error


# --- what is named ---------------------------------------------------------------


def test_a_healthy_training_is_silent(tmp_path):
    model = compiled_model()
    report = kp.diagnose(
        model, X, Y, validation_data=(X[::2] + 0.1, Y[::2]), directory=tmp_path, **FIT
    )
    assert report.ok, report.text()
    assert report.findings == []
    assert list(report.history.history) == ["loss", "val_loss"]
    assert len(report.history.history["loss"]) == 2
    assert len(report.record.curve("loss")[1]) == 12
    assert int(model.optimizer.iterations) == 12
    again = kp.Report.from_record(tmp_path)
    assert again.findings == []
    assert again.record.curve("loss") == report.record.curve("loss")


@pytest.mark.parametrize(
    ("rate", "rule"),
    [(30.0, "learning-rate-too-high"), (1e-6, "learning-rate-too-low")],
)
def test_a_rate_that_is_wrong_is_named_with_a_better_one(rate, rule):
    report = kp.diagnose(
        compiled_model(rate),
        X,
        Y,
        budget_seconds=120.0,
        **{**FIT, "epochs": 5},
    )
    first = report.first
    assert first.rule == rule, report.text()
    better = first.evidence["better_learning_rate"]
    assert 1e-4 <= better <= 1.0
    assert first.advice == f"Set learning_rate={better:.2g}."
    model = compiled_model(better)
    losses = model.fit(X, Y, **{**FIT, "epochs": 5}).history["loss"]
    assert losses[-1] < 0.8 * report.figures["training"]["start_loss"]


def test_overfitting_is_found_on_labels_that_mean_nothing():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(48, 4)).astype("float32"), rng.integers(0, 3, 48)
    report = kp.diagnose(
        compiled_model(0.05, units=32),
        x[:32],
        y[:32],
        validation_data=(x[32:], y[32:]),
        **{**FIT, "epochs": 30},
    )
    assert report.first.rule == "overfitting", report.text()
    evidence = report.first.evidence
    validation = report.history.history["val_loss"]
    assert evidence["best_epoch"] == 1 + int(np.argmin(validation))
    assert evidence["best_validation_loss"] == pytest.approx(min(validation))


# --- exceptions ------------------------------------------------------------------


def test_an_exception_in_fit_becomes_a_finding():
    error = ValueError("the callback broke\nin two lines")
    report = kp.diagnose(compiled_model(), X, Y, callbacks=[Ends(error)], **FIT)
    found = {finding.rule: finding for finding in report.findings}
    raised = found["training-raised"]
    assert "ValueError: the callback broke" in raised.message
    assert raised.evidence["type"] == "ValueError"
    assert report.history is None
    assert report.text()
    assert report.record.end == {}


def test_an_interrupt_goes_through(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        kp.diagnose(
            compiled_model(),
            X,
            Y,
            directory=tmp_path,
            callbacks=Ends(KeyboardInterrupt()),
            **FIT,
        )
    assert kp.Record.load(tmp_path).end == {}


def untouched(model):
    return int(model.optimizer.iterations) == 0


def test_a_folder_that_cannot_be_written_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    model = compiled_model()
    with pytest.raises(OutputPathError):
        kp.diagnose(model, X, Y, directory=tmp_path / "file" / "runs", **FIT)
    assert untouched(model)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": X, "y": Y[:-1]}, ArgumentValueError, "as long as `x`"),
        ({"x": X, "y": Y, "select": ["none"]}, ArgumentValueError, "names no rule"),
        ({"x": X, "y": Y, "budget_seconds": -1}, ArgumentValueError, "budget_seconds"),
        ({"x": X, "y": Y, "validation_data": (X, Y[1:])}, ArgumentValueError, "valid"),
        ({"x": iter([(X, Y)]), "y": Y}, ArgumentTypeError, "beside a dataset"),
    ],
)
def test_bad_arguments_are_errors_before_training(arguments, error, text):
    model = compiled_model()
    with pytest.raises(error, match=text):
        kp.diagnose(model, **arguments, **FIT)
    assert untouched(model)


def test_a_model_that_is_not_compiled_is_an_error():
    with pytest.raises(ArgumentValueError, match="diagnose.*must be compiled"):
        kp.diagnose(keras.Sequential([keras.layers.Dense(3)]), X, Y)


def test_a_vault_is_refused_before_training():
    split = kp.Split(X, Y, validation=0.2, test=0.2, seed=0)
    model, refused = compiled_model(), "Vault: the test set is not handed out"
    for arguments in (
        {"x": split.test},
        {"x": split.train.x, "y": split.train.y, "validation_data": split.test},
    ):
        with pytest.raises(UsageError, match=refused):
            kp.diagnose(model, **arguments, **FIT)
    assert untouched(model)


# --- afterwards ------------------------------------------------------------------


def test_a_report_explains_a_record_that_was_loaded(tmp_path):
    model = compiled_model()
    monitor = kp.callbacks.TrainingMonitor(tmp_path, probe=(X, Y))
    model.layers[0].kernel.assign(np.full((4, 8), np.nan))
    model.fit(X, Y, callbacks=[monitor], **FIT)
    for record in (tmp_path, tmp_path / "record.jsonl", kp.Record.load(tmp_path)):
        report = kp.Report.from_record(record)
        assert report.first.rule == "loss-not-finite"
        assert report.first.evidence["step"] == 0
        assert report.first.evidence["steps"] == 12
    without = kp.Report.from_record(tmp_path, ignore=["loss-not-finite"])
    assert "loss-not-finite" not in [finding.rule for finding in without.findings]
    with pytest.raises(ArgumentValueError, match="from_record"):
        kp.Report.from_record(tmp_path, select=["none"])
    with pytest.raises(ArgumentValueError, match="Record.load"):
        kp.Report.from_record(tmp_path / "nothing")


def test_the_test_set_is_reported_and_its_reuse_found():
    model, vault = compiled_model(), kp.Vault(X, Y)
    with pytest.raises(UsageError, match="must have been opened"):
        kp.report_test_set(kp.Report(), vault)
    metrics = vault.evaluate(model)
    once = kp.report_test_set(kp.Report(), vault)
    assert once.figures["test set"]["loss"] == metrics["loss"]
    assert once.figures["test set"]["openings"] == 1
    assert once.findings == []
    vault.evaluate(model, reason="a figure was lost")
    twice = kp.report_test_set(kp.Report(), vault)
    assert twice.first.rule == "test-set-reused"
    assert twice.figures["test set"]["openings"] == 2
