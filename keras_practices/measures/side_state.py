"""Training steps on state at the side: the model's own variables stay untouched.

Keras can run a model with other values in the place of its variables
(`keras.StatelessScope`). Everything that is "tried on a copy" here runs that way:
weights, BatchNorm statistics and seeds live in shadow variables, the optimizer is a
fresh one of the same settings. It works for subclassed models, which cannot be
cloned, and there is nothing to restore.
"""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_practices._core import backend
from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import without_noise
from keras_practices.measures.capture import without_penalties


def regularization_loss(variables):
    """Returns the sum of the weight penalties of `variables`, a scalar tensor."""
    terms = [v.regularizer(v) for v in variables if v.regularizer is not None]
    return sum(terms) if terms else ops.convert_to_tensor(0.0)


def data_and_penalty(model, x, y, sample_weight, training):
    """Runs a model and returns `(data loss, weight penalty)` as scalar tensors."""
    outputs = model(x, training=training)
    with without_penalties(model):
        data = model.compute_loss(
            x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=training
        )
    return data * backend.replicas(), regularization_loss(model.trainable_variables)


def measure_losses(
    model, x, y, sample_weight=None, *, training=False, value_of=lambda v: v.value
):
    """Returns the loss of one batch with the model's present weights, noise off.

    Nothing of the model is written, BatchNorm statistics and metrics included.

    Args:
        model: Built and compiled Keras model.
        x: Inputs, NumPy arrays.
        y: Targets.
        sample_weight: Weights or None.
        training: Bool. BatchNorm uses the batch when true.
        value_of: Function that gives the value to use for a variable.

    Returns:
        `(data_loss, regularization_loss)` as Python floats.
    """
    # Each variable stands for itself: Keras looks the penalised ones up in the scope
    # and finds nothing there where the scope is empty.
    present = [(variable, value_of(variable)) for variable in model.variables]
    scope = keras.StatelessScope(state_mapping=present)
    with restore_rng(), scope, without_noise(model):
        data, penalty = data_and_penalty(
            model, _tensors(x), _tensors(y), _tensors(sample_weight), training
        )
        return float(ops.convert_to_numpy(data)), float(ops.convert_to_numpy(penalty))


