"""What comes out of a transfer."""

import dataclasses
from typing import Any

from keras_practices.transfer.plan_values import Plan


@dataclasses.dataclass
class FineTuning:
    """What came out of `transfer.fine_tune`.

    Attributes:
        model: The trained model, compiled. Its layers up to the head are those of the
            model that was given; with `head=None` it is that model.
        plan: The `Plan` that was carried out.
        history: Dict of lists, one value an epoch, as Keras's `History.history`, and
            `data_loss` (without penalties of weights), `regularization_loss` (the rest
            of `loss`), their `val_` companions, and `stage` (from 1).
        epoch: Numbers of the epochs.
        stages: List of dicts with `name`, `epochs` (taken), `best_epoch` (the one whose
            weights were kept; None where the stage brought nothing and was taken back,
            or without validation data).

    Example:

    >>> base = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu")])
    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> result = kp.transfer.fine_tune(base, (x, y), head=2, epochs=1, verbose=0)
    >>> result.stages[0]["name"], result.model.output_shape
    ('head on frozen features', (None, 2))
    """

    model: Any
    plan: Plan
    history: dict[str, list[Any]]
    epoch: list[int]
    stages: list[dict[str, Any]]

    def __str__(self) -> str:
        """The stages, one a line."""
        lines = [f"{self.plan.quadrant}: {self.plan.advice}"]
        for number, stage in enumerate(self.stages, 1):
            best = stage["best_epoch"]
            kept = "" if best is None else f", best after epoch {best + 1}"
            lines.append(
                f"stage {number}: {stage['name']}, {stage['epochs']} epochs{kept}"
            )
        return "\n".join(lines)


def join(history, made, before, count, number):
    """Adds the epochs of a stage; what a stage did not log is NaN there."""
    made = {key: list(values) for key, values in made.items()}
    for prefix in ("", "val_"):
        if f"{prefix}data_loss" in made:
            pairs = zip(made[f"{prefix}loss"], made[f"{prefix}data_loss"], strict=True)
            made[f"{prefix}regularization_loss"] = [a - b for a, b in pairs]
    made["stage"] = [number] * count
    for key in history.keys() | made.keys():
        values = made.get(key, [])
        values += [float("nan")] * (count - len(values))
        history.setdefault(key, [float("nan")] * before).extend(values)
