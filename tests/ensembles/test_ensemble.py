import zipfile

import h5py
import keras
import numpy as np
import pytest
from ensemble_models import CLASSES
from ensemble_models import FEATURES
from ensemble_models import ROWS
from ensemble_models import X
from ensemble_models import Y
from ensemble_models import categorical
from ensemble_models import dense
from ensemble_models import sigmoid
from ensemble_models import softmax

from keras_practices.ensembles import Ensemble
from keras_practices.ensembles.outputs import find_kinds


@keras.saving.register_keras_serializable(package="test_ensemble")
class Subclassed(keras.Model):
    def __init__(self, units=CLASSES, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.head = keras.layers.Dense(units)

    def build(self, shape):
        self.head.build(shape)

    def call(self, x):
        return self.head(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def predict(model):
    if isinstance(model, Ensemble):
        return np.asarray(model.predict(X, verbose=0), "float64")
    # Without compiling each member anew.
    return keras.ops.convert_to_numpy(model(X, training=False)).astype("float64")


@pytest.fixture(scope="module")
def mixed():
    """Members that differ in their heads and sizes, and their probabilities."""
    members = [
        dense(loss=categorical()),
        dense(activation=None, loss=categorical(True)),
        dense(hidden=7),
    ]
    members[0].fit(X, Y, epochs=1, verbose=0)
    given = [predict(member) for member in members]
    return members, np.stack([given[0], softmax(given[1]), given[2]])


WEIGHTS = np.array([1.0, 2.0, 1.0])
REFERENCES = {
    "probabilities": lambda p, w: np.tensordot(w, p, 1),
    "logits": lambda p, w: softmax(np.tensordot(w, np.log(p), 1)),
    "votes": lambda p, w: np.tensordot(w, np.eye(CLASSES)[p.argmax(-1)], 1),
}


@pytest.mark.parametrize("combine", REFERENCES)
def test_combines_mixed_heads_as_the_definition_says(mixed, combine):
    members, probabilities = mixed
    expected = REFERENCES[combine](probabilities, WEIGHTS / WEIGHTS.sum())
    ensemble = Ensemble(members, combine, WEIGHTS)
    found = predict(ensemble)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    ensemble.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = ensemble.evaluate(X, Y, verbose=0)
    inside = np.clip(expected[np.arange(ROWS), Y], 1e-7, 1 - 1e-7)
    assert loss == pytest.approx(-np.log(inside).mean(), rel=1e-4)
    # Votes can tie; the first class wins, here and in Keras.
    assert accuracy == pytest.approx(np.mean(found.argmax(-1) == Y), abs=1e-6)


def test_each_member_alone_and_compiled_by_xla(mixed, backend):
    members, probabilities = mixed
    ensemble = Ensemble(members)
    np.testing.assert_allclose(
        ensemble.predict_members(X, batch_size=16), probabilities, atol=2e-6
    )
    # PyTorch's compiler needs a C++ compiler at hand.
    ensemble.compile(
        loss="sparse_categorical_crossentropy", jit_compile=backend != "torch"
    )
    np.testing.assert_allclose(predict(ensemble), probabilities.mean(0), atol=2e-6)


def test_one_file_without_optimizers(mixed, tmp_path):
    members, _ = mixed
    ensemble = Ensemble(members, "logits", WEIGHTS)
    ensemble.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    path = tmp_path / "ensemble.keras"
    optimizer = members[0].optimizer
    ensemble.save(path)
    assert members[0].optimizer is optimizer
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        names = []
        h5py.File(file, "r").visit(names.append)
    assert not [name for name in names if "optimizer" in name]
    again = keras.saving.load_model(path)
    assert type(again) is Ensemble
    np.testing.assert_allclose(predict(again), predict(ensemble), atol=1e-6)
    assert again.weights_of_members == [0.25, 0.5, 0.25]
    assert again.evaluate(X, Y, verbose=0) == pytest.approx(
        ensemble.evaluate(X, Y, verbose=0), rel=1e-5
    )
    inner = Ensemble([again, members[2]])
    expected = (predict(again) + predict(members[2])) / 2
    np.testing.assert_allclose(predict(inner), expected, atol=1e-6)


@pytest.mark.once
def test_binary_and_multi_label_heads():
    for units in (1, 3):
        members = [
            dense(units, "sigmoid", "binary_crossentropy"),
            dense(units, None, keras.losses.BinaryCrossentropy(from_logits=True)),
        ]
        p = np.stack([predict(members[0]), sigmoid(predict(members[1]))])
        logits = np.log(p) - np.log(1 - p)
        for combine, expected in {
            None: p.mean(0),
            "logits": sigmoid(logits.mean(0)),
            "votes": (p > 0.5).mean(0),
        }.items():
            ensemble = Ensemble(members, combine)
            np.testing.assert_allclose(predict(ensemble), expected, atol=2e-6)
        assert ensemble.output_kinds == ["sigmoid"]


def test_numbers_are_averaged_and_penalties_stay_out():
    members = []
    for _ in range(2):
        inputs = keras.Input((FEATURES,))
        layer = keras.layers.Dense(1, kernel_regularizer="l2")
        members.append(keras.Model(inputs, layer(inputs)))
        members[-1].compile("sgd", "mse")
    ensemble = Ensemble(members)
    expected = (predict(members[0]) + predict(members[1])) / 2
    np.testing.assert_allclose(predict(ensemble), expected, atol=1e-6)
    ensemble.compile(loss="mse")
    y = X[:, :1]
    assert ensemble.evaluate(X, y, verbose=0) == pytest.approx(
        np.mean((expected - y) ** 2), rel=1e-5
    )
    with pytest.raises(RuntimeError, match="not trained as one model"):
        ensemble.fit(X, y)


@pytest.mark.parametrize("structure", ["dict", "list"])
def test_several_outputs_each_in_its_way(structure, tmp_path):
    def build():
        inputs = keras.Input((FEATURES,))
        kind = keras.layers.Dense(CLASSES, activation="softmax")(inputs)
        size = keras.layers.Dense(1)(inputs)
        if structure == "dict":
            model = keras.Model(inputs, {"size": size, "kind": kind})
            losses = {"size": "mse", "kind": "sparse_categorical_crossentropy"}
        else:
            model = keras.Model(inputs, [size, kind])
            losses = ["mse", "sparse_categorical_crossentropy"]
        model.compile("sgd", losses)
        return model

    members = [build(), build()]
    pick = {"dict": ("size", "kind"), "list": (0, 1)}[structure]
    given = [
        keras.tree.map_structure(keras.ops.convert_to_numpy, member(X))
        for member in members
    ]
    ways = {"dict": {"size": "mean", "kind": "votes"}, "list": ["mean", "votes"]}
    for combine in (None, ways[structure]):
        ensemble = Ensemble(members, combine)
        ensemble.save(tmp_path / "several.keras")
        ensemble = keras.saving.load_model(tmp_path / "several.keras")
        found = ensemble.predict(X, verbose=0)
        kinds = np.stack([one[pick[1]] for one in given])
        if combine:
            kinds = np.eye(CLASSES)[kinds.argmax(-1)]
        sizes = np.mean([one[pick[0]] for one in given], axis=0)
        np.testing.assert_allclose(found[pick[0]], sizes, atol=1e-6)
        np.testing.assert_allclose(found[pick[1]], kinds.mean(0), atol=1e-6)
    if structure == "dict":
        inputs = keras.Input((FEATURES,))
        given = members[0](inputs)
        other = {"kind": given["kind"], "width": given["size"]}
        both = [members[0], keras.Model(inputs, other)]
        kinds = {"kind": "softmax", "size": "numbers"}
        renamed = Ensemble(both, member_outputs=kinds, allow_identical=True)
        with pytest.raises(ValueError, match="'width': 0"):
            renamed(X)
    alone = ensemble.predict_members(X)
    assert alone[pick[0]].shape == (2, ROWS, 1)


def test_subclassed_members(tmp_path):
    members = [Subclassed(), Subclassed()]
    for member in members:
        member.build((None, FEATURES))
    with pytest.raises(ValueError, match="cannot be told what output 0 of member 0"):
        Ensemble(members)
    ensemble = Ensemble(members, member_outputs="softmax_logits")
    expected = np.mean([softmax(predict(member)) for member in members], 0)
    np.testing.assert_allclose(predict(ensemble), expected, atol=1e-6)
    ensemble.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(predict(again), expected, atol=1e-6)
    wide = Subclassed(4)
    wide.build((None, FEATURES))
    with pytest.raises(ValueError, match=r"member 1: \[\(\d+, 4\)\]"):
        Ensemble([members[0], wide], member_outputs="softmax_logits")(X)


def test_another_class_order_is_put_right_or_refused(mixed, tmp_path):
    members, probabilities = mixed
    orders = [["a", "b", "c"], ["c", "a", "b"], ["a", "b", "c"]]
    right = np.stack(
        [probabilities[0], probabilities[1][:, [1, 2, 0]], probabilities[2]]
    )
    ensemble = Ensemble(members, classes=orders)
    assert ensemble.classes == ["a", "b", "c"]
    np.testing.assert_allclose(predict(ensemble), right.mean(0), atol=2e-6)
    turned = Ensemble(members, classes=orders, class_order=["b", "c", "a"])
    turned.save(tmp_path / "turned.keras")
    turned = keras.saving.load_model(tmp_path / "turned.keras")
    assert turned.classes == ["b", "c", "a"]
    np.testing.assert_allclose(predict(turned), right.mean(0)[:, [1, 2, 0]], atol=2e-6)
    part = turned.subset([0, 1, 0])
    np.testing.assert_allclose(predict(part), right[1][:, [1, 2, 0]], atol=2e-6)
    for wrong in (
        [["a", "b", "c"], ["a", "b", "d"], ["a", "b", "c"]],
        [["a", "b", "c"]],
        [["a", "b"]] * 3,
        [["a", "a", "b"]] * 3,
    ):
        with pytest.raises(ValueError, match="argument `classes`"):
            Ensemble(members, classes=wrong)


@pytest.mark.once
def test_members_that_are_one_model_are_refused():
    def seeded():
        inputs = keras.Input((FEATURES,))
        layer = keras.layers.Dense(
            CLASSES,
            activation="softmax",
            kernel_initializer=keras.initializers.GlorotUniform(seed=3),
        )
        return keras.Model(inputs, layer(inputs))

    model = seeded()
    for other in (seeded(), keras.models.clone_model(model)):
        with pytest.raises(
            RuntimeError, match=r"ensemble-members-identical.*clone_mod"
        ):
            Ensemble([model, dense(), other])
    assert len(Ensemble([model, other], allow_identical=True).members) == 2
    with pytest.raises(ValueError, match="each another model"):
        Ensemble([model, dense(), model])


def other_inputs():
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(CLASSES, "softmax")])


