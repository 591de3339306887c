import keras
import numpy as np
import pytest
from scipy.special import expit
from scipy.special import softmax

from keras_practices.ensembles.distillation import distill
from keras_practices.errors import UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
CLASSES = RNG.integers(0, 3, 32)
UNITS = RNG.integers(0, 2, (32, 2)).astype("float32")
FIT = {"batch_size": 32, "epochs": 1, "verbose": 0}


def net(units, activation=None, **arguments):
    # Weights large enough that softened probabilities differ clearly.
    normal = keras.initializers.RandomNormal(stddev=1.0)
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation, True, normal)],
        **arguments,
    )


def student_of(units, activation, loss, rate=0.0):
    model = net(units, activation)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return model


def scores(model):
    """Logits in float64, from the weights."""
    kernel, bias = model.layers[-1].get_weights()
    return X @ np.float64(kernel) + bias


def divergence(p, q):
    return np.mean(np.sum(p * np.log(p / q), axis=-1))


@pytest.mark.parametrize("head", [None, "softmax"])
@pytest.mark.parametrize("other", [None, "softmax"])
def test_loss_of_classes(head, other):
    teacher = net(3, head)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=other is None)
    student = student_of(3, other, loss)
    share, t = 0.3, 4.0
    _, history = distill(
        teacher, student, X, CLASSES, temperature=t, alpha=share, **FIT
    )
    z, own = scores(teacher), scores(student)
    soft = t**2 * divergence(softmax(z / t, -1), softmax(own / t, -1))
    hard = -np.mean(np.log(softmax(own, -1)[np.arange(32), CLASSES]))
    found = {name: values[0] for name, values in history.history.items()}
    assert found["distillation_loss"] == pytest.approx(soft, rel=1e-4)
    assert found["student_loss"] == pytest.approx(hard, rel=1e-4)
    expected = share * soft + (1 - share) * hard
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    assert found["accuracy"] == np.mean(own.argmax(axis=1) == CLASSES)


@pytest.mark.parametrize(("head", "other"), [("sigmoid", None), (None, "sigmoid")])
@pytest.mark.parametrize("units", [1, 2])
def test_loss_of_units(head, other, units):
    teacher = net(units, head)
    loss = keras.losses.BinaryCrossentropy(from_logits=other is None)
    student = student_of(units, other, loss)
    y = UNITS[:, 0] if units == 1 else UNITS  # labels without a last axis
    _, history = distill(teacher, student, X, y, temperature=2.0, alpha=0.5, **FIT)
    z, own = expit(scores(teacher) / 2), expit(scores(student) / 2)
    soft = 4 * divergence(np.stack([1 - z, z], -1), np.stack([1 - own, own], -1))
    p, truth = expit(scores(student)), y.reshape(32, units)
    hard = -np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    found = {name: values[0] for name, values in history.history.items()}
    assert found["distillation_loss"] == pytest.approx(soft, rel=1e-4)
    assert found["student_loss"] == pytest.approx(hard, rel=1e-4)


def test_penalties_count_once_and_whole():
    teacher, student = net(3), net(3)
    student.layers[0].kernel.regularizer = keras.regularizers.L2(0.1)
    student.layers[0].kernel_regularizer = keras.regularizers.L2(0.1)
    student.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    _, history = distill(teacher, student, X, CLASSES, alpha=0.25, **FIT)
    found = {name: values[0] for name, values in history.history.items()}
    penalty = 0.1 * np.sum(np.float64(student.layers[0].get_weights()[0]) ** 2)
    shares = 0.25 * found["distillation_loss"] + 0.75 * found["student_loss"]
    assert found["loss"] == pytest.approx(shares + penalty, rel=1e-4)


