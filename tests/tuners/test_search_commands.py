"""`python -m keras_practices search`: roles, exit statuses, bad arguments."""

import os
import textwrap

import pytest

from keras_practices.__main__ import main
from keras_practices.errors import ArgumentValueError
from keras_practices.scripts import run_script
from keras_practices.search_record import TrialResult
from keras_practices.tuners import commands
from keras_practices.tuners import roles
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.progress import Progress

SEARCH = """
    import sys
    import keras
    import numpy as np
    import keras_practices as kp

    def build(hp):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(kp.tuners.learning_rate(hp)), "mse")
        return model

    x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
    tuner = kp.tuners.RandomSearch(
        build, "val_loss", max_trials=int(sys.argv[1]), seed=0, directory=sys.argv[2]
    )
    tuner.search(x, x[:, :1], validation_data=(x, x[:, :1]), epochs=1, verbose=0)
    print("It goes on.")
"""


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


def test_a_worker_runs_the_search_of_a_script_and_ends(script, tmp_path, capsys):
    path, folder = script(SEARCH), str(tmp_path / "runs")
    assert main(["search", "worker", "--trials", "1", path, "2", folder]) == 75
    assert len(list((tmp_path / "runs").glob("*/study.sqlite3"))) == 1
    # Any other database will do: the results are what counts.
    url = f"sqlite:///{tmp_path}/other.db"
    assert main(["search", "worker", "--storage", url, path, "2", folder]) == 0
    assert (tmp_path / "other.db").exists()
    found = sorted((tmp_path / "runs").glob("*/stage-1/trial-*/attempt-*"))
    assert [place.parent.name for place in found] == ["trial-00000", "trial-00001"]
    assert "It goes on." not in capsys.readouterr().out
    assert {name for name in os.environ if "_SEARCH_" in name} == set()
    # Run as any script, it finds all results, and goes on to its last line.
    run_script(path, ["2", folder])
    assert "It goes on." in capsys.readouterr().out
    assert sorted((tmp_path / "runs").glob("*/stage-1/trial-*/attempt-*")) == found


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("print('no search')", 2, "ended without a search"),
        ("import sys; sys.exit(0)", 2, "ended without a search"),
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('Words.')", 1, "Words."),
        (
            "from keras_practices.errors import SearchFailedError\n"
            "raise SearchFailedError('All trials failed.')",
            3,
            "All trials failed.",
        ),
        ("import os; os.kill(os.getpid(), 15)", 143, ""),
    ],
)
def test_a_worker_says_how_its_script_ended(script, capsys, text, status, words):
    assert main(["search", "worker", script(text)]) == status
    assert words in capsys.readouterr().err


@pytest.mark.once
def test_an_error_of_the_script_is_its_own(script):
    with pytest.raises(ZeroDivisionError):
        main(["search", "worker", script("1 / 0")])


@pytest.mark.once
def test_the_role_is_told_by_the_environment(monkeypatch):
    assert roles.current() == roles.Role()
    given = roles.environment("sqlite:///a.db", 3, "/state")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    told = roles.current()
    assert told == roles.Role(True, "sqlite:///a.db", 3, "/state")
    for name, value in ((roles.ROLE, "boss"), (roles.TRIALS, "0")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(ArgumentValueError, match=name):
                roles.current()


@pytest.mark.once
def test_only_a_worker_ends(tmp_path):
    roles.Role().end()
    with pytest.raises(SystemExit) as stop:
        roles.Role(is_worker=True).end()
    assert stop.value.code == 0
    calls = []
    limited = roles.Role(is_worker=True, trials=2).limited(calls.append)
    limited(1)
    limited(2)
    with pytest.raises(SystemExit) as stop:
        limited(3)
    assert stop.value.code == 75
    assert calls == [1, 2]
    assert roles.Role(trials=2).limited(print) is print


@pytest.mark.once
def test_a_master_starts_workers_with_the_script_and_no_url(
    script, tmp_path, monkeypatch
):
    made = {}

    class Fake:
        def __init__(self, *arguments, **options):
            made["arguments"], made["options"] = arguments, options

        def run(self):
            return 0

    monkeypatch.setattr(commands, "Master", Fake)
    monkeypatch.chdir(tmp_path)
    url = "postgresql://ada:hidden@db/search"
    path = script("")
    line = ["--gpus", "0,1", "--recycle-after", "5", "--storage", url, path, "--lr"]
    assert main(["search", "master", *line]) == 0
    command, state, workers, given = made["arguments"]
    assert command[1:] == ["-m", "keras_practices", "search", "worker", path, "--lr"]
    assert url not in "".join(command)
    assert given[roles.STORAGE] == url
    assert given[roles.TRIALS] == "5"
    assert workers == 2
    assert made["options"]["gpus"] == ["0", "1"]
    assert state.parent == tmp_path / "search-workers"
    assert state.name.startswith("script-")


@pytest.mark.once
def test_a_master_writes_the_report_of_the_search(script, tmp_path, monkeypatch):
    folder = SearchFolder(tmp_path / "runs")
    objective = {"name": "val_loss", "direction": "min"}
    folder.publish_head({"schema": 1, "objective": objective, "space": []})
    folder.publish(TrialResult(0, {}, score=0.25))
    roles.Role(state=str(tmp_path)).announce(folder.path, 1)

    class Fake:
        def __init__(self, *arguments, each, **options):
            self.each = each

        def run(self):
            progress = Progress(tmp_path)
            assert progress.read()
            self.each(progress)
            assert (tmp_path / "page.html").exists()
            (tmp_path / "page.html").unlink()
            self.each(progress)  # not yet due again
            assert not (tmp_path / "page.html").exists()
            return 0

    monkeypatch.setattr(commands, "Master", Fake)
    monkeypatch.chdir(tmp_path)
    page = str(tmp_path / "page.html")
    assert main(["search", "master", "--html", page, script("")]) == 0
    with open(page, encoding="utf-8") as file:
        assert "0.25" in file.read()


@pytest.mark.once
def test_a_file_for_a_cluster_is_written_once(script, tmp_path, capsys):
    path, out = script(""), str(tmp_path / "job.sh")
    assert main(["search", "launch", "--slurm", "--out", out, path]) == 0
    with open(out) as file:
        assert "#SBATCH --array=0-3" in file.read()
    assert main(["search", "launch", "--slurm", "--out", out, path]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["search", "launch", "--k8s", path]) == 0
    assert "kind: Job" in capsys.readouterr().out


@pytest.mark.once
@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["worker", "missing.py"], "a Python file"),
        (["worker", "--trials", "0", "SCRIPT"], "--trials"),
        (["worker", "--storage", "hidden", "SCRIPT"], "The URL of the database"),
        (["master", "--workers", "0", "SCRIPT"], "--workers"),
        (["master", "--gpus", "0,,1", "SCRIPT"], "--gpus"),
        (["master", "--recycle-after", "0", "SCRIPT"], "--recycle-after"),
        (["launch", "--slurm", "--workers", "0", "SCRIPT"], "--workers"),
    ],
)
def test_bad_arguments_are_named(script, capsys, line, words):
    path = script("")
    line = [path if item == "SCRIPT" else item for item in line]
    assert main(["search", *line]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "hidden" not in told
