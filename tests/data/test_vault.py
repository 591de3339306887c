import copy
import json
import pickle
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy import stats

from keras_practices.data import Vault
from keras_practices.errors import KerasPracticesError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError
from keras_practices.errors import VaultOpenedError


def make_data(rows=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 3)).astype("float32"), np.arange(rows) % 2


def make_model(compiled=True):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    if compiled:
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_evaluates_as_keras_does_and_records_it():
    (x, y), model = make_data(), make_model()
    vault = Vault(x, y)
    assert vault.openings == []
    metrics = vault.evaluate(model, batch_size=5)
    expected = model.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
    assert metrics.keys() == {"loss", "accuracy"}
    assert metrics == pytest.approx(expected, rel=1e-6)
    (opening,) = vault.openings
    assert opening["metrics"] == metrics
    assert opening["rows"] == 12
    assert opening["reason"] is None
    assert opening["time"].endswith("+00:00")


def test_a_second_opening_needs_a_reason():
    vault, model = Vault(*make_data()), make_model()
    vault.evaluate(model)
    time = vault.openings[0]["time"]
    with pytest.raises(
        VaultOpenedError, match=f"opened once.*{re.escape(time)}.*reason="
    ):
        vault.evaluate(model)
    assert len(vault.openings) == 1
    vault.evaluate(model, reason="the first model had a bug in its labels")
    assert [line["reason"] for line in vault.openings] == [
        None,
        "the first model had a bug in its labels",
    ]
    with pytest.raises(VaultOpenedError, match="opened 2 times"):
        vault.evaluate(model)


@pytest.mark.once
def test_fingerprints():
    vault, model = Vault(*make_data()), make_model()
    vault.evaluate(model)
    vault.evaluate(model, reason="again")
    model.layers[0].bias.assign([0.5, 0.0])
    vault.evaluate(model, reason="another model")
    first, same, other = (line["model"] for line in vault.openings)
    assert first == same != other
    x, y = make_data()
    assert Vault(x, y).fingerprint == vault.fingerprint
    assert Vault(x, 1 - y).fingerprint != vault.fingerprint
    assert Vault(x, y.astype("int16")).fingerprint != vault.fingerprint


def test_the_ledger_holds_over_objects(tmp_path):
    ledger, model = tmp_path / "new folder" / "ledger.jsonl", make_model()
    Vault(*make_data(), ledger=ledger).evaluate(model)
    (line,) = ledger.read_text().splitlines()
    assert json.loads(line)["rows"] == 12
    again = Vault(*make_data(), ledger=str(ledger))
    with pytest.raises(VaultOpenedError, match=re.escape(json.loads(line)["time"])):
        again.evaluate(model)
    again.evaluate(model, reason="said why")
    assert len(again.openings) == 2
    # Other data in the same ledger is another matter.
    x, y = make_data(rows=10)
    other = Vault(x, y, ledger=ledger)
    assert other.openings == []
    other.evaluate(model)
    assert len(ledger.read_text().splitlines()) == 3


PROGRAM = """
import sys
import keras, numpy as np
from keras_practices.data import Vault
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
Vault(np.ones((4, 1)), np.ones((4, 1)), ledger=sys.argv[1]).evaluate(model)
"""


@pytest.mark.once
def test_the_ledger_holds_over_processes(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    Vault(np.ones((4, 1)), np.ones((4, 1)), ledger=ledger).evaluate(model)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ledger],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "VaultOpenedError: Vault: this test set has been opened once" in done.stderr
    assert len(ledger.read_text().splitlines()) == 1


def test_a_lost_ledger_does_not_close_the_vault_again(tmp_path):
    ledger, model = tmp_path / "ledger.jsonl", make_model()
    vault = Vault(*make_data(), ledger=ledger)
    vault.evaluate(model)
    ledger.unlink()
    with pytest.raises(VaultOpenedError):
        vault.evaluate(model)


