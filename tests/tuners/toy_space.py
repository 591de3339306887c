"""A space of every kind of hyperparameter, and how bad a point of it is."""

import keras_tuner
import numpy as np

from keras_practices.search_record import TrialResult


def make_space():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-5, 1.0, sampling="log")
    hp.Choice("optimizer", ["sgd", "adam", "lion"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Choice("momentum", [0.0, 0.5, 0.9])
    hp.Int("width", 8, 64, sampling="log")
    hp.Boolean("norm")
    hp.Float("dropout", 0.0, 0.7, step=0.1)
    hp.Fixed("depth", 2)
    return hp


SPACE = make_space()


def badness(values):
    """To be minimized: SGD with momentum 0.9, 1e-3, a dropout of 0.3."""
    return (
        (np.log10(values["rate"]) + 3) ** 2
        + 10 * (values["dropout"] - 0.3) ** 2
        + (values["optimizer"] != "sgd")
        + abs(values.get("momentum", 0.9) - 0.9)
        + 0.2 * values["norm"]
    )


def search(strategy):
    results = {}
    for trial in range(strategy.max_trials):
        values = strategy.proposal(SPACE, trial, results).values
        results[trial] = TrialResult(trial, values, score=badness(values))
    return results
