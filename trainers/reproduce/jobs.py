"""The trainings of a study: several at a time, a folder each; finished ones are kept, cut-off ones go on.

A job is finished when its evaluation.json is there, the last file that any trainer writes. Killed at any moment, the
same call later ends with the same files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from trainers.checkpoint import RunError

LAST = "evaluation.json"


class Job(NamedTuple):
    """One training run of `swarm train <trainer>`."""

    name: str  # of the setting: the same for every seed
    trainer: str  # a module of `trainers` with `load_config` and `train`
    overrides: tuple[str, ...]  # "key=value", as for --set
    seed: int

    def folder(self, out: Path) -> Path:
        """Of the run, below the study's."""
        return out / f"{self.name}_seed{self.seed}"

    def config(self) -> Any:
        """Its settings; ScenarioError for wrong ones."""
        return _module(self).load_config(None, [*self.overrides, f"seed={self.seed}"])


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
    resume = (folder / "run.json").exists()
    if resume and module.load_config(folder / "config.yaml") != job.config():
        raise RunError(f"{folder}: holds a run of other settings than {job.name}'s; remove it, or choose another --out")
    if (
        not resume
        and folder.exists()
        and all(path.name[0] == "." or path.name == "config.yaml" for path in folder.iterdir())
    ):
        shutil.rmtree(folder)  # killed before run.json was there: nothing of value is in it
    module.train(job.config(), folder, resume=resume, quiet=True)


def run(jobs: Sequence[Job], out: Path, workers: int = 1, say: Callable[[str], None] = print) -> None:
    """Run what is not finished yet.

    Args:
        workers: jobs at a time, each in a process of its own; 1: in this process.
        say: told a line for each job that ends.

    Raises:
        RunError: two jobs of one folder; a run of other settings in a job's place; jobs that failed, the first one
            named after all others have ended.
    """
    folders = [job.folder(out) for job in jobs]
    twice = [folder for folder in folders if folders.count(folder) > 1]
    if twice:
        raise RunError(f"{twice[0]}: two jobs would share this folder")
    left = [job for job in jobs if not finished(job, out)]
    say(f"{len(jobs) - len(left)} of {len(jobs)} trainings are there")
    failed: list[str] = []
    for number, (job, error) in enumerate(_ended(left, out, workers), len(jobs) - len(left) + 1):
        if error is not None:
            failed.append(f"{job.folder(out).name}: {error}")
        say(f"{number} of {len(jobs)}: {job.folder(out).name}{' FAILED' if error is not None else ''}")
    if failed:
        raise RunError(f"{len(failed)} of {len(jobs)} trainings failed; the first: {failed[0]}")


def _ended(jobs: Sequence[Job], out: Path, workers: int) -> Iterator[tuple[Job, BaseException | None]]:
    """Train all; yields each as it ends, with what went wrong."""
    if workers == 1:
        for job in jobs:
            try:
                train(job, out)
            except Exception as error:  # of one job; the others still have their chance
                yield job, error
            else:
                yield job, None
    elif jobs:
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
            running = {pool.submit(train, job, out): job for job in jobs}
            for future in as_completed(running):
                yield running[future], future.exception()
