"""The exceptions and the warning of keras_practices.

KerasPracticesError
├── ArgumentTypeError (TypeError)      an argument is of the wrong kind
├── ArgumentValueError (ValueError)    an argument has the wrong value
├── UsageError (RuntimeError)          a call at the wrong moment
│   ├── SanityCheckError               a check told to stop the fit did so
│   ├── VaultOpenedError               a test set was asked for a second time
│   └── SearchFailedError              too many trials of a search failed
├── OutputPathError (OSError)          a folder or file cannot be written
└── MissingExtraError (ImportError)    an optional dependency is not installed

KerasPracticesWarning (UserWarning)    training goes on, something was lost
"""


class KerasPracticesError(Exception):
    """Base of every error that keras_practices raises on purpose."""


class ArgumentTypeError(KerasPracticesError, TypeError):
    """An argument is of the wrong kind."""


class ArgumentValueError(KerasPracticesError, ValueError):
    """An argument is of the right kind and has the wrong value."""


class UsageError(KerasPracticesError, RuntimeError):
    """A call that is right at another moment, or on another object."""


class SanityCheckError(UsageError):
    """A check that was told to stop the fit found an error.

    Args:
        message: What was found.
        findings: The findings, worst first.
    """

    def __init__(self, message, findings=()):
        super().__init__(message)
        self.findings = list(findings)


class VaultOpenedError(UsageError):
    """A test set that opens once was asked for again without a reason."""


class SearchFailedError(UsageError):
    """A search ended because its trials fail, or because none could succeed."""


class OutputPathError(KerasPracticesError, OSError):
    """A folder or file that was asked for cannot be written."""


class MissingExtraError(KerasPracticesError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class KerasPracticesWarning(UserWarning):
    """Training goes on, but something of ours was lost or skipped."""


def first_line(error, width=160):
    """Returns kind and first line of an exception, for a list of what was lost."""
    text = str(error).strip().split("\n")[0]
    short = text if len(text) <= width else text[: width - 1] + "…"
    return f"{type(error).__name__}: {short}"
