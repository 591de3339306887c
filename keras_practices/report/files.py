"""Files that appear whole or not at all."""

import os
import pathlib

from keras_practices.errors import OutputPathError
from keras_practices.record import writable_folder


def writable_file(owner, name, path):
    """Proves that a file can be written, before any work is spent on its content.

    Args:
        owner: Object or name that the message begins with.
        name: Name of the argument.
        path: Path of the file. Missing folders are made.

    Returns:
        The path as a `pathlib.Path`.

    Raises:
        OSError: it is a folder, or its folder cannot be written.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise OutputPathError(
            f"{owner}: argument `{name}` must be a file that can be written. "
            f"Received: {name}={str(path)!r} (a folder). Add a file name."
        )
    writable_folder(owner, name, path.parent)
    return path


def write_whole(owner, name, path, text):
    """Writes `text` beside `path` and moves it there in one step.

    Args:
        owner: Object or name that the message begins with.
        name: Name of the argument.
        path: Path of the file.
        text: Content. What UTF-8 cannot hold becomes `?`.

    Returns:
        The path as a `pathlib.Path`.

    Raises:
        OSError: it cannot be written; nothing half-written is left.
    """
    path = writable_file(owner, name, path)
    beside = path.with_name(f".{path.name[:40]}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(text.encode("utf-8", "replace"))
        os.replace(beside, path)
    except OSError as error:
        raise OutputPathError(
            f"{owner}: argument `{name}` must be a file that can be written. "
            f"Received: {name}={str(path)!r} ({error})."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return path
