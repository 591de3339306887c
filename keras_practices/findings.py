"""The value that flows through the package: one diagnosed thing."""

import dataclasses
import math
import numbers
from typing import Any

from keras_practices.errors import ArgumentTypeError
from keras_practices.errors import ArgumentValueError

SEVERITIES = ("error", "warning", "note")
STAGES = ("before", "during", "act")


def json_safe(value: Any) -> Any:
    """Returns `value` in types that every JSON reader takes.

    NumPy scalars become Python numbers and numbers that JSON has no word for
    become the strings `"nan"`, `"inf"` and `"-inf"`.

    Args:
        value: None, bool, number, string, or a list, tuple or dict of them.

    Returns:
        The same content as None, bool, int, float, str, list and dict.

    Raises:
        TypeError: `value` holds something else.
    """
    if value is None or isinstance(value, str):
        return value
    if type(value) is float:  # most of what a record holds
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        value = value.tolist()
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value) if isinstance(value, set | frozenset) else value
        return [json_safe(item) for item in ordered]
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    raise ArgumentTypeError(
        "Finding: evidence must hold numbers, strings, lists and dicts of them. "
        f"Received: {value!r} (type {type(value).__name__})."
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One diagnosed thing, with the numbers that prove it.

    Frozen and JSON-safe: `Finding.from_dict(finding.to_dict()) == finding`.

    Args:
        rule: Stable code of the rule, such as `"inputs-not-scaled"`.
        severity: `"error"` or `"warning"` (act on it) or `"note"` (know it).
        stage: `"before"`, `"during"` or `"act"`.
        subject: What it is about: a variable path, a layer, `"inputs"`.
        message: One sentence with numbers and units.
        cause: What most likely brings it about, or the rules it follows from.
        advice: One imperative sentence with a concrete value, or `""`.
        evidence: Dict of numbers and strings that prove it.
        source: Paper or lecture section of the threshold.

    Raises:
        ValueError: unknown severity or stage, empty rule or message.
        TypeError: evidence that JSON cannot hold.

    Example:

    >>> Finding("loss-not-finite", "error", "during", "loss", "The loss is NaN.").rule
    'loss-not-finite'
    """

    rule: str
    severity: str
    stage: str
    subject: str
    message: str
    cause: str = ""
    advice: str = ""
    evidence: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    source: str = ""

    def __post_init__(self):
        for name, allowed in (("severity", SEVERITIES), ("stage", STAGES)):
            if getattr(self, name) not in allowed:
                raise ArgumentValueError(
                    f"Finding: argument `{name}` must be one of {allowed}. "
                    f"Received: {name}={getattr(self, name)!r}."
                )
        for name in ("rule", "message"):
            if not getattr(self, name):
                raise ArgumentValueError(
                    f"Finding: argument `{name}` must be a text that is not empty."
                )
        object.__setattr__(self, "evidence", json_safe(dict(self.evidence)))

    @property
    def is_problem(self) -> bool:
        """True for an error or a warning: something to act on."""
        return self.severity != "note"

    def to_dict(self) -> dict[str, Any]:
        """Returns the finding as a dict that `json.dumps` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Finding":
        """Builds a finding from what `to_dict` returned."""
        return cls(**values)
