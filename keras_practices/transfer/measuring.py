"""Readings of linear probes at the places of a network, as long as time is left."""

import time
from typing import Any

import numpy as np

from keras_practices.transfer.depths import joinable
from keras_practices.transfer.features import MOST_FEATURES
from keras_practices.transfer.features import Features
from keras_practices.transfer.features import raw_features
from keras_practices.transfer.probes import STRENGTHS
from keras_practices.transfer.probes import difference
from keras_practices.transfer.probes import is_better
from keras_practices.transfer.probes import read
from keras_practices.transfer.renewal import new_statistics
from keras_practices.transfer.thresholds import CLEAR_ERRORS


class Measured:
    """Readings at the places of a network, in the order of their use.

    Args:
        model: Built Keras model.
        depths: List of `Depth`.
        x: Inputs, NumPy arrays.
        targets: `Targets` of the same rows.
        seed: Integer.
    """

    def __init__(self, model, depths, x, targets, seed):
        self.passes = Features(model, depths, MOST_FEATURES)
        self.raw_inputs = raw_features(x, MOST_FEATURES)
        self.x, self.targets, self.seed = x, targets, seed
        self.count = len(depths)
        self.pretrained: dict[int, Any] = {}
        self.random: dict[int, Any] = {}
        self.raw = None
        # Places that a head could read together, and a probe of all their features.
        cuttable = all(depth.trail for depth in depths)
        self.together = joinable(depths) if cuttable else []
        self.joined = None
        # Whether BatchNorm's statistics are those of the new rows.
        self.renewed = False
        self.left_out = 0

    def take(self, until):
        """Reads what fits in before `until`; the first is read in any case."""
        last = self.count - 1
        self.features = self.passes.run(self.passes.own_values(), self.x)
        self.pretrained[last] = self._read(self.features[last])
        if time.perf_counter() < until:
            self._try_new_statistics()
        if self.raw_inputs is not None and time.perf_counter() < until:
            self.raw = self._read(self.raw_inputs)
        drawn = None
        jobs = [("random", last)]
        jobs += [
            (kind, place)
            for place in reversed(range(last))
            for kind in ("own", "random")
        ]
        for kind, place in jobs:
            if time.perf_counter() >= until:
                self.left_out += 1
            elif kind == "own":
                self.pretrained[place] = self._read(self.features[place])
            else:
                if drawn is None:
                    values = self.passes.random_values(self.seed)
                    drawn = self.passes.run(values, self.x)
                self.random[place] = self._read(drawn[place])
        if len(self.together) > 1 and time.perf_counter() < until:
            self.joined = self._read_joined()

    def _try_new_statistics(self):
        """Goes on with BatchNorm's statistics of these rows where a probe is better."""
        changed = new_statistics(self.passes.model, self.x)
        if not changed:
            return
        features = self.passes.run(self.passes.own_values(changed), self.x)
        reading = self._read(features[-1])
        if reading.loss < self.pretrained[self.count - 1].loss:
            self.features, self.pretrained[self.count - 1] = features, reading
            self.renewed = True

    def _read_joined(self):
        parts = [self.features[place] for place in self.together]
        # As strong a prior on what the head gives as for one place.
        strengths = tuple(strength / len(parts) for strength in STRENGTHS)
        return self._read(np.concatenate(parts, axis=1), strengths=strengths)

    def joins(self, large):
        """Places that a head had better read together; none where one does.

        One does that makes no errors, or is clearly better: by chance the best of many
        always is a little. Of little data the many weights of several places are also
        learned worse, and one standard error is enough.
        """
        best, as_good = self.best()
        if self.joined is None or (self.pretrained[as_good].scores == 1).all():
            return []
        errors = CLEAR_ERRORS if large else 1.0
        alone = is_better(self.pretrained[best], self.joined, errors)
        return [] if alone else self.together

    def _read(self, features, **kwargs):
        values, classes = self.targets.values, self.targets.classes is not None
        return read(features, values, classes=classes, seed=self.seed, **kwargs)

    def best(self):
        """The place of the best probe, and the deepest one that is as good."""
        best = max(self.pretrained, key=lambda place: self.pretrained[place].score)
        for place in sorted(self.pretrained, reverse=True):
            gap, error = difference(self.pretrained[best], self.pretrained[place])
            if gap <= error:
                return best, place
        return best, best

    def baseline(self):
        """The best reading that owes nothing to the old task, or None."""
        others = [*self.random.values(), *([self.raw] if self.raw else [])]
        return max(others, key=lambda reading: reading.score, default=None)

    def similarity(self):
        """Returns `(share, helps)` of the advantage of the pretrained features.

        `share` is what is left of it at the deepest place, `helps` whether there is
        one that is clear of chance.
        """
        best, _ = self.best()
        top, base = self.pretrained[best], self.baseline()
        if base is None or top.score <= base.score:
            return 0.0, False
        deepest = self.pretrained[self.count - 1]
        share = (deepest.score - base.score) / (top.score - base.score)
        return min(1.0, max(0.0, share)), is_better(top, base, CLEAR_ERRORS)
