"""From detected facts to causes: which finding accounts for which."""

import dataclasses

# What a training that gets nowhere looks like, whatever holds it back…
_STUCK = (
    "initial-loss-off-chance",
    "cannot-overfit-tiny-subset",
    "learning-rate-too-high",
    "learning-rate-too-low",
    "vanishing-gradients",
    "saturated-units",
    "dead-units",
    "loss-not-decreasing",
    "loss-oscillating",
    "noisy-loss",
    "predictions-collapsed",
    "training-too-short",
    "underfitting",
)
# …and one that runs away.
_BLOWN = (
    "exploding-gradients",
    "weights-diverging",
    "loss-not-finite",
    "loss-diverging",
    "training-raised",
)
_ALL = (*_STUCK, *_BLOWN)

# From the most fundamental cause to the mere symptom. Behind each, the rules whose
# findings it accounts for when both are there.
_ACCOUNTS: dict[str, tuple[str, ...]] = {
    "inputs-not-finite": (*_ALL, "inputs-not-scaled"),
    "targets-not-finite": _ALL,
    "labels-wrong-format": (
        *_ALL,
        "loss-output-mismatch",
        "output-units-mismatch",
        "labels-independent-of-inputs",
        "overfitting",
    ),
    "targets-out-of-range": (*_ALL, "loss-output-mismatch"),
    "softmax-degenerate": (
        *_ALL,
        "rows-mixed",
        "output-ignores-inputs",
        "gradient-disconnected",
        "loss-output-mismatch",
        "output-activation-mismatch",
        "output-units-mismatch",
        "train-inference-mismatch",
        "overfitting",
    ),
    "output-units-mismatch": (*_ALL, "loss-output-mismatch", "overfitting"),
    "double-softmax": (*_ALL, "overfitting"),
    "loss-output-mismatch": (*_ALL, "overfitting"),
    "prediction-target-broadcast": (*_ALL, "overfitting", "loss-reduction"),
    "loss-uphill": _ALL,
    "optimizer-settings": (*_ALL, "learning-rate-out-of-range", "overfitting"),
    "rows-mixed": (*_ALL, "train-inference-mismatch"),
    "initialization-symmetric": (
        *_ALL,
        "initialization-scale",
        "output-ignores-inputs",
        "gradient-disconnected",
    ),
    "layers-frozen": (*_ALL, "gradient-disconnected"),
    "gradient-check-failed": (*_ALL, "gradient-disconnected"),
    "gradient-disconnected": ("cannot-overfit-tiny-subset", "loss-not-decreasing"),
    "inputs-not-scaled": (*_ALL, "overfitting", "initialization-scale"),
    "inputs-scaled-twice": (*_STUCK, "initialization-scale"),
    "inputs-constant-features": (*_STUCK, "labels-independent-of-inputs"),
    "loss-reduction": (*_ALL, "overfitting"),
    "targets-not-scaled": _ALL,
    "activation-saturating": (*_ALL, "initialization-scale"),
    "output-activation-mismatch": (*_ALL, "overfitting"),
    "initialization-scale": (*_ALL, "output-ignores-inputs", "overfitting"),
    "regularization-dominates": _ALL,
    "dropout-misused": (*_STUCK, "train-inference-mismatch"),
    "batchnorm-misused": (
        *_ALL,
        "train-inference-mismatch",
        "output-ignores-inputs",
        "overfitting",
    ),
    "labels-independent-of-inputs": (*_STUCK, "overfitting", "class-imbalance"),
    "data-sorted": (
        *_STUCK,
        "overfitting",
        "train-inference-mismatch",
        "validation-preprocessed-differently",
        "class-imbalance",
    ),
    "validation-preprocessed-differently": (*_STUCK, "overfitting"),
    "activation-missing": (*_STUCK, "overfitting"),
    # A handful of rows decides the loss: trials learn it by heart, batches lack it.
    "class-imbalance": (
        "predictions-collapsed",
        "cannot-overfit-tiny-subset",
        "overfitting",
        "learning-rate-too-low",
        "loss-oscillating",
        "noisy-loss",
        "training-too-short",
        "underfitting",
    ),
    # A small batch may stand by; the rate trials say whether the rate is at fault.
    "batch-size-extreme": (
        "noisy-loss",
        "loss-oscillating",
        "loss-diverging",
        "loss-not-decreasing",
        "predictions-collapsed",
        "underfitting",
    ),
    "validation-overlaps-training": (),
    "regularization-has-no-effect": (),
    "output-ignores-inputs": (
        "cannot-overfit-tiny-subset",
        "loss-not-decreasing",
        "predictions-collapsed",
        "underfitting",
    ),
    # Units dead before the first step are a cause, see `_accounts_for`.
    "dead-units": _ALL,
    "learning-rate-too-high": (
        *_BLOWN,
        "learning-rate-out-of-range",
        *(code for code in _STUCK if not code.startswith("learning-rate")),
        "overfitting",
        "train-inference-mismatch",
    ),
    "learning-rate-too-low": (
        "learning-rate-out-of-range",
        "cannot-overfit-tiny-subset",
        "loss-not-decreasing",
        "predictions-collapsed",
        "noisy-loss",
        "underfitting",
        "vanishing-gradients",
    ),
    "learning-rate-out-of-range": _ALL,
    "capacity-too-small": ("cannot-overfit-tiny-subset", "underfitting"),
    "vanishing-gradients": (
        "cannot-overfit-tiny-subset",
        "saturated-units",
        "loss-not-decreasing",
        "predictions-collapsed",
        "underfitting",
    ),
    "exploding-gradients": (*_BLOWN, "loss-oscillating", "predictions-collapsed"),
    "saturated-units": (
        "loss-not-decreasing",
        "predictions-collapsed",
        "underfitting",
    ),
    "weights-diverging": (*_BLOWN, "loss-oscillating", "predictions-collapsed"),
    "loss-not-finite": (
        "loss-diverging",
        "loss-not-decreasing",
        "loss-oscillating",
        "predictions-collapsed",
        "training-raised",
    ),
    "loss-diverging": (
        "loss-not-decreasing",
        "loss-oscillating",
        "predictions-collapsed",
    ),
    "loss-oscillating": ("noisy-loss", "predictions-collapsed"),
    "training-too-short": (
        "underfitting",
        "predictions-collapsed",
        "loss-not-decreasing",
    ),
    "noisy-loss": (),
    "cannot-overfit-tiny-subset": (
        "loss-not-decreasing",
        "initial-loss-off-chance",
        "underfitting",
        "predictions-collapsed",
    ),
    "initial-loss-off-chance": (),
    "training-raised": (),
    "loss-not-decreasing": ("predictions-collapsed", "underfitting"),
    "predictions-collapsed": ("underfitting",),
    "underfitting": (),
    "overfitting": (),
    "train-inference-mismatch": (),
    "metric-mismatch": (),
    "regularization-on-bias": (),
    "first-layer-filters-noisy": (),
    "test-set-reused": (),
    "trial-diverged": (),
    "best-on-border": (),
    "ensemble-members-identical": (),
}
_RANK = {code: place for place, code in enumerate(_ACCOUNTS)}


