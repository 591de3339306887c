"""A report as one HTML page, or as the part of a page that a notebook shows."""

import functools
import hashlib
import html
import re

from keras_practices._core.optional import require
from keras_practices.report import words
from keras_practices.report.files import writable_file
from keras_practices.report.files import write_whole
from keras_practices.report.palette import PALETTE

OWNER = "Report.save_html"
PURPOSE = "A report in HTML"


def save(report, path):
    """Writes the page; the extra and the path are proved before work begins."""
    _environment()
    require("matplotlib.figure", "report", PURPOSE)
    path = writable_file(OWNER, "path", path)
    return write_whole(OWNER, "path", path, _render("page.html.j2", report))


def fragment(report):
    """Returns the body of the page with its own styles, for a notebook."""
    return _render("fragment.html.j2", report)


def plain(report, reason):
    """Returns the text of a report as HTML that needs no extra."""
    return (
        '<pre style="white-space: pre-wrap">'
        f"{html.escape(report.text())}</pre><p><small>{html.escape(reason)}</small></p>"
    )


@functools.cache
def _environment():
    jinja2 = require("jinja2", "report", PURPOSE)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_practices.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    markup = require("markupsafe", "report", PURPOSE)
    environment.filters.update(
        breakable=functools.partial(_breakable, markup),
        duration=words.duration,
        flat=words.flat,
        plural=words.plural,
        safe_svg=markup.Markup,
        shown=words.shown,
    )
    environment.tests["exact"] = words.is_number
    return environment


def _breakable(markup, text):
    """Escapes a text and lets `model/my_layer.kernel` wrap at its joints.

    Only before a letter: a number such as 2.173 stays whole.
    """
    pieces = re.split(r"(?<=[/._])(?=[^\W\d_])", text)
    return markup.Markup("<wbr>").join(pieces)


def _render(template, report):
    environment = _environment()
    # Made from the content: the same report gives the same bytes.
    digest = hashlib.sha256(report.to_json().encode()).hexdigest()
    prefix = f"kp{digest[:8]}"
    pictures, missing = _pictures(report, prefix)
    counts, message, advice = words.verdict(report)
    return environment.get_template(template).render(
        report=report,
        prefix=prefix,
        palette=PALETTE,
        pictures=pictures,
        missing=missing,
        counts=counts,
        message=message,
        advice=advice,
        facts=words.facts(report),
        unmeasured=words.unmeasured(report),
        stage_words=words.STAGE_WORDS,
    )


def _pictures(report, prefix):
    """Draws all that the report has to draw; returns pictures and what is missing."""
    if not report.charts and not report.runs and report.record is None:
        return [], []
    # Late: nobody who does not draw should wait for it at `import`.
    plots = require("keras_practices.report.plots", "report", PURPOSE)
    pictures, missing = plots.draw_charts(report.charts, f"{prefix}-c")
    drawn, lacking = [], []
    if report.runs:
        drawn, lacking = plots.draw_runs(report.runs, prefix)
    elif report.record is not None:
        subjects = [finding.subject for finding in report.findings]
        drawn, lacking = plots.draw_all(report.record, subjects, prefix)
    return [*pictures, *drawn], [*missing, *lacking]
