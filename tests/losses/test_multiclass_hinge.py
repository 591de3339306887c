import keras
import numpy as np
import pytest
from keras import ops

from keras_practices.losses import MulticlassHinge
from keras_practices.measures.initial_loss import chance_loss
from keras_practices.measures.model_card import measure_loss

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(7, 5)).astype("float32")
CLASSES = RNG.integers(0, 5, 7)


def by_hand(classes, scores, margin=1.0):
    """The loop of the notes, in float64."""
    losses = []
    for row, true in zip(np.float64(scores), classes, strict=True):
        wrong = [k for k in range(len(row)) if k != true]
        losses.append(sum(max(0.0, row[k] - row[true] + margin) for k in wrong))
    return np.array(losses)


def rows(loss, y, scores):
    return ops.convert_to_numpy(loss(y, scores))


@pytest.mark.parametrize("margin", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("form", ["classes", "column", "one_hot"])
def test_equals_the_loop_of_the_notes(form, margin):
    y = {
        "classes": CLASSES,
        "column": CLASSES[:, None],
        "one_hot": np.eye(5, dtype="float32")[CLASSES],
    }[form]
    found = rows(MulticlassHinge(margin, reduction="none"), y, SCORES)
    np.testing.assert_allclose(found, by_hand(CLASSES, SCORES, margin), rtol=1e-5)


def test_scores_of_zero_give_the_wrong_classes():
    assert float(MulticlassHinge()(np.arange(10), np.zeros((10, 10), "float32"))) == 9.0


def test_each_pixel_has_its_class():
    scores = RNG.normal(size=(2, 3, 5)).astype("float32")
    classes = RNG.integers(0, 5, (2, 3))
    found = rows(MulticlassHinge(reduction="none"), classes, scores)
    expected = by_hand(classes.reshape(-1), scores.reshape(-1, 5)).reshape(2, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weights_weigh_rows():
    weights = np.float32([1, 0, 0, 0, 0, 0, 0])
    found = float(MulticlassHinge()(CLASSES, SCORES, sample_weight=weights))
    np.testing.assert_allclose(found, by_hand(CLASSES, SCORES)[0] / 7, rtol=1e-5)


@pytest.mark.parametrize(
    "jit_compile", [True, pytest.param(False, marks=pytest.mark.once)]
)
def test_a_model_learns_with_it_and_comes_back_from_disk(tmp_path, jit_compile):
    keras.utils.set_random_seed(0)
    x = RNG.normal(size=(240, 4)).astype("float32")
    y = np.argmax(x[:, :3], axis=1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    jit_compile = jit_compile and keras.backend.backend() != "torch"
    model.compile(
        keras.optimizers.Adam(0.05), MulticlassHinge(), jit_compile=jit_compile
    )
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.25 * losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(x, y, verbose=0) == pytest.approx(
        model.evaluate(x, y, verbose=0), rel=1e-5
    )


def test_config_round_trip_and_mixed_precision():
    loss = MulticlassHinge(margin=2.0, dtype="float16")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert np.isfinite(float(again(CLASSES, SCORES)))


def test_its_chance_level_is_known():
    head = {"shape": [10], **measure_loss(MulticlassHinge(margin=2.0))}
    assert chance_loss(head, {})[0] == 18.0
    zeros = float(MulticlassHinge(2.0)(np.arange(10), np.zeros((10, 10), "float32")))
    assert zeros == 18.0


@pytest.mark.parametrize("margin", [0, -1.0, float("nan")])
def test_a_bad_margin_is_named(margin):
    with pytest.raises(ValueError, match="margin"):
        MulticlassHinge(margin)


def test_one_class_and_text_are_refused():
    with pytest.raises(ValueError, match="y_pred"):
        MulticlassHinge()(np.zeros(3), np.zeros((3, 1), "float32"))
    with pytest.raises(TypeError, match="margin"):
        MulticlassHinge("wide")
