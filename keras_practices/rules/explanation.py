"""From detected facts to causes: which finding accounts for which."""

import dataclasses

# From the most fundamental cause to the mere symptom. Behind each, the rules whose
# findings it accounts for when both are there.
_START = ("initial-loss-off-chance", "cannot-overfit-tiny-subset")
_CURVE = ("loss-not-finite", "loss-diverging", "loss-not-decreasing", "training-raised")
_RATES = ("learning-rate-too-high", "learning-rate-too-low")
_STUCK = (*_START, *_CURVE, *_RATES)

EXPLAINS: dict[str, tuple[str, ...]] = {
    "inputs-not-finite": (*_STUCK, "dead-units", "inputs-not-scaled"),
    "targets-not-finite": (*_STUCK, "dead-units"),
    "softmax-degenerate": (
        *_STUCK,
        "loss-output-mismatch",
        "output-units-mismatch",
        "dead-units",
        "overfitting",
    ),
    "output-units-mismatch": (*_STUCK, "loss-output-mismatch", "dead-units"),
    "loss-output-mismatch": (*_STUCK, "dead-units", "overfitting"),
    "initialization-symmetric": (*_STUCK, "dead-units"),
    "inputs-not-scaled": (*_STUCK, "dead-units", "overfitting"),
    "regularization-has-no-effect": (),
    # Units dead before the first step are a cause, see `_accounts_for`.
    "dead-units": ("cannot-overfit-tiny-subset", *_CURVE, *_RATES),
    "learning-rate-too-high": (
        "cannot-overfit-tiny-subset",
        *_CURVE,
        "dead-units",
        "overfitting",
    ),
    "learning-rate-too-low": ("cannot-overfit-tiny-subset", *_CURVE),
    "loss-not-finite": ("loss-diverging", "loss-not-decreasing", "training-raised"),
    "loss-diverging": ("loss-not-decreasing",),
    "cannot-overfit-tiny-subset": ("loss-not-decreasing", "initial-loss-off-chance"),
    "initial-loss-off-chance": (),
    "training-raised": (),
    "loss-not-decreasing": (),
    "overfitting": (),
    "test-set-reused": (),
}
_RANK = {code: place for place, code in enumerate(EXPLAINS)}
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
    if finding.rule == "dead-units" and finding.stage == "during":
        return _RANK["learning-rate-too-low"] + 0.5
    return _RANK.get(finding.rule, len(_RANK))


def _accounts_for(cause, finding):
    if cause.severity == "note" or finding.rule not in EXPLAINS.get(cause.rule, ()):
        return False
    died_later = finding.rule == "dead-units" and finding.stage == "during"
    if finding.rule == "dead-units" and cause.rule == "learning-rate-too-high":
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
