import math
import threading

import keras
import numpy as np
import pytest
from ensemble_models import FEATURES
from ensemble_models import X
from ensemble_models import Y
from ensemble_models import categorical
from ensemble_models import dense

from keras_practices.ensembles import Ensemble
from keras_practices.ensembles.stacked import can_stack

# PyTorch traces what comes for the tenth time.
OFTEN = 11


def predict(model):
    return model.predict(X, verbose=0)


def test_members_of_one_architecture_side_by_side(backend):
    members = [dense(loss=categorical(), metrics=["accuracy"]) for _ in range(3)]
    expected = np.mean([predict(member) for member in members], axis=0)
    ensemble = Ensemble(members)
    # PyTorch gains by it: the others compile the members into one program.
    assert can_stack(members) == (backend == "torch")
    # What moves variables from one list of the model to another, or adds some.
    members[1].layers[1].trainable = False
    members[0].layers[2].trainable = False
    members[2].evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(predict(ensemble), expected, atol=1e-6)
    kernel = keras.ops.convert_to_numpy(members[0].layers[1].kernel).copy()
    members[1].layers[1].kernel.assign(kernel)
    expected = np.mean([predict(member) for member in members], axis=0)
    np.testing.assert_allclose(predict(ensemble), expected, atol=1e-6)
    # As a part of another model.
    inputs = keras.Input((FEATURES,))
    whole = keras.Model(inputs, keras.layers.Rescaling(2.0)(ensemble(inputs)))
    np.testing.assert_allclose(predict(whole), 2 * expected, atol=2e-6)


@pytest.mark.once
def test_members_that_differ_are_not_run_side_by_side():
    assert not can_stack([dense()])
    assert not can_stack([dense(), dense(hidden=6)])
    assert not can_stack([dense(), dense(activation="sigmoid")])

    class Subclassed(keras.Model):
        def call(self, x):
            return x

    assert not can_stack([Subclassed(), Subclassed()])

    class Own(keras.layers.Dense):
        pass

    own = [keras.Sequential([keras.Input((4,)), Own(2)]) for _ in range(2)]
    assert not can_stack(own)


def mean_of(members, x=X):
    return np.mean(
        [one.predict(x, verbose=0, batch_size=len(x)) for one in members], axis=0
    )


def test_a_changed_member_changes_the_ensemble(backend):
    members = [dense(loss=categorical()) for _ in range(3)]
    ensemble = Ensemble(members)

    def check():
        expected = mean_of(members)
        np.testing.assert_allclose(predict(ensemble), expected, atol=1e-6)
        each = ensemble.predict_members(X)
        np.testing.assert_allclose(each.mean(axis=0), expected, atol=1e-6)
        found = ensemble.predict_on_batch(X)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        return expected

    # As it is run at first, and as it is once its steps are traced.
    seen = [check() for _ in range(OFTEN if backend == "torch" else 1)][-1:]
    members[0].fit(X, Y, epochs=2, verbose=0)  # BatchNorm's statistics move too
    seen.append(check())
    members[1].set_weights([2 * np.array(one) for one in members[1].get_weights()])
    seen.append(check())
    members[2].layers[-1].bias.assign([3.0, 0.0, -1.0])
    seen.append(check())
    members[0].layers[1].trainable = False
    check()
    for before, after in zip(seen[:-1], seen[1:], strict=True):
        assert np.abs(before - after).max() > 1e-3


def test_writes_that_no_backend_counts_are_seen(backend):
    if backend != "torch":
        pytest.skip("only PyTorch hands out the memory of its weights")
    members = [dense() for _ in range(2)]
    ensemble = Ensemble(members)
    for _ in range(OFTEN):
        predict(ensemble)
    members[0].layers[1].kernel.value.data.mul_(-2.0)
    np.testing.assert_allclose(predict(ensemble), mean_of(members), atol=1e-6)


