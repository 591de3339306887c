"""A search over a PostgreSQL server that the test starts, stops and starts again."""

import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
from study_workers import Mother
from test_study_engine import LONG
from test_study_engine import SHORT
from test_study_engine import attempts
from test_study_engine import log
from test_study_engine import results
from test_study_engine import until

pytestmark = pytest.mark.once

PASSWORD = "q{u}i%te-secret"
QUOTED = "q%7Bu%7Di%25te-secret"


class Server:
    """A PostgreSQL in a folder of its own, reached by a socket in it only."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.folder = folder
        self.data = f"{folder}/data"
        # The server refuses to run as root.
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self.url = f"postgresql+psycopg://ada:{QUOTED}@/postgres?host={folder}"

    def make(self):
        words = f"{self.folder}/password"
        with open(words, "w") as file:
            file.write(PASSWORD)
        if self.as_user:
            for path in (self.folder, words):
                shutil.chown(path, "postgres")
        options = ["-U", "ada", "--auth=scram-sha-256", f"--pwfile={words}", "-N"]
        self._call("initdb", "-D", self.data, *options)
        os.remove(words)

    def start(self):
        # No network at all.
        options = f"-c listen_addresses='' -k {self.folder} -c fsync=off"
        log = f"{self.folder}/server.log"
        self._call("pg_ctl", "start", "-w", "-D", self.data, "-o", options, "-l", log)

    def stop(self):
        self._call("pg_ctl", "stop", "-D", self.data, "-m", "immediate")

    def _call(self, program, *arguments):
        command = [*self.as_user, f"{self.programs}/{program}", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)


@pytest.fixture
def server():
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
    if not found or sys.platform != "linux":
        pytest.skip("Debian's package postgresql is not installed")
    if os.getuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    # Not pytest's folder, which other users cannot enter; a socket's path is short.
    folder = tempfile.mkdtemp(prefix="kp-", dir="/tmp")
    server = Server(os.path.dirname(found[-1]), folder)
    try:
        server.make()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mother(tmp_path):
    mother = Mother(tmp_path)
    yield mother
    mother.close()


def test_a_server_that_dies_and_a_worker_that_dies_cost_no_result(
    server, mother, tmp_path
):
    folder = tmp_path / "search"
    options = {"storage": server.url, "trials": 6, "seconds": 0.5, **SHORT}
    team = [mother.start(folder, **options) for _ in range(3)]
    until(lambda: attempts(folder))
    server.stop()
    until(lambda: results(folder))  # a trial ends while no database is there
    team[0].send(signal.SIGKILL)
    server.start()
    assert [worker.wait(LONG) for worker in team[1:]] == [0, 0], log(team)
    assert sorted(results(folder)) == list(range(6))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 6
    for path in written:
        content = path.read_bytes()
        assert PASSWORD.encode() not in content
        assert QUOTED.encode() not in content


def test_a_wrong_password_is_told_without_showing_it(server, mother, tmp_path):
    url = server.url.replace(QUOTED, "wrong-and-secret")
    worker = mother.start(tmp_path / "search", storage=url, patience=0.0)
    assert worker.wait(LONG) == 1
    words = worker.log.read_text()
    assert "password authentication failed" in words
    assert "wrong-and-secret" not in words
