"""Starts workers of a search that need no Keras, and does to them what tests ask.

Run as a program it is the mother of workers: it imports once, then forks for every
line that it reads, so that a worker costs milliseconds. Its workers run `StudyEngine`
with trials that sleep and publish; everything under test is real but the training.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

# Not in the process that only starts them.
if __name__ == "__main__" or os.environ.get("KERAS_PRACTICES_SEARCH_ROLE"):
    import traceback

    import keras_tuner

    from keras_practices.errors import SearchFailedError
    from keras_practices.search_record import TrialResult
    from keras_practices.tuners.files import SearchFolder
    from keras_practices.tuners.master import Master
    from keras_practices.tuners.strategy import WAIT
    from keras_practices.tuners.strategy import RandomStrategy
    from keras_practices.tuners.study_engine import StudyEngine


def space():
    """Two hyperparameters."""
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 1, 100)
    return hp


def waiting(strategy, trials):
    """Makes the second half of the trials wait until all of the first have ended."""
    original = strategy.proposal

    def proposal(space, trial, results, running=None):
        half = trials // 2
        if half <= trial < trials and not set(range(half)) <= results.keys():
            return WAIT
        return original(space, trial, results, running)

    strategy.proposal = proposal
    return strategy


def run_trials(
    folder,
    storage=None,
    trials=4,
    seconds=0.0,
    seed=0,
    fails=False,
    waits=False,
    **options,
):
    """Runs a search as one of its workers."""
    folder = SearchFolder(folder)
    engine = StudyEngine(folder, storage, **options)
    failures = 0

    def run_one(proposal, pruner=None):
        nonlocal failures
        proposal = folder.begin(proposal)
        attempt, place = folder.new_attempt(proposal)
        (place / "begun.txt").write_text(str(os.getpid()))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        if fails:
            (place / "error.txt").write_text("Traceback: it fails on purpose.")
            failures += 1
        result = folder.publish(
            TrialResult(
                trial=proposal.trial,
                values=proposal.values,
                status="failed" if fails else "completed",
                score=None if fails else proposal.values["rate"],
                attempt=attempt,
            )
        )
        (place / "ran.txt").write_text(f"{os.getpid()}\n{result.attempt}")
        if failures >= 3:
            raise SearchFailedError("Three trials failed in a row.")
        return result

    strategy = RandomStrategy(trials, seed)
    engine.run(waiting(strategy, trials) if waits else strategy, space(), run_one)


def rule(state, command, workers):
    """Is a master."""
    sys.exit(Master(command, state, workers).run(pause=0.05))


def _child(verb, order, log):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        {"work": run_trials, "rule": rule}[verb](**order)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _mother():
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        if verb == "poll":  # the exit status, as of `subprocess`, or None
            done, status = os.waitpid(*arguments, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if done else None
        else:
            answer = os.fork()
            if answer == 0:
                os._exit(_child(verb, *arguments))
        print(json.dumps(answer), flush=True)


class Worker:
    """One worker process."""

    def __init__(self, mother, pid, log):
        self._mother = mother
        self.pid = pid
        self.log = log
        self._status = None

    def poll(self):
        """Its exit status, or None while it runs."""
        if self._status is None:
            self._status = self._mother.ask("poll", self.pid)
        return self._status

    def wait(self, seconds):
        """Waits for its end."""
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.pid} still runs: {self.log.read_text()}")
            time.sleep(0.02)
        return self._status

    def send(self, number):
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Mother:
    """The process that forks workers."""

    def __init__(self, logs):
        self._logs = pathlib.Path(logs)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # It trains nothing: the backend that is imported fastest.
            env={**os.environ, "KERAS_BACKEND": "numpy"},
        )
        self.workers = []

    def ask(self, *order):
        """Sends one order and returns the answer."""
        self._process.stdin.write(json.dumps(order, default=str) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, folder, **options):
        """Starts one worker of the search in a folder."""
        return self._fork("work", {"folder": str(folder), **options})

    def start_master(self, **options):
        """Starts one master."""
        return self._fork("rule", options)

    def _fork(self, verb, order):
        log = self._logs / f"worker-{len(self.workers)}.log"
        log.touch()
        pid = self.ask(verb, order, str(log))
        self.workers.append(Worker(self, pid, log))
        return self.workers[-1]

    def end_workers(self):
        """Ends what a failed test may have left."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send(signal.SIGKILL)
                worker.wait(10)

    def close(self):
        """Ends the workers and the mother."""
        self.end_workers()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


if __name__ == "__main__":
    _mother()
