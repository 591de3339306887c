"""A plan carried out: head, gradual unfreezing, the best of each stage kept."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_practices._core.fit_internals import compile_arguments
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.measures.sample import take_sample
from keras_practices.transfer.depths import places_of
from keras_practices.transfer.freezing import copy_of
from keras_practices.transfer.freezing import put_mask
from keras_practices.transfer.freezing import recompile
from keras_practices.transfer.freezing import take_mask
from keras_practices.transfer.heads import Network
from keras_practices.transfer.heads import begin_head
from keras_practices.transfer.heads import checked_head
from keras_practices.transfer.inputs import check_plan
from keras_practices.transfer.inputs import check_predictions
from keras_practices.transfer.inputs import default_loss
from keras_practices.transfer.inputs import rows_of
from keras_practices.transfer.plan_values import Plan
from keras_practices.transfer.planning import check_inputs
from keras_practices.transfer.planning import check_model
from keras_practices.transfer.planning import plan as make_plan
from keras_practices.transfer.renewal import renew
from keras_practices.transfer.result import FineTuning
from keras_practices.transfer.result import join
from keras_practices.transfer.stages import can_keep
from keras_practices.transfer.stages import run_stage
from keras_practices.transfer.stages import set_up
from keras_practices.transfer.targets import read_targets

_OWNER = "transfer.fine_tune"
_OURS = ("x", "y", "sample_weight", "initial_epoch", "validation_data")
_SET_RATES = (
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
)
_BATCH = 32


def fine_tune(
    model: keras.Model,
    train: Any,
    *,
    validation_data: Any = None,
    plan: Plan | None = None,
    head: Any = None,
    optimizer: Any = None,
    loss: Any = None,
    metrics: Any = None,
    epochs: Any = None,
    patience: int = 5,
    **fit: Any,
) -> FineTuning:
    """Takes a pretrained network over to a new task, by a plan.

    First a new head learns on frozen features, which are computed once and kept in
    memory where nothing in front of it draws random numbers; it begins at the optimum
    of a linear probe. Then the plan's stages unfreeze the network from its head down,
    each group of layers at its own rate. BatchNorm of the network stays frozen, and so
    in inference mode, under a new head with statistics of the new rows where the plan
    says so; the optimizer's state is handed from stage to stage. With validation data
    the best weights of each stage are kept, those from before it too.

    **The model is trained in place.** Its layers are those of the result, and which of
    them learn stays as in the last stage; after an error the flags are put back.

    Args:
        model: Built Keras model with pretrained weights.
        train: `(x, y)`, `(x, y, sample_weight)`, a `Part` such as `split.train`, or a
            dataset that can be read again.
        validation_data: The same, or None.
        plan: From `transfer.plan` for this model with these weights; None makes one.
        head: Integer: units of a new linear head, behind the plan's cut. A Keras layer:
            used as the head. None: the model's own head goes on, and nothing is cut.
        optimizer: Keras optimizer, or its name, with the head's rate; it is copied.
            None: Adam with the plan's rate; with the model's own head that of a
            compiled model.
        loss: Keras loss. None: by targets and head; with the model's own head that of
            a compiled model.
        metrics: As `compile` takes them. None: the accuracy of classes; with the
            model's own head those of a compiled model.
        epochs: Integer, or a list with one for each stage, in the place of the plan's.
        patience: Integer of at least 1. Epochs without a better loss on validation
            data after which a stage ends.
        **fit: Further arguments of `fit` for every stage: `batch_size`, `callbacks`,
            `verbose`, `class_weight`, … Callbacks see the whole model, and a new
            training in each stage. Those that set the learning rate do not work with a
            rate for each group; give `optimizer` a schedule.

    Returns:
        A `FineTuning`.

    Raises:
        UsageError: the model is not built; the plan is of another model or of other
            weights.
        TypeError, ValueError: bad arguments; inputs or targets that do not fit model,
            head or plan. All of them before any training.

    Example:

    >>> base = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu")])
    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> result = fine_tune(base, (x, y), head=2, epochs=2, verbose=0)
    >>> sorted(result.history)[:4]
    ['accuracy', 'data_loss', 'loss', 'regularization_loss']

    References:
        CS231n, "Transfer Learning"; Howard and Ruder (2018), arXiv:1801.06146; Kumar
        et al. (2022), arXiv:2202.10054.
    """
    check_model(_OWNER, model)
    check_integer(_OWNER, "patience", patience, low=1)
    _check_fit(fit)
    parts = {"train": rows_of(_OWNER, "train", train), "validation": None}
    if validation_data is not None:
        parts["validation"] = rows_of(_OWNER, "validation_data", validation_data)
    sample, targets = _read(model, parts["train"], plan)
    if parts["validation"] is not None:
        _check_validation(model, parts["validation"], targets, plan)
    head = checked_head(head, targets)
    if plan is None:
        task = "numbers" if targets.classes is None else "classes"
        plan = make_plan(model, *_first_two(parts["train"]), task=task)
    check_plan(_OWNER, plan, model, targets)
    stages = _stages(plan, epochs)
    places = places_of(model, sample, plan.most_places)
    mask = take_mask(model)
    try:
        network = Network(model, head, plan, places, targets)
        settings = _settings(model, network, plan, targets, optimizer, loss, metrics)
        settings["patience"] = patience
        own = head is None
        check_predictions(_OWNER, network.whole, sample, targets, settings, own)
        for stage in stages:
            # What cannot be set up is to be known before the first epoch.
            set_up(network, stage, settings["optimizer"])
        if plan.renewed and not own:
            renew(network.base, sample.x)
        return _carried_out(network, plan, stages, settings, parts, targets, fit)
    except BaseException:
        put_mask(mask)
        raise


def _carried_out(network, plan, stages, settings, parts, targets, fit):
    data = _kept(network, plan, parts, targets, fit)
    history: dict[str, list[Any]] = {}
    epochs: list[int] = []
    outcomes = []
    previous = None
    for number, stage in enumerate(stages, 1):
        stage_settings = {**settings, "previous": previous}
        made, previous, best = run_stage(
            network, stage, stage_settings, data, fit, len(epochs)
        )
        count = len(made.epoch)
        join(history, made.history, len(epochs), count, number)
        epochs += made.epoch
        outcomes.append({"name": stage.name, "epochs": count, "best_epoch": best})
    # The metric of ours goes: the file of the model then asks for nothing of ours.
    recompile(network.whole, copy_of(_plain(previous)), settings["arguments"], previous)
    return FineTuning(network.whole, plan, history, epochs, outcomes)


def _plain(optimizer):
    """What `compile` wraps by itself is unwrapped."""
    scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.inner_optimizer if scaling else optimizer


def _kept(network, plan, parts, targets, fit):
    """Adds the features of all rows, where they can be computed once."""
    train, validation = parts["train"], parts["validation"]
    arrays = all(part is None or isinstance(part, tuple) for part in parts.values())
    if not arrays or not can_keep(network, train[0]):
        return dict(parts)
    size = fit.get("batch_size") or _BATCH

    def features(part):
        if part is None:
            return None
        made = network.base.predict(part[0], batch_size=size, verbose=0)
        return (made, *part[1:])

    kept = {"train": features(train), "validation": features(validation)}
    if network.dense is not None:
        weights = _row_weights(train, targets, fit.get("class_weight"))
        flat = network.flat(kept["train"][0])
        begin_head(network, flat, targets.values, plan, weights)
    return {**parts, "kept": kept}


def _row_weights(train, targets, class_weight):
    """The weights that `fit` gives the rows, or None."""
    weights = np.ones(len(targets.values))
    if len(train) == 3 and np.ndim(train[2]) == 1:
        weights = weights * train[2]
    if class_weight and targets.classes is not None:
        weights = weights * [class_weight.get(int(c), 1.0) for c in targets.values]
    return None if (weights == 1).all() else weights


def _settings(model, network, plan, targets, optimizer, loss, metrics):
    own = (compile_arguments(model) or {}) if model.compiled else {}
    if loss is None and network.whole is model:
        loss = own.get("loss")
    if loss is None:
        loss = default_loss(network.whole, targets)
    if metrics is None:
        metrics = own.get("metrics") if network.whole is model else None
    if metrics is None and targets.classes is not None:
        metrics = ["accuracy"]
    if optimizer is None:
        # Of the old task it may have come to its smallest rate.
        kept_head = own and network.whole is model
        optimizer = _plain(model.optimizer) if kept_head else None
    if optimizer is None or isinstance(optimizer, keras.optimizers.MultiOptimizer):
        optimizer = keras.optimizers.Adam(plan.learning_rate)
    kept = ("run_eagerly", "jit_compile", "steps_per_execution")
    arguments = {key: own[key] for key in kept if key in own}
    arguments |= {"loss": loss, "metrics": metrics}
    return {"optimizer": keras.optimizers.get(optimizer), "arguments": arguments}


def _read(model, train, plan):
    x, y = _first_two(train)
    sample = take_sample(x, y, owner=_OWNER)
    if sample.data_is_one_pass:
        advice = "Give arrays, or a dataset that begins anew."
        raise type_error(_OWNER, "train", "data for several passes", x, advice)
    check_inputs(_OWNER, model, sample.x)
    task = "auto"
    if isinstance(plan, Plan):
        task = "numbers" if plan.classes is None else "classes"
    return sample, read_targets(_OWNER, y if y is not None else sample.y, task)


def _check_validation(model, part, targets, plan):
    x, y = _first_two(part)
    sample = take_sample(x, y, owner=_OWNER)
    check_inputs(_OWNER, model, sample.x)
    task = "numbers" if targets.classes is None else "classes"
    found = read_targets(_OWNER, y if y is not None else sample.y, task)
    more = targets.classes is not None and found.classes > targets.classes
    if found.one_hot != targets.one_hot or more or _width(found) != _width(targets):
        expected = "with targets as those of train"
        received = f"{found.outputs} outputs, one-hot {found.one_hot}"
        raise value_error(_OWNER, "validation_data", expected, received)


def _width(targets):
    return targets.values.shape[1:] if targets.classes is None else ()


def _stages(plan, epochs):
    if epochs is None:
        return list(plan.stages)
    given = epochs if isinstance(epochs, list | tuple) else [epochs] * len(plan.stages)
    for one in given:
        check_integer(_OWNER, "epochs", one, low=1)
    if len(given) != len(plan.stages):
        expected = f"an integer, or a list of {len(plan.stages)}, one a stage"
        raise value_error(_OWNER, "epochs", expected, epochs)
    pairs = zip(plan.stages, given, strict=True)
    return [dataclasses.replace(stage, epochs=int(count)) for stage, count in pairs]


def _first_two(part):
    return part[:2] if isinstance(part, tuple) else (part, None)


def _check_fit(fit):
    for name in fit:
        if name in _OURS:
            advice = "Pass the rows as `train` and `validation_data`."
            raise value_error(_OWNER, name, "left out", fit[name], advice)
    if "validation_split" in fit:
        advice = "Keras would take the last rows, unshuffled; use kp.Split."
        raise value_error(
            _OWNER, "validation_split", "left out", fit["validation_split"], advice
        )
    for callback in fit.get("callbacks") or []:
        if isinstance(callback, _SET_RATES):
            expected = "of callbacks that leave the learning rate alone"
            advice = "Each group has its own rate: give `optimizer` a schedule."
            raise value_error(_OWNER, "callbacks", expected, callback, advice)
