"""`import keras_practices` brings nothing that `import keras` did not bring."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys

WATCHED = {heavy!r}

# Keras takes some of these where they are installed; without them it works too, so
# that whatever asks for them afterwards is ours.
hidden = [name for name in WATCHED if name not in ("rich", "scipy")]
for name in hidden:
    sys.modules[name] = None
import keras
before = set(sys.modules)
for name in hidden:
    del sys.modules[name]

import keras_practices
new = {{name.split(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new)))
"""
HEAVY = ("matplotlib", "sklearn", "keras_tuner", "optuna", "jinja2", "pandas")
HEAVY += ("IPython", "rich", "scipy")
BACKENDS = {"tensorflow", "jax", "torch", "tensorboard"}


def test_import_brings_no_heavy_package_and_no_backend():
    program = PROGRAM.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    new = set(json.loads(done.stdout.splitlines()[-1]))
    assert "keras_practices" in new
    assert new & (set(HEAVY) | BACKENDS) == set()
