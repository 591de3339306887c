import types

import keras
import numpy as np
import pytest

from keras_practices.ensembles import from_checkpoints
from keras_practices.ensembles import from_search
from keras_practices.ensembles import predict_in_turn

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")


def build(units=2, hidden=(4,), features=3):
    layers = [keras.layers.Dense(size, activation="relu") for size in hidden]
    model = keras.Sequential(
        [keras.Input((features,)), *layers, keras.layers.Dense(units)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    models = [build(), build(), build(3), build(hidden=(4, 4)), build(features=4)]
    models[0].fit(X, np.arange(10) % 2, verbose=0)
    for name, model in zip("ab3df", models, strict=True):
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
    whole = (folder / "a.keras").read_bytes()
    (folder / "torn.keras").write_bytes(whole[: len(whole) // 2])
    whole = (folder / "a.weights.h5").read_bytes()
    (folder / "torn.weights.h5").write_bytes(whole[: len(whole) // 2])
    expected = np.mean(
        [keras.ops.convert_to_numpy(keras.ops.softmax(one(X))) for one in models[:2]],
        axis=0,
    )
    return folder, expected


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_members_from_files(folder, suffix):
    path, expected = folder
    names = [path / f"a{suffix}", str(path / f"b{suffix}")]
    ensemble = from_checkpoints(names, build)
    np.testing.assert_allclose(ensemble.predict(X, verbose=0), expected, atol=1e-6)
    assert [member.optimizer for member in ensemble.members] == [None, None]
    votes = from_checkpoints(names, build, combine="votes", weights=[3, 1])
    assert set(np.unique(votes.predict(X, verbose=0))) <= {0, 0.25, 0.75, 1}


BAD = {
    ("a.keras", "torn.keras"): r"cannot read a model from .*torn\.keras' \(\d+ bytes",
    ("a.weights.h5", "torn.weights.h5"): r"cannot read .*torn\.weights\.h5'",
    # Keras itself reads the first layers of a longer model without a word.
    ("a.weights.h5", "d.weights.h5"): r"d\.weights\.h5.*those of another model",
    ("d.weights.h5",): "those of another model: layers/dense_1/vars/0 has shape",
    ("3.weights.h5",): r"shape \(4, 3\) in the file and \(4, 2\) in the model",
    ("a.keras", "3.keras"): r"same outputs.*3\.keras: \(None, 3\).*as many classes",
    ("a.keras", "f.keras"): r"same inputs.*f\.keras: \(None, 4\)",
    ("a.keras", "none.keras"): r"files that are there.*none\.keras",
    ("a.keras", "a.keras"): "each once",
    ("a.keras", "a.txt"): r"paths of \.keras or",
    (): "paths",
}


@pytest.mark.once
@pytest.mark.parametrize("names", BAD)
def test_files_that_do_not_go_together(folder, names):
    with pytest.raises(ValueError, match=BAD[names]):
        from_checkpoints([folder[0] / name for name in names], build)


@pytest.mark.once
def test_the_same_weights_under_two_names_and_weights_without_build(folder):
    path, _ = folder
    (path / "copy.keras").write_bytes((path / "a.keras").read_bytes())
    with pytest.raises(RuntimeError, match=r"ensemble-members-identical.*copy\.keras"):
        from_checkpoints([path / "a.keras", path / "copy.keras"])
    with pytest.raises(TypeError, match="holds weights only"):
        from_checkpoints([path / "a.weights.h5"])
    for wrong in ("a.keras", [3]):
        with pytest.raises(TypeError, match="argument `paths`"):
            from_checkpoints(wrong)


@pytest.mark.once
def test_the_best_of_a_search():
    models = [build(), build(), build()]
    tuner = types.SimpleNamespace(get_best_models=lambda k: models[:k])
    ensemble = from_search(tuner, k=2, combine="logits")
    assert ensemble.members == models[:2]
    assert ensemble.weights_of_members == [0.5, 0.5]
    with pytest.raises(RuntimeError, match=r"has 3 trained models, fewer than k=4"):
        from_search(tuner, k=4)
    with pytest.raises(TypeError, match="get_best_models"):
        from_search(models)
    with pytest.raises(ValueError, match="argument `k`"):
        from_search(tuner, k=0)


@pytest.mark.once
def test_one_after_the_other_is_the_same_as_all_at_once(folder):
    path, expected = folder
    names = [path / "a.keras", path / "b.keras"]
    found = predict_in_turn(names, X, batch_size=4)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    options = {"combine": "logits", "weights": [3, 1]}
    at_once = from_checkpoints(names, **options).predict(X, verbose=0)
    found = predict_in_turn(names, X, **options)
    np.testing.assert_allclose(found, at_once, atol=1e-6)
    for names, x, message in (
        (["a.keras", "3.keras"], X, r"the same.*3\.keras"),
        (["a.keras", "torn.keras"], X, r"torn\.keras"),
        (["a.keras"], iter([X]), "once for each member"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            predict_in_turn([path / name for name in names], x)
