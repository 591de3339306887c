"""Files for clusters: what they say, and that they run."""

import os
import subprocess

import pytest
import yaml

from keras_practices.errors import ArgumentValueError
from keras_practices.tuners.launch import Job

pytestmark = pytest.mark.once

URL = "postgresql://ada:hidden@db/search"


def job(**options):
    return Job("My Search.py", ("--data", "a b"), **options)


def test_the_array_says_what_was_asked(tmp_path):
    text = job(workers=8, gpus=1, cpus=4, memory="16G", hours=1.5).slurm()
    lines = text.split("\n")
    assert lines[0] == "#!/bin/bash"
    for option in (
        "--array=0-7",
        "--gpus-per-node=1",
        "--cpus-per-task=4",
        "--mem=16G",
        "--time=90",
        "--requeue",
        "--job-name=search-my-search",
    ):
        assert f"#SBATCH {option}" in lines
    assert "search worker 'My Search.py' --data 'a b' &" in text


def run(script, folder, **environment):
    given = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **environment}
    return subprocess.run(
        ["bash", "-c", script],
        env=given,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def stub(tmp_path):
    """A `python` that notes its arguments, and asks twice for a fresh process."""
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/bash\n"
        'echo "$KERAS_PRACTICES_SEARCH_TRIALS $*" >> calls\n'
        'test "$(wc -l < calls)" -lt 3 && exit 75\n'
        'exit "${LAST:-0}"\n'
    )
    program.chmod(0o755)
    return tmp_path


def test_the_array_starts_a_fresh_worker_whenever_one_asks(stub):
    script = job(folder=str(stub), recycle_after=5).slurm()
    for last in (0, 3):
        done = run(script, stub, KERAS_PRACTICES_SEARCH_STORAGE=URL, LAST=str(last))
        assert done.returncode == last, done.stderr
        calls = (stub / "calls").read_text().split("\n")[:-1]
        line = "5 -m keras_practices search worker My Search.py --data a b"
        assert calls == [line] * 3
        (stub / "calls").unlink()


@pytest.mark.parametrize(
    ("url", "words"), [("", "Set it to the URL"), ("sqlite:///a.db", "one machine")]
)
def test_the_array_needs_a_database_for_several_machines(stub, url, words):
    done = run(job(folder=str(stub)).slurm(), stub, KERAS_PRACTICES_SEARCH_STORAGE=url)
    assert done.returncode != 0
    assert words in done.stderr
    assert not (stub / "calls").exists()


def test_the_array_hands_the_signal_on(stub):
    (stub / "python").write_text(
        "#!/bin/bash\ntrap 'exit 143' TERM\nkill -TERM $PPID\n"
        "while :; do sleep 0.05; done\n"
    )
    script = job(folder=str(stub)).slurm()
    assert run(script, stub, KERAS_PRACTICES_SEARCH_STORAGE=URL).returncode == 143


def test_a_signal_before_the_worker_is_known_is_handed_on(stub):
    worker = "#!/bin/bash\ntrap 'exit 143' TERM\nwhile :; do sleep 0.05; done\n"
    (stub / "python").write_text(worker)
    script = job(folder=str(stub)).slurm()
    assert "    child=$!\n" in script
    script = script.replace("    child=$!\n", "    kill -TERM $$\n    child=$!\n")
    assert run(script, stub, KERAS_PRACTICES_SEARCH_STORAGE=URL).returncode == 143


def test_the_manifest_says_what_was_asked():
    text = job(workers=8, gpus=1, memory="16G", recycle_after=5, image="me/it:1")
    manifest = yaml.safe_load(text.kubernetes())
    spec = manifest["spec"]
    assert manifest["metadata"]["name"] == "search-my-search"
    assert spec["parallelism"] == 8
    assert "completions" not in spec  # the first that ends well ends the job
    rules = spec["podFailurePolicy"]["rules"]
    assert [(rule["action"], rule["onExitCodes"]["values"]) for rule in rules[:2]] == [
        ("FailJob", [2, 3]),
        ("Ignore", [75, 143]),
    ]
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy needs it
    (container,) = pod["containers"]
    assert container["image"] == "me/it:1"
    assert container["command"][-4:] == ["worker", "My Search.py", "--data", "a b"]
    assert container["resources"]["limits"] == {
        "cpu": "2",
        "memory": "16Gi",
        "nvidia.com/gpu": "1",
    }
    storage, trials = container["env"]
    assert storage["valueFrom"]["secretKeyRef"] == {
        "name": "search-database",
        "key": "url",
    }
    assert trials == {"name": "KERAS_PRACTICES_SEARCH_TRIALS", "value": "5"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "--workers"),
        ({"gpus": -1}, "--gpus"),
        ({"cpus": 0}, "--cpus"),
        ({"memory": "lots"}, "--memory"),
        ({"hours": 0.0}, "--hours"),
        ({"recycle_after": 0}, "--recycle-after"),
        ({"name": "a\nb"}, "--name"),
        ({"secret": "A"}, "--secret"),
        ({"claim": "a b"}, "--claim"),
        ({"key": "a b"}, "--key"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(ArgumentValueError, match=words):
        job(**options)