def fresh_optimizer(optimizer, learning_rate=None):
    """Returns a new optimizer with the settings of `optimizer` and no state.

    Args:
        optimizer: A Keras optimizer; of a loss-scaling one, the one inside.
        learning_rate: Float in place of its own rate or schedule, or None.

    Returns:
        An optimizer of the same class that is not built.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    config = optimizer.get_config()
    config.pop("name", None)
    # A step of a trial is a step: no averaging over several, no EMA swap.
    config.update(gradient_accumulation_steps=None, use_ema=False)
    if learning_rate is not None:
        config["learning_rate"] = float(learning_rate)
    return type(optimizer).from_config(config)


class SideState:
    """A model's weights, statistics and seeds beside the model, to train there.

    Args:
        model: A built and compiled Keras model. It is never written.
        optimizer: A fresh optimizer (`fresh_optimizer`).
        initial: Values to begin with, as `snapshot` returned them, or None for the
            model's present ones.
        within: Function that makes a context in which every step is traced, such as
            `other_head` gives; None for the model as it is.
    """

    def __init__(self, model, optimizer, initial=None, within=contextlib.nullcontext):
        self.model = model
        self.optimizer = optimizer
        self._within = within
        self._given = initial
        self._trainable = model.trainable_variables
        self._others = model.non_trainable_variables
        with restore_rng():
            self._side_trainable = _shadows(self._trainable, initial)
            self._side_others = _shadows(self._others, initial)
            optimizer.build(self._side_trainable)
        # As the optimizer made them: mostly zeros, of which no copy is kept.
        self._slots = [_constant_or_copy(v) for v in optimizer.variables]
        self._step = None

    def trainable_values(self):
        """Returns `{path: NumPy array}` of the trainable variables."""
        return {
            own.path: ops.convert_to_numpy(side.value)
            for own, side in zip(self._trainable, self._side_trainable, strict=True)
        }

    def equal_kernels(self, alike):
        """Returns copies of those variables for which `alike(path, value)` holds."""
        values = self.trainable_values().items()
        return {path: np.array(value) for path, value in values if alike(path, value)}

    def reset(self, learning_rate):
        """Goes back to the first values, with another learning rate."""
        own = [*self._trainable, *self._others]
        side = [*self._side_trainable, *self._side_others]
        for variable, shadow in zip(own, side, strict=True):
            shadow.assign(_value_of(variable, self._given))
        for variable, value in zip(self.optimizer.variables, self._slots, strict=True):
            variable.assign(np.broadcast_to(value, variable.shape))
        self.optimizer.learning_rate.assign(learning_rate)

    @contextlib.contextmanager
    def _standing_in(self):
        """The model with the values at the side, noise off."""
        own = [*self._trainable, *self._others]
        side = [v.value for v in (*self._side_trainable, *self._side_others)]
        scope = keras.StatelessScope(state_mapping=list(zip(own, side, strict=True)))
        with restore_rng(), scope, without_noise(self.model), self._within():
            yield

    def data_loss(self, x, y, sample_weight=None):
        """Returns the data loss of a batch with the values at the side, as a float."""
        batch = map(_tensors, (x, y, sample_weight))
        with self._standing_in():
            data, _ = data_and_penalty(self.model, *batch, training=True)
            return float(ops.convert_to_numpy(data))

    def has_finite_outputs(self, x):
        """True when the model gives finite numbers with the values at the side."""
        with self._standing_in():
            outputs = self.model(_tensors(x), training=True)
        return all(
            np.isfinite(ops.convert_to_numpy(output)).all()
            for output in keras.tree.flatten(outputs)
        )

    def step(self, x, y, sample_weight=None):
        """Takes one optimizer step on the data loss, noise and penalties off.

        Args:
            x: Inputs, NumPy arrays; keep the shapes, each new one is compiled.
            y: Targets.
            sample_weight: Weights or None.

        Returns:
            Data loss before the step, Python float.
        """
        batch = {"x": _tensors(x), "y": _tensors(y), "w": _tensors(sample_weight)}
        batch = {key: value for key, value in batch.items() if value is not None}
        with restore_rng(), without_noise(self.model), self._within():
            if self._step is None:
                # Builds what a compiled loss builds at its first call.
                measure_losses(self.model, x, y, sample_weight, training=True)
                self._step = backend.training_step(
                    self._loss_at,
                    self.optimizer,
                    self._side_trainable,
                    self._side_others,
                )
            return float(ops.convert_to_numpy(self._step(batch)))

    def _loss_at(self, trainable, others, batch):
        mapping = [
            *zip(self._trainable, trainable, strict=True),
            *zip(self._others, others, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            data, _ = data_and_penalty(
                self.model, batch["x"], batch.get("y"), batch.get("w"), True
            )
        after = [scope.get_current_value(variable) for variable in self._others]
        kept = [
            old if new is None else new for old, new in zip(others, after, strict=True)
        ]
        return data, kept


def snapshot(model):
    """Returns the values of every variable of a model as `{id: NumPy array}`."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    return {id(v): np.array(ops.convert_to_numpy(v.value)) for v in variables}


def _value_of(variable, initial):
    """Value to begin with: as given, else the model's present one."""
    # Always a copy: JAX may share the memory, and gives it away in a step.
    if initial is not None:
        return np.array(initial[id(variable)])
    return np.array(ops.convert_to_numpy(variable.value))


def _constant_or_copy(variable):
    value = np.array(ops.convert_to_numpy(variable.value))
    same = value.size > 0 and bool((value == value.flat[0]).all())
    return value.flat[0] if same else value


def _shadows(variables, initial):
    return [
        keras.Variable(
            _value_of(v, initial),
            dtype=v.dtype,
            trainable=v.trainable,
            name=v.name.replace("/", "_"),
        )
        for v in variables
    ]


def _tensors(part):
    if part is None:
        return None
    return keras.tree.map_structure(ops.convert_to_tensor, part)
