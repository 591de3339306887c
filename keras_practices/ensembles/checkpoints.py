"""Ensembles of models that were trained before."""

import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.randomness import restore_rng
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.ensembles.ensemble import Ensemble
from keras_practices.ensembles.members import check_distinct
from keras_practices.ensembles.members import check_members
from keras_practices.errors import ArgumentValueError
from keras_practices.errors import UsageError
from keras_practices.errors import first_line

_WEIGHTS = ".weights.h5"


def from_checkpoints(
    paths: Sequence[str | os.PathLike[str]],
    build: Callable[[], keras.Model] | None = None,
    *,
    custom_objects: dict[str, Any] | None = None,
    **options: Any,
) -> Ensemble:
    """Makes an ensemble of the models in files, such as snapshots of one training.

    Args:
        paths: Paths of `.keras` files, or of `.weights.h5` files, which need `build`.
        build: Function without arguments that returns the built model of
            `.weights.h5` files.
        custom_objects: Dict for `keras.saving.load_model`, or None.
        **options: Arguments of `Ensemble`: `combine`, `weights`, `classes`, ….

    Returns:
        `Ensemble`. Its members have no optimizers.

    Raises:
        TypeError, ValueError: a bad argument; a file that is missing, truncated, of
            another kind, or whose weights are those of another model (the message
            names it); models with other inputs or outputs.
        RuntimeError: two files hold the same weights.

    Example:

    >>> def build():
    ...     return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> for place in range(2):
    ...     build().save(f"run-{place}.keras")
    >>> paths = ["run-0.keras", "run-1.keras"]
    >>> ensemble = kp.ensembles.from_checkpoints(paths, combine="mean")
    >>> len(ensemble.members)
    2

    References:
        CS231n, "Neural Networks Part 3", model ensembles (different checkpoints of a
        single model).
    """
    owner = "ensembles.from_checkpoints"
    names = checked_paths(owner, paths, build)
    members = [load_member(owner, name, build, custom_objects) for name in names]
    check_members(owner, members, names)
    check_distinct(owner, members, names)
    return Ensemble(members, **options)


def from_search(tuner: Any, k: int = 5, **options: Any) -> Ensemble:
    """Makes an ensemble of the best models of a search.

    Args:
        tuner: A tuner of keras-tuner or of `keras_practices.tuners` whose search has
            run: anything with `get_best_models(k)`.
        k: Integer of at least 1. How many models, all with the same weight.
        **options: Arguments of `Ensemble`.

    Returns:
        `Ensemble`, the best model first.

    Raises:
        TypeError, ValueError: a bad argument.
        RuntimeError: the search has fewer than `k` models; two are identical.

    Example:

    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile(keras.optimizers.SGD(kp.tuners.learning_rate(hp)), "mse")
    ...     return model
    >>> tuner = kp.tuners.RandomSearch(build, "val_loss", max_trials=3, seed=0)
    >>> x = np.ones((8, 2))
    >>> tuner.search(x, x[:, 0], validation_data=(x, x[:, 0]), verbose=0)
    >>> len(kp.ensembles.from_search(tuner, k=2).members)
    2

    References:
        CS231n, "Neural Networks Part 3", model ensembles (top models discovered
        during cross-validation).
    """
    owner = "ensembles.from_search"
    check_integer(owner, "k", k, low=1)
    if not callable(getattr(tuner, "get_best_models", None)):
        raise type_error(owner, "tuner", "a tuner with `get_best_models`", tuner)
    with restore_rng():
        members = list(tuner.get_best_models(k))
    if len(members) < k:
        raise UsageError(
            f"{owner}: the search has {len(members)} trained models, fewer than "
            f"k={k}. Search on, or lower k."
        )
    return Ensemble(members, **options)


def checked_paths(owner: str, paths: Any, build: Any) -> list[str]:
    """Returns the paths of files of models as texts.

    Raises:
        TypeError, ValueError: no list of paths, another kind of file, a file that is
            not there or given twice, weights without `build`.
    """
    expected = "a list of paths of .keras or .weights.h5 files"
    if not isinstance(paths, list | tuple) or not all(
        isinstance(path, str | os.PathLike) for path in paths
    ):
        raise type_error(owner, "paths", expected, paths)
    names = [os.fspath(path) for path in paths]
    if not names or len(set(map(os.path.realpath, names))) < len(names):
        raise value_error(owner, "paths", f"{expected}, each once", names)
    for name in names:
        if not name.endswith((".keras", _WEIGHTS)):
            raise value_error(owner, "paths", expected, name)
        if name.endswith(_WEIGHTS) and not callable(build):
            advice = f"{name} holds weights only."
            expected = "a function that builds the model"
            raise type_error(owner, "build", expected, build, advice)
        if not os.path.isfile(name):
            raise value_error(owner, "paths", "of files that are there", name)
    return names


def load_member(
    owner: str,
    path: str,
    build: Callable[[], keras.Model] | None = None,
    custom_objects: dict[str, Any] | None = None,
) -> keras.Model:
    """Returns the model of a file, without its optimizer.

    Raises:
        ValueError: the file cannot be read, or is one of another model.
    """
    # Building a model draws weights, which are then replaced.
    with restore_rng():
        try:
            if path.endswith(_WEIGHTS) and build is not None:
                member = build()
                # Slots of another training would be looked for, and warned of.
                member.optimizer = None
                _check_layout(path, member)
                member.load_weights(path)
            else:
                member = keras.saving.load_model(
                    path, custom_objects=custom_objects, compile=False
                )
                _set_loss(member, path, custom_objects)
        except Exception as error:
            size = os.path.getsize(path)
            raise ArgumentValueError(
                f"{owner}: cannot read a model from {path!r} ({size} bytes): "
                f"{first_line(error, 300)} Is the file whole, and one of this model?"
            ) from error
    return member


def _set_loss(member, path, custom_objects):
    """Gives a model the loss that it was saved with: it tells what the outputs are.

    Keras would build the optimizer too, with up to twice the memory of the model.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json")).get("compile_config") or {}
    try:
        loss = keras.saving.deserialize_keras_object(
            config.get("loss"), custom_objects=custom_objects
        )
    except (TypeError, ValueError):  # a loss of the user's own, not registered
        return
    if loss is not None:
        member.compile(optimizer=None, loss=loss)


def _check_layout(path, model):
    """Raises where a file of weights holds other variables than the model has.

    Keras notices what is missing, but reads the first layers of a longer model as if
    they were all.
    """
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        own = os.path.join(folder, f"own{_WEIGHTS}")
        model.save_weights(own)
        layouts = []
        for name in (own, path):
            with h5py.File(name, "r") as file:
                layouts.append(_layout(file, h5py.Dataset))
    wanted, found = layouts
    if wanted != found:
        odd = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
        raise ArgumentValueError(
            f"the weights are those of another model: {odd[0]} has shape "
            f"{found.get(odd[0], 'none')} in the file and "
            f"{wanted.get(odd[0], 'none')} in the model ({len(odd)} such differences)."
        )


def _layout(file, dataset):
    found = {}

    def visit(name, item):
        # State of training: not every file has it.
        if name.split("/")[0] not in ("optimizer", "compile_metrics", "metrics"):
            if isinstance(item, dataset):
                found[name] = tuple(item.shape)

    file.visititems(visit)
    return found
