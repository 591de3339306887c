"""Walks along the layers that the figures "graph" list; no rules of its own."""

INPUT = -1
WEIGHING = ("kernel", "recurrent", "embedding")
SQUASHING = ("softmax", "sigmoid")


def activation_after(nodes, place):
    """Activation that is applied to what a node gives, before anything else is.

    Args:
        nodes: Nodes of the figures "graph".
        place: Place of the node.

    Returns:
        `(name, place)` of the activation, its own or that of a layer after neutral
        ones; `("linear", place)` where there is none, place being the last node of
        the chain of single consumers.
    """
    node = nodes[place]
    if node["activation"] not in (None, "linear"):
        return node["activation"], place
    for step in passed_on(nodes, place):
        if nodes[step]["kind"] == "activation":
            return nodes[step]["activation"], step
        place = step
        if nodes[step]["kind"] != "neutral" or nodes[step]["norm"] == "row":
            break
    return "linear", place


def passed_on(nodes, place):
    """Yields the places after a node for as long as each has one consumer."""
    while len(nodes[place]["outputs"]) == 1 and not nodes[place]["gives"]:
        place = nodes[place]["outputs"][0]
        yield place


def came_from(nodes, place):
    """Yields the places before a node for as long as each has one source."""
    while len(nodes[place]["inputs"]) == 1 and nodes[place]["inputs"][0] != INPUT:
        place = nodes[place]["inputs"][0]
        yield place


def next_layer(nodes, place):
    """Place of the only layer that a node feeds through neutral ones, or None.

    A normalisation over the features of a row is no neutral layer here: it is not
    linear.
    """
    for step in passed_on(nodes, place):
        if nodes[step]["kind"] != "neutral":
            return step
        if nodes[step]["norm"] == "row":
            return None
    return None


def gives_output(nodes, place):
    """True when a node gives an output, at most through neutral layers."""
    if nodes[place]["gives"]:
        return True
    for step in passed_on(nodes, place):
        if nodes[step]["kind"] != "neutral":
            return False
        if nodes[step]["gives"]:
            return True
    return False


def is_neutral(node):
    """True for a layer that passes values on without normalising them."""
    return node["kind"] == "neutral" and node["norm"] is None


def hidden_runs(nodes, names):
    """Runs of kernel layers with one of some activations, each feeding the next.

    Args:
        nodes: Nodes of the figures "graph".
        names: Activations that count.

    Returns:
        List of lists of places of kernel layers; normalisation ends a run, a layer
        that feeds no kernel (a gate, an output) is not in it.
    """
    runs, seen = [], set()
    for place in range(len(nodes)):
        run, at = [], place
        while at is not None and nodes[at]["kind"] == "kernel" and at not in seen:
            name, end = activation_after(nodes, at)
            if name not in names or not nodes[at]["hidden"]:
                break
            if end != at and normalised(nodes, at):
                break
            seen.add(at)
            following = next_kernel(nodes, end)
            # A gate feeds a product with other values, no kernel.
            if following is not None:
                run.append(at)
            at = following
        if run:
            runs.append(run)
    return runs


def normalised(nodes, place):
    """True when a normalisation stands between a node and the next layer."""
    for step in passed_on(nodes, place):
        if nodes[step]["kind"] != "neutral":
            return False
        if nodes[step]["norm"]:
            return True
    return False


def next_kernel(nodes, place):
    """Place of the kernel layer that a node feeds without normalisation, or None."""
    for step in passed_on(nodes, place):
        node = nodes[step]
        if node["kind"] == "kernel":
            return step
        if not is_neutral(node) and node["kind"] != "pool-max":
            return None
    return None
