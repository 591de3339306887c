"""How often the border check finds an optimum outside, and cries without a cause.

    python benchmarks/search_border.py [--searches 500] [--trials 48] [--quick]

Simulated random searches of 5 hyperparameters (1 in log scale of 4 decades, 1 integer,
3 linear), no training: a score is the negative squared distance, in units of the
ranges, to an optimum, plus normal noise of `noise` times the spread of the scores.
Each line is so many searches; found and false are shares of searches, with the
95 % interval of a binomial share.
"""

import argparse
import math

import numpy as np

from keras_practices.measures.search.borders import measure_borders
from keras_practices.rules import CATALOGUE
from keras_practices.search_record import SearchRecord
from keras_practices.search_record import TrialResult

SPACE = [
    {"name": "rate", "kind": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "width", "kind": "int", "low": 1, "high": 100, "scale": "linear"},
    {"name": "a", "kind": "float", "low": 1.0, "high": 3.0, "scale": "linear"},
    {"name": "b", "kind": "float", "low": -1.0, "high": 1.0, "scale": "linear"},
    {"name": "c", "kind": "float", "low": 2.0, "high": 9.0, "scale": "linear"},
]
CASES = {
    "none": "no hyperparameter has an effect",
    "outside": "optimum of one is 0.1 to 0.5 range widths outside",
    "inside": "all optima within 0.2 to 0.8 of the ranges",
    "cliff": "one rises from the left and falls off a cliff at 0.63 to 0.93",
}


def simulate(kind, trials, noise, rng):
    """Returns a random search as its folder would tell it."""
    places = rng.random((trials, len(SPACE)))
    optimum = rng.uniform(0.2, 0.8, len(SPACE))
    if kind == "outside":
        optimum[0] = 1.0 + rng.uniform(0.1, 0.5)
    gains = -((places - optimum) ** 2)
    if kind == "cliff":
        peak, x = rng.uniform(0.55, 0.85), places[:, 0]
        rising = -np.clip((peak - x) / 0.5, 0, 1)
        gains[:, 0] = np.where(x > peak + 0.08, -1.0, rising)
    scores = gains.sum(axis=1)
    scores += noise * scores.std() * rng.standard_normal(trials)
    if kind == "none":
        scores = rng.random(trials)
    results = {}
    for trial, (row, score) in enumerate(zip(places, scores, strict=True)):
        values = {
            "rate": float(1e-4 * 1e4 ** row[0]),
            "width": int(1 + math.floor(100 * row[1])),
            "a": float(1 + 2 * row[2]),
            "b": float(2 * row[3] - 1),
            "c": float(2 + 7 * row[4]),
        }
        results[trial] = TrialResult(trial, values, score=float(score), epochs=1)
    strategy = {"name": "RandomStrategy"}
    return SearchRecord("val_accuracy", "max", SPACE, results, strategy=strategy)


def share_found(kind, trials, noise, searches, seed):
    """Returns the share of searches with a finding: of the right end, for outside."""
    rng = np.random.default_rng([seed, trials, int(10 * noise)])
    rule, hits = CATALOGUE["best-on-border"], 0
    for _ in range(searches):
        record = simulate(kind, trials, noise, rng)
        found = rule({"borders": measure_borders(record)})
        ends = {(one.subject, one.evidence["side"]) for one in found}
        hits += ("rate", "high") in ends if kind == "outside" else bool(ends)
    return hits / searches


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=500)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trials", type=int, nargs="+", default=[32, 48, 96])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.2, 0.5])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    searches = 40 if options.quick else options.searches
    print(f"{searches} searches a line, 5 hyperparameters, seed {options.seed}\n")
    print("| case | trials | noise | finding | 95 % interval |")
    print("|---|---|---|---|---|")
    for kind in options.cases:
        words = CASES[kind]
        for trials in options.trials:
            for noise in options.noise[:1] if kind == "none" else options.noise:
                share = share_found(kind, trials, noise, searches, options.seed)
                error = 1.96 * math.sqrt(share * (1 - share) / searches)
                low, high = max(0, share - error), min(1, share + error)
                print(
                    f"| {words} | {trials} | {noise} | {share:.1%} | "
                    f"{low:.1%} to {high:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
