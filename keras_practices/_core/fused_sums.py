"""Joins sums in a program of PyTorch that runs them one by one."""

# A softmax over fewer classes than this is done with the classes in the first axis:
# along a short last axis PyTorch takes one row after the other.
FEW_CLASSES = 16


def fuse(program, aten):
    """Rewrites a traced program, and returns it.

    A product and its bias become one sum, a ReLU behind it writes in place, a softmax
    over few classes behind it is computed by columns, and what is added with a weight
    takes one sum.

    Args:
        program: `torch.fx.GraphModule` of `make_fx`.
        aten: `torch.ops.aten`.
    """
    graph = program.graph
    for node in list(graph.nodes):
        if node.target is aten.add.Tensor and not node.kwargs:
            _with_bias(graph, node, aten)
            _weighted(node, aten)
    for node in list(graph.nodes):
        if not _is_only(node.args[:1], aten.addmm.default):
            continue
        if node.target is aten.relu.default:
            node.target = aten.relu_.default
        elif node.target is aten._softmax.default:
            _by_columns(graph, node, aten)
    graph.lint()
    program.recompile()
    return program


def _is_only(nodes, target):
    """Whether these are one node of that kind, which nothing else uses."""
    return len(nodes) == 1 and all(
        getattr(one, "target", None) is target and len(one.users) == 1 for one in nodes
    )


def _is_exact(value):
    # In half precision a sum would be rounded once in the place of twice, and whole
    # numbers cannot be added with a weight.
    if value is None:
        return False
    return value.dtype.is_floating_point and value.dtype.itemsize >= 4


def _with_bias(graph, node, aten):
    if not _is_only(node.args[:1], aten.mm.default):
        return
    product, bias = node.args
    found = getattr(bias, "meta", {}).get("val")
    if not _is_exact(found) or found.ndim != 1:
        return
    if found.dtype != product.meta["val"].dtype:
        return
    with graph.inserting_before(node):
        joined = graph.call_function(aten.addmm.default, (bias, *product.args))
    joined.meta = node.meta
    node.replace_all_uses_with(joined)
    graph.erase_node(node)
    graph.erase_node(product)


def _weighted(node, aten):
    # PyTorch makes a tensor of a number, and of another type, at each product.
    if not _is_only(node.args[1:], aten.mul.Tensor):
        return
    total, product = node.args
    part, weight = product.args
    known = [getattr(one, "meta", {}).get("val") for one in (total, part)]
    if isinstance(weight, float) and all(map(_is_exact, known)):
        node.args, node.kwargs = (total, part), {"alpha": weight}
        node.graph.erase_node(product)


def _by_columns(graph, node, aten):
    joined, axis, _ = node.args
    if axis not in (-1, 1) or node.meta["val"].shape[1] >= FEW_CLASSES:
        return
    bias, rows, weights = joined.args

    def then(target, *args):
        return graph.call_function(target.default, args)

    with graph.inserting_before(node):
        # With few columns, weights that lie by columns take half the time.
        narrow = then(aten.t, then(aten.contiguous, then(aten.t, weights)))
        logits = then(aten.t, then(aten.addmm, bias, rows, narrow))
        shares = then(aten._softmax, logits, 0, False)
        back = then(aten.t, shares)
    back.meta = node.meta
    node.replace_all_uses_with(back)
    graph.erase_node(node)
    graph.erase_node(joined)
