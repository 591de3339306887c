"""The database of a search: opened with patience, named without its password."""

import contextlib
import os
import pathlib
import random
import threading
import time
import urllib.parse
import warnings
from collections.abc import Iterator
from typing import Any

from keras_practices._core.optional import require
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import MissingExtraError

SQLITE_FILE = "study.sqlite3"
_TRIES = 4


class DatabaseAway(Exception):
    """The database did not answer; the text holds no password."""


def default_storage(folder: str | os.PathLike[str]) -> str:
    """Returns the URL of a SQLite file in the folder of a search."""
    return f"sqlite:///{pathlib.Path(folder).resolve() / SQLITE_FILE}"


def masked(url: str) -> str:
    """Returns an URL for messages: without user, password and options.

    Example:

    >>> from keras_practices.tuners.storages import masked
    >>> masked("postgresql+psycopg://ada:secret@db.example/search?sslkey=k")
    'postgresql+psycopg://db.example/search'
    """
    parsed = _parsed(url)
    # `parsed.set(username=None)` would leave the name as it is.
    bare = parsed.create(
        parsed.drivername, host=parsed.host, port=parsed.port, database=parsed.database
    )
    return str(bare.render_as_string(hide_password=True))


def open_storage(
    optuna: Any, url: str, heartbeat_interval: int, grace_period: int
) -> Any:
    """Opens the database of a search, and makes its tables where they lack.

    Args:
        optuna: The module.
        url: URL of the database.
        heartbeat_interval: Seconds between signs of life.
        grace_period: Seconds of silence after which a claim is void.

    Returns:
        Optuna's `RDBStorage`, whose heartbeat outlives a database that is away, and
        whose `beaten` is set as soon as the running claim has a heartbeat.

    Raises:
        ValueError: not an URL that SQLAlchemy understands.
        ImportError: the driver of the database is not installed.
    """
    parsed = _parsed(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if parsed.get_backend_name() == "sqlite":
        # Writers take turns; the default of 5 s is little on a busy disk.
        options = {"connect_args": {"timeout": 60.0}}
        if parsed.database:
            place = os.path.dirname(os.path.abspath(parsed.database))
            os.makedirs(place, exist_ok=True)
    arguments = {
        # Optuna formats the URL, so a brace in a password must be doubled.
        "url": url.replace("{", "{{").replace("}", "}}"),
        "engine_kwargs": options,
        "heartbeat_interval": heartbeat_interval,
        "grace_period": grace_period,
    }
    waits = random.Random(os.urandom(8))
    for tried in range(1, _TRIES + 1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # heartbeats are marked experimental
                return _storage_class(optuna)(**arguments)
        except ImportError as error:
            raise MissingExtraError(
                f"The driver of {masked(url)} is not installed ({error.__cause__}). "
                "For PostgreSQL: pip install 'psycopg[binary]', and an URL that begins "
                "with postgresql+psycopg://"
            ) from None
        except _errors(optuna) as error:
            # Two that start at once make the same tables, and one of them fails.
            if tried == _TRIES:
                raise DatabaseAway(_told(error, url)) from None
            time.sleep(waits.uniform(0.5, 1.0) * 0.1 * 2**tried)
    raise DatabaseAway(masked(url))


@contextlib.contextmanager
def talking_to(url: str | None) -> Iterator[None]:
    """Within it, an error of the database becomes `DatabaseAway`, without password."""
    optuna = require("optuna", "search", "A search by several processes")
    try:
        yield
    except _errors(optuna) as error:
        raise DatabaseAway(_told(error, url)) from None


def _errors(optuna):
    sqlalchemy = require("sqlalchemy", "search", "A search by several processes")
    wrong = optuna.exceptions
    # What Optuna raises of an update that others were faster with is no worse than
    # a lost connection: look again.
    return (
        sqlalchemy.exc.SQLAlchemyError,
        wrong.StorageInternalError,
        wrong.UpdateFinishedTrialError,
    )


def _told(error, url):
    cause = error.__cause__ or error
    text = str(getattr(cause, "orig", None) or cause).strip()
    if url is not None:
        parsed = _parsed(url)
        password = parsed.password or ""
        for secret in (url, password, urllib.parse.quote_plus(password)):
            text = text.replace(secret, "***") if secret else text
        text = text.replace(f'"{parsed.username}"', '"***"')
        text = f"{masked(url)}: {text}"
    return f"{text} ({type(cause).__name__})."


def _parsed(url):
    sqlalchemy = require("sqlalchemy", "search", "A search by several processes")
    try:
        return sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError, TypeError, AttributeError):
        raise ArgumentValueError(
            "The URL of the database of a search must have the form "
            "driver://user:password@host/name, such as sqlite:///search.db or "
            "postgresql+psycopg://user:password@host/name. The one received is not "
            "shown, since it may hold a password."
        ) from None


def _storage_class(optuna):
    class Storage(optuna.storages.RDBStorage):
        def __init__(self, **arguments):
            self.beaten = threading.Event()
            super().__init__(**arguments)

        def record_heartbeat(self, trial_id):
            # Optuna's thread would die of the first error, and the claim with it.
            try:
                super().record_heartbeat(trial_id)
            except Exception:
                return
            self.beaten.set()

    return Storage
