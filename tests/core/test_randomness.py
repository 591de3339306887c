import random

import keras
import numpy as np
import pytest

from keras_practices._core.randomness import derive_seeds
from keras_practices._core.randomness import restore_rng


def draw():
    """One number of each global stream, and of a layer made without a seed."""
    values = [random.random(), np.random.random()]
    values.append(keras.random.SeedGenerator().get_config()["seed"])
    if keras.config.backend() == "torch":
        import torch

        values.append(torch.rand(()).item())
    return values


def test_drawing_inside_leaves_no_trace():
    keras.utils.set_random_seed(3)
    expected = [draw(), draw()]
    keras.utils.set_random_seed(3)
    first = draw()
    with restore_rng():
        assert draw() == expected[1]
        draw()
    assert [first, draw()] == expected


def test_the_state_comes_back_after_an_exception():
    state = random.getstate()

    def draw_and_fail():
        with restore_rng():
            random.random()
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    assert random.getstate() == state


@pytest.mark.once
def test_derived_seeds_are_distinct_repeatable_integers():
    seeds = derive_seeds(7, 100)
    assert seeds == derive_seeds(7, 100)
    assert seeds != derive_seeds(8, 100)
    assert len(set(seeds)) == 100
    assert {type(seed) for seed in seeds} == {int}
    assert 0 <= min(seeds)
    assert max(seeds) < 2**31
