"""The places at which a network can be cut, from its input to its head."""

import dataclasses
import hashlib
from typing import Any

import keras
import numpy as np

from keras_practices._core.model_layers import all_layers
from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import CLOSED
from keras_practices.measures.capture import open_layers
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import run_captured

_HEAD_ACTIVATIONS = ("softmax", "sigmoid", "linear")
_ROWS = 2


@dataclasses.dataclass
class Depth:
    """A place in a network behind which a head can stand.

    Attributes:
        name: Path of the layer, models around it included.
        layer: The layer whose output stands at this place.
        layers: Layers with weights since the place before.
        trail: `(operation, node)` from the outermost model inwards; empty where the
            network has no graph, and cannot be cut.
    """

    name: str
    layer: Any
    layers: list[Any]
    trail: tuple[Any, ...] = ()


@dataclasses.dataclass
class Places:
    """What `places_of` found.

    Attributes:
        depths: List of `Depth`, input first.
        head: Layers with weights behind the last place: the head of the old task.
        unread: Names of layers whose outputs could not be told apart.
    """

    depths: list[Depth]
    head: list[Any]
    unread: list[str]

    @property
    def cuttable(self):
        """True where the network has a graph to cut."""
        return all(depth.trail for depth in self.depths)


@dataclasses.dataclass
class _Step:
    name: str
    operation: Any
    trail: tuple[Any, ...]
    feeds: list[int]


def places_of(model, sample, most):
    """Finds the places of a model, thinned out evenly to at most `most`.

    A place is a layer that everything in front of it goes through, the last one
    before the next layer with a kernel. Nested models are opened. A model without a
    graph is run on two rows and read by the order of its calls.

    Args:
        model: A built Keras model.
        sample: A `Sample`, for models without a graph.
        most: Integer of at least 1.

    Returns:
        A `Places`.
    """
    if getattr(model, "outputs", None):
        steps, unread = _walk(model), []
        candidates = _bottlenecks(steps)
    else:
        steps, unread = _called(model, sample)
        candidates = range(len(steps))
    ends = _ends(steps, candidates)
    places, begin = [], 0
    for end in ends:
        step = steps[end]
        layers = _weighing(steps[begin : end + 1])
        places.append(Depth(step.name, step.operation, layers, step.trail))
        begin = end + 1
    head = _weighing(steps[begin:])
    if not head and len(places) > 1 and _is_head(places[-1]):
        head = places.pop().layers
    return Places(_thinned(places, most), head, unread)


def cut_at(model, trails):
    """Returns the model up to some places, with the same layers.

    Args:
        model: Keras model with a graph.
        trails: List of those of `Depth`s.

    Returns:
        A model with one output for each place.
    """
    return keras.Model(_inputs_of(model), _tensors_at(model, trails))


def _tensors_at(model, trails):
    found, nested = {}, {}
    for place, ((operation, number), *rest) in enumerate(trails):
        if rest:
            nested.setdefault((id(operation), number), []).append((place, rest))
        else:
            found[place] = operation._inbound_nodes[number].output_tensors[0]
    for several in nested.values():
        operation, number = trails[several[0][0]][0]
        inner = cut_at(operation, [rest for _, rest in several])
        given = operation._inbound_nodes[number].arguments.args[:1]
        made = keras.tree.flatten(inner(*given))
        found |= {place: one for (place, _), one in zip(several, made, strict=True)}
    tensors = [found[place] for place in range(len(trails))]
    return tensors if len(tensors) > 1 else tensors[0]


def joinable(depths):
    """Returns the numbers of the places that one head can read together.

    They lie in one model: what runs a model inside another to its end would run a
    second time for places in the middle of it.

    Args:
        depths: List of `Depth` of a model with a graph.
    """
    owners = [tuple((id(one), place) for one, place in d.trail[:-1]) for d in depths]
    most = max(owners, key=owners.count)
    return [place for place, owner in enumerate(owners) if owner == most]


def _inputs_of(model):
    # In their own structure: Keras warns when a model of a list gets one array.
    return model.inputs[0] if len(model.inputs) == 1 else model.input


def structure_of(model):
    """Returns 16 hexadecimal digits for kinds, shapes and order of the layers."""
    digest = hashlib.sha256()
    for layer in all_layers(model):
        shapes = [tuple(weight.shape) for weight in layer.weights]
        digest.update(f"{type(layer).__name__}{shapes}".encode())
    return digest.hexdigest()[:16]