BAD = {
    "members": lambda: Ensemble(dense()),
    "list of at least one": lambda: Ensemble([]),
    r"keras.Model \(member 1\)": lambda: Ensemble([dense(), "model"]),
    r"same inputs.*\(None, 4\).*\(None, 5\)": lambda: Ensemble(
        [dense(), other_inputs()]
    ),
    r"same outputs.*as many classes": lambda: Ensemble([dense(), dense(4)]),
    "one of 'probabilities'": lambda: Ensemble([dense()], "product"),
    "3 numbers of at least 0|1 numbers": lambda: Ensemble([dense()], weights=[-1]),
    "not all of them 0": lambda: Ensemble([dense()], weights=[0]),
    "models for one task": lambda: Ensemble([dense(), dense(3, "sigmoid")]),
    "one entry for each": lambda: Ensemble([dense()], member_outputs=["softmax"] * 2),
    "one of 'softmax'": lambda: Ensemble([dense()], member_outputs="logit"),
    "as output 0 of the members is of numbers": lambda: Ensemble(
        [dense(1, None, "mse")], "probabilities"
    ),
    "as the members differ in what": lambda: Ensemble(
        [dense(), dense(3, None, categorical(True))], "mean"
    ),
    "hinge loss are no logits": lambda: Ensemble([dense(3, None, "categorical_hinge")]),
    # Probabilities by the loss, none by the layer.
    "cannot be told": lambda: Ensemble([dense(3, None, categorical())]),
    "given with class_order": lambda: Ensemble([dense()], class_order=["a", "b", "c"]),
}


