"""Shares of zeros and of negative numbers among the targets."""

import keras
import numpy as np

from keras_practices.measures.label_format import measure_label_format
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.sample import take_sample


def test_shares_of_zeros_and_negative_targets():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mape")
    y = np.array([-1.5, 0, 0, 2, 3, 4, 5, 6])
    sample = take_sample(np.ones((8, 2)), y, owner="test", max_rows=8)
    (found,) = measure_label_format(model, sample, measure_outputs(model))
    assert (found["negative"], found["zeros"]) == (1 / 8, 2 / 8)
