"""Looks through a record while it is written, and says what has become sure."""

from keras_practices.measures.recorded import figures_of_record
from keras_practices.rules import explain
from keras_practices.rules import run_rules

# Rules that can be judged before training has ended. Whether it learned enough, or
# was too short, is not known until then.
LIVE = (
    "loss-not-finite",
    "loss-diverging",
    "exploding-gradients",
    "weights-diverging",
    "dead-units",
    "saturated-units",
    "overfitting",
)
# A loss that is not finite stays so; anything else must be found at two epochs in
# succession.
AT_ONCE = ("loss-not-finite",)
GRAVE = ("error", "warning")


class LiveFindings:
    """Says each finding once.

    Args:
        record: The `Record` that is written.
    """

    def __init__(self, record):
        self._record = record
        self._before = set()
        self._said = set()

    def look(self):
        """Returns the findings that have become sure since the last look."""
        found = run_rules(
            figures_of_record(self._record), stages=("before", "during"), select=LIVE
        )
        grave = [one for one in explain(found) if one.severity in GRAVE]
        keys = {(one.rule, one.subject) for one in grave}
        sure = [
            one
            for one in grave
            if (one.rule, one.subject) not in self._said
            and (one.rule in AT_ONCE or (one.rule, one.subject) in self._before)
        ]
        self._before = keys
        self._said |= {(one.rule, one.subject) for one in sure}
        return sure