def test_nothing_is_recorded_when_the_evaluation_fails(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    x, y = make_data()
    vault = Vault(x[:, :2], y, ledger=ledger)
    with pytest.raises(Exception, match="shape"):
        vault.evaluate(make_model())
    assert vault.openings == []
    assert not ledger.exists()


def test_values_that_json_lacks(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    x, y = make_data()
    x[0] = np.nan
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    Vault(x, y.astype("float32"), ledger=ledger).evaluate(model)
    assert json.loads(ledger.read_text(), parse_constant=None)["metrics"] == {
        "loss": "nan"
    }
    assert "NaN" not in ledger.read_text()


@pytest.mark.parametrize("state", ["uncompiled", "unbuilt"])
def test_a_model_that_is_not_ready_is_refused_first(state):
    vault = Vault(*make_data())
    model = make_model(compiled=False)
    if state == "unbuilt":
        model = keras.Sequential([keras.layers.Dense(2)])
        model.compile("sgd", "mse")
    with pytest.raises(UsageError, match="argument `model` must be.*stays closed"):
        vault.evaluate(model)
    assert vault.openings == []


@pytest.mark.parametrize("kind", ["folder", "below a file"])
def test_an_unwritable_ledger_is_refused_first(tmp_path, kind):
    ledger = tmp_path
    if kind == "below a file":
        (tmp_path / "file").write_text("")
        ledger = tmp_path / "file" / "ledger.jsonl"
    vault, model = Vault(*make_data(), ledger=ledger), make_model()

    def never(*arguments, **keywords):
        raise AssertionError("the set was opened")

    model.evaluate = never
    with pytest.raises(OSError, match="argument `ledger`.*stays closed"):
        vault.evaluate(model)
    assert vault.openings == []


@pytest.mark.parametrize("text", ["not json\n", '{"time": 1}\n', "[]\n"])
def test_a_file_that_is_no_ledger_is_refused_first(tmp_path, text):
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(text)
    with pytest.raises(ValueError, match="argument `ledger`.*Line 1"):
        Vault(*make_data(), ledger=ledger).evaluate(make_model())
    assert ledger.read_text() == text


X, Y = make_data()
LEAKS = {
    "fit": lambda model, vault: model.fit(vault),
    "fit with y": lambda model, vault: model.fit(vault, Y),
    "fit unpacked": lambda model, vault: model.fit(*vault),
    "fit as y": lambda model, vault: model.fit(X, vault),
    "validation": lambda model, vault: model.fit(X, Y, validation_data=vault),
    "split": lambda model, vault: model.fit(vault, validation_split=0.2),
    "evaluate": lambda model, vault: model.evaluate(vault),
    "predict": lambda model, vault: model.predict(vault),
    "train_on_batch": lambda model, vault: model.train_on_batch(vault),
    "call": lambda model, vault: model(vault),
    "array": lambda model, vault: np.asarray(vault),
    "tensor": lambda model, vault: keras.ops.convert_to_tensor(vault),
    "unpack": lambda model, vault: [*vault],
    "index": lambda model, vault: vault[0],
    "length": lambda model, vault: len(vault),
    "x": lambda model, vault: vault.x,
    "y": lambda model, vault: vault.y,
}


@pytest.mark.once
@pytest.mark.parametrize("kind", LEAKS)
def test_the_data_is_not_handed_out(kind):
    model, vault, begun = make_model(), Vault(*make_data()), []
    before = model.get_weights()
    original = model.make_train_function
    model.make_train_function = lambda *a, **k: (begun.append(1), original(*a, **k))[1]
    with pytest.raises(KerasPracticesError, match=r"split\.train.*vault\.evaluate"):
        LEAKS[kind](model, vault)
    if kind != "train_on_batch":
        assert begun == []  # Keras had not even compiled the step
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_it_behaves_as_an_object():
    vault, other = Vault(*make_data()), Vault(*make_data())
    assert vault
    assert [vault].index(vault) == 0
    assert vault != other
    assert len({vault, other}) == 2
    assert repr(vault) == "Vault(rows=12)"
    for twin in (copy.copy(vault), pickle.loads(pickle.dumps(vault))):
        assert twin.fingerprint == vault.fingerprint


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"reason": "  "}, ValueError, "reason"),
        ({"reason": 3}, TypeError, "reason"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"confidence": 1.0}, ValueError, "confidence"),
        ({"confidence": "95%"}, TypeError, "confidence"),
    ],
)
def test_bad_arguments_of_evaluate(arguments, error, name):
    vault = Vault(*make_data())
    with pytest.raises(error, match=f"argument `{name}`"):
        vault.evaluate(make_model(), **arguments)
    assert vault.openings == []