def weights_of(model):
    """Returns 16 hexadecimal digits for the values of the weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        if not str(weight.dtype).startswith(("int", "uint")):
            digest.update(keras.ops.convert_to_numpy(weight.value).tobytes())
    return digest.hexdigest()[:16]


def _walk(model, given=None, prefix="", trail=(), steps=None):
    """Steps of the graph in the order of the forward pass, nested models opened."""
    steps = [] if steps is None else steps
    places = {}
    for place, tensor in enumerate(keras.tree.flatten(model.inputs)):
        places[_key(tensor)] = given[place] if given else []
    for operation, number in _in_order(model, set(places)):
        node = operation._inbound_nodes[number]
        feeds = [places.get(_key(tensor), []) for tensor in node.input_tensors]
        name = f"{prefix}{operation.name}"
        here = (*trail, (operation, number))
        opened = isinstance(operation, keras.Model)
        if opened and getattr(operation, "outputs", None):
            _walk(operation, feeds, f"{name}/", here, steps)
            # What a model gives is what its last step gives: a bottleneck or not.
            made = [len(steps) - 1]
        else:
            flat = [feed for several in feeds for feed in several]
            steps.append(_Step(name, operation, here, flat))
            made = [len(steps) - 1]
        for tensor in keras.tree.flatten(node.output_tensors):
            places[_key(tensor)] = made
    return steps


def _in_order(model, known):
    done, order = set(), []
    stack = [(tensor, False) for tensor in keras.tree.flatten(model.outputs)]
    while stack:
        tensor, fed = stack.pop()
        operation, number, _ = tensor._keras_history
        is_input = isinstance(operation, keras.layers.InputLayer)
        if _key(tensor) in known or (id(operation), number) in done or is_input:
            continue
        if fed:
            done.add((id(operation), number))
            order.append((operation, number))
            continue
        stack.append((tensor, True))
        node = operation._inbound_nodes[number]
        stack.extend((feed, False) for feed in reversed(node.input_tensors))
    return order


def _key(tensor):
    operation, number, place = tensor._keras_history
    return id(operation), number, place


def _bottlenecks(steps):
    """Steps that no tensor passes by: a cut there leaves one tensor."""
    last = list(range(len(steps)))
    for place, step in enumerate(steps):
        for feed in step.feeds:
            last[feed] = place
    found, furthest = [], -1
    for place in range(len(steps)):
        # An input that is used again behind this place passes by as well.
        if furthest <= place and not _reads_inputs(steps[place + 1 :]):
            found.append(place)
        furthest = max(furthest, last[place])
    return found


def _reads_inputs(steps):
    return any(not step.feeds for step in steps)


def _called(model, sample):
    """Steps of a model without a graph: the calls of its layers, in order."""
    x = sample.head(_ROWS)[0]
    with restore_rng():
        _, calls = run_captured(model, input_tensors(x))
    counts = {}
    for call in calls:
        counts[id(call.layer)] = counts.get(id(call.layer), 0) + 1
    steps, unread = [], []
    for call in calls:
        shape = getattr(call.outputs, "shape", ())
        if counts[id(call.layer)] == 1 and len(shape) >= 2:
            steps.append(_Step(call.layer.name, call.layer, (), []))
        elif call.layer.name not in unread:
            unread.append(call.layer.name)
    known = {id(call.layer) for call in calls}
    unread += [x.name for x in open_layers(model) if id(x) not in known]
    return steps, unread


def _ends(steps, candidates):
    """The last candidate behind each kernel, one for each number of kernels."""
    kernels, count = [], 0
    uses = {}
    for step in steps:
        count += _has_kernel(step.operation)
        kernels.append(count)
        uses[id(step.operation)] = uses.get(id(step.operation), 0) + 1
    ends = {}
    for place in candidates:
        operation = steps[place].operation
        once = uses[id(operation)] == 1 and isinstance(operation, keras.layers.Layer)
        if kernels[place] and once:
            ends[kernels[place]] = place
    return sorted(ends.values())


def _has_kernel(operation):
    weights = getattr(operation, "weights", [])
    return any(len(weight.shape) >= 2 for weight in weights)


def _weighing(steps):
    found = []
    for step in steps:
        layer = step.operation
        if getattr(layer, "weights", None) and layer not in found:
            found.append(layer)
    return found


def _is_head(place):
    layer = place.layer
    kernels = [x for x in place.layers if _has_kernel(x)]
    if isinstance(layer, keras.layers.Activation | keras.layers.Softmax):
        name = getattr(getattr(layer, "activation", None), "__name__", "softmax")
        return name in _HEAD_ACTIVATIONS and isinstance(kernels[-1], keras.layers.Dense)
    if not isinstance(layer, keras.layers.Dense) or isinstance(layer, CLOSED):
        return False
    return getattr(layer.activation, "__name__", "") in _HEAD_ACTIVATIONS


def _thinned(places, most):
    if len(places) <= most:
        return places
    kept = sorted({round(x) for x in np.linspace(0, len(places) - 1, most)})
    thinned, begin = [], 0
    for place in kept:
        layers = [x for one in places[begin : place + 1] for x in one.layers]
        thinned.append(dataclasses.replace(places[place], layers=layers))
        begin = place + 1
    return thinned
