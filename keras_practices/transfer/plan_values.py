"""A plan of a transfer as values: what was measured, and what is to be done."""

import dataclasses
import math

from keras_practices.charts import Chart
from keras_practices.charts import Line

_UNKNOWN = (math.nan,) * 3
Score = tuple[float, float, float]

QUADRANTS = {
    (True, False): "similar, little data",
    (True, True): "similar, much data",
    (False, False): "different, little data",
    (False, True): "different, much data",
}
_ADVICE = {
    (True, False): "a new head on frozen features",
    (True, True): "fine-tune through the whole network",
    (False, False): "a new head on an earlier place, frozen",
    (False, True): "fine-tune the whole network from its weights",
}
_ADVICE_JOINED = "a new head on the frozen features of several places"


@dataclasses.dataclass(frozen=True)
class Probe:
    """What linear probes read at one place of the network.

    Args:
        name: Path of the layer whose output was read.
        pretrained: `(score, low, high)`: accuracy or R² with a 95 % interval; None
            where the budget ended before.
        random: The same for a randomly initialised copy.

    Example:

    >>> Probe("block_1", pretrained=(0.9, 0.85, 0.95), random=None).name
    'block_1'
    """

    name: str
    pretrained: Score | None
    random: Score | None


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of training.

    Args:
        name: What it does.
        rates: Share of the head's learning rate for each group of layers that learns,
            input first; as many as groups learn beside the head, counted from it.
        epochs: Passes over the training rows, at most.

    Example:

    >>> Stage("whole network", rates=(0.05, 0.1), epochs=20).epochs
    20
    """

    name: str
    rates: tuple[float, ...]
    epochs: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to take over a network to a new task, and why. `transfer.plan` makes it.

    Args:
        similar: True where the deepest features keep at least half of the advantage of
            pretrained features over raw inputs and a random copy.
        large: True where there are rows enough to fine-tune.
        classes: Number of classes, None for numbers.
        outputs: Units that a head needs.
        rows: Rows of the training set, those of the sample where it cannot be known.
        probes: `Probe` of each place, input first.
        raw: `(score, low, high)` on the raw inputs, or None.
        similarity: That share of the advantage, at most 1, 0 where there is none.
        cut: Name of the place behind which a new head goes.
        joins: Names of the places whose features a new linear head reads together, in
            the place of those of the cut alone; none where they are no better.
        joined: `(score, low, high)` of a probe that reads them together, or None.
        groups: Names of the layers with weights in front of the head, group by group,
            input first; what a stage unfreezes.
        strength: Inverse strength of the head's L2 penalty (scikit-learn's `C`).
        renewed: True where BatchNorm's statistics were taken from the new rows for all
            probes, and are for a new head, as a probe reads better with them.
        stages: `Stage`s in order.
        learning_rate: Rate of the head, for Adam.
        most_places: As given to `transfer.plan`.
        input_shape: Shapes of the inputs without rows.
        structure: Digits that stand for the layers of the model.
        weights: Digits that stand for its weights.
        notes: What to know before it is carried out.
        unread: Names of layers that could not be read.
        seconds: Time that measuring took.

    Example:

    >>> base = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu")])
    >>> x = np.random.default_rng(0).normal(size=(30, 2))
    >>> found = kp.transfer.plan(base, x, (x[:, 0] > 0).astype(int))
    >>> [stage.name for stage in found.stages], len(found.table())
    (['head on frozen features'], 2)
    """

    similar: bool
    large: bool
    classes: int | None
    outputs: int
    rows: int
    probes: tuple[Probe, ...]
    raw: Score | None
    similarity: float
    cut: str
    joins: tuple[str, ...]
    joined: Score | None
    groups: tuple[tuple[str, ...], ...]
    strength: float
    renewed: bool
    stages: tuple[Stage, ...]
    learning_rate: float
    most_places: int
    input_shape: tuple[tuple[int | None, ...], ...]
    structure: str
    weights: str
    notes: tuple[str, ...]
    unread: tuple[str, ...]
    seconds: float

    @property
    def quadrant(self) -> str:
        """The square of the matrix of size and similarity."""
        return QUADRANTS[self.similar, self.large]

    @property
    def advice(self) -> str:
        """What the notes say for that square."""
        if self.joins and not self.large:
            return _ADVICE_JOINED
        return _ADVICE[self.similar, self.large]

    @property
    def rows_per_class(self) -> float | None:
        """Rows a class, the mean; None for numbers."""
        return None if self.classes is None else self.rows / self.classes

    def table(self) -> list[dict[str, str]]:
        """Returns a row of texts for each place that was probed.

        Returns:
            List of dicts with `place`, `pretrained`, `random`, `learns` (the stage in
            which it is first trained) and `rate` (share of the head's).
        """
        rows = []
        if self.raw is not None:
            raw = {"place": "raw inputs", "pretrained": _text(self.raw), "random": ""}
            rows.append({**raw, "learns": "", "rate": ""})
        for place, probe in enumerate(self.probes):
            learns, rate = self._first_training(place)
            cut = " (cut)" if probe.name == self.cut and not self.joins else ""
            cut = " (read)" if probe.name in self.joins else cut
            rows.append(
                {
                    "place": f"{probe.name}{cut}",
                    "pretrained": _text(probe.pretrained),
                    "random": _text(probe.random),
                    "learns": learns,
                    "rate": rate,
                }
            )
        if self.joined is not None:
            joined = {"place": "several together", "pretrained": _text(self.joined)}
            rows.append({**joined, "random": "", "learns": "", "rate": ""})
        return rows

    def charts(self) -> list[Chart]:
        """Returns the scores of the probes by depth, as a `Chart` for a report."""
        names = [probe.name for probe in self.probes]
        lines = [
            _line("pretrained", names, [p.pretrained for p in self.probes]),
            _line("random copy", names, [p.random for p in self.probes]),
        ]
        if self.raw is not None:
            lines.append(_line("raw inputs", names, [self.raw] * len(names)))
        score = "R²" if self.classes is None else "accuracy"
        return [
            Chart(
                title="What a linear probe reads, by depth",
                x="place, from input to head",
                y=f"cross-validated {score}",
                lines=lines,
                reading=(
                    "Where the pretrained line is clearly above the other two, the "
                    "old task helps the new one; where it falls again, the features "
                    "are of the old task only."
                ),
                bad="A pretrained line among the others: nothing carries over.",
                fact=f"{self.quadrant}: {self.advice}; cut behind {self.cut}.",
            )
        ]

    def __str__(self) -> str:
        """The plan as a table, its stages and notes."""
        size = f"{self.rows} rows"
        if self.classes is not None:
            size += f", {self.rows_per_class:.0f} a class of {self.classes}"
        lines = [f"Transfer plan: {self.quadrant}: {self.advice}.", f"size: {size}"]
        lines.append(f"similarity: {self.similarity:.2f} of the advantage at the end")
        lines += _aligned(self.table())
        for number, stage in enumerate(self.stages, 1):
            lines.append(f"stage {number}: {stage.name}, {stage.epochs} epochs")
        lines += [f"note: {note}" for note in self.notes]
        if self.unread:
            lines.append(f"not read: {', '.join(self.unread)}")
        return "\n".join(lines)

    def _first_training(self, place):
        if place >= len(self.groups):
            return "left out", ""
        behind = len(self.groups) - place
        for number, stage in enumerate(self.stages, 1):
            if len(stage.rates) >= behind:
                return f"stage {number}", f"{stage.rates[-behind]:.3g}"
        return "frozen", ""


def _text(score):
    return "" if score is None else f"{score[0]:.3f} [{score[1]:.3f}, {score[2]:.3f}]"


def _line(name, places, scores):
    known = [score or _UNKNOWN for score in scores]
    middle, low, high = ([score[i] for score in known] for i in range(3))
    return Line(name, places, middle, low, high)


def _aligned(rows):
    head = {key: key for key in rows[0]}
    widths = {key: max(len(row[key]) for row in [head, *rows]) for key in head}
    return [
        "  ".join(row[key].ljust(widths[key]) for key in head).rstrip()
        for row in [head, *rows]
    ]
