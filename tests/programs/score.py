"""Runs `kp.diagnose` on training programs whose faults are known, and counts.

    python tests/programs/score.py                    every program
    python tests/programs/score.py --faulty           those with a fault
    python tests/programs/score.py --healthy          those without
    python tests/programs/score.py --only ID ID       some of them
    python tests/programs/score.py --backend jax      another backend

Each program runs in a process of its own: a crash or a hang costs one of them. The
table shows the findings of severity warning and above in the report's order. Verdicts
of a program with a fault: first (the first finding names the true cause), named
(another one does), MISSED. Verdicts of a healthy one: quiet, FALSE ALARM.
"""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
HEAD = "| program | accepted | findings | verdict | s |\n|---|---|---|---|---|"
MARK = "RESULT "
LIMIT_SECONDS = 300
LOUD = ("warning", "error")


def load(kind):
    """Programs of `kind` ("faulty" or "healthy") by id, in the order of the file."""
    sys.path.insert(0, str(HERE))
    if not (HERE / f"{kind}.py").exists():
        return {}
    programs = getattr(importlib.import_module(kind), kind.upper())
    found = {program.id: program for program in programs}
    if len(found) != len(programs):
        raise ValueError(f"{kind}.py gives an id twice")
    return found


def run_child(kind, name, notes):
    """Diagnoses one program in this process and prints what was found."""
    import keras

    import keras_practices as kp

    program = load(kind)[name]
    keras.utils.set_random_seed(0)
    run = program.build()
    begun = time.perf_counter()
    report = kp.diagnose(
        run.model,
        run.x,
        run.y,
        validation_data=run.validation,
        **{"verbose": 0, **run.fit},
    )
    seconds = time.perf_counter() - begun
    found = [(f.severity, f.rule) for f in report.findings]
    print(MARK + json.dumps({"found": found, "seconds": seconds}))
    if notes:
        curves = report.history.history if report.history else {}
        print({key: [round(v, 4) for v in c[:1] + c[-1:]] for key, c in curves.items()})
        for finding in report.findings:
            print(f"{finding.severity:8}{finding.rule}: {finding.message}")
            for key, value in finding.evidence.items():
                print(f"            {key}: {value}")


def run_one(kind, name, backend):
    """Diagnoses one program in a process of its own.

    Returns:
        List of the codes found, loud ones only; text of what went wrong or ""; seconds.
    """
    command = [sys.executable, __file__, "--child", kind, name]
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        "KERAS_BACKEND": backend,
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer in {LIMIT_SECONDS} s", float(LIMIT_SECONDS)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["no word of it"])[-1]
        return [], f"crash: {last[:120]}", float("nan")
    result = json.loads(lines[-1][len(MARK) :])
    codes = [rule for severity, rule in result["found"] if severity in LOUD]
    return codes, "", result["seconds"]


def verdict(accepted, codes, problem):
    """One word on a program: did the report name its cause, or keep still?"""
    if problem:
        return "CRASH"
    if not accepted:
        return "FALSE ALARM" if codes else "quiet"
    if codes and codes[0] in accepted:
        return "first"
    return "named" if set(codes) & set(accepted) else "MISSED"


def totals(kind, verdicts):
    """One line with the counts of the verdicts of a kind."""
    words = ("first", "named", "MISSED") if kind == "faulty" else ("quiet",)
    words = (*words, "CRASH") if kind == "faulty" else (*words, "FALSE ALARM", "CRASH")
    counts = ", ".join(f"{word} {verdicts.count(word)}" for word in words)
    return f"{kind}: {len(verdicts)} programs: {counts}"


def main():
    """Reads the command line, runs what is asked for, prints table and totals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID")
    parser.add_argument("--healthy", action="store_true", help="healthy programs only")
    parser.add_argument("--faulty", action="store_true", help="faulty programs only")
    parser.add_argument("--show", nargs=1, metavar="ID", help="one report in full")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run_child(*args.child, notes=False)
        return 0
    kinds = [k for k in ("faulty", "healthy") if getattr(args, k)]
    programs = {kind: load(kind) for kind in kinds or ("faulty", "healthy")}
    if args.show:
        os.environ["KERAS_BACKEND"] = args.backend
        kind = next(k for k in programs if args.show[0] in programs[k])
        run_child(kind, args.show[0], notes=True)
        return 0
    unknown = set(args.only).difference(*programs.values())
    if unknown:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    print(HEAD)
    lines, bad = [], 0
    for kind, found in programs.items():
        verdicts = []
        for name, program in found.items():
            if args.only and name not in args.only:
                continue
            codes, problem, seconds = run_one(kind, name, args.backend)
            word = verdict(program.accepted, codes, problem)
            verdicts.append(word)
            accepted = ", ".join(program.accepted) or "healthy"
            shown = problem or ", ".join(codes) or "-"
            print(f"| {name} | {accepted} | {shown} | {word} | {seconds:.0f} |")
            sys.stdout.flush()
        if verdicts:
            lines.append(totals(kind, verdicts))
        bad += sum(word in ("MISSED", "CRASH", "FALSE ALARM") for word in verdicts)
    print("\n" + "\n".join(lines))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
