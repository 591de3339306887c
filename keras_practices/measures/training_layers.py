"""What the samples of a run say about gradients, weights and activations by layer."""

import math

import numpy as np

# Samples at the start of a run that tell how its gradients flow.
FIRST_SAMPLES = 10


def measure_gradients(record):
    """Reads how gradients flow through the kernels, and how large they get.

    Args:
        record: A `Record`.

    Returns:
        Dict with `kernel_gradients` (path → root mean square of the gradient, median
        over the first samples; kernels in the model's own order, embeddings left
        out), `gradient_ratio` (median over the first third of these kernels by that
        over the last third; None for fewer than 3 or no gradient at the end),
        `first_gradient` and `largest_gradient` (norm over all weights, in the first
        sample and the largest finite one), `gradient_growth` (their ratio),
        `largest_gradient_step`, `gradient_to_weight` (largest ratio of a kernel's
        gradient to the kernel, in norms), `gradient_not_finite_step` (first sampled
        step whose gradient is not finite).
    """
    kernels = _kernels(record)
    shapes = record.start.get("variables", {})
    by_kernel, ratios, norms, bad = {}, [], [], None
    for index, line in enumerate(record.samples):
        weights = line.get("weights") or {}
        norm = _joined_norm(weights)
        if norm is not None and math.isfinite(norm):
            norms.append((norm, line["step"]))
        elif norm is not None and bad is None:
            bad = line["step"]
        for path in kernels:
            found = _number(weights.get(path, {}).get("gradient_norm"))
            weight = _number(weights.get(path, {}).get("weight_norm"))
            if found is None:
                continue
            if weight:
                ratios.append(found / weight)
            if index < FIRST_SAMPLES and "embedding" not in path:
                size = max(1, math.prod(shapes.get(path, [1])))
                by_kernel.setdefault(path, []).append(found / math.sqrt(size))
    flow = {p: float(np.median(by_kernel[p])) for p in kernels if p in by_kernel}
    first = norms[0][0] if norms else None
    largest, step = max(norms, default=(None, None))
    return {
        "kernel_gradients": flow,
        "gradient_ratio": _ends_ratio(list(flow.values())),
        "first_gradient": first,
        "largest_gradient": largest,
        "largest_gradient_step": step,
        "gradient_growth": largest / first if first else None,
        "gradient_to_weight": max(ratios, default=None),
        "gradient_not_finite_step": bad,
    }


def measure_weights(record):
    """Reads how the kernels changed in size, and how far a step moves each.

    Args:
        record: A `Record`.

    Returns:
        Dict with `update_ratios` (path → median ratio of update to weight) and
        `weight_growth` (path → dict with `first` and `last`, finite norms in the
        first and the last sample that has one, `growth`, their ratio, `doublings`,
        how often the norm doubled from one sample to the next, and `to_glorot`, the
        last root mean square by that of Glorot's initial weights). Kernels that begin
        at zero have no growth.
    """
    shapes = record.start.get("variables", {})
    updates, growth = {}, {}
    for path in _kernels(record):
        lines = [(line.get("weights") or {}).get(path, {}) for line in record.samples]
        ratios = _numbers(line.get("update_ratio") for line in lines)
        if ratios:
            updates[path] = float(np.median(ratios))
        norms = _numbers(line.get("weight_norm") for line in lines)
        if len(norms) < 2 or norms[0] <= 0:
            continue
        pairs = zip(norms, norms[1:], strict=False)
        growth[path] = {
            "first": norms[0],
            "last": norms[-1],
            "growth": norms[-1] / norms[0],
            "doublings": sum(after >= 2 * before for before, after in pairs),
            "to_glorot": _to_glorot(norms[-1], shapes.get(path)),
        }
    return {"update_ratios": updates, "weight_growth": growth}


def measure_saturation(record):
    """Reads how much of each bounded layer's output stands at its flat ends.

    Args:
        record: A `Record`.

    Returns:
        Dict layer → dict with `activation`, `first` and `last` (share of the outputs
        within 1 % of a flat end, on the first and the last probe that has them; in
        the first and last samples where there is no probe), in the order in which the
        layers are called.
    """
    for lines, count in ((record.probes, 1), (record.samples, 3)):
        tables = [line["layers"] for line in lines if line.get("layers")]
        found = {}
        for name, layer in tables[-1].items() if tables else ():
            if "saturated" not in layer:
                continue
            shares = [
                _numbers(t.get(name, {}).get("saturated") for t in part)
                for part in (tables[:count], tables[-count:])
            ]
            if all(shares):
                first, last = (float(np.median(part)) for part in shares)
                found[name] = {
                    "activation": layer.get("activation"),
                    "first": first,
                    "last": last,
                }
        if found:
            return found
    return {}


def measure_filters(record):
    """Reads how smooth the first layer's filters were and became.

    Args:
        record: A `Record`.

    Returns:
        Dict with `layer`, `shape`, `first` and `last` (smoothness, see
        `keras_practices.measures.filters.smoothness`), or None where the first kernel
        is no image.
    """
    lines = [
        line
        for line in record.of_kind("filters")
        if _number(line.get("smoothness")) is not None
    ]
    if not lines:
        return None
    first, last = lines[0], lines[-1]
    return {
        "layer": last["layer"],
        "shape": list(last["shape"]),
        "first": float(first["smoothness"]),
        "last": float(last["smoothness"]),
    }


def _kernels(record):
    """Paths of the kernels in the order of the model's own list of weights."""
    kernels, order = record.kernels, {}
    for line in record.samples[:FIRST_SAMPLES]:
        order |= dict.fromkeys(line.get("weights") or {})
    if kernels:
        return [path for path in order if path in kernels]
    # A model that was built in its first step has no shapes in the record.
    return [path for path in order if path.rsplit("/", 1)[-1].endswith("kernel")]


def _ends_ratio(values):
    third = len(values) // 3
    last = float(np.median(values[-third:])) if third else 0.0
    return float(np.median(values[:third])) / last if last > 0 else None


def _joined_norm(weights):
    norms = [
        float(found["gradient_norm"])
        for found in weights.values()
        if found.get("gradient_norm") is not None
    ]
    return math.hypot(*norms) if norms else None


def _to_glorot(norm, shape):
    """Root mean square of a kernel by that of Glorot's initial weights."""
    if not shape:
        return None
    places = math.prod(shape[:-2])
    rows, units = shape[-2] * places, shape[-1] * places
    return norm / math.sqrt(math.prod(shape)) / math.sqrt(2 / (rows + units))


def _number(value):
    """A finite float, None for what is missing or not finite."""
    found = None if value is None else float(value)
    return found if found is not None and math.isfinite(found) else None


def _numbers(values):
    return [found for found in map(_number, values) if found is not None]
