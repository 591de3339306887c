"""Prints how many epochs searches train until one model is among the best 2 %.

    python benchmarks/search_staged.py
    python benchmarks/search_staged.py --others          # where settings may be tried
    python benchmarks/search_staged.py --quick           # to see that it runs

Three problems with real data (`search_problems.py`), five to eight hyperparameters
each, up to 30 epochs a model. The mark to reach is what the best 2 % of 500 random
points come to with all 30 epochs: validation loss of the best epoch. Counted is every
epoch that any model is trained, up to the first that reaches the mark. A search that
ends without is begun again with another seed, and its epochs count.

- random: the oracle of `keras_tuner.RandomSearch`, every model 30 epochs.
- Hyperband: the oracle of `keras_tuner.Hyperband`, `max_epochs=30`, factor 3.
- staged: `StagedRandomSearch` with the stages of its documentation.

Models that are trained on begin where they stood, in Hyperband's case as in ours. In
Keras both go on from the best weights with a fresh optimizer. Stages and box were
written down before the first run; they were looked at on `--others` only.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of small matrices: more are slower

import itertools
import time

import keras_tuner
import numpy as np
from search_problems import OTHERS
from search_problems import PROBLEMS
from search_problems import Problem

from keras_practices.search_record import TrialResult
from keras_practices.tuners.stages import Stage
from keras_practices.tuners.stages import StagedStrategy
from keras_practices.tuners.strategy import draw

EPOCHS = 30
STAGES = [Stage(1, trials=48), Stage(5, keep=8, trials=16), Stage(EPOCHS, keep=3)]
TOP = 0.02
# Seeds of the marks' points; those of the searches lie far below.
TABLE_SEED = 10**6


class _InMemory:
    """An oracle that writes no files."""

    def save(self):
        pass

    def _save_trial(self, trial):
        pass


class _Random(_InMemory, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Hyperband(_InMemory, keras_tuner.oracles.HyperbandOracle):
    pass


class Counter:
    """Trains points, counts epochs, and knows when the mark is reached."""

    def __init__(self, problem, mark):
        self.problem, self.mark, self.epochs, self.reached = problem, mark, 0, False

    def train(self, values, begin, end):
        """Returns the losses of these epochs."""
        losses = self.problem.losses(values, end)[begin:]
        for count, loss in enumerate(losses, start=1):
            if loss <= self.mark:
                self.epochs, self.reached = self.epochs + count, True
                return losses
        self.epochs += len(losses)
        return losses


def with_oracle(kind, arguments, problem, mark, seed):
    """Returns the epochs that an oracle of keras-tuner needs."""
    counter = Counter(problem, mark)
    for again in itertools.count():
        oracle = kind(
            objective=keras_tuner.Objective("val_loss", "min"),
            # keras-tuner counts up from its seed: neighbours would share points.
            seed=1 + 10_000 * (1 + seed) + 5_000_000 * again,
            hyperparameters=problem.space.copy(),
            **arguments,
        )
        oracle.verbose = 0
        while True:
            trial = oracle.create_trial("tuner0")
            if trial.status != "RUNNING":
                break
            values = dict(trial.hyperparameters.values)
            begin = values.get("tuner/initial_epoch", 0)
            end = values.get("tuner/epochs", EPOCHS)
            point = {k: v for k, v in values.items() if not k.startswith("tuner/")}
            for epoch, loss in enumerate(counter.train(point, begin, end)):
                oracle.update_trial(trial.trial_id, {"val_loss": loss}, step=epoch)
            if counter.reached:
                return counter.epochs
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
    raise AssertionError("not reached")


def random_search(problem, mark, seed):
    return with_oracle(_Random, {"max_trials": 10_000}, problem, mark, seed)


def hyperband(problem, mark, seed):
    arguments = {"max_epochs": EPOCHS, "factor": 3, "hyperband_iterations": 1000}
    return with_oracle(_Hyperband, arguments, problem, mark, seed)


def staged(problem, mark, seed):
    """Returns the epochs that the stages need."""
    counter = Counter(problem, mark)
    for again in itertools.count():
        strategy = StagedStrategy(STAGES, "min", seed=seed + 1000 * again)
        results = {}
        for trial in range(strategy.max_trials):
            proposal = strategy.proposal(problem.space, trial, results)
            before = results.get(proposal.continues)
            begin = before.epochs if before else 0
            losses = counter.train(proposal.values, begin, proposal.epochs)
            if counter.reached:
                return counter.epochs
            results[trial] = TrialResult(
                trial,
                proposal.values,
                stage=proposal.stage,
                score=min(losses),
                epochs=proposal.epochs,
            )
    raise AssertionError("not reached")


SEARCHES = {"random": random_search, "Hyperband": hyperband, "staged": staged}


def interval(ours, theirs):
    """Returns a 95 % bootstrap interval of the ratio of two means."""
    rows = np.random.default_rng(0).integers(len(ours), size=(5000, len(ours)))
    # Seeds are paired by nothing but their number, so each side is drawn by itself.
    columns = np.random.default_rng(1).integers(len(theirs), size=(5000, len(theirs)))
    ratios = ours[rows].mean(axis=1) / theirs[columns].mean(axis=1)
    return np.quantile(ratios, [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=500, help="of the mark")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--problems", nargs="+")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.points = 3, 60
    begun = time.process_time()
    print("| problem | search | epochs, mean | median | of random's mean | 95 % |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in options.problems or (OTHERS if options.others else PROBLEMS):
        problem = Problem(name)
        best = [
            min(problem.losses(draw(problem.space, TABLE_SEED, point), EPOCHS))
            for point in range(options.points)
        ]
        mark = np.quantile(best, TOP)
        problem.runs.clear()
        found = {}
        for search, needed in SEARCHES.items():
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            found[search] = np.array([needed(problem, mark, seed) for seed in seeds])
            problem.runs.clear()
            low, high = interval(found[search], found["random"])
            mean = found[search].mean()
            print(
                f"| {name} | {search} | {mean:.0f} | {np.median(found[search]):.0f} "
                f"| {mean / found['random'].mean():.2f} | {low:.2f} to {high:.2f} |",
                flush=True,
            )
    print(f"\n{options.seeds} seeds, {time.process_time() - begun:.0f} s of CPU.")


if __name__ == "__main__":
    main()
