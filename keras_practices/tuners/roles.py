"""What a process is in a search by several processes, told by its environment.

`python -m keras_practices search worker script.py` runs a script that makes a tuner
and calls `search`. These variables tell the tuner how; without them `search` works
as ever, and the script goes on to its last line.

- `KERAS_PRACTICES_SEARCH_ROLE`: `worker`, or missing.
- `KERAS_PRACTICES_SEARCH_STORAGE`: URL of the database; it may hold a password, so it
  is handed on by the environment only.
- `KERAS_PRACTICES_SEARCH_TRIALS`: trials after which the process makes place for a
  fresh one, as a remedy for memory that grows.
- `KERAS_PRACTICES_SEARCH_STATE`: folder where the worker tells its master what it
  works on.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from keras_practices.errors import ArgumentValueError

ROLE = "KERAS_PRACTICES_SEARCH_ROLE"
STORAGE = "KERAS_PRACTICES_SEARCH_STORAGE"
TRIALS = "KERAS_PRACTICES_SEARCH_TRIALS"
STATE = "KERAS_PRACTICES_SEARCH_STATE"
WORKER = "worker"
ANNOUNCED_FILE = "search.json"
# Exit statuses of a worker. 75 is EX_TEMPFAIL of sysexits.h: try again.
NOTHING_LEFT = 0
WRONG_USE = 2
SEARCH_FAILED = 3
FRESH_PROCESS = 75


class SearchEnded(SystemExit):
    """Ends a worker whose search has nothing left to run."""


@dataclasses.dataclass(frozen=True)
class Role:
    """What this process is.

    Args:
        is_worker: Whether `search` ends the process when no trial is left.
        storage: URL of the database, or None for the tuner's own argument.
        trials: Trials to run before a fresh process takes over, or None.
        state: Folder of the master, or None.
    """

    is_worker: bool = False
    storage: str | None = None
    trials: int | None = None
    state: str | None = None

    def announce(self, folder: str | os.PathLike[str], total: int | None) -> None:
        """Tells the master where the search lies.

        Args:
            folder: Folder of the search.
            total: Trials that it will have, or None where that is not known.
        """
        if self.state is None:
            return
        place = pathlib.Path(self.state)
        table = {"folder": str(pathlib.Path(folder).resolve()), "total": total}
        partial = place / f".{ANNOUNCED_FILE}-{os.getpid()}"
        partial.write_text(json.dumps(table), encoding="utf-8")
        os.replace(partial, place / ANNOUNCED_FILE)

    def limited(self, run_one: Any) -> Any:
        """Returns `run_one`, which ends the process after `trials` calls.

        The call after the last raises SystemExit before it does anything, and the
        engine gives its trial back.
        """
        left = self.trials
        if not self.is_worker or left is None:
            return run_one

        def run(*args, **kwargs):
            nonlocal left
            if left <= 0:
                raise SystemExit(FRESH_PROCESS)
            left -= 1
            return run_one(*args, **kwargs)

        return run

    def end(self) -> None:
        """Ends a worker after its search; of any other process it does nothing.

        Raises:
            SystemExit: with status 0, in a worker.
        """
        if self.is_worker:
            raise SearchEnded(NOTHING_LEFT)


def current() -> Role:
    """Returns the role that the environment tells.

    Raises:
        ValueError: a variable that no command of ours has set so.
    """
    given = os.environ
    role = given.get(ROLE)
    if role not in (None, "", WORKER):
        raise ArgumentValueError(f"{ROLE} must be {WORKER!r} or missing, not {role!r}.")
    trials = given.get(TRIALS) or None
    if trials is not None and not (trials.isdigit() and int(trials) >= 1):
        raise ArgumentValueError(
            f"{TRIALS} must be an integer of at least 1, not {trials!r}."
        )
    return Role(
        is_worker=role == WORKER,
        storage=given.get(STORAGE) or None,
        trials=None if trials is None else int(trials),
        state=given.get(STATE) or None,
    )


def environment(
    storage: str | None = None, trials: int | None = None, state: str | None = None
) -> Mapping[str, str]:
    """Returns the variables that make a process a worker.

    Args:
        storage: URL of the database, or None.
        trials: Trials before a fresh process takes over, or None.
        state: Folder of the master, or None.
    """
    given = {ROLE: WORKER, STORAGE: storage, TRIALS: trials, STATE: state}
    return {name: str(value) for name, value in given.items() if value is not None}
