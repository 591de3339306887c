"""Event files for TensorBoard, made of the lines of a record.

Neither TensorFlow nor PyTorch is needed or loaded, on any backend: the files are
written with the package `tensorboard` alone (extra `tensorboard`). What is written,
by kind of line, always over optimizer steps:

- `steps`: `batch/loss`, `batch/learning_rate`.
- `sample`: `weights/<path>/<figure>`, `layers/<name>/<figure>`.
- `probe`: `probe/<name>/<figure>`.
- `epoch`: `epoch/<name>` for each of the logs, `probe_loss`, `regularization_loss`,
  `validation_loss` and `gap`.
- `histogram`: `activations/<layer>` or `gradients/<layer>`.

Values that are not finite are written as such; values that are None or no numbers
are left out, and so are other kinds of lines. TensorBoard keeps numbers in float32
and shows 1000 points of a curve; `--samples_per_plugin scalars=100000` shows more.
"""

import contextlib
import itertools
import math
import numbers
import os
import pathlib
import socket
import time
from typing import Any

from keras_practices._core.optional import require
from keras_practices._core.validation import type_error
from keras_practices.record import Record
from keras_practices.record import writable_folder

__all__ = ["EventWriter", "write_events"]

_BATCH_FIGURES = ("loss", "learning_rate")
_EPOCH_FIGURES = ("probe_loss", "regularization_loss", "validation_loss", "gap")
# Properties of a layer, not of a moment: a flat line for each would only be noise.
_CONSTANTS = ("/units",)
# Files of one run are read in the order of their names; the time in them is too
# coarse for two files of one second.
_FILES = itertools.count()


