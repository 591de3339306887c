"""A report as text, laid out by rich. Plain ASCII of ours, so any terminal shows it."""

import io

from keras_practices._core.validation import check_integer
from keras_practices.report import words

SEVERITY_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}


def render(report, width, color):
    """Returns the report as a string."""
    from rich.console import Console

    check_integer("Report.text", "width", width, low=40)
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=bool(color),
        color_system="standard" if color else None,
        legacy_windows=False,
        _environ={},
    )
    console.print(renderable(report))
    lines = console.file.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def renderable(report):
    """Returns the report as something that `rich.print` shows."""
    from rich.console import Group

    parts = [*_head(report)]
    for place, finding in enumerate(report.findings, 1):
        parts += ["", *_finding(place, finding)]
    for name, table in report.figures.items():
        parts += _table(name, words.flat(table))
    for name, content in report.sections.items():
        parts += _section(name, content)
    facts = [(chart.title, chart.fact or "see the HTML") for chart in report.charts]
    parts += _table("Charts", facts)
    timings = [(name, words.duration(each)) for name, each in report.timings.items()]
    parts += _table("Timings", timings)
    parts += _table("Environment", words.flat(report.environment))
    parts += _table("Not measured", words.unmeasured(report))
    return Group(*parts)


def _styled(text, style=""):
    # A Text is never read as markup: "[bold]" in a layer's name stays as it is.
    from rich.text import Text

    return Text(text, style=style)


def _head(report):
    tone = "bold green" if report.ok else "bold"
    yield _styled(report.title, "bold underline")
    facts = words.facts(report)
    if facts:
        yield _styled(", ".join(facts), "dim")
    yield ""
    yield _styled(words.verdict_line(report), tone)


def _finding(place, finding):
    from rich.padding import Padding
    from rich.text import Text

    where = f"{finding.subject}, " if finding.subject else ""
    yield Text.assemble(
        f"{place}. ",
        (finding.severity.upper(), SEVERITY_STYLES[finding.severity]),
        f"  {finding.rule}  ",
        (f"({where}{words.STAGE_WORDS[finding.stage]})", "dim"),
    )
    yield Padding(_styled(finding.message), (0, 0, 0, 3))
    rows = [("Cause", finding.cause, ""), ("Do", finding.advice, "bold")]
    evidence = [f"{n} = {words.shown(v)}" for n, v in words.flat(finding.evidence)]
    rows += [("Evidence", "; ".join(evidence), ""), ("Source", finding.source, "dim")]
    filled = [(name, _styled(text, style)) for name, text, style in rows if text]
    if filled:
        yield Padding(_grid(filled), (0, 0, 0, 3))


def _grid(rows):
    from rich.table import Table

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(style="dim", overflow="fold", max_width=40)
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(_styled(name), text)
    return grid


def _table(name, rows):
    if not rows:
        return []
    return ["", _styled(name, "bold"), _grid([(n, _cell(v)) for n, v in rows])]


def _cell(value):
    return _styled(words.shown(value))


def _section(name, content):
    from rich.table import Table

    if isinstance(content, str):
        return ["", _styled(name, "bold"), _styled(content)]
    columns = list(dict.fromkeys(column for row in content for column in row))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(_styled(column), overflow="fold")
    for row in content:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    return ["", _styled(name, "bold"), table]
