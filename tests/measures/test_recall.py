import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.measures import before
from keras_practices.measures.recall import measure_recall
from keras_practices.measures.sample import take_sample

CLASSES = np.repeat([0, 1, 2], [300, 60, 10])
X = np.eye(3, dtype="float32")[CLASSES]


def answering(matrix, activation=None, loss="sparse_categorical_crossentropy"):
    """A model whose scores are `matrix` times the inputs."""
    matrix = np.asarray(matrix, "float32")
    head = layers.Dense(matrix.shape[1], activation=activation)
    model = keras.Sequential([keras.Input((3,)), head])
    head.set_weights([matrix, np.zeros(matrix.shape[1])])
    model.compile("sgd", loss)
    return model


def recall(model, y):
    sample = take_sample(X, y)
    outputs = before.figures_of_outputs(model, sample)["outputs"]
    return measure_recall(model, sample, outputs)


# Rows of class 2 are taken for class 0.
CONFUSED = [[1, 0, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("form", ["numbers", "column", "one-hot"])
def test_each_class_is_counted_apart(form):
    loss = "sparse_categorical_crossentropy"
    y = {"numbers": CLASSES, "column": CLASSES[:, None]}.get(form)
    if y is None:
        y, loss = np.eye(3, dtype="float32")[CLASSES], "categorical_crossentropy"
    found = recall(answering(CONFUSED, "softmax", loss), y)
    assert found == {"0": [85, 1.0], "1": [60, 1.0], "2": [10, 0.0]}


@pytest.mark.parametrize(("activation", "logits"), [("sigmoid", False), (None, True)])
def test_one_score_says_yes_or_no(activation, logits):
    loss = keras.losses.BinaryCrossentropy(from_logits=logits)
    model = answering([[-3], [2], [-1]], activation, loss)
    found = recall(model, (CLASSES > 0).astype("float32"))
    assert found["0"] == [128, 1.0]
    # 60 rows of the class in the middle are named, 10 of the last are not.
    assert found["1"] == [70, pytest.approx(60 / 70)]


def test_what_has_no_classes_has_no_recall():
    assert recall(answering(np.ones((3, 1)), None, "mse"), X[:, :1] * 1.5) == {}
    # The threshold of a score under another loss is not known.
    assert recall(answering(np.ones((3, 1)), None, "hinge"), CLASSES > 0) == {}
    nan = answering(np.full((3, 3), np.nan))
    assert recall(nan, CLASSES) == {}
