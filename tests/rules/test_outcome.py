import pytest
from rule_cases import training

from keras_practices.rules.outcome import got_nowhere
from keras_practices.rules.outcome import kept_of_guessing
from keras_practices.rules.outcome import learned

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("figures", "kept", "good", "bad"),
    [
        ({}, None, None, False),
        (training(last_loss=0.2, chance=2.0), 0.1, True, False),
        (training(last_loss=1.0, chance=2.0), 0.5, False, False),
        (training(last_loss=1.9, chance=2.0), 0.95, False, True),
        # A first loss of 50 that falls to that of guessing has learned nothing.
        (training(start_loss=50.0, last_loss=2.0, chance=2.0), 1.0, False, True),
        # The best constant answer is below the chance of a fresh model.
        ({**training(last_loss=0.9), "constant_loss": 1.0}, 0.9, False, True),
        # Trained before: what the last steps did not gain was gained already.
        (training(start_loss=0.3, last_loss=0.29, chance=2.0), 0.145, True, False),
        (training(start_loss=0.7, last_loss=0.7, chance=2.0), 1.0, False, True),
        (training(last_loss=None), 1.0, False, True),
        (training(first_not_finite=3), 1.0, False, True),
        (training(start_loss=2.5, last_loss=0.7, floor=0.5, chance=2.5), 0.1, True, 0),
    ],
)
def test_what_is_left_of_the_loss_of_guessing(figures, kept, good, bad):
    found = kept_of_guessing(figures)
    assert found == (None if kept is None else pytest.approx(kept))
    assert learned(figures) is good
    assert got_nowhere(figures) == bad
