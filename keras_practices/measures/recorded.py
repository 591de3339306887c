"""The figures that a record holds by itself, for the rules."""

from keras_practices.measures.training import latest_layers
from keras_practices.measures.training import measure_training


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
