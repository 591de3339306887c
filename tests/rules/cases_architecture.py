"""Hand-written figures for the rules on architecture, settings and first weights."""

from rule_cases import CLASSES
from rule_cases import Case
from rule_cases import output
from rule_cases import training

NUMBERS = {"kind": "numbers", "shape": [3], "min": -3.0, "max": 7.5, "distinct": 90}
LEARNED = training(last_loss=0.2)
FAILED = training(last_loss=1.5)
NOWHERE = training(last_loss=1.9)


def dense(name, units, activation="linear", **changes):
    node = {"name": name, "class": "Dense", "kind": "kernel", "units": units}
    return {**node, "activation": activation, **changes}


def passing(name, **changes):
    return {"name": name, "class": name, "kind": "neutral", **changes}


def activation(name, function):
    return {"name": name, "class": name, "kind": "activation", "activation": function}


def chain(*nodes, width=20):
    """Figures of layers in a row; dicts with the keys that differ from the usual."""
    found, depth = [], 0
    for place, node in enumerate(nodes):
        depth += node["kind"] == "kernel"
        after = nodes[place + 1 :]
        blank = dict.fromkeys(("activation", "units", "part", "norm", "rate"))
        found.append(
            {
                **blank,
                "width_in": width,
                **node,
                "inputs": [place - 1],
                "outputs": [place + 1] if after else [],
                "gives": [] if after else [0],
                "depth": depth,
                "hidden": any(n["kind"] in ("kernel", "recurrent") for n in after),
            }
        )
        width = node.get("units") or width
    return {"graph": {"nodes": found, "source": "graph", "depth": depth}}


def sigmoids(count, name="sigmoid"):
    hidden = [dense(f"dense_{number}", 8, name) for number in range(count)]
    return chain(*hidden, dense("head", 3, "softmax"))


def parts(**changes):
    settings = {"class": "Adam", "learning_rate": 0.001, "scheduled": False}
    settings.update(beta_1=0.9, beta_2=0.999, epsilon=1e-7)
    healthy = {
        "dropout": [],
        "batchnorm": [],
        "frozen": {"parameters": 99, "trainable": 99, "layers": [], "fresh": []},
        "regularized_biases": [],
        "metrics": ["accuracy"],
        "optimizer": settings,
    }
    return {"parts": {**healthy, **changes}}


def optimizer(**changes):
    settings = {**parts()["parts"]["optimizer"], **changes}
    return parts(optimizer=settings)


def dropout(rate):
    return parts(dropout=[{"layer": "dropout", "rate": rate, "argument": "rate"}])


def batchnorm(momentum, **figures):
    layer = {"layer": "bn", "momentum": momentum, "trainable": True}
    return {**parts(batchnorm=[layer]), **figures}


def frozen(*fresh, trainable=50):
    layers = ["pretrained", *fresh]
    found = {"parameters": 99, "trainable": trainable, "layers": layers}
    return parts(frozen={**found, "fresh": list(fresh)})


def weights(*gains, bias=0.0):
    """Figures of ReLU layers with these gains, the last one the head."""
    names = [f"dense_{place}" for place in range(len(gains))]
    *hidden, _ = names
    layers = [dense(name, 64, "relu") for name in hidden]
    found = {
        name: {
            "rms": gain / 8,
            "fan_in": 64,
            "gain": gain,
            "calibrated": 1.0,
            "bias": bias,
            "fresh": True,
            "trainable": True,
        }
        for name, gain in zip(names, gains, strict=True)
    }
    return {**chain(*layers, dense(names[-1], 3)), "initial_weights": found}


def task(graph, *figures, **changes):
    joined = {**graph, **output(**changes)}
    for more in figures:
        joined.update(more)
    return joined


LINEAR = chain(dense("a", 64), dense("b", 32), dense("head", 10, "softmax"))
BENT = chain(dense("a", 64, "relu"), dense("b", 32, "relu"), dense("head", 10))
MIXED = chain(dense("a", 64, "relu"), dense("b", 32), dense("head", 10))
NARROW = chain(dense("a", 32, "relu"), dense("b", 1, "relu"), dense("head", 10))
THREE = chain(dense("a", 32, "relu"), dense("b", 3, "relu"), dense("head", 10))
FOUR = chain(dense("a", 32, "relu"), dense("b", 4, "relu"), dense("head", 10))
SOFT = chain(dense("a", 64, "softmax"), dense("head", 10, "softmax"))

