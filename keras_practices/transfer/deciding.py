"""From readings to a plan: quadrant, cut, stages and notes."""

from keras_practices._core.model_layers import all_layers
from keras_practices.measures.graph_nodes import DROPOUT
from keras_practices.transfer import thresholds
from keras_practices.transfer.plan_values import Probe
from keras_practices.transfer.plan_values import Stage

# Numbers have no classes: ten rows of them count as one of a class.
_ROWS_AS_ONE = 10


def decide(model, sample, targets, places, measured):
    """Returns what a `Plan` holds of the decision, as a dict by field.

    Args:
        model: Built Keras model.
        sample: The `Sample` that was read.
        targets: Its `Targets`.
        places: The `Places` of the model.
        measured: `Measured`, after `take`.
    """
    _, as_good = measured.best()
    similarity, helps = measured.similarity()
    similar = helps and similarity >= thresholds.SIMILAR
    rows = sample.total_rows or sample.rows
    rows_each = rows / (targets.classes or _ROWS_AS_ONE)
    large = rows_each >= thresholds.FEW_ROWS
    joins = measured.joins(large) if _joins(similar, rows_each) else []
    # A head on an earlier place is for rows too few to change what is in between.
    early = places.cuttable and not large
    cut = as_good if early else measured.count - 1
    depths = places.depths[: max([cut, *joins]) + 1]
    probe = measured.joined if joins else measured.pretrained[cut]
    return {
        "similar": similar,
        "large": large,
        "rows": rows,
        "probes": tuple(
            Probe(
                depth.name,
                _score(measured.pretrained.get(place)),
                _score(measured.random.get(place)),
            )
            for place, depth in enumerate(places.depths)
        ),
        "raw": _score(measured.raw),
        "similarity": similarity,
        "cut": places.depths[cut].name,
        "joins": tuple(depths[place].name for place in joins),
        "joined": _score(measured.joined),
        "groups": tuple(tuple(x.name for x in depth.layers) for depth in depths),
        "strength": probe.strength,
        "renewed": measured.renewed,
        "stages": stages_for(similar, large, len(depths)),
        "notes": tuple(_notes(model, sample, places, measured, helps, depths)),
    }


def stages_for(similar, large, groups):
    """Returns the stages for a quadrant.

    Args:
        similar: Bool.
        large: Bool.
        groups: Number of groups of layers up to the cut.
    """
    head = Stage("head on frozen features", (), thresholds.HEAD_EPOCHS)
    if not large:
        return (head,)
    top = thresholds.BASE_RATE if similar else thresholds.DIFFERENT_BASE_RATE
    # The paper has four groups; more share the same range of rates.
    decay = thresholds.DECAY ** (min(1.0, 3 / max(1, groups - 1)))
    rates = tuple(top * decay ** (groups - 1 - place) for place in range(groups))
    half = rates[groups // 2 :]
    epochs = thresholds.TUNE_EPOCHS
    stages = [head]
    if len(half) < groups:
        stages.append(Stage("head and upper half", half, epochs))
    stages.append(Stage("whole network", rates, epochs))
    return tuple(stages)


def _joins(similar, rows_each):
    """Whether a head may read several places (Evci et al., arXiv:2201.03529).

    Where the last features fit, a head learns most from them alone of few rows, and
    with many rows they become the best.
    """
    return not similar or thresholds.FEW_ROWS <= rows_each < thresholds.MANY_ROWS


def _score(reading):
    return None if reading is None else (reading.score, *reading.interval)


def _notes(model, sample, places, measured, helps, depths):
    if sample.total_rows is None:
        yield f"the data does not say its length: taken for the {sample.rows} rows read"
    if measured.left_out:
        yield f"budget: {measured.left_out} probes were left out"
    if measured.raw is None:
        yield "raw inputs were not probed: out of time, or names of tokens"
    if not helps:
        yield (
            "no pretrained feature is clearly better than raw inputs and a random "
            "copy: compare with a network trained from scratch"
        )
    if not places.cuttable:
        yield "a model without a graph cannot be cut: a new head goes behind its end"
    inside = [x for depth in depths for x in depth.layers] if places.cuttable else []
    if any(_normalizes(layer) for layer in inside or all_layers(model)):
        yield "BatchNorm of the network stays in inference mode in every stage"
    if measured.renewed:
        yield (
            "BatchNorm's statistics are those of the new rows, with which a probe of "
            "the last features reads better; a new head gets them too"
        )
    drops = [x.name for x in all_layers(model) if isinstance(x, DROPOUT) and x.rate]
    if drops:
        yield (
            f"dropout drops in frozen layers too ({', '.join(drops[:5])}): features "
            "in front of which it stands cannot be computed once"
        )


def _normalizes(layer):
    return type(layer).__name__ == "BatchNormalization"
