"""The folder of a search: where things lie, and how they appear whole and once.

`keras_practices.search_record` describes what the files hold.
"""

import errno
import json
import math
import os
import pathlib
import secrets
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_practices.errors import OutputPathError
from keras_practices.search_record import RESULT_FILE
from keras_practices.search_record import SEARCH_FILE
from keras_practices.search_record import SPACE_FILE
from keras_practices.search_record import TrialResult
from keras_practices.search_record import read_json
from keras_practices.tuners.strategy import Proposal

POINT_FILE = "point.json"
STATS_FILE = "stats.jsonl"
ERROR_FILE = "error.txt"
TEMPORARY = ".partial-"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class SearchFolder:
    """The folder of one search, which any number of processes may use at a time.

    Args:
        path: `directory/project_name` of the tuner. It is made when something is
            written.

    Attributes:
        path: The folder.
        make_room: Function that deletes some weights and says whether there were any;
            it is called when the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self.make_room: Callable[[], bool] = lambda: False
        self._results: dict[int, TrialResult] = {}
        # Names in each stage's folder that need no second look.
        self._done: dict[str, set[str]] = {}
        self._read = False

    # --- the search ------------------------------------------------------------

    def head(self) -> dict[str, Any] | None:
        """Returns what `search.json` holds, or None where no search has begun."""
        found: dict[str, Any] | None = read_json(self.path / SEARCH_FILE)
        return found

    def publish_head(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Writes `search.json` unless it is there; returns the one that is."""
        self._make(self.path)
        publish(self.path / SEARCH_FILE, table, make_room=self.make_room)
        return self.head() or dict(table)

    # --- trials ----------------------------------------------------------------

    def trial_folder(self, trial: int, stage: int = 1) -> pathlib.Path:
        """Returns the folder of a trial."""
        return self.path / f"stage-{stage}" / f"trial-{trial:05d}"

    def begin(self, proposal: Proposal) -> Proposal:
        """Writes what a trial is to do, unless an earlier attempt at it did.

        Args:
            proposal: What the strategy says now.

        Returns:
            What the first attempt wrote down: that is what must be run, though a
            strategy that looks at results may say another thing by now.
        """
        folder = self.trial_folder(proposal.trial, proposal.stage)
        self._make(folder)
        table = {
            "trial": proposal.trial,
            "stage": proposal.stage,
            "values": proposal.values,
            "epochs": proposal.epochs,
            "continues": proposal.continues,
        }
        if publish(folder / POINT_FILE, table, make_room=self.make_room):
            return proposal
        stored = read_json(folder / POINT_FILE)
        return proposal if stored is None else Proposal(**stored)

    def new_attempt(self, proposal: Proposal) -> tuple[int, pathlib.Path]:
        """Makes the folder of one more attempt at a trial.

        Returns:
            Tuple `(number, folder)`. No other process gets the same.
        """
        folder = self.trial_folder(proposal.trial, proposal.stage)
        self._make(folder)
        taken = [int(path.name[8:]) for path in folder.glob("attempt-*")]
        number = max(taken, default=-1) + 1
        while True:
            path = folder / f"attempt-{number}"
            try:
                _retrying(lambda path=path: os.mkdir(path), self.make_room)
            except FileExistsError:
                number += 1
            else:
                return number, path

    def publish(self, result: TrialResult) -> TrialResult:
        """Writes how a trial ended, if nobody has yet.

        Args:
            result: How it ended here.

        Returns:
            The result that counts: `result`, or the one that was first.
        """
        path = self.trial_folder(result.trial, result.stage) / RESULT_FILE
        self._make(path.parent)
        table = result.to_dict()
        if not publish(path, table, durable=True, make_room=self.make_room):
            result = TrialResult.from_dict(read_json(path) or table)
        self._results[result.trial] = result
        return result

    def result(self, trial: int, stage: int = 1) -> TrialResult | None:
        """Returns how a trial ended, or None."""
        table = read_json(self.trial_folder(trial, stage) / RESULT_FILE)
        return None if table is None else TrialResult.from_dict(table)

    def results(self, refresh: bool = False) -> Mapping[int, TrialResult]:
        """Returns how trials ended, by number.

        Args:
            refresh: Bool. Look for results of other processes; else the folder is
                read on the first call only. A result is read once.
        """
        if refresh or not self._read:
            self._read = True
            for stage in self._stages():
                done = self._done.setdefault(stage.name, set())
                # Before each trial: what ended is left out without a loop over it.
                for name in sorted(set(os.listdir(stage.path)) - done):
                    if not _is_trial(name) or self._read_result(stage, name):
                        done.add(name)
        return self._results

    def forget(self) -> None:
        """Makes the next `results` read everything anew."""
        self._results, self._done, self._read = {}, {}, False

    def publish_space(self, proposal: Proposal, table: Mapping[str, Any]) -> None:
        """Writes hyperparameters that only this trial declared."""
        path = self.trial_folder(proposal.trial, proposal.stage) / SPACE_FILE
        publish(path, table, make_room=self.make_room)

    def spaces(self) -> list[dict[str, Any]]:
        """Returns what `publish_space` wrote, in the order of the trials."""
        found = [
            (name, read_json(os.path.join(stage.path, name, SPACE_FILE)))
            for stage in self._stages()
            for name in os.listdir(stage.path)
            if _is_trial(name)
        ]
        return [table for _, table in sorted(found, key=lambda one: one[0]) if table]

    def _read_result(self, stage, name):
        """Reads how a trial ended, once; says whether it has."""
        number = int(name[6:])
        if number not in self._results:
            table = read_json(os.path.join(stage.path, name, RESULT_FILE))
            if table is None:
                return False
            self._results[number] = TrialResult.from_dict(table)
        return True

    def _stages(self):
        try:
            stages = [item for item in os.scandir(self.path) if _is_stage(item)]
        except FileNotFoundError:
            return []
        return sorted(stages, key=lambda item: item.name)

    def _make(self, folder):
        try:
            _retrying(lambda: os.makedirs(folder, exist_ok=True), self.make_room)
        except OSError as error:
            raise OutputPathError(
                f"Cannot make the folder {str(folder)!r} of the search: {error}"
            ) from error