class EventWriter:
    """Writes lines of a record as TensorBoard event files, also during training.

    A file is begun at the first line that has something to show. What is written
    later than `flush` may be seen by readers later, and is lost with a killed
    process. A writer in a folder where another run stands replaces, in TensorBoard,
    that run's figures from its own first step on.

    Args:
        logdir: Folder of this run, made when missing. Its parent, or the folder
            itself, is what `tensorboard --logdir` takes.

    Attributes:
        path: `pathlib.Path` of the event file, or None before the first line.

    Raises:
        ImportError: tensorboard is not installed; names the extra.
        OSError: the folder cannot be made or written.
        TypeError: `logdir` is not a path.

    Example:

    >>> writer = EventWriter("logs/run-1")
    >>> writer.add({"kind": "epoch", "epoch": 1, "step": 10, "logs": {"loss": 0.5}})
    >>> writer.flush()
    >>> writer.path.exists()
    True
    >>> writer.close()

    References:
        TensorBoard, https://www.tensorflow.org/tensorboard; the quantities to watch
        are those of CS231n, "Neural Networks Part 3", babysitting the learning
        process.
    """

    def __init__(self, logdir: str | os.PathLike[str]):
        # First, so that a missing extra leaves no folder behind.
        self._protos = _Protos()
        if not isinstance(logdir, str | os.PathLike):
            raise type_error(self, "logdir", "the path of a folder", logdir)
        self.path: pathlib.Path | None = None
        self._folder = writable_folder("EventWriter", "logdir", logdir)
        self._file: Any = None
        self._next_batch = 0
        self._last_step = 0
        self._step_of_epoch: dict[Any, int] = {}

    def add(self, line: dict[str, Any]) -> None:
        """Writes one line of a record; kinds that show nothing are passed over.

        Args:
            line: Dict with a `kind`, as in `Record.lines`. A line without `step` is
                placed where its epoch ended, or at the last step that was seen.

        Raises:
            TypeError: `line` is not a dict.
            OSError: the file cannot be written.
        """
        if not isinstance(line, dict):
            raise type_error(self, "line", "a dict, as in Record.lines", line)
        kind = line.get("kind")
        if kind == "steps":
            self._add_batches(line)
        elif kind == "sample":
            weights = _nested("weights", line.get("weights"))
            layers = _nested("layers", line.get("layers"))
            self._add_scalars(self._place(line), weights | layers)
        elif kind == "probe":
            layers = _nested("probe", line.get("layers"))
            self._add_scalars(self._place(line), layers)
        elif kind == "epoch":
            figures = dict(line.get("logs") or {})
            figures |= {name: line.get(name) for name in _EPOCH_FIGURES}
            step = self._place(line)
            self._step_of_epoch[line.get("epoch")] = step
            self._add_scalars(step, _tagged("epoch", figures))
        elif kind == "histogram":
            self._add_histogram(line)

    def flush(self) -> None:
        """Hands everything to the system, so that any reader sees it."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Closes the file. A later line would begin another one."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def __del__(self) -> None:
        # A `fit` that raises ends without the hook that closes the writer.
        with contextlib.suppress(OSError, AttributeError):
            self.close()

    # --- lines ---------------------------------------------------------------

    def _place(self, line):
        """The step of a line."""
        step = line.get("step")
        if step is None:
            step = self._step_of_epoch.get(line.get("epoch"), self._last_step)
        return int(step)

    def _add_batches(self, line):
        first = line.get("first")
        indices = itertools.count(self._next_batch if first is None else int(first))
        columns = [line.get(name) or () for name in _BATCH_FIGURES]
        rows = itertools.zip_longest(*columns)
        # Where steps were dropped, the line holds the index of each that is left.
        for row, index in zip(rows, line.get("steps") or indices, strict=False):
            figures = dict(zip(_BATCH_FIGURES, row, strict=True))
            self._next_batch = int(index) + 1
            self._add_scalars(self._next_batch, _tagged("batch", figures))

    def _add_scalars(self, step, figures):
        self._add_summary(
            step, [self._protos.scalar(*figure) for figure in figures.items()]
        )

    def _add_histogram(self, line):
        edges = [_number(edge) for edge in line.get("edges") or ()]
        counts = [_number(count) for count in line.get("counts") or ()]
        readable = counts and len(edges) == len(counts) + 1
        # An edge or a count that is not finite takes the whole chart away.
        if readable and all(
            number is not None and math.isfinite(number) for number in edges + counts
        ):
            tag = f"{line.get('of') or 'activations'}/{line.get('layer')}"
            rows = list(zip(edges[:-1], edges[1:], counts, strict=True))
            self._add_summary(self._place(line), [self._protos.histogram(tag, rows)])

    # --- the file ------------------------------------------------------------

    def _add_summary(self, step, values):
        self._last_step = max(self._last_step, step)
        if values:
            if self._file is None:
                self._open(step)
            summary = self._protos.Summary(value=values)
            self._write(step=step, summary=summary)

    def _open(self, step):
        name = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        self.path = self._folder / f"events.out.tfevents.{name}.{next(_FILES):04d}"
        self._file = self._protos.RecordWriter(self.path.open("xb"))
        self._write(file_version="brain.Event:2")
        # What an earlier run in this folder wrote from here on is not this run's.
        start = self._protos.SessionLog(status=self._protos.SessionLog.START)
        self._write(step=step, session_log=start)

    def _write(self, **content):
        event = self._protos.Event(wall_time=time.time(), **content)
        self._file.write(event.SerializeToString())


def write_events(
    record: Record | str | os.PathLike[str], logdir: str | os.PathLike[str]
) -> pathlib.Path:
    """Writes a whole record as an event file, for `tensorboard --logdir`.

    Args:
        record: A `Record`, or the folder or `record.jsonl` that `Record.load` takes.
        logdir: Folder of this run, made when missing. Written twice into one folder,
            the second file replaces the first in what TensorBoard shows.

    Returns:
        The folder as a `pathlib.Path`.

    Raises:
        ImportError: tensorboard is not installed; names the extra.
        OSError: the folder cannot be made or written.
        TypeError: `record` is neither a `Record` nor a path.
        ValueError: there is no record at that path.

    Example:

    >>> record = Record()
    >>> record.add("steps", first=0, epoch=[0.5, 1.0], loss=[2.0, 1.0])
    >>> folder = write_events(record, "logs/run-1")
    >>> len(list(folder.glob("events.out.tfevents.*")))
    1

    References:
        TensorBoard, https://www.tensorflow.org/tensorboard.
    """
    if isinstance(record, str | os.PathLike):
        record = Record.load(record)
    elif not isinstance(record, Record):
        raise type_error("write_events", "record", "a Record or its path", record)
    with contextlib.closing(EventWriter(logdir)) as writer:
        for line in record.lines:
            writer.add(line)
    return pathlib.Path(logdir)


class _Protos:
    """The parts of tensorboard that write files and load no TensorFlow.

    Not its `EventFileWriter`: that one loads TensorFlow wherever it is installed.
    """

    def __init__(self):
        def part(name):
            purpose = "Writing TensorBoard event files"
            return require(f"tensorboard.{name}", "tensorboard", purpose)

        events = part("compat.proto.event_pb2")
        summaries = part("compat.proto.summary_pb2")
        tensors = part("compat.proto.tensor_pb2")
        types = part("compat.proto.types_pb2")
        self.Event = events.Event
        self.SessionLog = events.SessionLog
        self.Summary = summaries.Summary
        self.RecordWriter = part("summary.writer.record_writer").RecordWriter
        self._Tensor = tensors.TensorProto
        self._Shape = part("compat.proto.tensor_shape_pb2").TensorShapeProto
        self._FLOAT = types.DT_FLOAT
        self._DOUBLE = types.DT_DOUBLE
        self._scalars = part("plugins.scalar.metadata").create_summary_metadata("", "")
        histograms = part("plugins.histogram.metadata")
        self._histograms = histograms.create_summary_metadata("", "")

    def scalar(self, tag, number):
        tensor = self._Tensor(
            dtype=self._FLOAT, tensor_shape=self._Shape(), float_val=[number]
        )
        return self.Summary.Value(tag=tag, metadata=self._scalars, tensor=tensor)

    def histogram(self, tag, rows):
        """A histogram of rows `(left edge, right edge, count)`."""
        sizes = [self._Shape.Dim(size=size) for size in (len(rows), 3)]
        tensor = self._Tensor(
            dtype=self._DOUBLE,
            tensor_shape=self._Shape(dim=sizes),
            double_val=itertools.chain.from_iterable(rows),
        )
        return self.Summary.Value(tag=tag, metadata=self._histograms, tensor=tensor)


def _nested(group, figures):
    """Numbers of a dict of dicts, by tag."""
    return {
        tag: number
        for name, values in (figures or {}).items()
        for tag, number in _tagged(f"{group}/{name}", values).items()
        if not tag.endswith(_CONSTANTS)
    }


def _tagged(group, figures):
    """Numbers of a dict, by tag."""
    numbered = {
        f"{group}/{name}": _number(value) for name, value in (figures or {}).items()
    }
    return {tag: number for tag, number in numbered.items() if number is not None}


def _number(value):
    """The float of a number or of the text that JSON has for it, else None."""
    if isinstance(value, numbers.Real | str):
        with contextlib.suppress(ValueError, OverflowError):
            return float(value)
    return None
