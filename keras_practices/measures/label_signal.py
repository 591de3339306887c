"""Can the targets be told from the inputs at all, by simple means?"""

import keras
import numpy as np

from keras_practices._core.model_layers import all_layers
from keras_practices.measures.arrays import measure_targets

# Rows that are looked at; a Gram matrix of them takes some megabytes.
MAX_ROWS = 800
MIN_ROWS = 60
# Wider inputs are averaged (images, sequences) or projected (tables).
_WIDTH = 1024
_NEIGHBOURS = 10
_ROWS_A_CLASS = 20
_UNITS = 400
_RIDGE = 0.1
_PERMUTATIONS = 30
# More target columns than this are mixed down at random.
_COLUMNS = 10
_FEW = "there are too few rows of each class"
# Layers that read numbers as names: distance between two such numbers means nothing.
_READS_NAMES = (
    keras.layers.Embedding,
    keras.layers.Hashing,
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
    keras.layers.CategoryEncoding,
)


def measure_label_signal(model, sample):
    """Predicts the targets from the inputs by simple means, against shuffled targets.

    Nearest neighbours, a ridge regression on the inputs, one on random ReLU features
    and, for images and sequences, one on how rough they are. Each predicts rows it
    was not fitted to. The same is done for shuffled targets, which shows how well one
    predicts by luck.

    Args:
        model: Built Keras model; only its kinds of layers are read.
        sample: A `Sample`.

    Returns:
        Dict with `rows`, `outside_largest` (those of other classes than the largest;
        all rows of numbers), `features`, `task` (`"classes"` or `"numbers"`),
        `sequences` (bool), `probes` (name → `score`, the correlation of prediction
        and target, and `z`, its distance from luck in standard deviations) and
        `explained` (largest squared score); or `{"skipped": reason}`.
    """
    task, targets = _target_columns(sample.y)
    if targets is None:
        return {"skipped": task}
    reason = _not_dense(model, sample.x)
    if reason is not None:
        return {"skipped": reason}
    if sample.rows < MIN_ROWS:
        return {"skipped": f"{sample.rows} rows are too few"}
    generator = np.random.default_rng(0)
    rows = _chosen_rows(targets if task == "classes" else None, sample.rows, generator)
    arrays = [np.asarray(array)[rows] for array in keras.tree.flatten(sample.x)]
    if not all(np.isfinite(array).all() for array in arrays):
        return {"skipped": "the inputs hold NaN or infinity"}
    outside = len(rows)
    if task == "classes":
        outside -= int(targets[rows].sum(axis=0).max())
    targets = _standardised(targets[rows])
    if targets.shape[1] == 0:
        return {"skipped": "the targets do not vary"}
    if targets.shape[1] > _COLUMNS:
        mix = generator.normal(size=(targets.shape[1], _COLUMNS))
        targets = _standardised(targets @ mix)
    inputs = np.concatenate([_features(array) for array in arrays], axis=1)
    if inputs.shape[1] == 0:
        return {"skipped": "the inputs do not vary"}
    probes = _probes(inputs, [array for array in arrays if array.ndim > 2], generator)
    orders = [generator.permutation(len(rows)) for _ in range(_PERMUTATIONS)]
    found = {name: _against_luck(probe, targets, orders) for name, probe in probes}
    best = max(probe["score"] for probe in found.values())
    return {
        "rows": len(rows),
        "outside_largest": outside,
        "features": inputs.shape[1],
        "task": task,
        "sequences": any(array.ndim == 3 for array in arrays),
        "probes": found,
        "explained": max(0.0, best) ** 2,
    }


def _chosen_rows(classes, count, generator):
    """Random rows; of classes no more than an equal share, so that rare ones speak."""
    order = generator.permutation(count)
    if classes is None:
        return order[:MAX_ROWS]
    share = MAX_ROWS // classes.shape[1]
    place = np.cumsum(classes[order], axis=0)
    # How many rows of its class came up to each row.
    nth = (place * classes[order]).sum(axis=1)
    return order[nth <= max(share, 1)]


def _target_columns(y):
    """`("classes" or "numbers", columns)`, or `(reason, None)`."""
    for array in keras.tree.flatten(y):
        if array is None:
            continue
        array = np.asarray(array)
        width = int(np.prod(array.shape[1:], dtype=np.int64))
        if array.ndim > 2 or array.dtype.kind not in "biuf":
            continue
        if not np.isfinite(array).all():
            return "the targets hold NaN or infinity", None
        kind = measure_targets(array)["kind"]
        if kind == "one-hot":
            few = width * _ROWS_A_CLASS > len(array)
            return (_FEW, None) if few else ("classes", array.astype(np.float64))
        if 1 < width <= _COLUMNS and kind == "numbers":
            ranks = np.argsort(np.argsort(array, axis=0), axis=0)
            return "numbers", ranks.astype(np.float64)
        if width != 1:
            continue
        values, index = np.unique(array.ravel(), return_inverse=True)
        if len(values) < 2:
            return "the targets do not vary", None
        if kind in ("binary", "classes"):
            if len(values) * _ROWS_A_CLASS > len(array):
                return _FEW, None
            return "classes", np.eye(len(values))[index.ravel()]
        # Ranks: one price of a million must not drown the others.
        return "numbers", index.reshape(-1, 1).astype(np.float64)
    return "there are no targets of one class or a few numbers a row", None


