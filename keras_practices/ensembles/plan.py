"""How the outputs of members become those of the ensemble, as plain values."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.ensembles.outputs import FAMILIES
from keras_practices.ensembles.outputs import check_combine
from keras_practices.ensembles.outputs import check_kinds
from keras_practices.ensembles.outputs import check_weights
from keras_practices.ensembles.outputs import contribution
from keras_practices.ensembles.stacked import StackedPredictor
from keras_practices.ensembles.stacked import can_stack
from keras_practices.ensembles.stacked import run_stacked
from keras_practices.ensembles.stacked import stacked_weights


class Plan:
    """What an `Ensemble` was told or found out, checked.

    It is no list and no dict, which Keras would track and look through for weights.

    Args:
        owner: The ensemble, for messages.
        members: Its members.
        labels: What to call them.
        combine: Argument of `Ensemble`, and so the others.
        weights: Weights of the members.
        member_outputs: What the members give.
        classes: Class names of each member.
        class_order: Class names in the order of the ensemble.

    Raises:
        TypeError, ValueError: bad arguments.
    """

    def __init__(
        self,
        owner: Any,
        members: Any,
        labels: list[str],
        *,
        combine: Any,
        weights: Any,
        member_outputs: Any,
        classes: Any,
        class_order: Any,
    ):
        self.combine = combine
        self.kinds = check_kinds(owner, member_outputs, members, labels, combine)
        self.ways = check_combine(owner, combine, self.kinds)
        self.weights = check_weights(owner, weights, len(members))
        if class_order is None and isinstance(classes, list | tuple) and classes:
            class_order = classes[0]
        self.orders = _orders(owner, classes, class_order, self.kinds, members)
        self.classes = None if classes is None else [list(one) for one in classes]
        self.class_order = None if class_order is None else list(class_order)
        # Zeros in the structure of the outputs, once they were seen.
        self.structure: Any = None
        self.asker: Any = None
        self._stack = can_stack(members)

    @property
    def given(self) -> list[str]:
        """What the ensemble gives: the kind of each output."""
        found = []
        for kind, way in zip(self.kinds[0], self.ways, strict=True):
            given = {"classes": "softmax", "labels": "sigmoid"}.get(FAMILIES[kind])
            found.append(kind if way == "mean" or given is None else given)
        return found

    def ask(self, members: Any, inputs: Any, training: Any) -> list[Any]:
        """Returns what each member gives."""
        if self._stack and not training:
            weights = stacked_weights(members)
            if weights is not None:
                return run_stacked(members, inputs, weights)
        return [member(inputs) for member in members]

    def predictor(self, members: Any, combine: Any) -> StackedPredictor | None:
        """Returns what runs members as one in `predict`, None where nothing is gained.

        Args:
            members: The members.
            combine: Function of the list of what each member gives.
        """
        return StackedPredictor(members, combine) if self._stack else None

    def parts(self, owner: Any, outputs: list[Any]) -> list[list[Any]]:
        """Returns what each member adds to each output, a list a member.

        Args:
            owner: The ensemble, for messages.
            outputs: What each member gave.

        Raises:
            ValueError: another number of outputs than was planned, or members whose
                outputs differ in shape (only seen here where they have no graph).
        """
        self.structure = keras.tree.map_structure(lambda _: 0, outputs[0])
        flat = [keras.tree.flatten(one) for one in outputs]
        if len(flat[0]) != len(self.ways):
            expected = f"given with one entry for each of the {len(flat[0])} outputs"
            raise value_error(owner, "member_outputs", expected, self.kinds[0])
        first, parts = _shapes(flat[0]), []
        for place, one in enumerate(flat):
            structure = keras.tree.map_structure(lambda _: 0, outputs[place])
            if _shapes(one) != first or structure != self.structure:
                expected = "models with the same outputs; member 0 gives "
                expected += f"{first} in {self.structure}"
                found = f"member {place}: {_shapes(one)} in {structure}"
                raise value_error(owner, "members", expected, found)
            kinds = zip(one, self.kinds[place], self.ways, strict=True)
            order = self.orders[place]
            parts.append(
                [
                    contribution(
                        value if order is None else ops.take(value, order, axis=-1),
                        kind,
                        way,
                    )
                    for value, kind, way in kinds
                ]
            )
        return parts


def _shapes(tensors):
    return [tuple(tensor.shape) for tensor in tensors]


def _orders(owner, classes, first, kinds, members):
    """Returns for each member where the classes of the ensemble stand, or None."""
    if classes is None:
        if first is not None:
            raise value_error(owner, "classes", "given with class_order", classes)
        return [None] * len(members)
    expected = "a list with one list of class names for each member"
    if not isinstance(classes, list | tuple) or len(classes) != len(members):
        raise value_error(owner, "classes", expected, classes)
    if len(kinds[0]) != 1 or kinds[0][0] == "numbers":
        advice = "Leave it out: the members have several outputs, or give numbers."
        raise value_error(owner, "classes", "None", classes, advice)
    first, orders = list(first), []
    for place, names in enumerate(classes):
        if isinstance(names, str) or not isinstance(names, list | tuple):
            raise type_error(owner, "classes", expected, names)
        once = len(set(names)) == len(names) == len(first)
        if not once or set(names) != set(first):
            expected = f"the classes {first}, each once, for member {place} too"
            raise value_error(owner, "classes", expected, names)
        shape = getattr(members[place], "output_shape", None)
        if isinstance(shape, tuple) and shape[-1] != len(names):
            expected = f"as many as member {place} has outputs, {shape[-1]}"
            raise value_error(owner, "classes", expected, names)
        order = [list(names).index(name) for name in first]
        orders.append(None if order == sorted(order) else order)
    return orders
