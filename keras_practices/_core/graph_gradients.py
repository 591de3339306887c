"""Gradients that TensorFlow has registered, and the graphs that they keep alive."""

import weakref

import keras

_HELD = "_keras_practices_gradients"


def give_to_graphs(registry):
    """Makes registered gradients live as long as their graphs, and no longer.

    TensorFlow registers the gradient of each `tf.custom_gradient` in a graph under a
    name of its own and for ever, and with it the graph and all that this one holds.
    Keras has one in each train function: the sum of gradients over replicas. Here the
    graph takes its gradient over, and the registry only points there: it is found as
    long as the graph lives, whoever holds that.

    Args:
        registry: Dict by name of dicts whose `"type"` is the gradient, changed here.
    """
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        entry = registry.get(name, {})
        function = entry.get("type")
        if function is None or isinstance(function, _GradientOfGraph):
            continue
        graph = _graph_with(function, name)
        if graph is not None:
            setattr(graph, _HELD, [*getattr(graph, _HELD, ()), function])
            entry["type"] = _GradientOfGraph(function, registry, name)


class _GradientOfGraph:
    """Stands in the registry for a gradient that a graph holds."""

    def __init__(self, function, registry, name):
        self._function = weakref.ref(function, lambda _: registry.pop(name, None))

    def __call__(self, operation, *gradients):
        return self._function()(operation, *gradients)


def _graph_with(function, name):
    """Returns the graph with the operation whose gradient it is, or None."""
    try:
        result = _enclosed(_enclosed(function)["tape_grad_fn"])["result"]
    except (AttributeError, KeyError, ValueError):  # made by something else
        return None
    graphs = [getattr(tensor, "graph", None) for tensor in keras.tree.flatten(result)]
    for graph in {id(graph): graph for graph in graphs}.values():
        if graph is not None and any(
            _gradient_name(one) == name for one in graph.get_operations()
        ):
            return graph
    return None


def _enclosed(function):
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return dict(zip(function.__code__.co_freevars, cells, strict=True))


def _gradient_name(operation):
    if operation.type != "IdentityN":
        return None
    try:
        return operation.get_attr("_gradient_op_type").decode()
    except ValueError:  # it has the usual gradient
        return None
