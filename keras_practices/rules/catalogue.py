"""The register of rules: code, stage, the figures each one reads, and how to run them.

A rule is a pure generator function from figures to the fields of findings:

    @rule("inputs-not-finite", stage="before", needs=("data",), source="…")
    def inputs_not_finite(figures):
        '''Summary line; the docstring is the rule's page in the docs.'''
        yield {"severity": "error", "subject": "inputs", "message": "…"}

`figures` is a dict of plain values (see `keras_practices.measures`), so a record
from yesterday is as good as a run of today.
"""

import dataclasses
import warnings
from collections.abc import Callable

from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import KerasPracticesWarning
from keras_practices.findings import Finding

CATALOGUE: dict[str, "Rule"] = {}


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule of the catalogue.

    Attributes:
        code: Stable name, such as `"inputs-not-scaled"`.
        stage: `"before"`, `"during"` or `"act"`.
        needs: Names of the figures it reads.
        source: Paper or lecture section.
        function: Figures → iterator of the fields of findings.
    """

    code: str
    stage: str
    needs: tuple[str, ...]
    source: str
    function: Callable

    def __call__(self, figures):
        """Returns the findings of this rule, empty where figures are missing."""
        if any(figures.get(name) is None for name in self.needs):
            return []
        defaults = {"rule": self.code, "stage": self.stage, "source": self.source}
        return [Finding(**{**defaults, **fields}) for fields in self.function(figures)]


def rule(code, *, stage, needs, source):
    """Registers the decorated function as the rule `code`."""

    def register(function):
        CATALOGUE[code] = Rule(code, stage, tuple(needs), source, function)
        return CATALOGUE[code]

    return register


def check_codes(owner, name, codes):
    """Returns `codes` as a set, or None for None.

    Raises:
        TypeError: not a collection of strings.
        ValueError: a code that is not in the catalogue.
    """
    if codes is None:
        return None
    if isinstance(codes, str) or not all(isinstance(code, str) for code in codes):
        raise ArgumentTypeError(
            f"{owner}: argument `{name}` must be a list of rule codes. "
            f"Received: {name}={codes!r}."
        )
    unknown = sorted(set(codes) - set(CATALOGUE))
    if unknown:
        raise ArgumentValueError(
            f"{owner}: argument `{name}` names no rule: {', '.join(unknown)}. "
            f"Known rules: {', '.join(sorted(CATALOGUE))}."
        )
    return set(codes)


def run_rules(figures, *, stages, select=None, ignore=None):
    """Runs the rules of some stages over figures.

    Args:
        figures: Dict of measured figures.
        stages: Stages to run.
        select: Codes to run, None for all.
        ignore: Codes to leave out.

    Returns:
        List of findings in the order of the catalogue, not yet explained.
    """
    found = []
    for code, one in CATALOGUE.items():
        chosen = (select is None or code in select) and code not in (ignore or ())
        if not chosen or one.stage not in stages:
            continue
        try:
            found.extend(one(figures))
        except Exception as error:
            # The training is done and its report must not be lost with one rule.
            warnings.warn(
                f"The rule {code!r} failed and is left out: "
                f"{type(error).__name__}: {error}",
                KerasPracticesWarning,
                stacklevel=2,
            )
    return found
