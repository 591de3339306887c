"""The words that text and HTML share: verdict, numbers, durations, evidence."""

import math
import numbers

from keras_practices.findings import SEVERITIES
from keras_practices.report.best import best_run

LIST_LIMIT = 8
STAGE_WORDS = {
    "before": "in the set-up",
    "during": "in the training",
    "act": "search and after",
}


def plural(count, word):
    """Returns `"1 warning"`, `"2 warnings"`, `"no warnings"`."""
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def counts(report):
    """Returns the findings counted by severity: `"1 error, 2 warnings, 1 note"`."""
    found = {name: 0 for name in SEVERITIES}
    for finding in report.findings:
        found[finding.severity] += 1
    if not any(found.values()):
        return "no findings"
    parts = [plural(found[name], name) for name in SEVERITIES if found[name]]
    return ", ".join(parts if not report.ok else ["no errors, no warnings", *parts])


def verdict(report):
    """Returns `(counts, message, advice)`: what a busy reader takes away.

    Message and advice are those of the first finding that asks for action.
    """
    problem = next((found for found in report.findings if found.is_problem), None)
    if problem is None:
        return counts(report), "Nothing found that needs action.", ""
    return counts(report), sentence(problem.message), sentence(problem.advice)


def sentence(text):
    """Returns `text` with a full stop at its end, where it has none."""
    text = text.strip()
    return f"{text}." if text and text[-1] not in ".!?:;" else text


def verdict_line(report):
    """Returns `"1 error, 2 warnings: <message>. Do: <advice>."`."""
    found, message, advice = verdict(report)
    line = f"{found[0].upper()}{found[1:]}: {message}"
    return f"{line} Do: {advice}" if advice else line


def is_number(value):
    """True for an int or a float; a bool is a word here, not a number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def shown(value):
    """Returns any JSON-safe value as short text; numbers with 4 digits.

    The rounding is for reading only: HTML carries the exact number beside it and
    JSON holds nothing else.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return number(value)
    if isinstance(value, list | tuple):
        parts = [shown(item) for item in value[:LIST_LIMIT]]
        if len(value) > LIST_LIMIT:
            parts.append(f"and {len(value) - LIST_LIMIT:,} more")
        sentences = any(isinstance(item, str) and " " in item for item in value)
        return ("\n" if sentences else ", ").join(parts)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {shown(item)}" for name, item in value.items())
    return str(value)


def number(value):
    """Returns a number as text: 4 significant digits, whole numbers in full."""
    if isinstance(value, numbers.Integral):
        return f"{value:,}" if abs(value) >= 10_000 else str(int(value))
    if not math.isfinite(value):
        return str(float(value))
    size = abs(value)
    if size == 0:
        return "0"
    if not 1e-4 <= size < 1e6:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    comma = "," if size >= 10_000 else ""
    text = f"{value:{comma}.{max(0, 3 - math.floor(math.log10(size)))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share):
    """Returns a share in [0, 1] as percent, exact at both ends."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return "<0.1 %" if share < 1e-3 else f"{100 * share:.3g} %"


def duration(seconds):
    """Returns seconds as text: `"340 ms"`, `"12.3 s"`, `"2 min 05 s"`."""
    if not is_number(seconds) or not math.isfinite(seconds):
        return shown(seconds)
    # The bounds are where rounding to 3 digits would reach the next unit.
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def flat(values, prefix=""):
    """Returns a nested dict as a list of `(dotted name, value)` rows."""
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows.extend(flat(value, f"{prefix}{name}."))
        else:
            rows.append((f"{prefix}{name}", value))
    return rows


def unmeasured(report):
    """Returns pairs `(what, why)`: as told, and as the monitor found out."""
    faults = [] if report.record is None else report.record.of_kind("fault")
    told = [(_cut(line["what"]), line["why"]) for line in faults]
    return report.not_measured + told


def _cut(text):
    """Shortens a list of names inside a sentence; the record holds them all."""
    parts = text.split(", ")
    if len(parts) <= LIST_LIMIT:
        return text
    return f"{', '.join(parts[:LIST_LIMIT])}, and {len(parts) - LIST_LIMIT:,} more"


def facts(report):
    """Returns what stands below the verdict: facts of the run, or of several."""
    if not report.runs:
        return run_facts(report.record)
    best = best_run(report.runs)
    counted = plural(len(report.runs), "run")
    if best is None:
        return [counted]
    name, loss, epoch = best
    fact = f"lowest validation loss: {number(loss)}, by {name} after epoch {epoch}"
    return [counted, fact]


def run_facts(record):
    """Returns short facts of the run: epochs, steps, time, cost of the monitor."""
    if record is None:
        return []
    end = record.end
    status = end.get("status", "did not end by itself, or still runs")
    facts = [] if status == "completed" else [f"training {status}"]
    # A monitor may write a line of epoch 0, before the first step.
    finished = max((line["epoch"] for line in record.epochs), default=0)
    facts.append(plural(finished, "epoch"))
    if is_number(end.get("steps")):
        facts.append(plural(end["steps"], "step"))
    if is_number(end.get("seconds")):
        facts.append(duration(end["seconds"]))
    return [*facts, *_monitor_cost(end)]


def _monitor_cost(end):
    """What the monitor took of the run, as a list of at most one fact."""
    seconds, share = end.get("monitor_seconds"), end.get("share")
    if not is_number(seconds):
        return []
    fact = f"monitor: {duration(seconds)}"
    if is_number(share):
        fact += f" ({percent(share)} of the training)"
    compiling = end.get("compile_seconds")
    if is_number(compiling) and compiling > 0:
        fact += f" and {duration(compiling)} to compile its step"
    return [fact]