def test_other_bad_arguments():
    with pytest.raises(TypeError, match="argument `ledger`"):
        Vault(*make_data(), ledger=3)
    with pytest.raises(ValueError, match="argument `y`"):
        Vault(np.ones((3, 2)), np.ones(2))
    with pytest.raises(TypeError, match="argument `model`"):
        Vault(*make_data()).evaluate("model")


class Everything(keras.metrics.Metric):
    """A metric that is no mean over rows."""

    def __init__(self):
        super().__init__(name="everything")
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(keras.ops.sum(keras.ops.abs(y_pred)))

    def result(self):
        return keras.ops.convert_to_tensor(self.total)


@pytest.mark.once
def test_intervals(tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    penalty = keras.regularizers.L2(0.1)
    dense = keras.layers.Dense(2, "softmax", kernel_regularizer=penalty)
    model = keras.Sequential([keras.Input((3,)), dense])
    metrics = ["accuracy", Everything()]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
    vault = Vault(x, y, ledger=tmp_path / "ledger.jsonl")
    assert vault.intervals == {}
    figures = vault.evaluate(model, batch_size=25, confidence=0.9)
    assert vault.intervals.keys() == {"loss", "accuracy"}
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["intervals"] == vault.intervals
    assert json.loads(line)["confidence"] == 0.9
    # Wilson's interval, from its own formula.
    p, z = figures["accuracy"], 1.6448536
    middle = (p + z**2 / 120) / (1 + z**2 / 60)
    half = z / (1 + z**2 / 60) * np.sqrt(p * (1 - p) / 60 + z**2 / (4 * 60**2))
    np.testing.assert_allclose(
        vault.intervals["accuracy"], [middle - half, middle + half], rtol=1e-5
    )
    # That of the loss is SciPy's, around the figure with its penalty.
    p = np.float64(model.predict(x, verbose=0))[np.arange(60), y]
    losses = -np.log(p)
    drawn = stats.bootstrap(
        (losses,), np.mean, confidence_level=0.9, random_state=np.random.default_rng(9)
    )
    penalty = figures["loss"] - losses.mean()
    assert penalty > 0.01
    # Two times the noise of a quantile of 9,999 draws.
    error = losses.std(ddof=1) / np.sqrt(60)
    noise = np.sqrt(2 * 0.05 * 0.95 / 9999) / stats.norm.pdf(1.645) * error
    np.testing.assert_allclose(
        vault.intervals["loss"],
        penalty + np.array(drawn.confidence_interval),
        atol=5 * noise,
    )
    other = Vault(x, y)
    other.evaluate(model, confidence=None)
    assert other.intervals == {}


LOSSES = {
    "a name": "mse",
    "an object": keras.losses.Huber(),
    "a function": lambda y, p: keras.ops.mean((y - p) ** 4, axis=-1),
    "a scalar": lambda y, p: keras.ops.mean((y - p) ** 2),
}


@pytest.mark.once
@pytest.mark.parametrize("kind", LOSSES)
def test_which_losses_have_an_interval(kind):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    y = x[:, :1] if kind == "a function" else x[:, 0]  # Keras aligns the others
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", LOSSES[kind])
    vault = Vault(x, y)
    figure = vault.evaluate(model)["loss"]
    if kind == "a scalar":
        assert vault.intervals == {}
    else:
        low, high = vault.intervals["loss"]
        assert low < figure < high


def test_several_outputs_have_no_interval():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    x, y = np.ones((30, 3)), np.ones((30, 1))
    vault = Vault(x, {"a": y, "b": y})
    assert "loss" in vault.evaluate(model)
    assert vault.intervals == {}


def test_an_interval_that_fails_keeps_the_opening():
    vault, model = Vault(*make_data()), make_model()
    model.predict_on_batch = None
    with pytest.warns(KerasPracticesWarning, match="intervals could not be computed"):
        vault.evaluate(model)
    assert len(vault.openings) == 1
    assert vault.intervals == {}
