"""Several processes at one search: who runs which trial, over an Optuna storage.

The results lie in the folder. The database only says which trial numbers are taken: a
claim is a trial of an Optuna study, whose heartbeat lasts as long as its process. One
that stops for the grace period makes the claim void, and the number free for whoever
comes next. Nothing is queued, so there is no queue that a process could leave half
filled when it dies, and nothing to put back afterwards.
"""

import contextlib
import os
import random
import secrets
import time
from typing import Any

from keras_practices._core.optional import require
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import UsageError
from keras_practices.search_record import read_json
from keras_practices.tuners.claims import Claim
from keras_practices.tuners.claims import numbers_taken
from keras_practices.tuners.claims import quiet
from keras_practices.tuners.claims import void_stale
from keras_practices.tuners.engine import Engine
from keras_practices.tuners.files import POINT_FILE
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.files import publish
from keras_practices.tuners.storages import DatabaseAway
from keras_practices.tuners.storages import default_storage
from keras_practices.tuners.storages import masked
from keras_practices.tuners.storages import open_storage
from keras_practices.tuners.storages import talking_to
from keras_practices.tuners.strategy import WAIT

STUDY_FILE = "study.json"
_OWNER = "folder"


class StudyEngine(Engine):
    """Runs the trials of a search that other processes work on at the same time.

    Start it in any number of processes, on any machine that sees the folder and the
    database. A process that dies, hangs or loses the database costs the time of its
    trial, never a result: another process runs the number again, and who publishes
    first counts. SQLite serves the processes of one machine; several machines need a
    PostgreSQL or MySQL server, since SQLite's locks do not hold on network drives.

    Args:
        folder: The `SearchFolder` of the search.
        storage: URL of the database (`"sqlite:///file.db"`,
            `"postgresql+psycopg://user:password@host/name"`), or None for a SQLite
            file in the folder. It is written nowhere.
        study_name: Name of the study in the database, which belongs to one folder.
        direction: `"min"` or `"max"`; a pruner needs it.
        pruner: A pruner of Optuna's that ends trials which others are ahead of, or
            None.
        heartbeat_interval: Seconds between signs of life, an integer of at least 1.
        grace_period: Seconds of silence after which a process counts as dead, an
            integer greater than `heartbeat_interval`. A process that is paused for
            longer and comes back finds its result refused if another was first.
        max_lost: Integer of at least 1. A trial that so many processes died of is
            published as failed, so that it does not end all workers in turn.
        patience: Seconds to wait for a database that answers no more. One that never
            did is given up after 10.

    Raises:
        ValueError: an argument out of range.
        ImportError: Optuna or the driver of the database is not installed.
    """

    def __init__(
        self,
        folder: SearchFolder,
        storage: str | None = None,
        study_name: str = "search",
        *,
        direction: str = "min",
        pruner: Any = None,
        heartbeat_interval: int = 15,
        grace_period: int = 60,
        max_lost: int = 10,
        patience: float = 600.0,
    ):
        super().__init__(folder)
        check_choice(self, "direction", direction, ("min", "max"))
        check_integer(self, "heartbeat_interval", heartbeat_interval, low=1)
        check_integer(self, "grace_period", grace_period, low=heartbeat_interval + 1)
        check_integer(self, "max_lost", max_lost, low=1)
        check_number(self, "patience", patience, low=0.0)
        self._optuna = require("optuna", "search", "A search by several processes")
        self._url = default_storage(folder.path) if storage is None else storage
        masked(self._url)  # a bad one is refused here
        self.study_name = study_name
        self.direction = direction
        self.pruner = pruner
        self.heartbeat_interval = heartbeat_interval
        self.grace_period = grace_period
        self.max_lost = max_lost
        self.patience = patience
        self._storage: Any = None
        self._study: Any = None
        self._first = 0
        self._has_answered = False

    def __repr__(self):
        return f"StudyEngine({str(self.folder.path)!r}, {masked(self._url)!r})"

    def results(self):
        """Returns how trials ended, by number, those of other processes among them."""
        return self.folder.results(refresh=True)

    def run(self, strategy, space, run_one):
        """Runs free trials, waits for those of others, and ends when all have ended."""
        self._first = 0
        pause = _Pause(min(2.0, self.heartbeat_interval))
        silent_since = None
        try:
            # A search that has ended needs no database.
            has_ended = self._has_ended(strategy, space)
            while not has_ended:
                try:
                    ran, has_ended = self._step(strategy, space, run_one)
                    silent_since = None
                except DatabaseAway as error:
                    ran, now = False, time.monotonic()
                    silent_since = now if silent_since is None else silent_since
                    has_ended = self._has_ended(strategy, space)
                    if not has_ended and now - silent_since >= self._patience():
                        raise self._given_up(error) from None
                if ran:
                    pause.begin_anew()
                elif not has_ended:
                    pause.sleep()
        finally:
            self._close()

    def forget(self) -> None:
        """Deletes the study from the database, for a search that begins anew."""
        try:
            with quiet(self._optuna), talking_to(self._url):
                with contextlib.suppress(KeyError):
                    self._optuna.delete_study(
                        study_name=self.study_name, storage=self._open()
                    )
        except DatabaseAway as error:
            raise UsageError(f"The study cannot be deleted: {error}") from None
        finally:
            self._close()

    # --- which trial is next ---------------------------------------------------

    def _has_ended(self, strategy, space):
        results = self._results_from_first()
        return strategy.proposal(space, self._first, results) is None

    def _results_from_first(self):
        results = self.results()
        while self._first in results:
            self._first += 1
        return results

    def _step(self, strategy, space, run_one):
        """Runs one trial, if one is free; returns whether it did, whether all ended."""
        with quiet(self._optuna):
            study = self._connected()
            with talking_to(self._url):
                taken = numbers_taken(self._optuna, study)
        results = self._results_from_first()  # of a claim that ended it is there now
        number = self._first
        while number in results or number in taken:
            number += 1
        if strategy.foreseen:
            proposal = strategy.proposal(space, number, results)
        else:
            running = self._points(taken - results.keys())
            proposal = strategy.proposal(space, number, results, running)
        if proposal is None or proposal is WAIT:
            if taken:  # else Optuna looks for dead ones before each claim
                with quiet(self._optuna), talking_to(self._url):
                    void_stale(self._optuna, study)
            return False, proposal is None and number == self._first
        claim = Claim(
            self._optuna,
            self._storage,
            self._url,
            self.folder,
            proposal,
            run_one,
            max_lost=self.max_lost,
            prunes=self.pruner is not None,
        )
        with quiet(self._optuna):
            return claim.run(study), False

    def _points(self, numbers):
        paths = (
            path
            for number in numbers
            for path in self.folder.path.glob(f"stage-*/trial-{number:05d}")
        )
        found = [read_json(path / POINT_FILE) for path in paths]
        return {table["trial"]: table["values"] for table in found if table}

    # --- the database ----------------------------------------------------------

    def _open(self):
        if self._storage is None:
            self._storage = open_storage(
                self._optuna, self._url, self.heartbeat_interval, self.grace_period
            )
        return self._storage

    def _close(self):
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()
        self._storage = self._study = None

    def _connected(self):
        if self._study is None:
            optuna = self._optuna
            with talking_to(self._url):
                study = optuna.create_study(
                    storage=self._open(),
                    study_name=self.study_name,
                    direction={"min": "minimize", "max": "maximize"}[self.direction],
                    # The strategy chooses the points; nothing is sampled here.
                    sampler=optuna.samplers.RandomSampler(seed=0),
                    pruner=self.pruner or optuna.pruners.NopPruner(),
                    load_if_exists=True,
                )
                self._check_owner(study)
            self._study = study
            self._has_answered = True
        return self._study

    def _check_owner(self, study):
        path = self.folder.path / STUDY_FILE
        os.makedirs(self.folder.path, exist_ok=True)
        publish(path, {"id": secrets.token_hex(8)})
        own = read_json(path)["id"]
        if _OWNER not in study.user_attrs:
            study.set_user_attr(_OWNER, own)
        owner = study.user_attrs[_OWNER]
        if owner != own:
            raise ArgumentValueError(
                f"StudyEngine: the study {self.study_name!r} in the database belongs "
                f"to another folder ({STUDY_FILE} there has the id {owner!r}, the one "
                f"in {str(self.folder.path)!r} has {own!r}). All workers of a search "
                "need the same shared folder; another search needs another "
                "`project_name`, or another database."
            )

    def _patience(self):
        # One that never answered has a wrong address or password.
        return self.patience if self._has_answered else min(10.0, self.patience)

    def _given_up(self, error):
        return UsageError(
            f"The database of the search does not answer: {error} Nothing is lost: "
            f"{len(self.results())} results are in {str(self.folder.path)!r}. Start "
            "the search again, and it goes on."
        )


class _Pause:
    """Sleeps between two looks, longer each time and never in step with others."""

    def __init__(self, longest):
        self._longest = longest
        self._random = random.Random(secrets.randbits(64))
        self.begin_anew()

    def begin_anew(self):
        self._seconds = 0.05

    def sleep(self):
        time.sleep(self._seconds * self._random.uniform(0.5, 1.0))
        self._seconds = min(self._longest, 1.6 * self._seconds)
