"""What a monitor wrote down: a stream of lines, readable at any moment.

A record is a list of plain dicts, in memory and (when it has a folder) in
`record.jsonl`, one JSON object a line, flushed as it is written. Each line has a
`kind`:

- `start`: `schema`, `environment`, `fit` (epochs, steps), `probe_rows`, `variables`
  (shape by path), `figures` (what was measured before).
- `steps`: `first` (index of the first step from 0), `epoch` (position in epochs of
  each step's end), `loss` (true loss of each batch), `learning_rate` (of each step).
  Where only some steps are kept in memory, `steps` holds the index of each.
- `sample`: a step seen from inside. `step`, `epoch`, `rows` (on which activations were
  measured, at most), `window_rows` (rows since the epoch began); `weights`: by path
  `gradient_norm`, `weight_norm` (before the update), `update_norm`, `update_ratio`,
  `finite` and `gradient_finite` (shares); in a model of more than a million weights
  `update_norm` of a variable of more than 4,096 is estimated from a part of them, and
  `weight_norm` is that after the update; `layers`: by name `activation`, `mean`,
  `std`, `second_moment`, `zeros`, `saturated`, `units`, `inactive` (share of units that
  were zero in all samples of the epoch so far), `gradient_rms`.
- `probe`: `epoch`, `step`, `layers`: the same in inference mode on the probe.
- `epoch`: `epoch` (finished epochs), `step`, `seconds`, `logs`, `probe_loss`,
  `regularization_loss`, `validation_loss`, `gap` (validation loss less the two before).
- `histogram`: `epoch`, `step`, `of` (`"activations"` on the probe, `"gradients"` in the
  samples since the line before), `layer` (of gradients: path), `edges`, `counts`.
- `filters`: `epoch`, `layer`, `shape`, `values` (first kernel, rounded), `smoothness`.
- `finding`: `epoch`, and the fields of a `Finding` that became sure then.
- `fault`: `what` could not be measured, and `why`.
- `end`: `status` (`"completed"`), `steps`, `seconds`, `monitor_seconds`,
  `compile_seconds`, `share` (of the time without the monitor); a run that was
  interrupted has none.

The file holds all lines. What is kept in memory does not grow with the run: of long
runs every second sample and step is dropped, as often as needed.
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any
from typing import TextIO

from keras_practices.errors import ArgumentValueError
from keras_practices.errors import OutputPathError
from keras_practices.findings import json_safe

SCHEMA = 1
FILE_NAME = "record.jsonl"
# What is kept in memory: figures in the lines of samples, and steps. Some megabytes.
MAX_FIGURES = 30_000
MAX_STEPS = 10_000


class Record:
    """A stream of figures from one training run.

    Args:
        directory: Folder for `record.jsonl`, or None to keep it in memory. It is
            made when missing; a record that stands there is replaced at the first
            line.

    Raises:
        OSError: the folder cannot be written.

    Example:

    >>> record = Record()
    >>> record.add("epoch", epoch=1, step=10, logs={"loss": 0.5})
    >>> record.epochs[0]["logs"]["loss"]
    0.5
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None):
        self.path: pathlib.Path | None = None
        self._file: TextIO | None = None
        self._begun = False
        self.lines: list[dict[str, Any]] = []
        self._followers: list[Callable[[dict[str, Any]], None]] = []
        self._figures = 0
        self._steps = 0
        if directory is not None:
            folder = writable_folder("Record", "directory", directory)
            self.path = folder / FILE_NAME

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Record":
        """Reads a record, also one that is still written or whose run was killed.

        Args:
            path: The folder or the `record.jsonl` in it.

        Returns:
            A `Record` in memory. A torn last line is left out.

        Raises:
            ValueError: no record there, or one of a newer schema.
        """
        path = pathlib.Path(path)
        file = path / FILE_NAME if path.is_dir() else path
        if not file.is_file():
            raise ArgumentValueError(
                f"Record.load: argument `path` must be a folder with a {FILE_NAME} in "
                f"it, or that file. Received: path={str(path)!r}."
            )
        record = cls()
        with file.open(encoding="utf-8") as stream:
            for number, text in enumerate(stream, 1):
                try:
                    record.lines.append(json.loads(text))
                except json.JSONDecodeError as error:
                    if text.endswith("\n"):
                        raise ArgumentValueError(
                            f"Record.load: line {number} of {file} is not JSON "
                            f"({error}). Is it a file that a monitor wrote?"
                        ) from error
        schema = record.start.get("schema", SCHEMA)
        if schema > SCHEMA:
            raise ArgumentValueError(
                f"Record.load: {file} has schema {schema}, this version reads up to "
                f"{SCHEMA}. Update keras_practices."
            )
        return record

    def add(self, kind: str, **values: Any) -> None:
        """Appends one line and, with a folder, writes and flushes it."""
        line = {"kind": kind, **json_safe(values)}
        self.lines.append(line)
        if self.path is not None:
            if self._file is None:
                # A line after `close` goes on where the file ended.
                if not self._begun:
                    self.path.write_text("", encoding="utf-8")
                    self._begun = True
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        for follower in self._followers:
            follower(line)
        self._bound(line)

    def follow(self, follower: Callable[[dict[str, Any]], None]) -> None:
        """Calls `follower` with every line that is added from now on."""
        self._followers.append(follower)

    def _bound(self, line):
        if line["kind"] in ("sample", "probe"):
            self._figures += _size(line)
            if self._figures > MAX_FIGURES:
                self._thin_samples()
        elif line["kind"] == "steps":
            self._steps += len(line["loss"])
            if self._steps > MAX_STEPS:
                self._thin_steps()

    def _thin_samples(self):
        """Drops every second sample and probe, but not the first and the last."""
        for kind in ("sample", "probe"):
            found = self.of_kind(kind)
            dropped = {id(line) for line in found[1:-1:2]}
            self.lines = [line for line in self.lines if id(line) not in dropped]
        self._figures = sum(map(_size, self.of_kind("sample") + self.of_kind("probe")))

    def _thin_steps(self):
        """Puts all steps into one line and drops every second one."""
        lines = self.of_kind("steps")
        columns = ("epoch", "loss", "learning_rate")
        joined = {name: sum((line[name] for line in lines), []) for name in columns}
        steps = sum((_numbers(line) for line in lines), [])
        # The first loss that is not finite is the one that matters.
        bad = (i for i, x in enumerate(joined["loss"]) if not math.isfinite(float(x)))
        kept = {*range(0, len(steps), 2), len(steps) - 1, next(bad, 0)}
        chosen = {
            name: [values[i] for i in sorted(kept)]
            for name, values in ({"steps": steps} | joined).items()
        }
        first = self.lines.index(lines[0])
        lines = {id(line) for line in lines}
        self.lines = [line for line in self.lines if id(line) not in lines]
        self.lines.insert(first, {"kind": "steps", "first": steps[0], **chosen})
        self._steps = len(kept)

    def close(self) -> None:
        """Closes the file; the record stays readable."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        # A `fit` that raises ends without the hook that closes the record.
        with contextlib.suppress(OSError):
            self.close()

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Returns the lines of one kind, in the order they were written."""
        return [line for line in self.lines if line["kind"] == kind]

    @property
    def start(self) -> dict[str, Any]:
        """The first line, or an empty dict."""
        return next(iter(self.of_kind("start")), {})

    @property
    def end(self) -> dict[str, Any]:
        """The last line, or an empty dict where the run did not end by itself."""
        return next(iter(self.of_kind("end")), {})

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Figures per variable and per layer at the sampled steps."""
        return self.of_kind("sample")

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """One line for each finished epoch."""
        return self.of_kind("epoch")

    @property
    def probes(self) -> list[dict[str, Any]]:
        """Figures per layer in inference mode on the probe."""
        return self.of_kind("probe")

    @property
    def histograms(self) -> list[dict[str, Any]]:
        """Histograms of activations on the probe, one for each layer and epoch."""
        return [
            line
            for line in self.of_kind("histogram")
            if line.get("of", "activations") == "activations"
        ]

    @property
    def step_numbers(self) -> list[int]:
        """Index from 0 of every step that `curve` has."""
        return [step for line in self.of_kind("steps") for step in _numbers(line)]

    @property
    def kernels(self) -> set[str]:
        """Paths of the variables of rank 2 and above.

        The ratio of update to weight says little for biases, which begin at zero.
        """
        shapes = self.start.get("variables", {})
        return {path for path, shape in shapes.items() if len(shape) >= 2}

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """Returns one figure of every step as a pair of lists.

        Args:
            name: `"loss"` or `"learning_rate"`.

        Returns:
            `(epochs, values)`: position in epochs and value of each step. Values
            that were not finite come back as floats (`nan`, `inf`).
        """
        epochs: list[float] = []
        values: list[float] = []
        for line in self.of_kind("steps"):
            epochs.extend(line["epoch"])
            values.extend(map(float, line[name]))
        return epochs, values


def _numbers(line):
    first = line["first"]
    return line.get("steps") or list(range(first, first + len(line["loss"])))


def _size(line):
    tables = (line.get("weights") or {}, line.get("layers") or {})
    return sum(len(figures) for table in tables for figures in table.values())


def writable_folder(owner, name, directory):
    """Makes a folder and proves that a file can be written in it.

    Args:
        owner: Object or name that the message begins with.
        name: Name of the argument.
        directory: Path.

    Returns:
        The folder as a `pathlib.Path`. No file is left in it.

    Raises:
        OSError: it cannot be made or written.
    """
    folder = pathlib.Path(directory)
    made = []
    try:
        for parent in (folder, *folder.parents):
            if parent.exists():
                break
            made.append(parent)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise OutputPathError(
            f"{owner}: argument `{name}` must be a folder that can be written. "
            f"Received: {name}={str(directory)!r} ({error}). Choose another folder or "
            f"change its permissions."
        ) from error
    return folder
