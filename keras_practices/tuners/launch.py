"""Files that start the workers of a search on a cluster: Slurm and Kubernetes.

They hold no credentials: the URL of the database comes from the environment, or from a
secret of the cluster.
"""

import dataclasses
import json
import os
import pathlib
import re
import shlex

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error
from keras_practices.tuners.roles import FRESH_PROCESS
from keras_practices.tuners.roles import SEARCH_FAILED
from keras_practices.tuners.roles import STORAGE
from keras_practices.tuners.roles import TRIALS
from keras_practices.tuners.roles import WRONG_USE

_SLURM = """\
#!/bin/bash
# Workers of a search. The database must be one that all nodes reach:
#   export {storage}='postgresql+psycopg://…'   # your URL; keep it out of files
#   sbatch THIS_FILE
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --output={name}-%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Before its time is up a worker gives its trial back.
#SBATCH --signal=B:TERM@60
{resources}set -u
: "${{{storage}:?Set it to the URL of the database of the search}}"
case "${storage}" in sqlite*)
    echo 'SQLite serves one machine only; this needs PostgreSQL or MySQL.' >&2
    exit {wrong} ;;
esac
{trials}cd {folder} || exit 1
child=
asked=
trap 'asked=1; kill -TERM "$child" 2>/dev/null' TERM
status={fresh}
# A worker that wants a fresh process ends with {fresh}.
while [ "$status" -eq {fresh} ]; do
    {command} &
    child=$!
    [ -z "$asked" ] || kill -TERM "$child" 2>/dev/null  # it came a moment before
    wait "$child"
    status=$?
    while kill -0 "$child" 2>/dev/null; do  # a signal ended the waiting only
        wait "$child"
        status=$?
    done
done
exit "$status"
"""

_KUBERNETES = """\
# Workers of a search. The database's URL comes from a secret that you make:
#   kubectl create secret generic {secret} --from-file={key}=FILE_WITH_THE_URL
#   kubectl apply -f THIS_FILE
# The volume holds script and results, and all workers write to it (ReadWriteMany).
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  parallelism: {workers}
  # Without `completions` the job has ended when the first worker finds nothing left.
  backoffLimit: {retries}
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes:
          operator: In
          values: [{wrong}, {failed}]
      - action: Ignore
        onExitCodes:
          operator: In
          values: [{fresh}, 143]
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 60
      containers:
        - name: worker
          image: {image}
          workingDir: {mount}
          command: {command}
          env:
            - name: {storage}
              valueFrom:
                secretKeyRef:
                  name: {secret}
                  key: {key}
{trials}          resources:
            limits: {limits}
          volumeMounts:
            - name: search
              mountPath: {mount}
      volumes:
        - name: search
          persistentVolumeClaim:
            claimName: {claim}
"""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Job:
    """What starts the workers of a search on a cluster.

    Args:
        script: Python file that makes a tuner and calls `search`.
        arguments: What the file finds in `sys.argv[1:]`.
        workers: Integer of at least 1.
        name: Name of the job: small letters, digits and `-`; None for one after the
            script.
        gpus: Integer of at least 0. GPUs of a worker.
        cpus: Integer of at least 1. CPU cores of a worker.
        memory: Memory of a worker, such as `"8G"`.
        hours: Number greater than 0. Time limit of a Slurm job, or None.
        recycle_after: Trials after which a fresh process goes on, or None.
        folder: Shared folder where the script runs: the working directory on Slurm,
            where the volume is mounted in Kubernetes.
        python: The interpreter.
        image: Image of the containers.
        secret: Name of the secret with the URL of the database.
        key: The key within it.
        claim: Name of the volume claim.

    Raises:
        ValueError: a value out of range, or a name that a cluster does not take.
    """

    script: str
    arguments: tuple[str, ...] = ()
    workers: int = 4
    name: str | None = None
    gpus: int = 0
    cpus: int = 2
    memory: str = "8G"
    hours: float | None = None
    recycle_after: int | None = None
    folder: str | None = None
    python: str = "python"
    image: str = "YOUR_IMAGE"
    secret: str = "search-database"
    key: str = "url"
    claim: str = "search"

    def __post_init__(self):
        check_integer("search launch", "--workers", self.workers, low=1)
        check_integer("search launch", "--gpus", self.gpus, low=0)
        check_integer("search launch", "--cpus", self.cpus, low=1)
        if self.recycle_after is not None:
            check_integer("search launch", "--recycle-after", self.recycle_after, low=1)
        if self.hours is not None and not 0 < self.hours < 10_000:
            raise value_error("search launch", "--hours", "above 0", self.hours)
        if not re.fullmatch(r"[1-9][0-9]*[KMGT]", self.memory):
            raise value_error("search launch", "--memory", "such as 8G", self.memory)
        for option in ("name", "secret", "claim"):
            value = getattr(self, option)
            if value is not None and not _NAME.fullmatch(value):
                expected = "small letters, digits and - (at most 53)"
                raise value_error("search launch", f"--{option}", expected, value)
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", self.key):
            raise value_error("search launch", "--key", "a key of a secret", self.key)

    def slurm(self) -> str:
        """Returns a batch script: an array with one worker a task."""
        resources = [f"--cpus-per-task={self.cpus}", f"--mem={self.memory}"]
        if self.gpus:
            resources.append(f"--gpus-per-node={self.gpus}")
        if self.hours is not None:
            resources.append(f"--time={max(1, round(60 * self.hours))}")
        trials = f"export {TRIALS}={self.recycle_after}\n"
        return _SLURM.format(
            name=self._name(),
            last=self.workers - 1,
            resources="".join(f"#SBATCH {line}\n" for line in resources),
            storage=STORAGE,
            trials="" if self.recycle_after is None else trials,
            folder=shlex.quote(self.folder or os.getcwd()),
            command=shlex.join(self._command()),
            wrong=WRONG_USE,
            fresh=FRESH_PROCESS,
        )

    def kubernetes(self) -> str:
        """Returns the manifest of a Job whose pods are the workers."""
        limits = {"cpu": str(self.cpus), "memory": f"{self.memory}i"}
        if self.gpus:
            limits["nvidia.com/gpu"] = str(self.gpus)
        entry = (
            f"            - name: {TRIALS}\n              value: "
            f'"{self.recycle_after}"\n'
        )
        return _KUBERNETES.format(
            name=self._name(),
            workers=self.workers,
            # Pods that are lost with their node are not counted; crashes are.
            retries=5 * self.workers,
            image=json.dumps(self.image),
            mount=json.dumps(self.folder or "/search"),
            command=json.dumps(self._command()),
            storage=STORAGE,
            secret=self.secret,
            key=self.key,
            claim=self.claim,
            limits=json.dumps(limits),
            trials="" if self.recycle_after is None else entry,
            wrong=WRONG_USE,
            failed=SEARCH_FAILED,
            fresh=FRESH_PROCESS,
        )

    def _command(self):
        program = [self.python, "-m", "keras_practices", "search", "worker"]
        return [*program, self.script, *self.arguments]

    def _name(self):
        if self.name is not None:
            return self.name
        stem = re.sub(r"[^a-z0-9]+", "-", pathlib.Path(self.script).stem.lower())
        return f"search-{stem}"[:53].strip("-")
