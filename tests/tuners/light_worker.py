"""A worker without Keras or database: what a master sees of a real one.

    python light_worker.py STATE TRIALS HOW…

It announces a search of TRIALS trials below STATE, and runs them, each with a claim by
`mkdir`. HOW says what else it does: see `main`.
"""

import json
import os
import pathlib
import sys
import time


def main():
    state, trials = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    how = sys.argv[3:]
    with open(state / "started", "a") as file:
        file.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    for status in (1, 2, 3):
        if f"ends-{status}" in how:
            sys.exit(f"Words of status {status}" if status == 1 else status)
    folder = state / "search"
    folder.mkdir(exist_ok=True)
    told = json.dumps({"folder": str(folder), "total": trials})
    (state / f".{os.getpid()}").write_text(told)
    os.replace(state / f".{os.getpid()}", state / "search.json")
    for trial in range(trials):
        place = folder / "stage-1" / f"trial-{trial:05d}"
        try:
            (place / "claim").mkdir(parents=True)
        except FileExistsError:
            continue
        if "waits" in how:
            while not (state / "go").exists():
                time.sleep(0.02)
        result = {"trial": trial, "values": {}, "score": 1.0 / (1 + trial)}
        (place / ".part").write_text(json.dumps(result))
        os.replace(place / ".part", place / "result.json")
        if "recycles" in how:
            sys.exit(75)
        if "dies" in how:
            os.kill(os.getpid(), 9)
    if "lingers" in how and (state / "first").exists():
        time.sleep(600)
    (state / "first").touch()


main()
