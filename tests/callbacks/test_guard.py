import warnings

import pytest

from keras_practices.callbacks.guard import guarded
from keras_practices.callbacks.guard import switch_off
from keras_practices.errors import KerasPracticesWarning


class Watcher:
    def __init__(self):
        self.broken = False
        self.calls = 0

    @guarded
    def on_epoch_end(self, error=None, *, extra=None):
        """Raises what it is given."""
        self.calls += 1
        if error is not None:
            raise error


def test_a_sound_hook_runs_as_it_is():
    watcher = Watcher()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watcher.on_epoch_end()
        watcher.on_epoch_end(None, extra=1)
    assert watcher.calls == 2
    assert Watcher.on_epoch_end.__name__ == "on_epoch_end"
    assert Watcher.on_epoch_end.__doc__ == "Raises what it is given."


def test_a_fault_is_said_once_and_the_hook_is_left_out():
    watcher = Watcher()
    with pytest.warns(KerasPracticesWarning) as caught:
        watcher.on_epoch_end(ZeroDivisionError("by zero\nand more"))
    # A second warning would be an error here.
    watcher.on_epoch_end(ZeroDivisionError("again"))
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "Watcher is switched off for the rest of this training, which goes on. In "
        "on_epoch_end: ZeroDivisionError: by zero"
    )
    assert watcher.broken
    assert watcher.calls == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass_through(interrupt):
    watcher = Watcher()
    with pytest.raises(interrupt):
        watcher.on_epoch_end(interrupt())
    assert not watcher.broken


def test_switch_off_marks_and_warns():
    watcher = Watcher()
    with pytest.warns(KerasPracticesWarning, match="In build: OSError: full"):
        switch_off(watcher, "build", OSError("full"))
    assert watcher.broken
