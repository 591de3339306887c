"""The figures that the rules of the stage "before" read, from model and sample."""

import contextlib
import dataclasses
import time

import keras
import numpy as np

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.heads import run_heads
from keras_practices.measures.initial_loss import chance_loss
from keras_practices.measures.initial_loss import constant_loss
from keras_practices.measures.initial_loss import floor_loss
from keras_practices.measures.initial_loss import measure_initial_loss
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import measure_first_inputs
from keras_practices.measures.layers import measure_layers
from keras_practices.measures.layers import run_captured
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.other_head import other_head
from keras_practices.measures.set_up import pair_outputs
from keras_practices.measures.trials import measure_tiny_subset

# Rows of the pass that reads the layers.
PROBE_ROWS = 256
UNBOUNDED_LOSSES = ("mean_squared_error", "mean_absolute_error")


def figures_of_outputs(model, sample):
    """Reads the outputs of a model, each with its targets.

    Returns:
        `{"outputs": […], "floor": float or None, "constant_loss": float or None}`,
        see `measure_outputs`; each output also has `target` (`measure_targets` or
        None) and `several`. The two losses are known for one output only.
    """
    outputs, floors, constants = [], [], []
    # A subclassed model has no graph to read; a few rows show what it gives.
    heads = None if getattr(model, "outputs", None) else run_heads(model, sample)
    pairs = pair_outputs(measure_outputs(model, heads), sample.y)
    for output, array in pairs:
        target = None if array is None else measure_targets(array)
        outputs.append({**output, "target": target, "several": len(pairs) > 1})
        floors.append(None if array is None else floor_loss(output, array))
        constants.append(None if array is None else constant_loss(output, array))
    # With several outputs the floors would have to be weighted; zeros need no weight.
    known = len(floors) == 1 or not any(floors)
    floor = sum(floors) if floors and known and None not in floors else None
    constant = constants[0] if len(constants) == 1 else None
    return {"outputs": outputs, "floor": floor, "constant_loss": constant}


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
        `{"tiny_subset": …}` with `floor`, `still_falling` and `planned_steps`.
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
    known = {"floor": floor, "still_falling": still_falling, "planned_steps": steps}
    return {"tiny_subset": {**figures, **known}}


def figures_of_tiny_changes(model, sample, tiny, outputs, *, seconds):
    """Where the tiny subset could not be fitted, tries what may be in the way.

    Args:
        model: Built and compiled Keras model.
        sample: A `Sample` with targets.
        tiny: What `figures_of_tiny_subset` gave.
        outputs: What `figures_of_outputs` gave.
        seconds: Time at the most, for all trials.

    Returns:
        `{"tiny_changes": […]}`: for each change that was tried `change` (words),
        `learning_rate`, `steps`, `first_loss`, `best_loss` and `floor`; empty for an
        optimizer without one positive rate.
    """
    rate, floor = tiny["learning_rate"], tiny["floor"]
    changes = [
        ("a learning rate ten times higher", sample, floor, {"rate": 10 * rate}),
        ("a learning rate ten times lower", sample, floor, {"rate": rate / 10}),
        ("standardised inputs", standardised(sample), floor, {}),
    ]
    head = other_head(model, outputs, sample.y)
    if head is not None:
        words, within = head
        changes.insert(0, (words, sample, 0.0, {"within": within}))
    found, deadline = [], time.perf_counter() + seconds
    for words, rows, lowest, change in changes:
        left = deadline - time.perf_counter()
        if left <= 0 or rows is None or not rate > 0:
            continue
        trial = measure_tiny_subset(
            model,
            rows,
            rows=tiny["rows"],
            steps=tiny["steps"],
            seconds=left,
            learning_rate=change.get("rate", rate),
            within=change.get("within", contextlib.nullcontext),
        )
        keys = ("learning_rate", "steps", "first_loss", "best_loss")
        kept = {key: trial[key] for key in keys}
        found.append({"change": words, "floor": lowest, **kept})
    return {"tiny_changes": found}


def standardised(sample):
    """Returns a sample whose inputs have mean 0 and deviation 1 in every feature.

    Returns:
        A `Sample`, or None where an input is no floating number.
    """

    def scaled(array):
        values = np.asarray(array, dtype=np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        return ((values - mean) / np.maximum(deviation, 1e-7)).astype("float32")

    arrays = keras.tree.flatten(sample.x)
    if not all(np.issubdtype(np.asarray(a).dtype, np.floating) for a in arrays):
        return None
    return dataclasses.replace(sample, x=keras.tree.map_structure(scaled, sample.x))
