"""Records of searches for the tests: simulated, with no training."""

import numpy as np

from keras_practices.search_record import SearchRecord
from keras_practices.search_record import TrialResult

RATE = {"name": "rate", "kind": "float", "low": 1e-4, "high": 1e-1, "scale": "log"}
WIDTH = {"name": "width", "kind": "int", "low": 1, "high": 100, "scale": "linear"}
DROP = {"name": "drop", "kind": "float", "low": 0.0, "high": 0.5, "scale": "linear"}
KIND = {"name": "kind", "kind": "choice", "values": ["a", "b"], "ordered": False}
SPACE = [RATE, WIDTH, DROP, KIND]


def random_search(score_of, trials=60, seed=0, direction="max", space=None, **fields):
    """A random search over `SPACE`; `score_of` takes places in [0, 1] by name."""
    rng = np.random.default_rng(seed)
    results = {}
    for trial in range(trials):
        u = dict(zip(("rate", "width", "drop", "kind"), rng.random(4), strict=True))
        values = {
            "rate": float(10 ** (3 * u["rate"] - 4)),
            "width": int(1 + 100 * u["width"]),
            "drop": float(u["drop"] / 2),
            "kind": "ab"[int(2 * u["kind"])],
        }
        score = score_of(u)
        kept = score if isinstance(score, dict) else {"score": float(score)}
        results[trial] = TrialResult(trial, values, epochs=1, **kept)
    fields = {"strategy": {"name": "RandomStrategy"}, **fields}
    return SearchRecord("val_accuracy", direction, space or SPACE, results, **fields)
