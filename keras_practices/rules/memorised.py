"""Rows that were learned by heart, and nothing beside them."""

from keras_practices.rules import thresholds
from keras_practices.rules.curves import losses_of_guessing
from keras_practices.rules.outcome import kept_share
from keras_practices.rules.partition import input_shift


def only_by_heart(figures):
    """Yields what a training shows whose inputs are names (words, users).

    Simple models say nothing of these; that validation never gains does.
    """
    training = figures.get("training")
    guesses = losses_of_guessing(figures) if training else []
    rows = (figures.get("class_counts") or {}).get("rows") or 0
    if not guesses or rows < thresholds.BY_HEART_MIN_ROWS:
        return
    losses = training.get("validation_data_losses") or training["validation_losses"]
    guess = min(guesses)
    kept = kept_share(guess, training["last_loss"], training["floor"])
    if len(losses) < 2 or kept is None or kept > thresholds.ONLY_BY_HEART_KEPT:
        return
    never_better = min(losses) > thresholds.NO_BETTER_THAN_GUESSING * guess
    if not never_better or losses[-1] < thresholds.WORSE_THAN_GUESSING * guess:
        return
    if input_shift(figures):
        return
    yield {
        "severity": "warning",
        "subject": "targets",
        "message": f"Training on {rows} rows came to a loss of "
        f"{training['last_loss']:.4g}, and validation was never better than guessing "
        f"({min(losses):.4g} at best; guessing gives {guess:.4g}).",
        "cause": "Inputs and targets are not in the same order, in training or in "
        "validation; or the inputs do not hold what decides the target.",
        "advice": "Look at ten rows with their labels; split x and y in one call: "
        "x, x_val, y, y_val = train_test_split(x, y).",
        "evidence": {
            "training_loss": training["last_loss"],
            "validation_losses": losses[:20],
            "guessing": guess,
            "rows": rows,
        },
    }
