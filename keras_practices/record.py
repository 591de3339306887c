"""What a monitor wrote down: a stream of lines, readable at any moment.

A record is a list of plain dicts, in memory and (when it has a folder) in
`record.jsonl`, one JSON object a line, flushed as it is written. Each line has a
`kind`:

- `start`: `schema`, `environment`, `fit` (epochs, steps),
  `probe_rows`, `figures` (what was measured before).
- `steps`: `first` (index of the first optimizer step from 0), `epoch` (position in
  epochs of each step's end), `loss` (true loss of each batch), `learning_rate`.
- `sample`: `step`, `epoch`, `weights` and `layers`: figures per variable
  (`weight_norm`, `update_norm`, `update_ratio`, `finite`) and per layer (`mean`,
  `std`, `zeros`, `saturated`, `inactive`, `units`).
- `epoch`: `epoch` (finished epochs), `step`, `seconds`, `logs`, `probe_loss`,
  `regularization_loss`.
- `histogram`: `epoch`, `layer`, `edges`, `counts`.
- `filters`: `epoch`, `layer`, `shape`, `values` (first kernel, rounded).
- `fault`: `what` could not be measured, and `why`.
- `end`: `status` (`"completed"`), `steps`, `seconds`, `monitor_seconds`; a run that
  was interrupted has none.
"""

import contextlib
import json
import os
import pathlib
from typing import Any
from typing import TextIO

from keras_practices.errors import ArgumentValueError
from keras_practices.errors import OutputPathError
from keras_practices.findings import json_safe

SCHEMA = 1
FILE_NAME = "record.jsonl"


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
        self.lines: list[dict[str, Any]] = []
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
                self._file = self.path.open("w", encoding="utf-8")
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

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
    def histograms(self) -> list[dict[str, Any]]:
        """Histograms of activations, one for each layer and epoch."""
        return self.of_kind("histogram")

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
            values.extend(float(value) for value in line[name])
        return epochs, values


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
