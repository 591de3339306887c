"""Trains the members of an ensemble, each from a seed of its own."""

import hashlib
import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.randomness import derive_seeds
from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.callbacks.disk import check_folder
from keras_practices.callbacks.disk import check_room
from keras_practices.callbacks.disk import flush
from keras_practices.callbacks.disk import make_folder
from keras_practices.ensembles.checkpoints import load_member
from keras_practices.ensembles.ensemble import Ensemble
from keras_practices.ensembles.members import check_members
from keras_practices.ensembles.members import largest_difference
from keras_practices.ensembles.members import raise_identical
from keras_practices.ensembles.members import same_weights
from keras_practices.errors import UsageError
from keras_practices.measures.sample import as_arrays
from keras_practices.measures.sample import row_count
from keras_practices.measures.set_up import check_model

_OWNER = "ensembles.train"
# Rows by whose predictions members are told apart.
_PROBE_ROWS = 256


def train(
    build: Callable[[], keras.Model] | Sequence[Callable[[], keras.Model]],
    x: Any,
    y: Any = None,
    *,
    n: int | None = None,
    seed: int = 0,
    bagging: float | None = None,
    directory: str | os.PathLike[str] | None = None,
    same_start: bool = False,
    callbacks: Any = None,
    ensemble: dict[str, Any] | None = None,
    **fit: Any,
) -> Ensemble:
    """Trains several models and returns them as one `Ensemble`.

    Each member is built and trained with a seed of its own, which follows from
    `seed`: weights, shuffling, dropout. The same call gives the same members again,
    and the random state of the program is put back.

    Args:
        build: Function without arguments that returns a new, compiled model, or a
            list of such functions (other architectures), taken in turn. Make
            initializers inside it, without integer seeds.
        x: What `fit` takes.
        y: What `fit` takes.
        n: Integer of at least 1. Members. None: 5, or one for each function.
        seed: Integer of at least 0.
        bagging: None, or a share in (0, 1]: each member gets its own sample of that
            share of the rows, drawn with replacement (1.0: Breiman's bagging).
            Arrays only.
        directory: Local folder for finished members, or None. A member whose file is
            there is read back, not trained again, so a training that was killed goes
            on. Its name holds the seed; give every experiment its own folder.
        same_start: Bool. Take members that begin with equal weights, as where
            `build` reads a pretrained model; refused otherwise.
        callbacks: List for `fit`, used for one member after the other, or a function
            from the number of the member to such a list, for callbacks with files or
            a memory.
        ensemble: Dict of arguments of `Ensemble`, such as `{"combine": "votes"}`.
        **fit: Further arguments of `fit`: `epochs`, `validation_data`, `batch_size`.

    Returns:
        `Ensemble`; `ensemble.members[i].history` is the `History` of a member that
        was trained in this call.

    Raises:
        TypeError, ValueError: a bad argument; `build` gives no compiled model.
        RuntimeError: two members are identical (`ensemble-members-identical`: found
            before the second one is trained where their first weights are); weights
            that are not finite after training; a file of another model in
            `directory`.
        OSError: `directory` cannot be made.

    Example:

    >>> def build():
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> ensemble = kp.ensembles.train(build, x, x[:, :1], n=3, epochs=2, verbose=0)
    >>> len(ensemble.members), ensemble.predict(x, verbose=0).shape
    (3, (40, 1))

    References:
        CS231n, "Neural Networks Part 3", model ensembles (same model, different
        initializations); Breiman, "Bagging predictors", 1996, Machine Learning 24.
    """
    builders = _builders(build)
    n = (len(builders) if len(builders) > 1 else 5) if n is None else n
    check_integer(_OWNER, "n", n, low=1)
    check_integer(_OWNER, "seed", seed, low=0)
    arrays = _bagged_arrays(x, y, bagging, fit)
    folder = None if directory is None else check_folder(_OWNER, "directory", directory)
    if folder is not None:
        make_folder(folder)
    made = _Members(_probe(x), same_start)
    for place, own in enumerate(derive_seeds(seed, n)):
        with restore_rng():
            keras.utils.set_random_seed(own)
            member = builders[place % len(builders)]()
            check_model(_OWNER, member, must_be_built=False)
            path = folder and os.path.join(folder, f"member-{place:02d}_{own}.keras")
            if path and os.path.exists(path):
                member = _read_back(path, member)
            else:
                made.check_start(member)
                data = _drawn(arrays, bagging, own) if bagging else {"x": x, "y": y}
                calls = callbacks(place) if callable(callbacks) else callbacks
                member.fit(**{**fit, **data, "callbacks": calls})
                _check_finite(member, place, own)
                if path:
                    _write(member, path)
            made.add(member)
    return Ensemble(made.members, **(ensemble or {}))


