"""Training steps on state at the side: the model's own variables stay untouched.

Keras can run a model with other values in the place of its variables
(`keras.StatelessScope`). Everything that is "tried on a copy" here runs that way:
weights, BatchNorm statistics and seeds live in shadow variables, the optimizer is a
fresh one of the same settings. It works for subclassed models, which cannot be
cloned, and there is nothing to restore.
"""

import contextlib
import functools

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


def measure_losses(model, x, y, sample_weight=None, *, training=False):
    """Returns the loss of one batch with the model's present weights, noise off.

    Nothing of the model is written, BatchNorm statistics and metrics included.

    Args:
        model: Built and compiled Keras model.
        x: Inputs, NumPy arrays.
        y: Targets.
        sample_weight: Weights or None.
        training: Bool. BatchNorm uses the batch when true.

    Returns:
        `(data_loss, regularization_loss)` as Python floats.
    """
    return loss_reader(model, training=training)(x, y, sample_weight)


def loss_reader(model, *, training=False):
    """Returns what reads losses as `measure_losses` does, several times.

    Args:
        model: Built and compiled Keras model.
        training: Bool. BatchNorm uses the batch when true.

    Returns:
        Function `(x, y, sample_weight, value_of) -> (data_loss, regularization_loss)`;
        `value_of` gives the value to use for a variable.
    """

    def losses(x, y, sample_weight):
        return data_and_penalty(model, x, y, sample_weight, training)

    run = _in_place_of(model, model.variables, losses)

    def read(x, y, sample_weight=None, value_of=lambda variable: variable.value):
        # Each variable stands for itself: Keras looks the penalised ones up in the
        # scope and finds nothing there where the scope is empty.
        values = [value_of(variable) for variable in model.variables]
        found = run(values, *map(_tensors, (x, y, sample_weight)))
        return tuple(float(ops.convert_to_numpy(part)) for part in found)

    return read


def _in_place_of(model, variables, function, within=contextlib.nullcontext):
    """A function run with values in the place of variables, noise off.

    Returns:
        Function `(values, *args)` that gives what `function(*args)` gives.
    """

    def run(values, *args):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*args)

    run = backend.as_one(run)

    def guarded(values, *args):
        # The outer scope: what a compiled loss builds at its first call gets its
        # values when that ends, which is never inside a compiled function.
        with restore_rng(), keras.StatelessScope(), without_noise(model), within():
            return run(values, *args)

    return guarded


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
        found = {}
        for own, side in zip(self._trainable, self._side_trainable, strict=True):
            value = ops.convert_to_numpy(side.value)
            if alike(own.path, value):
                found[own.path] = np.array(value)
        return found

    def reset(self, learning_rate):
        """Goes back to the first values, with another learning rate."""
        own = [*self._trainable, *self._others]
        side = [*self._side_trainable, *self._side_others]
        for variable, shadow in zip(own, side, strict=True):
            shadow.assign(_value_of(variable, self._given))
        for variable, value in zip(self.optimizer.variables, self._slots, strict=True):
            variable.assign(np.broadcast_to(value, variable.shape))
        self.optimizer.learning_rate.assign(learning_rate)

    def _at_side(self, function):
        """A function run with the values at the side in the place of the model's."""
        own = [*self._trainable, *self._others]
        side = [*self._side_trainable, *self._side_others]
        run = _in_place_of(self.model, own, function, self._within)
        return lambda *args: run([v.value for v in side], *map(_tensors, args))

    @functools.cached_property
    def _data_loss(self):
        def loss(*batch):
            return data_and_penalty(self.model, *batch, training=True)[0]

        return self._at_side(loss)

    @functools.cached_property
    def _outputs(self):
        return self._at_side(lambda x: self.model(x, training=True))

    def data_loss(self, x, y, sample_weight=None):
        """Returns the data loss of a batch with the values at the side, as a float."""
        return float(ops.convert_to_numpy(self._data_loss(x, y, sample_weight)))

    def has_finite_outputs(self, x):
        """True when the model gives finite numbers with the values at the side."""
        outputs = self._outputs(x)
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
                self.data_loss(x, y, sample_weight)
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
    return backend.own_copy(variable.value)


def _constant_or_copy(variable):
    value = ops.convert_to_numpy(variable.value)
    same = value.size > 0 and bool((value == value.flat[0]).all())
    return value.flat[0] if same else np.array(value)


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