CASES = {
    "double-softmax": Case(
        healthy=output(),
        sick=output(from_logits=True),
        severity="error",
        subject="dense_1",
        advice="from_logits=False",
        silent={**output(), **chain(dense("a", 3), activation("soft", "softmax"))},
        fires={
            **output(),
            **chain(dense("a", 3, "sigmoid"), activation("soft", "softmax")),
        },
    ),
    "output-activation-mismatch": Case(
        healthy=output(NUMBERS, activation="linear", loss="mean_squared_error"),
        sick=output(NUMBERS, loss="mean_squared_error"),
        severity="error",
        subject="dense_1",
        advice="activation=None",
        silent=output(activation="leaky_relu", from_logits=True),
        fires=output(activation="relu", from_logits=True),
    ),
    "activation-missing": Case(
        healthy=BENT,
        sick=LINEAR,
        severity="warning",
        subject="a",
        advice="activation='relu' in a, b",
        # As narrow as a bottleneck, and one unit wider.
        silent=chain(dense("a", 9), dense("head", 10)),
        fires=chain(dense("a", 10), dense("head", 10)),
    ),
    "activation-saturating": Case(
        healthy=BENT,
        sick=SOFT,
        severity="error",
        subject="a",
        advice="activation='relu' in a",
        silent=sigmoids(2),
        fires=sigmoids(3),
    ),
    "capacity-too-small": Case(
        healthy=task(BENT, FAILED, shape=[10]),
        sick=task(NARROW, FAILED, shape=[10]),
        severity="warning",
        subject="b",
        advice="32 units",
        silent=task(FOUR, FAILED, shape=[10]),
        fires=task(THREE, FAILED, shape=[10]),
    ),
    "dropout-misused": Case(
        healthy=dropout(0.5),
        sick=dropout(0.8),
        severity="warning",
        subject="dropout",
        advice="rate=0.2",
        silent=dropout(0.74),
        fires=dropout(0.75),
    ),
    "batchnorm-misused": Case(
        healthy=batchnorm(0.99, fit={"steps": 100, "batch_size": 32}),
        sick=batchnorm(0.9999),
        severity="warning",
        subject="bn",
        advice="momentum=0.9",
        silent=batchnorm(0.3),
        fires=batchnorm(0.29),
    ),
    "layers-frozen": Case(
        healthy=frozen(),
        sick=frozen("fresh"),
        severity="warning",
        subject="fresh",
        advice="trainable = True for fresh",
        silent=frozen(trainable=1),
        fires=frozen(trainable=0),
    ),
    "initialization-scale": Case(
        healthy=weights(1.4, 1.4, 1.4, 1.0),
        sick=weights(8.0, 8.0, 8.0),
        severity="warning",
        subject="dense_0",
        advice="he_normal",
        # 5 · 5 · 2.4 / 2 = 30 and 5 · 5 · 2.42 / 2 = 30.25
        silent=weights(5.0, 5.0, 2.39),
        fires=weights(5.0, 5.0, 2.42),
    ),
    "regularization-on-bias": Case(
        healthy=parts(),
        sick=parts(regularized_biases=["dense/bias"]),
        severity="note",
        subject="dense/bias",
        advice="bias_regularizer=None",
        silent=parts(),
        fires=parts(regularized_biases=["dense/bias", "dense_1/bias"]),
    ),
    "learning-rate-out-of-range": Case(
        healthy=optimizer(learning_rate=0.01),
        sick=optimizer(learning_rate=10.0),
        severity="warning",
        subject="learning rate",
        advice="learning_rate=0.001",
        silent=optimizer(learning_rate=0.5),
        fires=optimizer(learning_rate=0.51),
    ),
    "optimizer-settings": Case(
        healthy=parts(),
        sick=optimizer(learning_rate=-0.001),
        severity="error",
        subject="learning rate",
        advice="learning_rate=0.001",
        silent=optimizer(epsilon=1.1e-12),
        fires=optimizer(epsilon=1e-12),
    ),
    "metric-mismatch": Case(
        healthy={**parts(), **output(CLASSES)},
        sick={
            **parts(),
            **output(NUMBERS, activation="linear", loss="mean_squared_error"),
        },
        severity="note",
        subject="accuracy",
        advice="R2Score",
        silent={
            **parts(metrics=["mae"]),
            **output(NUMBERS, activation="linear", loss="mean_squared_error"),
        },
        fires={
            **parts(metrics=["mae", "acc"]),
            **output(NUMBERS, activation="linear", loss="mean_squared_error"),
        },
    ),
}