def publish(
    path: str | os.PathLike[str],
    table: Mapping[str, Any],
    *,
    durable: bool = False,
    make_room: Callable[[], bool] = lambda: False,
) -> bool:
    """Writes a JSON file that is seen whole or not at all, if it is not there yet.

    Args:
        path: Where it shall appear; the folder is there.
        table: What it holds. Numbers that are not finite become null.
        durable: Bool. Wait until it has reached the disk.
        make_room: As `SearchFolder.make_room`.

    Returns:
        Whether it is ours. False means that somebody was first.

    Raises:
        OSError: it cannot be written.
    """
    folder, name = os.path.split(os.fspath(path))
    if os.path.exists(path):
        return False
    text = json.dumps(finite_or_none(table), allow_nan=False)
    partial = os.path.join(folder, f"{TEMPORARY}{name}-{secrets.token_hex(6)}")

    def write():
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())

    try:
        _retrying(write, make_room)
        return _retrying(lambda: _appear(partial, path), make_room)
    finally:
        try:
            os.remove(partial)
        except OSError:
            pass


def _appear(partial, path):
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here (FAT, some network drives): the look and the renaming
        # are two steps then, so of two that end in the same instant the later stays.
        if os.path.exists(path):
            return False
        os.replace(partial, path)
    return True


def _retrying(write, make_room):
    """Calls `write`; while the disk is full, deletes weights and calls it again."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in _FULL:
                raise
            if not make_room():
                raise OutputPathError(
                    f"{error}. There are no weights left to delete. Free some space "
                    "and search again: what was published stays."
                ) from error


def finite_or_none(value: Any) -> Any:
    """Returns plain Python values; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _is_stage(item):
    return item.name.startswith("stage-") and item.name[6:].isdigit()


def _is_trial(name):
    return name.startswith("trial-") and name[6:].isdigit()
