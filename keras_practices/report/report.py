"""The report: findings, figures and a record as one value that can be shown."""

import json
import os
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from keras_practices._core.validation import type_error
from keras_practices.charts import Chart
from keras_practices.charts import Images
from keras_practices.charts import Panels
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import MissingExtraError
from keras_practices.findings import SEVERITIES
from keras_practices.findings import Finding
from keras_practices.measures.recorded import figures_of_record
from keras_practices.record import Record
from keras_practices.report import chart_values
from keras_practices.report import html
from keras_practices.report import text
from keras_practices.report.arguments import checked_charts
from keras_practices.report.arguments import checked_dict
from keras_practices.report.arguments import checked_findings
from keras_practices.report.arguments import checked_pairs
from keras_practices.report.arguments import checked_sections
from keras_practices.report.arguments import checked_tables
from keras_practices.report.arguments import checked_timings
from keras_practices.report.files import write_whole
from keras_practices.report.tables import tables_of
from keras_practices.report.tables import timings_of
from keras_practices.rules import check_codes
from keras_practices.rules import explain
from keras_practices.rules import run_rules

SCHEMA = 1


class Report:
    """What was found, measured and left unmeasured, ready to be shown.

    Reads findings and records only, so every producer of findings is reported
    without a line of code here. Use `text()` in a terminal, `save_html()` for a page
    with pictures, `to_json()` for other programs; a notebook shows it by itself.

    Args:
        findings: List of `Finding`, most probable root cause first. The order is kept;
            `Report.from_findings` sorts.
        title: Text at the top.
        record: `Record` of the run, for the pictures, or None.
        figures: Dict of table name to a flat dict of numbers and texts.
        not_measured: List of pairs `(what, why)`. Always shown: silence about what
            was not looked at reads like health.
        timings: Dict of name to seconds.
        environment: Dict of versions and devices. None takes that of the record.
        sections: Dict of heading to a text, or to a list of flat dicts, the rows of a
            table.
        runs: Dict of name to `Record`, for a page that compares runs; see `compare`.
        charts: List of `Chart`, `Panels` and `Images` (`keras_practices.charts`),
            drawn before the pictures of the record.

    Raises:
        TypeError: an argument of the wrong kind, or a value that JSON cannot hold.
        ValueError: `not_measured` that are not pairs.

    Example:

    >>> found = Finding("loss-not-finite", "error", "during", "loss", "Loss is NaN.")
    >>> report = Report([found], not_measured=[("gradients", "no time left")])
    >>> report.ok, report.first.rule
    (False, 'loss-not-finite')
    >>> Report.from_json(report.to_json()).to_dict() == report.to_dict()
    True
    """

    def __init__(
        self,
        findings: Iterable[Finding] = (),
        *,
        title: str = "Training report",
        record: Record | None = None,
        figures: dict[str, dict[str, Any]] | None = None,
        not_measured: Iterable[tuple[str, str]] = (),
        timings: dict[str, float] | None = None,
        environment: dict[str, Any] | None = None,
        sections: dict[str, str | list[dict[str, Any]]] | None = None,
        runs: dict[str, Record] | None = None,
        charts: Iterable[Chart | Panels | Images] = (),
    ):
        if not isinstance(title, str):
            raise type_error(self, "title", "a text", title)
        if record is not None and not isinstance(record, Record):
            raise type_error(self, "record", "a Record or None", record)
        for name, run in (runs or {}).items():
            if not isinstance(run, Record):
                raise type_error(self, "runs", "a dict of Records", {name: run})
        if environment is None and record is not None:
            environment = record.start.get("environment")
        self.findings = checked_findings(findings)
        self.title = title
        self.record = record
        self.figures = checked_tables(figures)
        self.not_measured = checked_pairs(not_measured)
        self.timings = checked_timings(timings)
        self.environment = checked_dict("environment", environment)
        self.sections = checked_sections(sections)
        self.charts = checked_charts(charts)
        self.runs = dict(runs or {})
        # What `fit` returned or raised, where one made the report; not of the value.
        self.history: Any = None
        self.raised: Exception | None = None

    @classmethod
    def from_record(
        cls,
        record: Record | str | os.PathLike,
        *,
        select: Sequence[str] | None = None,
        ignore: Sequence[str] | None = None,
    ) -> "Report":
        """Explains a record, of a run that ended, crashed, or still goes on.

        Args:
            record: A `Record`, or the folder a `TrainingMonitor` wrote to.
            select: List of rule codes to run, None for all.
            ignore: List of rule codes to leave out.

        Returns:
            A `Report` with the findings that the record supports, most probable root
            cause first. What the checks before the training found is in the record of
            `kp.diagnose`, not in that of a monitor alone.

        Raises:
            ValueError: no record there, or an unknown code.

        Example:

        >>> record = Record()
        >>> record.add("steps", first=0, epoch=[0.5, 1.0], loss=[1.0, float("nan")],
        ...            learning_rate=[0.1, 0.1])
        >>> Report.from_record(record).first.rule
        'loss-not-finite'
        """
        select = check_codes("Report.from_record", "select", select)
        ignore = check_codes("Report.from_record", "ignore", ignore)
        if not isinstance(record, Record):
            record = Record.load(record)
        figures = figures_of_record(record)
        stages = ("before", "during")
        found = run_rules(figures, stages=stages, select=select, ignore=ignore)
        return cls(
            explain(found),
            record=record,
            figures=tables_of(figures),
            timings=timings_of(record),
        )

    @classmethod
    def from_findings(cls, *lists: Iterable[Finding], **parts: Any) -> "Report":
        """Joins lists of findings and sorts them: errors, warnings, notes.

        Args:
            *lists: Lists of `Finding`. Within a severity the order is kept.
            **parts: Arguments of `Report`.

        Returns:
            A `Report`.
        """
        joined = [finding for one in lists for finding in checked_findings(one)]
        rank = SEVERITIES.index
        return cls(sorted(joined, key=lambda found: rank(found.severity)), **parts)

    def extended(
        self,
        findings: Iterable[Finding] = (),
        *,
        figures: dict[str, dict[str, Any]] | None = None,
        charts: Iterable[Chart | Panels | Images] = (),
    ) -> "Report":
        """Returns a copy with more findings, tables and charts, as of a test set.

        Args:
            findings: List of `Finding`, placed behind those of the same severity.
            figures: Dict of table name to a flat dict, behind the present tables.
            charts: List of `Chart`, `Panels` and `Images`, behind the present ones.

        Returns:
            A `Report`; this one stays as it is.
        """
        copy = Report.from_findings(
            self.findings,
            findings,
            title=self.title,
            record=self.record,
            figures={**self.figures, **(figures or {})},
            not_measured=self.not_measured,
            timings=self.timings,
            environment=self.environment,
            sections=self.sections,
            runs=self.runs,
            charts=[*self.charts, *checked_charts(charts)],
        )
        copy.history, copy.raised = self.history, self.raised
        return copy

    @property
    def errors(self) -> list[Finding]:
        """Findings of severity `"error"`, in order."""
        return [found for found in self.findings if found.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """Findings of severity `"warning"`, in order."""
        return [found for found in self.findings if found.severity == "warning"]

    @property
    def notes(self) -> list[Finding]:
        """Findings of severity `"note"`, in order."""
        return [found for found in self.findings if found.severity == "note"]

    @property
    def first(self) -> Finding | None:
        """The first finding, the most probable root cause; None without findings."""
        return self.findings[0] if self.findings else None

    @property
    def ok(self) -> bool:
        """True without errors and warnings."""
        return not any(found.is_problem for found in self.findings)

    def text(self, width: int = 100, color: bool = False) -> str:
        """Returns the report as text for a terminal or a log.

        Args:
            width: Int of at least 40. Columns to wrap at.
            color: Bool. With the escape codes of a colour terminal.

        Returns:
            String that ends with a line break.
        """
        return text.render(self, width, color)

    def to_dict(self) -> dict[str, Any]:
        """Returns all content as a dict that `json.dumps` takes."""
        return {
            "schema": SCHEMA,
            "title": self.title,
            "findings": [found.to_dict() for found in self.findings],
            "figures": self.figures,
            "not_measured": [list(pair) for pair in self.not_measured],
            "timings": self.timings,
            "environment": self.environment,
            "sections": self.sections,
            "record": None if self.record is None else list(self.record.lines),
            "runs": {name: list(run.lines) for name, run in self.runs.items()},
            "charts": [chart_values.to_dict(chart) for chart in self.charts],
        }

    def to_json(self, path: str | os.PathLike | None = None) -> str | pathlib.Path:
        """Returns the report as JSON text, or writes it to a file.

        Args:
            path: Path of the file, or None.

        Returns:
            The text; with `path` the path. The file appears whole or not at all.

        Raises:
            OSError: `path` cannot be written.
        """
        content = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        if path is None:
            return content
        return write_whole("Report.to_json", "path", path, content + "\n")

    @classmethod
    def from_json(cls, source: str | os.PathLike) -> "Report":
        """Reads what `to_json` wrote.

        Args:
            source: The JSON text, or the path of the file.

        Returns:
            A `Report` with the same content; its record is in memory.

        Raises:
            ValueError: no such file, not the JSON of a report, or of a newer schema.
        """
        try:
            if isinstance(source, str) and source.lstrip().startswith("{"):
                values = json.loads(source)
            else:
                values = json.loads(pathlib.Path(source).read_text("utf-8"))
            schema = values.pop("schema")
            if schema > SCHEMA:
                raise ArgumentValueError(
                    f"Report.from_json: argument `source` has schema {schema}; this "
                    f"version reads up to {SCHEMA}. Update keras_practices."
                )
            findings = [Finding.from_dict(each) for each in values.pop("findings")]
            lines, runs = values.pop("record"), values.pop("runs", {})
            charts = values.pop("charts", [])
            return cls(
                findings,
                record=None if lines is None else _record(lines),
                runs={name: _record(lines) for name, lines in runs.items()},
                charts=[chart_values.from_dict(each) for each in charts],
                **values,
            )
        except (OSError, LookupError, AttributeError, TypeError, ValueError) as error:
            if isinstance(error, ArgumentValueError):
                raise
            raise ArgumentValueError(
                "Report.from_json: argument `source` must be the text or the path of a "
                f"file that Report.to_json wrote. Received: {str(source)[:80]!r} "
                f"({type(error).__name__}: {error})."
            ) from error

    def save_html(self, path: str | os.PathLike) -> pathlib.Path:
        """Writes one self-contained HTML page: no network, no scripts.

        Args:
            path: Path of the file. Missing folders are made.

        Returns:
            The path as a `pathlib.Path`. The file appears whole or not at all.

        Raises:
            ImportError: jinja2 or matplotlib is not installed; names the extra.
            OSError: `path` cannot be written; raised before anything is drawn.
        """
        return html.save(self, path)

    def __str__(self):
        return self.text()

    def __rich__(self):
        return text.renderable(self)

    def _repr_html_(self):
        """What a notebook shows; plain text where the extra `report` is missing."""
        try:
            return html.fragment(self)
        except MissingExtraError as error:
            return html.plain(self, str(error))


def _record(lines):
    record = Record()
    record.lines = lines
    return record
