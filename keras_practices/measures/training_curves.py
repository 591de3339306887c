"""The shape of a loss curve: where it went, how it shook, whether it still falls."""

import bisect
import math

import numpy as np

# Points of the smoothed curve.
POINTS = 20
# Fewer losses than this have no shape.
MIN_LOSSES = 6


def measure_curve(positions, losses):
    """Describes the batch losses of a run.

    Only the losses before the first one that is not finite are read.

    Args:
        positions: List of positions in epochs, one a loss, rising.
        losses: List or array of batch losses.

    Returns:
        Dict with `curve` (means over up to 20 pieces of equal length), `median_curve`
        (their medians), `curve_width` (losses in a piece), `epoch_means` (mean of each
        whole epoch), and, None for fewer than 6 losses: `noise` (deviation of the
        losses around their own run, from the median one: a few wild batches do not
        count), `fall` (of the curve, from its first piece to its last), `late_fall`
        (what a straight line through the last third loses over that third),
        `late_error` (standard error of `late_fall`) and `late_share` (`late_fall` as
        a share of the fall from the highest piece to the lowest: a third for a
        straight line, near 0 on a plateau).
    """
    values = np.asarray(losses, dtype=np.float64)
    finite = np.isfinite(values)
    length = len(values) if finite.all() else int(finite.argmin())
    values = values[:length]
    pieces = np.array_split(values, min(POINTS, length)) if length else []
    curve = [float(piece.mean()) for piece in pieces]
    empty = dict.fromkeys(("noise", "fall", "late_fall", "late_error", "late_share"))
    shape = _shape_of(values, curve) if length >= MIN_LOSSES else empty
    return {
        "curve": curve,
        "median_curve": [float(np.median(piece)) for piece in pieces],
        "curve_width": length // len(pieces) if pieces else 0,
        "epoch_means": _epoch_means(positions[:length], values),
        **shape,
    }


def _shape_of(values, curve):
    late = values[-max(3, len(values) // 3) :]
    fell, error = _fall_of_line(late)
    span = max(curve) - min(curve)
    return {
        "noise": _noise(values),
        "fall": curve[0] - curve[-1],
        "late_fall": fell,
        "late_error": error,
        "late_share": fell / span if span > 0 else 0.0,
    }


def _noise(values):
    """Deviation of the losses around a running mean that leaves each of them out."""
    reach = max(1, len(values) // (2 * POINTS))
    totals = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(reach, len(values) - reach)
    around = totals[places + reach + 1] - totals[places - reach] - values[places]
    differences = values[places] - around / (2 * reach)
    # The mean of the neighbours has noise of its own; 1.4826 median deviations are a
    # standard deviation of the normal distribution.
    alone = math.sqrt(1 + 1 / (2 * reach))
    return 1.4826 * float(np.median(np.abs(differences))) / alone


def _fall_of_line(values):
    """What a straight line through values loses from end to end, and its error."""
    places = np.arange(len(values)) - (len(values) - 1) / 2
    square = float(np.sum(places**2))
    slope = float(np.sum(places * values)) / square
    left = values - values.mean() - slope * places
    variance = float(np.sum(left**2)) / max(1, len(values) - 2)
    length = len(values) - 1
    return -slope * length, math.sqrt(variance / square) * length


def _epoch_means(positions, values):
    """Mean loss of each epoch that the losses reach the end of."""
    means, begin = [], 0
    for epoch in range(1, 1 + math.floor(positions[-1] + 1e-6) if positions else 0):
        end = bisect.bisect_right(positions, epoch + 1e-6)
        if end > begin:
            means.append(float(values[begin:end].mean()))
        begin = end
    return means
