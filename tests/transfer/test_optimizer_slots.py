"""What `transfer` reads of Keras's optimizers beside their documented interface.

Momenta and the like go from one optimizer to the next by these attributes:

* `optimizer._iterations`: variable with the count of steps (`iterations`, which is
  documented, counts updates only, where gradients are accumulated);
* `optimizer._trainable_variables`: list of the variables it was built for, in order;
* slots: each attribute that is a list of variables in that order, such as
  `Adam._momentums`;
* `MultiOptimizer._inner_optimizers`: list of optimizers;
* `LossScaleOptimizer.inner_optimizer`, which is documented as an argument.

Where a test below fails, a new Keras keeps them in another way: `transfer/slots.py` has
to follow, or momenta are dropped without a word.
"""

import keras
import numpy as np
import pytest

from keras_practices.transfer.slots import put_slots
from keras_practices.transfer.slots import take_slots

# Optimizer -> how many slots it keeps of each variable.
SLOTS = {
    "SGD": 1,
    "RMSprop": 1,
    "Adagrad": 1,
    "Adadelta": 2,
    "Adam": 2,
    "AdamW": 2,
    "Adamax": 2,
    "Nadam": 2,
    "Ftrl": 2,
    "Lion": 1,
    "Lamb": 2,
}


def variables():
    return [keras.Variable(np.ones(shape, "float32")) for shape in [(3, 2), (4,)]]


def made(name, given):
    arguments = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(keras.optimizers, name)(0.1, **arguments)
    optimizer.build(given)
    return optimizer


@pytest.mark.parametrize("name", SLOTS)
def test_slots_of_every_optimizer_are_found(name):
    given = variables()
    optimizer = made(name, given)
    assert optimizer._iterations is optimizer.iterations
    for kept, mine in zip(optimizer._trainable_variables, given, strict=True):
        assert kept is mine, "_trainable_variables in the order they were given"
    ((_, _, _, _, slots),) = take_slots(optimizer)
    assert len(slots) == SLOTS[name], f"lists of variables, found {sorted(slots)}"
    # All that an optimizer keeps: a slot has the shape of its variable.
    shapes = [tuple(one.shape) for one in optimizer.variables]
    assert shapes.count((3, 2)) == shapes.count((4,)) == SLOTS[name]
    optimizer.apply([keras.ops.ones(one.shape) for one in given], given)
    fresh = made(name, given)
    assert put_slots(take_slots(optimizer), fresh) == len(given)
    assert int(fresh.iterations) == 1
    for mine, other in zip(optimizer.variables, fresh.variables, strict=True):
        if tuple(mine.shape) in ((3, 2), (4,)):
            np.testing.assert_array_equal(
                keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(other)
            )


def test_optimizers_inside_others():
    first, second = variables()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1))
    assert isinstance(scaled.inner_optimizer, keras.optimizers.Adam)
    scaled.build([first, second])
    assert len(take_slots(scaled)) == 2
    assert max(len(slots) for *_, slots in take_slots(scaled)) == 2
    several = keras.optimizers.MultiOptimizer(
        [(keras.optimizers.Adam(0.1), lambda v: True)]
    )
    assert len(several._inner_optimizers) == len(several.optimizers)
