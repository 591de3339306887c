"""Kills workers and masters of a search at random, and counts what is left.

    KERAS_BACKEND=torch python benchmarks/search_kills.py
    python benchmarks/search_kills.py --quick

Three workers run 50 trials over SQLite with heartbeats; a random one that is inside a
trial is killed with SIGKILL 20 times, and replaced by the master. Then the same with
the master as the victim, started again each time. The workers are real (`StudyEngine`,
folder, database, master); their trials sleep and publish, since training would add
nothing but time.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "tuners"))

WORKERS = 3
BEATS = {"heartbeat_interval": 1, "grace_period": 4}


def work(state, trials, seconds):
    """Is a worker, as `search worker` of a script would be."""
    from study_workers import run_trials

    from keras_practices.tuners import roles
    from keras_practices.tuners.slots import keep_lock

    keep_lock()
    folder = pathlib.Path(state) / "search"
    roles.current().announce(folder, trials)
    run_trials(str(folder), trials=trials, seconds=seconds, **BEATS)


def rule(state, trials, seconds):
    """Is a master, as `search master` would be."""
    from keras_practices.tuners import roles
    from keras_practices.tuners.master import Master

    options = ["--trials", str(trials), "--seconds", str(seconds)]
    command = [sys.executable, str(HERE), "--role", "worker", "--state", state]
    given = roles.environment(state=state)
    sys.exit(Master([*command, *options], state, WORKERS, given).run())


def start_master(state, trials, seconds):
    """Starts a master in a process of its own."""
    options = ["--trials", str(trials), "--seconds", str(seconds)]
    with open(pathlib.Path(state) / "master.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, str(HERE), "--role", "master", "--state", state, *options],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def training_workers(state):
    """Returns the process numbers of living workers that are inside a trial."""
    from keras_practices.tuners.slots import Slot

    slots = [Slot(state, number) for number in range(WORKERS)]
    living = {slot.path.read_text() for slot in slots if slot.is_taken()}
    inside = set()
    for place in pathlib.Path(state).glob("search/stage-1/*/attempt-*"):
        begun = place / "begun.txt"
        if begun.exists() and not (place / "ran.txt").exists():
            inside.add(begun.read_text())
    return sorted(int(number) for number in living & inside if number)


def results(state):
    """Returns the results by trial."""
    found = pathlib.Path(state).glob("search/stage-1/trial-*/result.json")
    return [json.loads(path.read_text())["trial"] for path in found]


def measure(victim, trials, kills, seconds):
    """Runs one search under fire; returns the row of the table."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as state:
        begin, killed = time.monotonic(), 0
        master = start_master(state, trials, seconds)
        due = 0.0
        while master.poll() is None:
            time.sleep(0.05)
            ended = len(results(state))
            # Spread over the search: a kill for every few results.
            is_time = ended >= killed * trials / (kills + 2) and time.monotonic() > due
            training = training_workers(state)
            if killed >= kills or not is_time or not training:
                continue
            if victim == "master":
                os.kill(master.pid, signal.SIGKILL)
                master.wait()
                master = start_master(state, trials, seconds)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(draw.choice(training), signal.SIGKILL)
            killed += 1
            due = time.monotonic() + 0.5
        counted = collections.Counter(results(state))
        lost = sum(trial not in counted for trial in range(trials))
        twice = sum(count > 1 for count in counted.values())
        attempts = len(list(pathlib.Path(state).glob("search/stage-1/*/attempt-*")))
        return (
            f"| {victim} | {killed} | {len(counted)} of {trials} | {lost} | {twice} "
            f"| {attempts - trials} | {master.returncode} "
            f"| {time.monotonic() - begin:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 trials, 3 kills")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a trial")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--state", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role is not None:
        roles = {"worker": work, "master": rule}
        roles[given.role](given.state, given.trials, given.seconds)
        return
    trials, kills = (10, 3) if given.quick else (given.trials, given.kills)
    print(
        "| killed | times | results | lost | twice | trained again | status | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for victim in ("worker", "master"):
        print(measure(victim, trials, kills, given.seconds), flush=True)


if __name__ == "__main__":
    main()
