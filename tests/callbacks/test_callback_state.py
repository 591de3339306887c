import json
import random

import keras
import numpy as np
import pytest

from keras_practices.callbacks import callback_state
from keras_practices.callbacks.backup import BackupAndRestore
from keras_practices.callbacks.random_state import get_random_state
from keras_practices.callbacks.random_state import set_random_state


class Remembers(keras.callbacks.Callback):
    def __init__(self, value=None):
        super().__init__()
        self.value = value

    def get_state(self):
        return {"value": self.value}

    def set_state(self, state):
        self.value = state["value"]


def test_states_come_back_as_they_were(tmp_path):
    value = {
        "plain": [1, 2.5, None, True, "text", float("inf"), {"a": (1, 2)}],
        "array": np.arange(6, dtype="int16").reshape(2, 3),
        "scalars": [np.float32(0.1), np.int64(3)],
        "tensor": keras.ops.ones((2,)),
        "half": keras.ops.cast(keras.ops.array([1.5, -2.0]), "bfloat16"),
        "empty": {},
    }
    callback_state.write(tmp_path, callback_state.get_state(Remembers(value)))
    other = Remembers()
    callback_state.set_state(other, callback_state.read(tmp_path))
    assert other.value["plain"] == [1, 2.5, None, True, "text", np.inf, {"a": [1, 2]}]
    assert other.value["array"].dtype == "int16"
    np.testing.assert_array_equal(other.value["array"], value["array"])
    assert other.value["scalars"] == [float(np.float32(0.1)), 3]
    np.testing.assert_array_equal(other.value["tensor"], [1.0, 1.0])
    np.testing.assert_array_equal(other.value["half"].astype("float32"), [1.5, -2.0])
    assert other.value["empty"] == {}
    json.loads((tmp_path / "callbacks.json").read_text())
    with np.load(tmp_path / "callbacks.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) == 3


def make_model(dropouts=1):
    layers = [keras.layers.Dropout(0.5, seed=seed) for seed in range(dropouts)]
    model = keras.Sequential([keras.Input((1,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, np.array([object()]), [{"a": {1, 2}}]]
)
def test_a_state_that_cannot_be_stored_is_refused_before_training(tmp_path, value):
    callback = Remembers(value)
    backup = BackupAndRestore(tmp_path, callbacks=[callback])
    backup.set_model(make_model())
    with pytest.raises(TypeError, match="get_state"):
        backup.on_train_begin()


def draw(model):
    """Numbers from all sources."""
    ones = keras.ops.ones((8, 1))
    numbers = [random.gauss(0, 1), np.random.normal()]
    outputs = [model.layers[0](ones, training=True)]
    if keras.backend.backend() == "torch":
        # Without a seed the layer draws from PyTorch itself.
        outputs.append(keras.layers.Dropout(0.5)(ones, training=True))
    return numbers + [keras.ops.convert_to_numpy(output).tolist() for output in outputs]


def test_random_state_comes_back(tmp_path):
    model = make_model()
    draw(model)
    callback_state.write(tmp_path, get_random_state(model))
    first = draw(model)
    assert draw(model) != first
    assert set_random_state(model, callback_state.read(tmp_path))
    assert draw(model) == first


def test_other_seeds_are_left_alone():
    state = get_random_state(make_model(2))
    model = make_model(1)
    before = get_random_state(model)["seeds"]
    assert not set_random_state(model, state)
    np.testing.assert_array_equal(get_random_state(model)["seeds"], before)


def test_random_state_of_gpus(monkeypatch, backend):
    if backend != "torch":
        pytest.skip("PyTorch only")
    import torch

    states, given = [torch.arange(4, dtype=torch.uint8)], []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given.extend)
    model = make_model()
    state = get_random_state(model)
    for count in (1, 2):  # with another number of GPUs they are left alone
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert set_random_state(model, state)
    assert [one.tolist() for one in given] == [[0, 1, 2, 3]]