def branches(policy=None):
    """Two inputs by name and two outputs, one of them of labels."""
    given = {name: keras.Input((FEATURES,), name=name) for name in "ab"}
    x = keras.layers.Concatenate()([given["a"], given["b"]])
    x = keras.layers.Dense(6, activation="relu", dtype=policy)(x)
    x = keras.layers.Dropout(0.5)(keras.layers.LayerNormalization()(x))
    outputs = {
        "kind": keras.layers.Dense(3, activation="softmax", dtype="float32")(x),
        "flags": keras.layers.Dense(2, activation="sigmoid", dtype="float32")(x),
    }
    return keras.Model(given, outputs)


@pytest.mark.parametrize("policy", [None, "mixed_float16", "mixed_bfloat16"])
def test_several_inputs_outputs_and_precisions(policy):
    members = [branches(policy) for _ in range(2)]
    ensemble = Ensemble(members, weights=[3, 1])
    x = {"b": X[:33], "a": 2 * X[:33]}
    answers = [one.predict(x, verbose=0) for one in members]
    for _ in range(OFTEN):  # a batch of 32 and one of 1
        found = ensemble.predict(x, verbose=0)
        assert set(found) == {"kind", "flags"}
        for key, value in found.items():
            expected = 0.75 * answers[0][key] + 0.25 * answers[1][key]
            # Half precision may add up in another order.
            bound = 1e-6 if policy is None else 2e-2
            np.testing.assert_allclose(value, expected, atol=bound)


def test_batches_of_many_lengths(backend):
    members = [dense() for _ in range(2)]
    ensemble = Ensemble(members)
    # More lengths than are traced, and a batch too large to be run side by side.
    x = np.concatenate([X] * 1024)
    for rows in [*range(1, 10), 30_000] if backend == "torch" else [1, 5]:
        each = [one.predict_on_batch(x[:rows]) for one in members]
        for _ in range(OFTEN if backend == "torch" else 1):
            found = ensemble.predict_on_batch(x[:rows])
            np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize("rows", [8, 30_000])
def test_what_comes_often_goes_past_the_layers(rows, backend, monkeypatch):
    if backend != "torch":
        pytest.skip("compiled anyway")
    ensemble, x = Ensemble([dense() for _ in range(2)]), np.concatenate([X] * 1024)
    for _ in range(OFTEN):
        expected = ensemble.predict_on_batch(x[:rows])
    monkeypatch.delattr(keras.layers.Dense, "call")
    np.testing.assert_array_equal(ensemble.predict_on_batch(x[:rows]), expected)


def test_predict_shows_its_progress_where_it_is_asked_to(capsys):
    ensemble = Ensemble([dense(), dense()])
    quiet = ensemble.predict(X, batch_size=8, verbose=0)
    assert not capsys.readouterr().out
    np.testing.assert_array_equal(ensemble.predict(X, batch_size=8, verbose=1), quiet)
    assert f"{math.ceil(len(X) / 8)}/{math.ceil(len(X) / 8)}" in capsys.readouterr().out


def test_predict_calls_the_hooks_it_is_given_and_starts_no_threads(monkeypatch):
    batches, threads = [], []
    start = threading.Thread.start

    def started(thread):
        threads.append(thread)
        start(thread)

    ensemble = Ensemble([dense(), dense()])
    expected = predict(ensemble)
    hook = keras.callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: batches.append(batch)
    )
    # The order of the arguments is Keras's.
    found = ensemble.predict(X, 8, 0, None, [hook])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert batches == list(range(math.ceil(len(X) / 8)))
    if keras.backend.backend() == "torch":  # the others read their rows in threads
        monkeypatch.setattr(threading.Thread, "start", started)
        ensemble.predict(X, batch_size=8, verbose=0)
        assert not threads


def test_a_member_that_gets_other_variables_is_asked_by_itself(backend):
    members = [dense() for _ in range(2)]
    ensemble = Ensemble(members)
    predict(ensemble)
    members[1].layers[-1].enable_lora(1)
    members[1].layers[-1].lora_kernel_b.assign(np.ones((1, 3), "float32"))
    expected = np.mean([keras.ops.convert_to_numpy(one(X)) for one in members], axis=0)
    called = keras.ops.convert_to_numpy(ensemble(X))
    np.testing.assert_allclose(called, expected, atol=1e-6)
    if backend == "torch":  # others compiled their program before
        found = ensemble.predict_on_batch(X)
        np.testing.assert_allclose(found, expected, atol=1e-6)
