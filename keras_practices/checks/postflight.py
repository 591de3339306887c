"""What is measured once training has ended, within a time budget."""

import time

from keras_practices.errors import first_line
from keras_practices.measures.modes import measure_modes
from keras_practices.measures.modes import measure_output_dependence
from keras_practices.measures.modes import measure_predictions
from keras_practices.measures.recall import measure_recall
from keras_practices.measures.trials import measure_rates
from keras_practices.rules import thresholds
from keras_practices.rules.outcome import kept_of_guessing

# Rows for figures of the trained model.
ROWS = 256


def postflight(model, sample, initial, result, *, batch_size, seconds):
    """Looks at the trained model, and tries other rates where it learned little.

    Args:
        model: The trained Keras model; it is not written.
        sample: From `take_sample`.
        initial: Weights before training, from `snapshot`.
        result: A `Preflight`, whose figures hold `training`; they are added to.
        batch_size: Rows a step in the trials.
        seconds: Time for all of it; the trials get what the rest leaves.
    """
    deadline = time.perf_counter() + seconds
    x, y, sample_weight = sample.head(ROWS)
    figures = result.figures
    _measure(
        result,
        "predictions_after",
        lambda: measure_predictions(model, x, y, figures.get("outputs")),
    )
    _measure(
        result,
        "output_dependence_after",
        lambda: measure_output_dependence(model, x),
    )
    _measure(
        result,
        "recall_after",
        lambda: measure_recall(model, sample, figures.get("outputs") or ()),
    )
    if "initial_loss" in figures:
        _measure(
            result, "modes_after", lambda: measure_modes(model, x, y, sample_weight)
        )
        left = max(0.0, deadline - time.perf_counter())
        _try_rates(model, sample, initial, result, batch_size, left)


def _try_rates(model, sample, initial, result, batch_size, seconds):
    """Where training got nowhere, tries other rates from the same initial weights."""
    training = result.figures.get("training")
    if training is None:
        return
    kept = kept_of_guessing(result.figures)
    if kept is None or kept <= thresholds.LEARNED_KEPT:
        return
    optimizer = result.figures.get("model", {}).get("optimizer", {})
    rate = optimizer.get("learning_rate")
    if rate is not None and training.get("learning_rate"):
        rate = training["learning_rate"]  # a schedule may begin at a tenth of it
    if rate is None or rate <= 0:
        reason = "the optimizer has no single positive rate"
        result.not_measured.append(("other learning rates", reason))
        return
    _measure(
        result,
        "rate_trials",
        lambda: measure_rates(
            model,
            sample,
            initial,
            learning_rate=rate,
            batch_size=batch_size,
            seconds=seconds,
        ),
    )


def _measure(result, name, function):
    begun = time.perf_counter()
    words = name.replace("_", " ")
    try:
        result.figures[name] = function()
    except Exception as error:
        result.not_measured.append((words, first_line(error)))
    result.timings[words] = time.perf_counter() - begun
