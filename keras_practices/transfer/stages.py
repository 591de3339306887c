"""One stage of a transfer: what learns, at which rates, and the best of it kept."""

from typing import Any

import keras
import numpy as np

from keras_practices._core.model_layers import all_layers
from keras_practices.optimizers.layer_groups import layer_groups
from keras_practices.transfer.data_loss import DataLoss
from keras_practices.transfer.freezing import recompile
from keras_practices.transfer.freezing import set_trainable

MONITOR = "val_data_loss"
_EPOCH_HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_test_begin",
    "on_test_end",
)
_BATCH_HOOKS = (
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
# Features of the training rows that are kept in memory, in bytes.
MOST_BYTES = 2**31


def set_up(network, stage, optimizer):
    """Sets the flags of a stage and returns its optimizer.

    Args:
        network: `Network`.
        stage: `Stage` of a plan.
        optimizer: Settings, with the rate of the head; it is not used itself.
    """
    learning = network.groups[len(network.groups) - len(stage.rates) :]
    base = [layer for group in learning for layer in group]
    set_trainable(network.whole, [*base, *network.head], batch_norm=False)
    # The statistics of a head are of the new task.
    for layer in network.head:
        layer.trainable = True
    pairs = [
        ([layer for layer in group if layer.trainable_variables], rate)
        for group, rate in zip(learning, stage.rates, strict=True)
    ]
    pairs = [(group, rate) for group, rate in pairs if group]
    if not pairs:
        return type(optimizer).from_config(optimizer.get_config())
    return layer_groups(
        network.whole,
        optimizer,
        multipliers=[rate for _, rate in pairs],
        groups=[group for group, _ in pairs],
    )


def with_data_loss(arguments):
    """Returns arguments of `compile` with the loss of the data as a metric."""
    others = arguments.get("weighted_metrics") or []
    metrics = [*others, DataLoss(arguments["loss"])]
    return {**arguments, "weighted_metrics": metrics}


def draws(model):
    """True where a layer draws random numbers in training: dropout, augmentation."""
    return any(
        isinstance(value, keras.random.SeedGenerator)
        for layer in all_layers(model, itself=True)
        for value in vars(layer).values()
    )


def can_keep(network, x):
    """True where the features of these rows can be computed once and kept."""
    if network.top is None or draws(network.base):
        return False
    width = int(np.prod([size or 1 for size in network.top.input_shape[1:]]))
    return 4 * width * len(keras.tree.flatten(x)[0]) <= MOST_BYTES


class Best(keras.callbacks.Callback):
    """Keeps the weights with the lowest loss on validation data, those of before too.

    Args:
        before: The loss at the beginning of the stage.
        patience: Epochs without a better one after which the stage ends.
    """

    def __init__(self, before, patience):
        super().__init__()
        self.best = before
        self.best_epoch = None
        self._patience = patience
        self._weights = None
        self._since = 0

    def on_train_begin(self, logs=None):
        """Writes down the weights that the stage begins with."""
        self._weights = _copies(self.model)

    def on_epoch_end(self, epoch, logs=None):
        """Compares, and stops where nothing has become better for long."""
        value = (logs or {}).get(MONITOR)
        if value is None:
            return
        if value < self.best:
            self.best, self.best_epoch = float(value), epoch
            self._weights, self._since = _copies(self.model), 0
            return
        self._since += 1
        if self._since >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Puts the best weights back."""
        if self._weights is not None:
            self.model.set_weights(self._weights)
            self._weights = None


def _copies(model):
    # PyTorch and JAX may hand out a view of what is written next.
    return [np.array(weight) for weight in model.get_weights()]


class OnWhole(keras.callbacks.Callback):
    """Shows a callback the whole model while a head learns on kept features.

    So checkpoints hold the whole model, and `stop_training` still ends the fit.

    Args:
        callback: Callback of the user's.
        whole: The model that ends in the head that is trained.
    """

    def __init__(self, callback: Any, whole: Any):
        super().__init__()
        self._callback, self._whole = callback, whole

    def set_params(self, params):
        """Hands the parameters of the fit on."""
        super().set_params(params)
        self._callback.set_params(params)

    def set_model(self, model):
        """Gives the callback the whole model."""
        super().set_model(model)
        self._callback.set_model(self._whole)

    def _hand_on(self, hook, *args, **kwargs):
        # On JAX to ask for the model is what writes the weights into its variables.
        top = self.model
        getattr(self._callback, hook)(*args, **kwargs)
        if getattr(self._whole, "stop_training", False):
            top.stop_training = True


def _handing(hook, batch):
    plain = getattr(keras.callbacks.Callback, hook)

    def method(self, *args, **kwargs):
        """Hands the call on."""
        if batch and getattr(type(self._callback), hook) is plain:
            return
        self._hand_on(hook, *args, **kwargs)

    method.__name__ = hook
    return method


for _hook in (*_EPOCH_HOOKS, *_BATCH_HOOKS):
    setattr(OnWhole, _hook, _handing(_hook, _hook in _BATCH_HOOKS))


def run_stage(network, stage, settings, data, fit, first_epoch):
    """Trains one stage.

    Args:
        network: `Network`.
        stage: `Stage`, with the epochs to take.
        settings: Dict with `optimizer` (settings of the head's), `arguments` (of
            `compile`), `previous` (the optimizer of the stage before, or None) and
            `patience`.
        data: Dict with `train` and `validation`: `(x, y[, weights])` or datasets.
        fit: Further arguments of `fit`.
        first_epoch: Number of its first epoch.

    Returns:
        `(history, optimizer, kept epoch or None)`.
    """
    kept = data.get("kept") if not stage.rates else None
    model = network.whole if kept is None else network.top
    source = data if kept is None else kept
    optimizer = set_up(network, stage, settings["optimizer"])
    arguments = settings["arguments"]
    callbacks = list(fit.get("callbacks") or [])
    if kept is not None:
        network.whole.compile(**{**with_data_loss(arguments), "optimizer": optimizer})
        network.whole.stop_training = False
        callbacks = [OnWhole(callback, network.whole) for callback in callbacks]
    recompile(model, optimizer, with_data_loss(arguments), settings["previous"])
    given = dict(fit)
    best = None
    if source["validation"] is not None:
        given["validation_data"] = source["validation"]
        best = Best(_loss_of(model, source["validation"], fit), settings["patience"])
        callbacks.append(best)
    given["callbacks"] = callbacks
    x = source["train"]
    rows = {} if not isinstance(x, tuple) else dict(zip(_NAMES, x, strict=False))
    history = model.fit(
        **(rows or {"x": x}),
        initial_epoch=first_epoch,
        epochs=first_epoch + stage.epochs,
        **given,
    )
    return history, model.optimizer, None if best is None else best.best_epoch


_NAMES = ("x", "y", "sample_weight")


def _loss_of(model, part, fit):
    steps = fit.get("validation_steps")
    rows = part if isinstance(part, tuple) else (part,)
    size = fit.get("validation_batch_size") or fit.get("batch_size")
    given = dict(zip(_NAMES, rows, strict=False)) | {"steps": steps}
    if isinstance(part, tuple):
        given["batch_size"] = size
    found = model.evaluate(**given, verbose=0, return_dict=True)
    value = float(found["data_loss"])
    return value if np.isfinite(value) else float("inf")