def _forward(cause, symptoms):
    # Units that die on the way follow from the rate and are ranked behind it.
    backward = ("dead-units",) if cause == "learning-rate-too-high" else ()
    behind = [s for s in symptoms if _RANK[s] > _RANK[cause] or s in backward]
    return tuple(behind)


# Rule → the rules behind it in rank that it accounts for.
EXPLAINS = {cause: _forward(cause, symptoms) for cause, symptoms in _ACCOUNTS.items()}
_SEVERITY = {"error": 0, "warning": 1, "note": 2}


def explain(findings):
    """Ranks findings by cause and folds symptoms under what accounts for them.

    One disease, one finding: a symptom that is explained by a cause that was also
    found becomes a line of that cause's evidence. A cause takes over the severity of
    what it explains.

    Args:
        findings: List of `Finding`, in any order.

    Returns:
        List of `Finding`, most probable root cause first.
    """
    ranked = sorted(findings, key=_rank)
    kept, folded = [], {}
    for finding in ranked:
        cause = next((k for k in kept if _accounts_for(k, finding)), None)
        if cause is None:
            kept.append(finding)
        else:
            folded.setdefault(id(cause), []).append(finding)
    explained = [_with_symptoms(k, folded.get(id(k), [])) for k in kept]
    return sorted(explained, key=lambda f: (_SEVERITY[f.severity], _rank(f)))


def _rank(finding):
    # Units that died on the way are what long steps do; dead ones at the start are
    # what stops the steps.
    if finding.rule == "dead-units":
        during = finding.stage == "during"
        return _RANK["learning-rate-too-low" if during else "initialization-scale"] + (
            0.5 if during else -0.5
        )
    return _RANK.get(finding.rule, len(_RANK))


def _accounts_for(cause, finding):
    if cause.severity == "note":
        return False
    if cause.rule == "dead-units" and finding.rule == "output-ignores-inputs":
        return cause.stage == "before"
    if finding.rule not in EXPLAINS.get(cause.rule, ()):
        return False
    died_later = finding.rule == "dead-units" and finding.stage == "during"
    behind = ("learning-rate-too-high", "initialization-scale")
    if finding.rule == "dead-units" and cause.rule in behind:
        return died_later
    return True


def _with_symptoms(finding, symptoms):
    if not symptoms:
        return finding
    worst = min([finding, *symptoms], key=lambda f: _SEVERITY[f.severity])
    return dataclasses.replace(
        finding,
        severity=worst.severity,
        evidence={
            **finding.evidence,
            "accounts for": [f"{s.rule}: {s.message}" for s in symptoms],
        },
    )
