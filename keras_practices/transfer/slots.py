"""What an optimizer keeps of each variable, handed on to another optimizer.

Keras makes new slots in each `compile`. They are lists of an optimizer, in the order of
its variables; that is no documented interface, and as expected in Keras 3.15.
"""

import keras
import numpy as np
from keras import ops

_NOT_SLOTS = ("_trainable_variables", "_variables")


def take_slots(optimizer):
    """Returns what `put_slots` needs, as NumPy values.

    Args:
        optimizer: Built Keras optimizer, or None.
    """
    if optimizer is None:
        return []
    taken = []
    for one in _all_inside(optimizer):
        variables = _variables(one)
        slots = {name: [_array(slot) for slot in slots] for name, slots in _slots(one)}
        paths = [id(variable) for variable in variables]
        top = one is optimizer
        taken.append((type(one), top, _array(one._iterations), paths, slots))
    return taken


def put_slots(taken, optimizer):
    """Writes slots into a built optimizer, for the variables that it has too.

    An optimizer inside gets the count of steps of the one that its variables come
    from; one whose variables are all new begins at 0, as its slots do.

    Returns:
        Number of variables whose slots were handed on.
    """
    known = {}
    for kind, _, iterations, keys, slots in taken:
        for place, key in enumerate(keys):
            mine = {name: values[place] for name, values in slots.items()}
            if mine or key not in known:
                known[key] = (kind, iterations, mine)
    carried = set()
    for one in _all_inside(optimizer):
        variables = _variables(one)
        found = [known[id(v)] for v in variables if id(v) in known]
        steps = [iterations for _, iterations, _ in found]
        if one is optimizer:
            steps += [iterations for _, top, iterations, _, _ in taken if top]
        if steps:
            one._iterations.assign(max(steps))
        for name, slots in _slots(one):
            for variable, slot in zip(variables, slots, strict=True):
                value = known.get(id(variable), (None, 0, {}))[2].get(name)
                if value is None or slot is None or value.shape != tuple(slot.shape):
                    continue
                slot.assign(value)
                carried.add(id(variable))
    return len(carried)


def _all_inside(optimizer):
    found = [optimizer]
    for inner in getattr(optimizer, "_inner_optimizers", None) or []:
        found += _all_inside(inner)
    inner = getattr(optimizer, "inner_optimizer", None)
    return found + (_all_inside(inner) if inner is not None else [])


def _variables(optimizer):
    # One that only hands them out has no slots, and a count that is of no group.
    if getattr(optimizer, "_inner_optimizers", None):
        return []
    return getattr(optimizer, "_trainable_variables", None) or []


def _slots(optimizer):
    count = len(_variables(optimizer))
    for name, value in vars(optimizer).items():
        if name in _NOT_SLOTS or not isinstance(value, list) or len(value) != count:
            continue
        kinds = [isinstance(x, keras.Variable) or x is None for x in value]
        if count and all(kinds) and any(x is not None for x in value):
            yield name, value


def _array(variable):
    if variable is None:
        return None
    return np.array(ops.convert_to_numpy(variable.value))
