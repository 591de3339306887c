"""What the arguments of `fit` say, beside tests of whole diagnoses."""

import numpy as np
import pytest

from keras_practices.checks.fit_arguments import fit_facts
from keras_practices.measures.sample import take_sample


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({0: 1, np.int64(1): 2.5}, {"0": 1.0, "1": 2.5}),
        ({"spam": 2.0}, None),  # `fit` refuses it in its own words
        (None, None),
    ],
)
def test_class_weights_are_plain_numbers(given, expected):
    sample = take_sample(np.ones((8, 2)), np.arange(8) % 2, owner="test", max_rows=8)
    assert fit_facts(sample, None, {"class_weight": given})["class_weight"] == expected
