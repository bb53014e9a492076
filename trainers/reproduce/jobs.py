"""The trainings of a study: several at a time, a folder each; finished ones are kept, cut-off ones go on.

A job is finished when its evaluation.json is there, the last file that any trainer writes. Killed at any moment, the
same call later ends with the same files. Where jobs run is the engine's business (`swarm_env.engine`); what they leave
are files, so that all workers and the driver must see the same folder.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from swarm_env.engine import job as engine_job
from swarm_env.engine.run import HERE, Engine
from trainers.checkpoint import RunError
from trainers.reproduce.files import Files, Piece

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not everywhere
    fcntl = None

LAST = "evaluation.json"


class Job(NamedTuple):
    """One training run of `swarm train <trainer>`."""

    name: str  # of the setting: the same for every seed
    trainer: str  # a module of `trainers` with `load_config` and `train`
    overrides: tuple[str, ...]  # "key=value", as for --set
    seed: int
    file: str | None = None  # settings in YAML, as for --config

    def folder(self, out: Path) -> Path:
        """Of the run, below the study's."""
        return out / f"{self.name}_seed{self.seed}"

    def config(self) -> Any:
        """Its settings; ScenarioError for wrong ones."""
        return _module(self).load_config(self.file, [*self.overrides, f"seed={self.seed}"])


def _module(job: Job) -> Any:
    return import_module(f"trainers.{job.trainer}")


def finished(job: Job, out: Path) -> bool:
    """Whether the run is there and whole.

    Raises:
        RunError: a run of other settings is in its place.
    """
    folder = job.folder(out)
    if not (folder / LAST).exists():
        return False
    if _module(job).load_config(folder / "config.yaml") != job.config():
        raise RunError(f"{folder}: holds a run of other settings than {job.name}'s; remove it, or choose another --out")
    return True


def results(job: Job, out: Path) -> dict[str, Any]:
    """What the evaluation.json of a finished job holds."""
    held: dict[str, Any] = json.loads((job.folder(out) / LAST).read_text(encoding="utf-8"))
    return held


def train(job: Job, out: Path) -> None:
    """Run a job in this process: from the start, or from its newest checkpoint."""
    folder, module = job.folder(out), _module(job)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        resume = (folder / "run.json").exists()
        if resume and module.load_config(folder / "config.yaml") != job.config():
            raise RunError(
                f"{folder}: holds a run of other settings than {job.name}'s; remove it, or choose another --out"
            )
        if not resume:
            _clear(folder)
        module.train(job.config(), folder, resume=resume, quiet=True)


def _clear(folder: Path) -> None:
    """Away with what a run that was killed before run.json was there has left: nothing of value."""
    held = list(folder.iterdir())
    if all(path.name[0] == "." or path.name == "config.yaml" for path in held):
        for path in held:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder; without such locks, trust them."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{folder}: another process is at work on this run") from error
        yield
    finally:
        os.close(handle)


def run(jobs: Sequence[Job], out: Path, engine: Engine = HERE, say: Callable[[str], None] = print) -> None:
    """Run what is not finished yet.

    Args:
        engine: where, and how many at a time.
        say: told a line for each job that ends.

    Raises:
        RunError: two jobs of one folder; a run of other settings in a job's place. JobsFailedError: jobs that failed,
            the first one named, after all others have ended.
    """
    folders = [job.folder(out) for job in jobs]
    twice = [folder for folder in folders if folders.count(folder) > 1]
    if twice:
        raise RunError(f"{twice[0]}: two jobs would share this folder")
    work = Files("train", [_piece(job, out) for job in jobs], say)
    say(f"{len(work)} of {len(jobs)} trainings are there")
    work.carry_out(engine, out, patient=True)


def _piece(job: Job, out: Path) -> Piece:
    params = {"trainer": job.trainer, "config": job.config().model_dump(mode="json")}
    hints = {"out": str(out.resolve()), "job": [*job]}
    whole = engine_job.Job("train", params, hints)
    return Piece(whole, job.folder(out).name, finished(job, out), job.folder(out) / LAST)


def run_jobs(jobs: Sequence[engine_job.Job]) -> list[None]:
    """Train; what a worker does."""
    for each in jobs:
        name, trainer, overrides, seed, file = each.hints["job"]
        job = Job(name, trainer, tuple(overrides), seed, file)
        if job.config().model_dump(mode="json") != each.params["config"]:
            raise RunError(f"{job.name}: its settings read otherwise here than where the command was given")
        train(job, Path(each.hints["out"]))
    return [None] * len(jobs)
