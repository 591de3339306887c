"""Several processes at one search: nothing lost, nothing twice, whoever dies."""

import json
import os
import signal
import time

import keras_tuner
import optuna
import pytest
from study_workers import Mother

from keras_practices.errors import ArgumentValueError
from keras_practices.errors import UsageError
from keras_practices.search_record import PRUNED
from keras_practices.search_record import TrialResult
from keras_practices.tuners import study_engine
from keras_practices.tuners.files import SearchFolder
from keras_practices.tuners.storages import DatabaseAway
from keras_practices.tuners.strategy import RandomStrategy
from keras_practices.tuners.study_engine import StudyEngine

pytestmark = pytest.mark.once

# A machine with more to do than it can must not look like one whose workers die.
NOBODY_DIES = {"heartbeat_interval": 5, "grace_period": 120}
SHORT = {"heartbeat_interval": 1, "grace_period": 3}
LONG = 280  # seconds; that it is reached is a failure


@pytest.fixture(scope="module")
def mother(tmp_path_factory):
    mother = Mother(tmp_path_factory.mktemp("logs"))
    yield mother
    mother.close()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """To make its tables costs more than most tests."""
    return f"sqlite:///{tmp_path_factory.mktemp('database')}/study.db"


@pytest.fixture
def study(database, tmp_path):
    return {"storage": database, "study_name": tmp_path.name}


@pytest.fixture(autouse=True)
def _nobody_left(mother):
    yield
    mother.end_workers()


def results(folder):
    return {number: result for number, result in SearchFolder(folder).results().items()}


def attempts(folder, trial=None):
    trial = "*" if trial is None else f"{trial:05d}"
    return sorted(folder.glob(f"stage-1/trial-{trial}/attempt-*"))


def until(is_so, seconds=LONG):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


def log(workers):
    return "\n".join(worker.log.read_text() for worker in workers)


def test_four_workers_try_the_points_of_one_each_once(mother, tmp_path):
    options = {"trials": 8, "seed": 5, **NOBODY_DIES}
    alone = mother.start(tmp_path / "alone", **options)
    # They make folder, database and study at the same moment.
    team = [mother.start(tmp_path / "team", waits=True, **options) for _ in range(4)]
    assert [worker.wait(LONG) for worker in (alone, *team)] == [0] * 5, log(team)
    points = [
        {number: result.values for number, result in results(folder).items()}
        for folder in (tmp_path / "alone", tmp_path / "team")
    ]
    assert points[0] == points[1]
    assert sorted(points[0]) == list(range(8))
    assert len({json.dumps(point) for point in points[0].values()}) == 8
    assert len(attempts(tmp_path / "team")) == 8


def test_a_trial_whose_worker_was_killed_is_run_again(mother, tmp_path, study):
    options = {"trials": 3, "seconds": 0.5, **study, **SHORT}
    victim = mother.start(tmp_path, **options)
    until(lambda: attempts(tmp_path))
    victim.send(signal.SIGKILL)
    assert victim.wait(LONG) == -signal.SIGKILL
    lost = min(set(range(3)) - results(tmp_path).keys())
    assert mother.start(tmp_path, **options).wait(LONG) == 0
    assert sorted(results(tmp_path)) == [0, 1, 2]
    assert results(tmp_path)[lost].attempt == 1


def test_a_worker_killed_as_it_starts_leaves_nothing_to_repair(mother, tmp_path):
    victim = mother.start(tmp_path, **SHORT)
    until(lambda: (tmp_path / "study.sqlite3").exists())
    victim.send(signal.SIGKILL)
    survivor = mother.start(tmp_path, **SHORT)
    assert survivor.wait(LONG) == 0, log([survivor])
    assert sorted(results(tmp_path)) == [0, 1, 2, 3]


def test_a_worker_that_was_paused_for_long_lives_on(mother, tmp_path, study):
    options = {"trials": 2, "seconds": 0.5, **study, **SHORT}
    paused = mother.start(tmp_path, **options)
    until(lambda: attempts(tmp_path, 0))
    paused.send(signal.SIGSTOP)
    other = mother.start(tmp_path, **options)
    assert other.wait(LONG) == 0, log([other])
    before = results(tmp_path)
    assert before[0].attempt == 1
    paused.send(signal.SIGCONT)
    assert paused.wait(LONG) == 0, log([paused])
    assert results(tmp_path) == before
    # It ran to its end, and was told the result of the other.
    assert (attempts(tmp_path, 0)[0] / "ran.txt").read_text().split("\n")[1] == "1"


def test_where_every_trial_fails_every_worker_ends(mother, tmp_path, study):
    options = {"trials": 50, "fails": True, **study, **NOBODY_DIES}
    team = [mother.start(tmp_path, **options) for _ in range(3)]
    assert [worker.wait(LONG) for worker in team] == [1, 1, 1]
    assert all("Three trials failed" in worker.log.read_text() for worker in team)
    assert 3 <= len(results(tmp_path)) <= 9
    assert all((path / "error.txt").exists() for path in attempts(tmp_path))


def test_a_trial_that_kills_its_workers_is_given_up(mother, tmp_path, study):
    options = {"trials": 1, "max_lost": 1, **study, **SHORT}
    victim = mother.start(tmp_path, seconds=60, **options)
    until(lambda: attempts(tmp_path))
    victim.send(signal.SIGKILL)
    assert mother.start(tmp_path, **options).wait(LONG) == 0
    assert results(tmp_path)[0].status == "failed"
    assert "1 processes died while they ran this trial" in results(tmp_path)[0].error
    assert len(attempts(tmp_path)) == 1