@pytest.mark.once
@pytest.mark.parametrize("message", BAD)
def test_bad_arguments(message):
    with pytest.raises((ValueError, TypeError), match=message):
        BAD[message]()


@pytest.mark.once
def test_a_member_without_weights_and_a_loss_of_logits():
    with pytest.raises(RuntimeError, match="not built"):
        Ensemble([keras.Sequential([keras.layers.Dense(2)])])
    ensemble = Ensemble([dense()])
    with pytest.raises(ValueError, match="Leave out from_logits"):
        ensemble.compile(loss=categorical(True))
    scores = Ensemble([dense(3, None)], "mean", member_outputs="softmax_logits")
    scores.compile(loss=categorical(True))


@pytest.mark.once
def test_what_an_output_is():
    focal = keras.losses.CategoricalFocalCrossentropy(from_logits=True)
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    for model, kind in (
        (dense(), "softmax"),
        (dense(loss=categorical(True)), "softmax"),
        (dense(3, None, focal), "softmax_logits"),
        (dense(1, "sigmoid"), "sigmoid"),
        (dense(1, None, binary), "sigmoid_logits"),
        (dense(3, None, "categorical_hinge"), "scores"),
        (dense(1, None, "mse"), "numbers"),
        (dense(1, "sigmoid", "mse"), "numbers"),
        (dense(1, None), None),
        (dense(3, None, lambda y, p: p), None),
    ):
        assert find_kinds(model) == [kind]
    inputs = keras.Input((FEATURES,))
    scores = keras.layers.Dense(CLASSES)(inputs)
    assert find_kinds(keras.Model(inputs, keras.ops.softmax(scores))) == ["softmax"]


def test_half_precision_and_ids_reach_the_members():
    keras.config.set_dtype_policy("mixed_float16")
    half = [dense(), dense()]
    keras.config.set_dtype_policy("float32")
    found = Ensemble(half).predict(X, verbose=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(-1), 1, atol=4e-3)
    words = [
        keras.Sequential(
            [
                keras.Input((2,), dtype="int32"),
                keras.layers.Embedding(9, 3),
                keras.layers.GlobalAveragePooling1D(),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        for _ in range(2)
    ]
    ids = np.array([[1, 8], [2, 3]])
    expected = np.mean(
        [keras.ops.convert_to_numpy(member(ids)) for member in words], axis=0
    )
    found = Ensemble(words).predict(ids, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
