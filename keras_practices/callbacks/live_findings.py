"""Looks through a record while it is written, and says what has become sure."""

from keras_practices.measures.training import latest_layers
from keras_practices.measures.training import measure_training
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


def figures_of_record(record):
    """Returns the figures that the rules read, from a record alone.

    Args:
        record: A `Record`, also of a run that goes on.

    Returns:
        Dict of figures: those that were measured before the training, `training` and
        the layers on the probe.
    """
    figures = dict(record.start.get("figures", {}))
    return figures | figures_of_training(record, figures)


def figures_of_training(record, before):
    """Returns what a record adds to the figures that were measured before.

    Args:
        record: A `Record`, also of a run that goes on.
        before: Dict of figures; reads `floor` and `initial_loss`.

    Returns:
        Dict with `training`, and `layers_before`, `layers`, `probe_rows` where there
        was a probe; empty for a record without a step.
    """
    initial = before.get("initial_loss") or {}
    training = measure_training(
        record,
        floor=before.get("floor"),
        chance=initial.get("chance"),
        class_weighted=bool(before.get("class_weighted")),
    )
    if training is None:
        return {}
    figures = {"training": training}
    first, last = latest_layers(record)
    if last:
        figures["layers_before"], figures["layers"] = first, last
        figures["probe_rows"] = record.start.get("probe_rows", 0)
    return figures


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
