"""CPU of a trial that does nothing, over SQLite with a heartbeat.

    KERAS_BACKEND=torch python benchmarks/search_study_overhead.py
    python benchmarks/search_study_overhead.py --quick

What claiming a number, publishing its result and telling the database cost, without
any training: process time of all threads. The targets are 60 ms, and no more than
20 % more at the 1,000th trial than at the 100th.
"""

import argparse
import statistics
import tempfile
import time

import keras_tuner

from keras_practices.search_record import TrialResult
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.strategy import RandomStrategy
from keras_practices.tuners.study_engine import StudyEngine

WINDOW = 50


def measure(trials, folder):
    """Returns the CPU and wall seconds of each trial."""
    folder = SearchFolder(folder)
    engine = StudyEngine(folder)
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 1, 100)
    marks = []

    def run_one(proposal, pruner=None):
        marks.append((time.process_time(), time.perf_counter()))
        proposal = folder.begin(proposal)
        attempt, _ = folder.new_attempt(proposal)
        result = TrialResult(
            proposal.trial, proposal.values, score=1.0, attempt=attempt
        )
        return folder.publish(result)

    engine.run(RandomStrategy(trials + 1, 0), hp, run_one)
    pairs = zip(marks, marks[1:], strict=False)
    return [(b[0] - a[0], b[1] - a[1]) for a, b in pairs]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 trials")
    parser.add_argument("--trials", type=int, default=1025)
    given = parser.parse_args()
    trials = 200 if given.quick else given.trials
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(trials, folder)
    print("| trials | CPU ms a trial (median) | wall ms (median) |")
    print("|---|---|---|")
    medians = {}
    for at in (100, 250, 500, 750, 1000):
        window = costs[at - WINDOW // 2 : at + WINDOW // 2]
        if len(window) == WINDOW:
            medians[at] = 1e3 * statistics.median(cpu for cpu, _ in window)
            wall = 1e3 * statistics.median(wall for _, wall in window)
            low, high = at - WINDOW // 2, at + WINDOW // 2 - 1
            print(f"| {low}-{high} | {medians[at]:.1f} | {wall:.1f} |")
    last = max(medians)
    growth = medians[last] / medians[100] - 1
    print(f"\nFrom trial 100 to {last}: {growth:+.0%} CPU.")


if __name__ == "__main__":
    main()