def _builders(build):
    builders = list(build) if isinstance(build, list | tuple) else [build]
    if not builders or not all(callable(one) for one in builders):
        expected = "a function that returns a compiled model, or a list of such"
        raise type_error(_OWNER, "build", expected, build)
    if any(isinstance(one, keras.Model) for one in builders):
        advice = "A model has its weights already: give the function that builds it."
        raise type_error(_OWNER, "build", "a function, no model", build, advice)
    return builders


def _bagged_arrays(x, y, bagging, fit):
    """Returns the arrays that rows are drawn from, or None without bagging."""
    if bagging is None:
        return None
    check_number(_OWNER, "bagging", bagging, low=0, high=1, closed="right")
    if fit.get("validation_split"):
        advice = "A row drawn twice would be trained on and validated. Pass arrays "
        advice += "as validation_data."
        split = fit["validation_split"]
        raise value_error(_OWNER, "validation_split", "None", split, advice)
    parts = {"x": x, "y": y, "sample_weight": fit.get("sample_weight")}
    parts = {name: part for name, part in parts.items() if part is not None}
    for name, part in parts.items():
        leaves = keras.tree.flatten(part)
        if not all(getattr(leaf, "shape", ()) for leaf in leaves):
            raise type_error(_OWNER, name, "arrays, to draw rows from", part)
    parts = {name: as_arrays(part, _OWNER, name) for name, part in parts.items()}
    rows = {name: row_count(part, _OWNER, name) for name, part in parts.items()}
    if len(set(rows.values())) > 1:
        raise value_error(_OWNER, "y", "of as many rows as x", rows)
    return parts


def _drawn(arrays, share, seed):
    rows = row_count(arrays["x"], _OWNER, "x")
    count = max(1, round(share * rows))
    chosen = np.random.default_rng(seed).integers(rows, size=count)
    return keras.tree.map_structure(lambda array: array[chosen], arrays)


def _probe(x):
    """Returns some rows spread over the data, or None for what gives batches."""
    leaves = keras.tree.flatten(x) if isinstance(x, dict | list | tuple) else [x]
    if not all(isinstance(leaf, np.ndarray) and leaf.ndim for leaf in leaves):
        return None
    rows = min(len(leaf) for leaf in leaves)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, _PROBE_ROWS)).astype(int))
    return keras.tree.map_structure(lambda leaf: leaf[chosen], x)


class _Members:
    """The members so far, and what tells the next one from them."""

    def __init__(self, probe, same_start):
        self.members, self._starts, self._answers = [], {}, []
        self._probe, self._same_start = probe, same_start

    def check_start(self, member):
        """Raises where a member begins with the weights of an earlier one."""
        if not member.built or self._same_start:
            return
        place = len(self.members)
        if self.members:
            labels = ["member 0", f"member {place}"]
            check_members(_OWNER, [self.members[0], member], labels)
        digest = hashlib.sha256()
        for weight in member.weights:
            digest.update(ops.convert_to_numpy(weight.value).tobytes())
        first = self._starts.setdefault(digest.hexdigest(), place)
        if first != place:
            pair = {"first": f"member {first}", "second": f"member {place}"}
            pair.update(same_weights=True, when="before training are")
            raise_identical(_OWNER, [pair])

    def add(self, member):
        """Takes a trained member, and raises where it equals an earlier one."""
        self._answers.append(self._answer(member))
        place = len(self.members)
        pairs = [
            {
                "first": f"member {earlier}",
                "second": f"member {place}",
                "same_weights": same_weights(other, member),
                "difference": self._difference(earlier),
            }
            for earlier, other in enumerate(self.members)
        ]
        raise_identical(_OWNER, pairs)
        self.members.append(member)

    def _answer(self, member):
        if self._probe is None:
            return None
        found = keras.tree.flatten(member.predict_on_batch(self._probe))
        return np.concatenate([np.ravel(np.asarray(one)) for one in found])

    def _difference(self, earlier):
        mine, theirs = self._answers[-1], self._answers[earlier]
        if mine is None or mine.shape != theirs.shape:
            return None
        return largest_difference(theirs, mine)


def _check_finite(member, place, seed):
    for weight in member.weights:
        values = ops.convert_to_numpy(weight.value)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UsageError(
                f"{_OWNER}: member {place} (seed {seed}) has weights that are not "
                f"finite after training, the first in {weight.path}. It would make "
                "every prediction of the ensemble NaN. Lower the learning rate, or "
                "run keras_practices.diagnose on the model."
            )


def _write(member, path):
    partial = os.path.join(os.path.dirname(path), f"partial_{os.path.basename(path)}")
    check_room(os.path.dirname(path), member)
    member.save(partial)
    flush(partial)
    os.replace(partial, path)


def _read_back(path, fresh):
    member = load_member(_OWNER, path)
    stored = [tuple(weight.shape) for weight in member.weights]
    wanted = [tuple(weight.shape) for weight in fresh.weights]
    if type(member) is not type(fresh) or (fresh.built and stored != wanted):
        raise UsageError(
            f"{_OWNER}: {path} holds another model than `build` gives. Give every "
            "experiment its own directory."
        )
    return member