def _not_dense(model, x):
    for array in keras.tree.flatten(x):
        kind, dimensions = np.asarray(array).dtype.kind, np.asarray(array).ndim
        if kind not in "biuf" or dimensions > 5:
            return "the inputs are no numbers"
        if kind in "iu" and dimensions < 4:
            return "the inputs are whole numbers, perhaps names"
    if any(isinstance(layer, _READS_NAMES) for layer in all_layers(model)):
        return "the model reads its inputs as names"
    return None


def _standardised(columns):
    columns = columns - columns.mean(axis=0)
    spread = columns.std(axis=0)
    varying = spread > 1e-9 * max(1e-30, float(spread.max(initial=0.0)))
    return columns[:, varying] / spread[varying]


def _features(array):
    """Columns of about unit variance; pixels keep their sizes beside each other."""
    array = array.astype(np.float64)
    if array.ndim <= 2:
        columns = _standardised(array.reshape(len(array), -1))
        if columns.shape[1] > 4 * _WIDTH:
            mix = np.random.default_rng(1).normal(size=(columns.shape[1], _WIDTH))
            columns = _standardised(columns @ mix)
        return columns
    columns = _averaged(array, _WIDTH)
    columns = columns - columns.mean(axis=0)
    spread = columns.std()
    return columns / spread if spread > 0 else columns[:, :0]


def _averaged(array, width):
    """Averages neighbours along the longest axis until `width` numbers are left."""
    while np.prod(array.shape[1:]) > width:
        axis = 1 + int(np.argmax(array.shape[1:]))
        pairs = array.shape[axis] // 2
        first = np.take(array, range(0, 2 * pairs, 2), axis=axis)
        second = np.take(array, range(1, 2 * pairs, 2), axis=axis)
        array = (first + second) / 2
    return array.reshape(len(array), -1)


def _probes(inputs, grids, generator):
    """Pairs `(name, function from target columns to predictions)`."""
    gram = inputs @ inputs.T
    norms = np.diag(gram)
    distances = norms[:, None] + norms[None, :] - 2 * gram
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    weights = generator.normal(size=(inputs.shape[1], _UNITS))
    weights /= np.sqrt(max(1e-30, float(np.mean(norms))))
    hidden = np.maximum(inputs @ weights + generator.normal(size=_UNITS), 0)
    found = [
        ("neighbours", lambda columns: columns[nearest].mean(axis=1)),
        ("linear", _ridge(inputs)),
        ("random features", _ridge(_standardised(hidden))),
    ]
    rough = [_roughness(grid.astype(np.float64)) for grid in grids]
    rough = _standardised(np.concatenate(rough, axis=1)) if rough else None
    if rough is not None and rough.shape[1]:
        found.append(("roughness", _ridge(rough)))
    return found


def _roughness(grid):
    """How much neighbours differ, and how far each part spreads."""
    parts = [_averaged(np.square(grid - grid.mean()), 64)]
    for axis in range(1, grid.ndim - 1):
        if grid.shape[axis] > 1:
            parts.append(_averaged(np.abs(np.diff(grid, axis=axis)), 64))
    return np.concatenate(parts, axis=1)


def _ridge(inputs):
    """Ridge regression; each row is predicted from all others."""
    gram = inputs @ inputs.T
    penalty = _RIDGE * np.trace(gram) / min(inputs.shape)
    fit = np.linalg.solve(gram + penalty * np.eye(len(gram)), gram).T
    own = np.diag(fit)[:, None]
    # What the fit says without the row itself, in closed form.
    return lambda columns: (fit @ columns - own * columns) / np.maximum(1 - own, 1e-3)


def _against_luck(predict, targets, orders):
    lucky = [_score(predict(targets[order]), targets[order]) for order in orders]
    score = _score(predict(targets), targets)
    spread = max(float(np.std(lucky)), 1e-9)
    return {"score": score, "z": (score - float(np.mean(lucky))) / spread}


def _score(predicted, targets):
    sizes = np.linalg.norm(predicted) * np.linalg.norm(targets)
    return float((predicted * targets).sum() / sizes) if sizes > 0 else 0.0
