"""Numbers of a series as the short texts that stand beside a picture."""

import numpy as np

from keras_practices.report.words import shown


def last(values):
    """Returns the last value as text."""
    return shown(float(values[-1])) if np.isfinite(values[-1]) else "not finite"


def change(values):
    """Returns `"2.3 to 0.08"`: first and last value of a series."""
    return last(values) if len(values) == 1 else f"{last(values[:1])} to {last(values)}"


def moment(epoch):
    """Returns `"before training"` or `"after epoch 3"`."""
    return f"after epoch {epoch:g}" if epoch > 0 else "before training"


def left_out(names, drawn):
    """Returns a sentence that says how many of `names` are not drawn, or `""`."""
    count = len(names) - len(drawn)
    if not count:
        return ""
    return (
        f" {len(drawn)} of {len(names)} are drawn: those a finding names, then evenly "
        f"from first to last; {count} are left out."
    )
