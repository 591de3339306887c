"""Ends a trial that cannot become any good, in its first epochs."""

import math
from typing import Any

import keras
import numpy as np

from keras_practices.measures.probe import Probe
from keras_practices.rules import run_rules
from keras_practices.tuners.trial_callbacks import learning_rate_of
from keras_practices.tuners.trial_callbacks import number_of

# A loss that is not finite stays so. One that diverges is judged at the ends of two
# epochs in succession, since one epoch may be an accident.
_AT_ONCE = "loss-not-finite"
_DIVERGING = "loss-diverging"
# Stuck: nine tenths of the loss of the first epoch are left, which itself was not
# much lower than the first batches.
_STUCK = 0.9
_NO_FALL = 0.75
# Kernels that have moved by less since the start have learned nothing.
_UNMOVED = 0.01
_ROWS = 128
# The loss of one batch is noisy: the mean of so many counts as a start too.
_FIRST = 8
# Batches between two looks at the loss of a long epoch.
_LOOK = 64
# Epochs after which a loss that does not fall is looked into.
_JUDGED = (2, 3)


class EndHopeless(keras.callbacks.Callback):
    """Sets `model.stop_training` where the rules see no hope, and says why.

    It reads the losses that `fit` reports, so a healthy trial costs a copy of its
    kernels. Only where the loss does not fall in the first two or three epochs are
    movement of the kernels and share of dead units looked at, which say what is
    wrong. A loss that rests is no reason: the kernels must not have moved, at a pace
    by which the loss keeps nine tenths until the end, or nothing gets through.

    Args:
        judges_progress: Bool. False where training goes on from weights that are
            good already: then only a loss that is not finite counts.
        rows: Arrays of training inputs whose units are looked at, or None.

    Attributes:
        reason: Rule and words, or None.
    """

    def __init__(self, judges_progress: bool = True, rows: Any = None):
        super().__init__()
        self._judges = judges_progress
        self._rows = rows
        self.reason: str | None = None

    def on_train_begin(self, logs=None):
        """Begins anew."""
        self.reason = None
        self._starts = []
        self._first_epoch = None
        self._steps = 0
        self._epochs = 0
        self._before = set()
        self._rates = []
        self._weights = _kernels(self.model) if self._judges else []

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the first loss, and now and then at those of a long epoch."""
        self._steps += 1
        if self.reason is not None:
            return
        if self._steps not in (1, _FIRST) and batch % _LOOK:
            return
        loss = number_of((logs or {}).get("loss"))
        if loss is None:
            return
        if not math.isfinite(loss):
            self._end(self._found({}, loss))
        elif self._steps <= _FIRST:
            self._starts.append(loss)

    def on_epoch_end(self, epoch, logs=None):
        """Asks the rules."""
        loss = number_of((logs or {}).get("loss"))
        self._epochs += 1
        if loss is None or self.reason is not None:
            return
        if not math.isfinite(loss):
            self._end(self._found({}, loss))
            return
        if not self._judges or not self._starts:
            return
        self._rates.append(learning_rate_of(self.model) or math.nan)
        found = self._found({}, loss)
        self._end([one for one in found if one.rule in self._before])
        self._before = {one.rule for one in found}
        if self._epochs == 1:
            self._first_epoch = loss
        elif self._epochs in _JUDGED and self._is_stuck(loss):
            self._end(self._found(self._look_closer(epoch, loss), loss))
        if self._epochs >= max(_JUDGED):
            self._weights = []

    def _is_stuck(self, loss):
        first, early = self._first_epoch, self._starts[-1]
        return early > 0 and loss >= _STUCK * first and first >= _NO_FALL * early

    def _end(self, found):
        if found and self.reason is None:
            one = found[0]
            # Of dead units the first epochs were not looked at: why is not known.
            cause = "" if one.rule == "dead-units" else one.cause or ""
            self.reason = f"{one.rule}: {one.message} {cause}".strip()
            self.model.stop_training = True

    def _found(self, figures, loss):
        finite = math.isfinite(loss)
        start = self._first_epoch if figures else max(self._starts, default=0.0)
        training = {
            "steps": self._steps,
            "start_loss": start,
            "last_loss": loss if finite else None,
            "kept": loss / start if finite and start else 1.0,
            "first_not_finite": None if finite else self._steps,
            "first_not_finite_epoch": None if finite else float(self._epochs),
            "floor": None,
            "chance": None,
            "update_ratio": None,
            "learning_rate": learning_rate_of(self.model),
            **figures.get("training", {}),
        }
        select = figures.get("select") or [_DIVERGING if finite else _AT_ONCE]
        found = run_rules(
            {**figures, "training": training},
            stages=("before", "during"),
            select=select,
        )
        grave = [one for one in found if one.severity != "note"]
        # Kernels behind dead units do not move at any rate.
        return sorted(grave, key=lambda one: one.rule != "dead-units")

    def _look_closer(self, epoch, loss):
        """What updates and units say where the loss does not fall."""
        figures = {"select": []}
        moved = _movement(self._weights, _kernels(self.model))
        slow = moved is not None and moved < _UNMOVED
        if slow and not self._rises() and self._stays(epoch, loss):
            ratio = moved / self._steps
            figures["training"] = {"update_ratio": ratio, "rate_faded_at": None}
            figures["select"].append("learning-rate-too-low")
        layers = self._layers()
        if layers:
            figures |= {"layers": layers, "probe_rows": _ROWS}
            figures["select"].append("dead-units")
        return figures if figures["select"] else {}

    def _rises(self):
        """Whether the rate is still warming up."""
        return len(self._rates) > 1 and self._rates[-1] > 1.01 * self._rates[-2]

    def _stays(self, epoch, loss):
        """Whether the loss would keep nine tenths at its pace until the end."""
        planned = (self.params or {}).get("epochs") or epoch + 1
        left = max(0, planned - epoch - 1)
        fall = (self._first_epoch - loss) / max(1, self._epochs - 1)
        return loss - left * max(0.0, fall) >= _STUCK * self._first_epoch

    def _layers(self):
        if self._rows is None:
            return None
        try:
            rows = keras.tree.map_structure(lambda leaf: leaf[:_ROWS], self._rows)
            if min(len(leaf) for leaf in keras.tree.flatten(rows)) < _ROWS:
                return None
            _, layers, _ = Probe(self.model).measure(rows)
        except Exception:  # a model that cannot be looked into is not hopeless
            return None
        return layers


def _kernels(model):
    return [
        keras.ops.convert_to_numpy(variable)
        for variable in model.trainable_variables
        if len(variable.shape) > 1
    ]


def _movement(before, after):
    """Median over kernels of the change beside the size, None where not known."""
    if not before or [a.shape for a in before] != [b.shape for b in after]:
        return None
    shares = [
        float(np.linalg.norm(new - old)) / size
        for old, new in zip(before, after, strict=True)
        if (size := float(np.linalg.norm(old))) > 0
    ]
    return float(np.median(shares)) if shares else None
