"""The file that remembers when test sets were opened: one JSON object a line."""

import json
import os

from keras_practices._core.validation import value_error
from keras_practices.errors import OutputPathError


def read(path):
    """Returns the lines of a ledger as dicts; none where there is no file.

    Raises:
        ValueError: a line that no vault wrote. An unreadable ledger could hide an
            opening, so it is not passed over.
    """
    if not path.is_file():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            line["time"], line["data"], line["model"], line["metrics"]
        except (ValueError, KeyError, TypeError) as error:
            raise value_error(
                "Vault",
                "ledger",
                "a file that a Vault wrote",
                str(path),
                f"Line {number} is not one of its lines. Repair it, or choose another "
                f"file.",
            ) from error
        lines.append(line)
    return lines


def check_writable(path):
    """Proves that a line can be appended; leaves no file where none was.

    Raises:
        OSError: the file or its folder cannot be written.
    """
    try:
        is_new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        raise OutputPathError(
            f"Vault: argument `ledger` must be a file that can be written. Received: "
            f"ledger={str(path)!r} ({error}). The test set stays closed. Choose "
            f"another file or change its permissions."
        ) from error


def append(path, line):
    """Appends one line and has it on the disk when it returns."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