def test_a_worker_that_is_asked_to_end_gives_its_trial_back(mother, tmp_path, study):
    options = {"trials": 1, **study, **NOBODY_DIES}
    asked = mother.start(tmp_path, seconds=60, **options)
    until(lambda: attempts(tmp_path))
    asked.send(signal.SIGTERM)
    assert asked.wait(LONG) == 128 + signal.SIGTERM
    # Long before the grace period is over.
    assert mother.start(tmp_path, **options).wait(LONG) == 0
    assert results(tmp_path)[0].attempt == 1


# --- in this process -----------------------------------------------------------


def space():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    return hp


def run(engine, trials=3, run_one=None):
    folder, begun = engine.folder, []

    def train(proposal, pruner=None):
        begun.append(proposal.trial)
        return folder.publish(
            TrialResult(trial=proposal.trial, values=proposal.values, score=1.0)
        )

    engine.run(RandomStrategy(trials, 0), space(), run_one or train)
    return begun


def test_a_search_that_has_ended_needs_no_database(tmp_path, study):
    folder = SearchFolder(tmp_path / "a")
    assert run(StudyEngine(folder, **study)) == [0, 1, 2]
    away = StudyEngine(folder, f"sqlite:///{tmp_path}/a/search.json/no-folder.db")
    assert run(away) == []


def test_a_result_that_is_there_is_not_trained_again(tmp_path, study):
    folder = SearchFolder(tmp_path)
    run(StudyEngine(folder, **study), trials=2)
    os.remove(folder.trial_folder(1) / "result.json")
    assert run(StudyEngine(SearchFolder(tmp_path), **study), trials=3) == [1, 2]


def test_an_interrupted_trial_is_free_at_once(tmp_path, study):
    engine = StudyEngine(SearchFolder(tmp_path), **study, grace_period=10_000)

    def interrupted(proposal, pruner=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(engine, run_one=interrupted)
    assert run(engine) == [0, 1, 2]


def test_optuna_prunes_what_others_are_ahead_of(tmp_path, study):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0)
    options = {"pruner": pruner, "direction": "max", **study}
    engine = StudyEngine(SearchFolder(tmp_path), **options)
    ended = {}

    def train(proposal, pruner=None):
        value = [0.9, 0.1, 0.95][proposal.trial]
        for epoch in range(1, 4):
            if pruner.report(epoch, value):
                break
        ended[proposal.trial] = epoch
        status = PRUNED if epoch < 3 else "completed"
        result = TrialResult(proposal.trial, proposal.values, status, score=value)
        return engine.folder.publish(result)

    run(engine, run_one=train)
    assert ended == {0: 3, 1: 1, 2: 3}


def test_a_database_that_is_away_is_waited_for(tmp_path, study, monkeypatch):
    original, left = study_engine.numbers_taken, [3]

    def away_at_first(*arguments):
        if left[0]:
            left[0] -= 1
            raise DatabaseAway("It is away.")
        return original(*arguments)

    monkeypatch.setattr(study_engine, "numbers_taken", away_at_first)
    assert run(StudyEngine(SearchFolder(tmp_path / "a"), **study)) == [0, 1, 2]
    left[0] = 1
    study["study_name"] = "impatient"
    impatient = StudyEngine(SearchFolder(tmp_path / "b"), **study, patience=0.0)
    with pytest.raises(UsageError, match="does not answer: It is away. Nothing is"):
        run(impatient)


def test_a_claim_that_cannot_be_told_keeps_its_result(tmp_path, study, monkeypatch):
    engine = StudyEngine(SearchFolder(tmp_path), **study)
    tell = optuna.storages.RDBStorage.set_trial_state_values
    refused = []

    def refuse(storage, trial_id, state, values=None):
        if state.is_finished() and len(refused) < 2:
            refused.append(trial_id)
            raise optuna.storages._rdb.storage.sqlalchemy_exc.OperationalError(
                "UPDATE", {}, Exception("the server closed the connection")
            )
        return tell(storage, trial_id, state, values)

    monkeypatch.setattr(optuna.storages.RDBStorage, "set_trial_state_values", refuse)
    assert run(engine) == [0, 1, 2]
    assert len(refused) == 2


def test_the_study_of_another_folder_is_refused(tmp_path, database):
    url = database
    run(StudyEngine(SearchFolder(tmp_path / "a"), url, "mine"))
    other = StudyEngine(SearchFolder(tmp_path / "b"), url, "mine")
    with pytest.raises(ArgumentValueError, match="'mine' in the database belongs to"):
        run(other)
    assert run(StudyEngine(SearchFolder(tmp_path / "b"), url, "theirs")) == [0, 1, 2]
    # A search that begins anew has a new folder, and says so.
    third = StudyEngine(SearchFolder(tmp_path / "c"), url, "mine")
    third.forget()
    assert run(third) == [0, 1, 2]


def test_optuna_logs_as_before(tmp_path, study):
    before = optuna.logging.get_verbosity()
    run(StudyEngine(SearchFolder(tmp_path), **study), trials=1)
    assert optuna.logging.get_verbosity() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "minimize"}, "direction"),
        ({"heartbeat_interval": 0}, "heartbeat_interval"),
        ({"heartbeat_interval": 5, "grace_period": 5}, "grace_period"),
        ({"max_lost": 0}, "max_lost"),
        ({"patience": -1.0}, "patience"),
        ({"storage": "secret words"}, "The URL of the database"),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, words):
    with pytest.raises(ArgumentValueError, match=words) as caught:
        StudyEngine(SearchFolder(tmp_path), **options)
    assert "secret" not in str(caught.value)