def test_a_student_learns_from_the_teacher_alone(tmp_path):
    teacher = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, trainable=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, "softmax", kernel_initializer="random_normal"),
        ]
    )
    teacher.layers[-1].kernel.assign(RNG.normal(size=(4, 3)))
    before = teacher.get_weights()
    student = student_of(3, "softmax", "sparse_categorical_crossentropy", rate=0.3)
    again, history = distill(
        teacher,
        student,
        X,
        epochs=40,
        batch_size=16,
        alpha=0.5,
        verbose=0,
        validation_data=(X, CLASSES),
        validation_freq=40,
    )
    assert again is student
    # There is nothing else to learn from: the whole is the divergence.
    losses = history.history
    np.testing.assert_allclose(losses["loss"], losses["distillation_loss"], rtol=1e-5)
    assert losses["loss"][-1] < 0.05 * losses["loss"][0]
    assert losses["val_distillation_loss"][-1] < 0.05 * losses["loss"][0]
    given = [model.predict(X, verbose=0) for model in (teacher, student)]
    np.testing.assert_allclose(*given, atol=0.1)
    # The teacher is as it was.
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [layer.trainable for layer in teacher.layers] == [False, True, True, True]
    assert teacher.trainable
    assert len(teacher.trainable_variables) == 4
    # The student stands alone, its optimizer included.
    assert int(student.optimizer.iterations) == 80
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded.predict(X, verbose=0), given[1], rtol=1e-5)
    assert int(loaded.optimizer.iterations) == 80
    student.fit(X, CLASSES, epochs=1, verbose=0)


class Subclassed(keras.Model):
    """Probabilities that no layer's activation tells of."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return keras.ops.softmax(self.dense(x))


def test_a_teacher_without_a_graph_and_batches():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            rows = slice(16 * index, 16 * index + 16)
            return X[rows], CLASSES[rows]

    teacher = Subclassed()
    teacher(X[:1])
    student = student_of(3, "softmax", "sparse_categorical_crossentropy")
    _, history = distill(
        teacher, student, Batches(), temperature=1.0, epochs=1, verbose=0
    )
    p, q = (np.float64(model.predict(X, verbose=0)) for model in (teacher, student))
    found = history.history["distillation_loss"][0]
    assert found == pytest.approx(divergence(p, q), rel=1e-4)


def compiled(units=3, activation="softmax", loss="sparse_categorical_crossentropy"):
    return student_of(units, activation, loss)


SPARSE = keras.losses.SparseCategoricalCrossentropy
BAD = {
    "uncompiled": (lambda: (net(3), net(3)), {}, "must be compiled"),
    "shape": (lambda: (net(3), compiled(2)), {}, r"one shape.*\(3,\).*\(2,\)"),
    "regression": (
        lambda: (net(3), compiled(activation=None, loss="mse")),
        {},
        "teacher.predict",
    ),
    "logits as probabilities": (
        lambda: (net(3), compiled(activation=None)),
        {},
        "from_logits=False",
    ),
    "softmax twice": (
        lambda: (net(3), compiled(loss=SPARSE(from_logits=True))),
        {},
        "applied twice",
    ),
    "declared": (
        lambda: (net(3), compiled()),
        {"teacher_output": "probabilities"},
        "teacher_output='logits'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_pairs_that_do_not_fit(case):
    make, arguments, match = BAD[case]
    with pytest.raises(UsageError, match=match):
        distill(*make(), X, CLASSES, **arguments)


def test_the_teacher_cannot_be_the_student():
    model = compiled()
    with pytest.raises(UsageError, match="share weights"):
        distill(model, model, X, CLASSES)


def test_probabilities_in_half_precision():
    teacher = net(3, "softmax")
    teacher.layers[-1].dtype_policy = "mixed_float16"
    with pytest.raises(UsageError, match="dtype='float32'"):
        distill(teacher, compiled(), X, CLASSES)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"temperature": 0}, "temperature"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": 1.5}, "alpha"),
        ({"teacher_output": "scores"}, "teacher_output"),
        ({"sample_weight": np.ones(32)}, "sample_weight"),
        ({"class_weight": {0: 1.0}}, "class_weight"),
    ],
)
def test_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        distill(net(3), compiled(), X, CLASSES, **arguments)
    with pytest.raises(TypeError, match="`teacher`"):
        distill("teacher", compiled(), X, CLASSES)
