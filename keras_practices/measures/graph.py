"""The layers of a model as a plain list: what feeds what, and what each one does."""

import keras

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.capture import captured_calls
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import without_noise
from keras_practices.measures.graph_nodes import describe
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.linearity import linear_kernel

# Where a tensor comes from that no layer made.
INPUT = -1
_ROWS = 2
_WEIGHING = ("kernel", "recurrent", "embedding")


def measure_graph(model, sample=None):
    """Reads the layers of a model in the order of the forward pass.

    Nested models are opened, so a node is a layer (or an operation called as a
    function) and never a model. A model without a graph is run on two rows and read
    by the tensors that its layers hand on; what passes through other code ends a
    chain there, and a chain that is not seen from input to output is left unread.

    Args:
        model: A built Keras model.
        sample: A `Sample`, for models without a graph; None leaves them unread.

    Returns:
        `{"graph": None}` for what cannot be read, else `{"graph": {"nodes": […],
        "source": "graph" or "calls", "depth": kernels on the longest path}}`. Each
        node has what `describe` gives, `own` (True for a layer of the user's own that
        proved linear) and `inputs` and `outputs` (places of other
        nodes in the list; -1 is an input of the model), `gives` (numbers of the
        model's outputs that it makes), `depth` (kernels on the longest path up to
        it) and `hidden` (another layer with weights comes after it).
    """
    if getattr(model, "outputs", None):
        nodes, source = _from_graph(model), "graph"
    else:
        nodes, source = None if sample is None else _from_calls(model, sample), "calls"
    if not nodes:
        return {"graph": None}
    _join(nodes)
    depth = max(node["depth"] for node in nodes)
    return {"graph": {"nodes": nodes, "source": source, "depth": depth}}


def _from_graph(model):
    nodes = []
    inputs = keras.tree.flatten(model.inputs)
    last = _expand(model, [INPUT] * len(inputs), nodes)
    for number, place in enumerate(last):
        if place != INPUT:
            nodes[place]["gives"].append(number)
    return nodes


def _expand(model, given, nodes):
    """Adds the nodes of one model; returns the places that give its outputs."""
    inputs = keras.tree.flatten(model.inputs)
    places = {_key(t): place for t, place in zip(inputs, given, strict=True)}
    for operation, node in _in_order(model, set(places)):
        feeds = [places.get(_key(t), INPUT) for t in node.input_tensors]
        made = keras.tree.flatten(node.output_tensors)
        is_model = isinstance(operation, keras.Model)
        if is_model and getattr(operation, "outputs", None):
            inner = _expand(operation, feeds, nodes)
        else:
            described = _described(operation, node.input_tensors, made)
            inner = [_add(nodes, described, feeds)] * len(made)
        places.update({_key(t): place for t, place in zip(made, inner, strict=True)})
    return [places.get(_key(t), INPUT) for t in keras.tree.flatten(model.outputs)]


def _described(operation, inputs, outputs):
    described = describe(operation, len(inputs))
    own = described["kind"] == "other" and isinstance(operation, keras.layers.Layer)
    if own and linear_kernel(operation, inputs, outputs):
        widths = {"width_in": inputs[0].shape[-1], "units": outputs[0].shape[-1]}
        described |= {"kind": "kernel", "activation": "linear", "own": True, **widths}
    return described


def _in_order(model, known):
    """Calls of a model's own graph, each after what feeds it."""
    done, order = set(), []
    stack = [(tensor, False) for tensor in keras.tree.flatten(model.outputs)]
    while stack:
        tensor, fed = stack.pop()
        if _key(tensor) in known:
            continue
        operation, index, _ = tensor._keras_history
        if (id(operation), index) in done or isinstance(
            operation, keras.layers.InputLayer
        ):
            continue
        node = operation._inbound_nodes[index]
        if fed:
            done.add((id(operation), index))
            order.append((operation, node))
            continue
        stack.append((tensor, True))
        stack.extend((feed, False) for feed in node.input_tensors)
    return order


def _key(tensor):
    operation, index, place = tensor._keras_history
    return id(operation), index, place


def _add(nodes, described, feeds):
    nodes.append({**described, "inputs": list(feeds), "outputs": [], "gives": []})
    return len(nodes) - 1


def _from_calls(model, sample):
    """Reads a chain from the tensors of one forward pass; None where it breaks."""
    inputs = input_tensors(sample.head(_ROWS)[0])
    with (
        restore_rng(),
        keras.StatelessScope(),
        without_noise(model),
        captured_calls([*open_layers(model), model]) as calls,
    ):
        outputs = keras.tree.flatten(model(inputs, training=False))
    # The model's own call ends last; the inputs it was given are those after a cast.
    *inner, whole = calls
    if whole.layer is not model or len(outputs) != 1:
        return None
    nodes, places = [], {id(whole.inputs): INPUT}
    for call in inner:
        if id(call.inputs) not in places:
            return None
        node = describe(call.layer, 2)
        # Of what is merged only the first tensor is seen.
        if node["kind"] == "merge":
            return None
        places[id(call.outputs)] = _add(nodes, node, [places[id(call.inputs)]])
    place = places.get(id(whole.outputs))
    if place is None or place == INPUT:
        return None
    nodes[place]["gives"].append(0)
    return nodes


def _join(nodes):
    """Fills in what follows from the inputs: consumers, depth, what comes after."""
    for place, node in enumerate(nodes):
        feeds = [feed for feed in node["inputs"] if feed != INPUT]
        for feed in feeds:
            nodes[feed]["outputs"].append(place)
        before = max((nodes[feed]["depth"] for feed in feeds), default=0)
        node["depth"] = before + (node["kind"] == "kernel")
        node["hidden"] = False
    for node in reversed(nodes):
        followed = node["hidden"] or node["kind"] in _WEIGHING
        for feed in node["inputs"]:
            if feed != INPUT and followed:
                nodes[feed]["hidden"] = True
