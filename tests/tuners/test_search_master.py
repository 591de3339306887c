"""The master: workers replaced, counted in after its death, ended with it."""

import io
import os
import pathlib
import signal
import sys

import pytest
import rich.console
from study_workers import Mother
from test_study_engine import LONG
from test_study_engine import until

from keras_practices.tuners.master import Master
from keras_practices.tuners.progress import Progress
from keras_practices.tuners.progress import Screen
from keras_practices.tuners.slots import Slot

pytestmark = pytest.mark.once

SLOTS = sys.modules[Slot.__module__].__file__
LIGHT = pathlib.Path(__file__).with_name("light_worker.py")


@pytest.fixture(scope="module")
def mother(tmp_path_factory):
    mother = Mother(tmp_path_factory.mktemp("logs"))
    yield mother
    mother.close()


def command(state, trials, *how):
    # Without `site`: it starts in a tenth of the time.
    program = [sys.executable, "-S", "-E", str(LIGHT)]
    return [*program, str(state), str(trials), *how]


def started(state):
    try:
        lines = (state / "started").read_text().split("\n")
    except FileNotFoundError:
        return []
    return [line.split(" ") for line in lines if line]


def count(state):
    return len(list(state.glob("search/stage-1/*/result.json")))


def is_free(state, workers):
    return not any(Slot(state, number).is_taken() for number in range(workers))


def until_it_shows(master, words):
    until(lambda: words in master.log.read_text())


def test_it_ends_when_a_worker_finds_nothing_left(tmp_path, capsys):
    master = Master(command(tmp_path, 5), tmp_path, 2, gpus=["4", "7"])
    assert master.run(pause=0.02) == 0
    assert count(tmp_path) == 5
    assert is_free(tmp_path, 2)
    assert {gpu for _, gpu in started(tmp_path)} <= {"4", "7"}
    last = capsys.readouterr().out.strip().split("\n")[-1]
    assert last.startswith("5 of 5 trials, 0 failed, 0 ended early, 0 workers")
    assert last.endswith("best 0.2 (trial 4)")


@pytest.mark.parametrize("how", ["dies", "recycles"])
def test_a_worker_that_ends_is_replaced(tmp_path, how):
    master = Master(command(tmp_path, 3, how), tmp_path, 1)
    assert master.run(pause=0.02) == 0
    assert count(tmp_path) == 3
    assert len(started(tmp_path)) == 4  # the last one finds nothing left


def test_workers_that_only_die_end_it_with_their_words(tmp_path, capsys):
    master = Master(command(tmp_path, 3, "ends-1"), tmp_path, 1, max_deaths=2)
    assert master.run(pause=0.02) == 1
    words = capsys.readouterr().err
    assert "2 workers in a row ended without a result" in words
    assert "Words of status 1" in words
    assert len(started(tmp_path)) == 2


@pytest.mark.parametrize("status", [2, 3])
def test_wrong_use_and_a_failed_search_are_not_tried_again(tmp_path, status):
    master = Master(command(tmp_path, 3, f"ends-{status}"), tmp_path, 1)
    assert master.run(pause=0.02) == status
    assert len(started(tmp_path)) == 1


def test_what_still_runs_when_all_trials_have_results_is_ended(tmp_path):
    (tmp_path / "search" / "stage-1" / "trial-00000" / "claim").mkdir(parents=True)
    master = Master(command(tmp_path, 1, "lingers"), tmp_path, 2)
    master.last_wait = 0.2
    assert master.run(pause=0.02) == 0
    assert is_free(tmp_path, 2)


def test_a_master_that_was_killed_changes_nothing(mother, tmp_path):
    options = {"state": str(tmp_path), "command": command(tmp_path, 4, "waits")}
    for killed in range(3):
        master = mother.start_master(workers=2, **options)
        until(lambda: len(started(tmp_path)) == 2)
        if killed:  # the first one's workers are still there
            until_it_shows(master, "2 workers")
        master.send(signal.SIGKILL)
        assert master.wait(LONG) == -signal.SIGKILL
    assert not is_free(tmp_path, 2)
    # Two at once, and never more workers than places.
    both = [mother.start_master(workers=2, **options) for _ in range(2)]
    for master in both:
        until_it_shows(master, "2 workers")
    assert len(started(tmp_path)) == 2
    (tmp_path / "go").touch()
    assert [master.wait(LONG) for master in both] == [0, 0]
    assert count(tmp_path) == 4
    assert is_free(tmp_path, 2)


def test_a_master_that_is_asked_to_end_takes_its_workers_along(mother, tmp_path):
    options = {"state": str(tmp_path), "command": command(tmp_path, 4, "waits")}
    first = mother.start_master(workers=2, **options)
    until(lambda: len(started(tmp_path)) == 2)
    first.send(signal.SIGKILL)
    first.wait(LONG)
    # Also those that another master has started.
    second = mother.start_master(workers=2, **options)
    until_it_shows(second, "2 workers")
    second.send(signal.SIGTERM)
    assert second.wait(LONG) == 130
    assert is_free(tmp_path, 2)


def test_a_lock_is_not_kept_by_what_a_worker_forks(tmp_path):
    program = (
        "import os, signal, time\n"
        "from importlib.machinery import SourceFileLoader\n"
        f"slots = SourceFileLoader('slots', {SLOTS!r}).load_module()\n"
        "slots.keep_lock()\n"
        "if os.fork() == 0:\n"
        "    open('child', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "while not os.path.exists('child') or not os.path.getsize('child'):\n"
        "    time.sleep(0.01)\n"
    )
    slot = Slot(tmp_path, 0)
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert slot.start([sys.executable, "-W", "ignore", "-c", program], os.environ)
    finally:
        os.chdir(here)
    until(lambda: slot.status() is not None)
    child = int((tmp_path / "child").read_text())
    try:
        assert not slot.is_taken(), slot.last_words()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_place_is_filled_once(tmp_path):
    one, other = Slot(tmp_path, 0), Slot(tmp_path, 0)
    sleeper = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(600)"]
    assert one.start(sleeper, os.environ)
    assert not other.start(sleeper, os.environ)
    assert other.is_taken()
    other.signal(signal.SIGKILL)  # whoever started it
    until(lambda: one.status() == -signal.SIGKILL)
    assert not other.is_taken()


def test_a_terminal_shows_a_table(tmp_path):
    text = io.StringIO()
    console = rich.console.Console(file=text, force_terminal=True, width=100)
    with Screen(console) as screen:
        screen.show(Progress(tmp_path), 3)
    for word in ("trials", "failed", "ended early", "workers", "none yet"):
        assert word in text.getvalue()
