"""What a search wrote down, as plain values: read back while it runs, or years later.

A search has a folder:

- `search.json`: `schema`, `id` (a new one for a search that overwrites another),
  `objective` (`name`, `direction`), `seed`, `strategy` (`name`, `arguments`),
  `settings`, `data` (fingerprint of the validation fold, or null), `space` (list of
  dicts: `name`, `kind` of `"float"`, `"int"`, `"choice"`, `"boolean"`, `"fixed"`;
  `default`; `low`, `high`, `step`, `scale` of numbers; `values` of the others;
  `conditions`), and `hyperparameters`, keras-tuner's own form of the space.
- `stage-1/trial-00012/point.json`: `trial`, `stage`, `values`, `epochs`, `continues`.
- `stage-1/trial-00012/result.json`: a `TrialResult`.
- `stage-1/trial-00012/space.json`, of a trial that declared hyperparameters which the
  first build does not show: `space` and `hyperparameters` as above.
- `stage-1/trial-00012/attempt-0/stats.jsonl`: a line an epoch; beside it
  `epoch-0005_val_loss-0.123456.weights.h5` and, of an attempt that raised,
  `error.txt`.

Every JSON file appears whole and once: who comes second finds it there.
"""

import dataclasses
import json
import math
import os
import pathlib
from typing import Any

from keras_practices.errors import ArgumentValueError

SCHEMA = 1
SEARCH_FILE = "search.json"
RESULT_FILE = "result.json"
SPACE_FILE = "space.json"
# How a trial may end. The score of all but the first may be missing.
COMPLETED = "completed"
ENDED_EARLY = "ended-early"
PRUNED = "pruned"
FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """How one trial ended.

    Args:
        trial: Its number, from 0, counted over all stages.
        stage: Its stage, from 1.
        values: Hyperparameters by name.
        status: `"completed"`, `"ended-early"` (hopeless: `reason` says why),
            `"pruned"` (others were better at that epoch) or `"failed"`.
        score: Value of the objective, or None.
        metrics: The figures of the best epoch by name.
        best_epoch: Epoch of `score`, from 1, or None.
        epochs: Epochs trained, those of trials it continues among them.
        attempt: Number of the attempt that ended it.
        seconds: Wall time of that attempt.
        checkpoint: Path of the best weights, relative to the folder, or None.
        continues: The trial whose weights it began from, or None.
        reason: Why it ended early, or None.
        error: Traceback of a failed one, or None.
        executions: Figures of each execution, where there are several.
    """

    trial: int
    values: dict[str, Any]
    status: str = COMPLETED
    stage: int = 1
    score: float | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    best_epoch: int | None = None
    epochs: int = 0
    attempt: int = 0
    seconds: float = 0.0
    checkpoint: str | None = None
    continues: int | None = None
    reason: str | None = None
    error: str | None = None
    executions: list[dict[str, float]] = dataclasses.field(default_factory=list)

    @property
    def has_score(self) -> bool:
        """Whether it ended with a finite score."""
        return self.score is not None and math.isfinite(self.score)

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON-safe values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "TrialResult":
        """Reads it back; fields of a later schema are left out."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in table.items() if name in names})


@dataclasses.dataclass(frozen=True)
class SearchRecord:
    """A search as its folder tells it.

    Args:
        objective: Name of the figure that decides.
        direction: `"min"` or `"max"`.
        space: Dicts that describe the hyperparameters (see the module).
        trials: How the trials ended, by number.
        seed: Seed of the search, or None.
        strategy: Name and arguments of what chose the points.
        running: Numbers of trials that have begun and not ended.

    Example:

    >>> one, two = (TrialResult(k, {"rate": 0.1**k}, score=0.5 - k / 4) for k in (0, 1))
    >>> record = SearchRecord("val_loss", "min", space=[], trials={0: one, 1: two})
    >>> record.ranked[0].values
    {'rate': 0.1}
    """

    objective: str
    direction: str
    space: list[dict[str, Any]]
    trials: dict[int, TrialResult]
    seed: int | None = None
    strategy: dict[str, Any] = dataclasses.field(default_factory=dict)
    running: tuple[int, ...] = ()

    @property
    def ranked(self) -> list[TrialResult]:
        """Trials with a score, the best one first, of equal ones the earlier."""
        sign = 1.0 if self.direction == "min" else -1.0
        scored = [one for one in self.trials.values() if one.has_score]
        return sorted(scored, key=lambda one: (sign * (one.score or 0.0), one.trial))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "SearchRecord":
        """Reads the folder of a search, which may still be running.

        Args:
            folder: `directory/project_name` of the tuner.

        Returns:
            A `SearchRecord`. A result that is being written is not there yet.

        Raises:
            ValueError: the folder holds no search.
        """
        folder = pathlib.Path(folder)
        head = read_json(folder / SEARCH_FILE)
        if head is None:
            raise ArgumentValueError(
                f"SearchRecord.load: argument `folder` must be the folder of a search, "
                f"which holds {SEARCH_FILE}. Received: folder={str(folder)!r}."
            )
        trials, running, space = {}, [], list(head["space"])
        for path in sorted(folder.glob("stage-*/trial-*")):
            result = read_json(path / RESULT_FILE)
            if result is None:
                running.append(int(path.name.removeprefix("trial-")))
            else:
                trials[result["trial"]] = TrialResult.from_dict(result)
            more = (read_json(path / SPACE_FILE) or {}).get("space", [])
            space += [parameter for parameter in more if parameter not in space]
        return cls(
            objective=head["objective"]["name"],
            direction=head["objective"]["direction"],
            space=space,
            trials=trials,
            seed=head.get("seed"),
            strategy=head.get("strategy") or {},
            running=tuple(running),
        )


def read_json(path: str | os.PathLike[str]) -> Any:
    """Returns what a JSON file holds; None where it is missing, empty or torn."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
