"""The figures that the rules of the stage "before" read, from model and sample."""

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.initial_loss import chance_loss
from keras_practices.measures.initial_loss import floor_loss
from keras_practices.measures.initial_loss import measure_initial_loss
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import measure_first_inputs
from keras_practices.measures.layers import measure_layers
from keras_practices.measures.layers import run_captured
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.set_up import pair_outputs
from keras_practices.measures.trials import measure_tiny_subset

# Rows of the pass that reads the layers.
PROBE_ROWS = 256
UNBOUNDED_LOSSES = ("mean_squared_error", "mean_absolute_error")


def figures_of_outputs(model, sample):
    """Reads the outputs of a model, each with its targets.

    Returns:
        `{"outputs": […], "floor": float or None}`, see `measure_outputs`; each output
        also has `target` (`measure_targets` or None) and `several`.
    """
    outputs, floors = [], []
    pairs = pair_outputs(measure_outputs(model), sample.y)
    for output, array in pairs:
        target = None if array is None else measure_targets(array)
        outputs.append({**output, "target": target, "several": len(pairs) > 1})
        floors.append(None if array is None else floor_loss(output, array))
    # With several outputs the floors would have to be weighted; zeros need no weight.
    known = len(floors) == 1 or not any(floors)
    floor = sum(floors) if floors and known and None not in floors else None
    return {"outputs": outputs, "floor": floor}


def figures_of_layers(model, sample):
    """Runs a few rows through the model and reads its layers.

    Returns:
        `{"layers", "first_inputs", "probe_rows"}`, see `measure_layers` and
        `measure_first_inputs`.
    """
    inputs = input_tensors(sample.head(PROBE_ROWS)[0])
    with restore_rng():
        _, calls = run_captured(model, inputs, training=True)
    return {
        "layers": measure_layers(calls),
        "first_inputs": measure_first_inputs(calls, inputs),
        "probe_rows": min(PROBE_ROWS, sample.rows),
    }


def figures_of_initial_loss(model, sample, outputs):
    """Measures the first loss and the loss of guessing.

    Returns:
        `{"initial_loss": …}`, see `measure_initial_loss`; also `chance` (None where
        not known), `words` and `unbounded`.
    """
    figures = measure_initial_loss(model, sample)
    if len(outputs) == 1:
        chance, words = chance_loss(outputs[0], outputs[0]["target"] or {})
        figures["unbounded"] = outputs[0]["loss"] in UNBOUNDED_LOSSES
    else:
        chance, words = None, "several outputs"
    return {"initial_loss": {**figures, "chance": chance, "words": words}}


def figures_of_tiny_subset(model, sample, floor, *, rows=20, steps=200, seconds=10.0):
    """Trains on a few rows at the side, see `measure_tiny_subset`.

    Returns:
        `{"tiny_subset": …}` with `floor` and `still_falling`.
    """
    target = 0.0 if floor is None else floor
    figures = measure_tiny_subset(
        model,
        sample,
        rows=rows,
        steps=steps,
        seconds=seconds,
        target=target + 1e-3 * max(1.0, abs(target)),
    )
    losses = figures["losses"]
    tenth = max(1, len(losses) // 10)
    fell_late = losses[-2 * tenth :][0] - figures["last_loss"]
    fell = figures["first_loss"] - figures["last_loss"]
    # A straight line loses a tenth of its fall in the last tenth of the steps.
    still_falling = fell > 0 and len(losses) > 20 and fell_late > 0.03 * fell
    return {"tiny_subset": {**figures, "floor": floor, "still_falling": still_falling}}
