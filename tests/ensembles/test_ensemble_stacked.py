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
