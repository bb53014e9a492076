"""From a plan to results: in this process, on this machine's cores, or on a Ray cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm_env.engine import worker
from swarm_env.engine.fingerprint import about
from swarm_env.engine.job import KINDS, EngineError, Kept, Plan
from swarm_env.engine.pool import Pool
from swarm_env.engine.schedule import Failure, Limits, Progress, Schedule
from swarm_env.recording import RecordingError, Whole

LOCAL, RAY = ENGINES = ("local", "ray")
WORKERS = "SWARM_WORKERS"  #: environment variable: workers of the local engine unless --workers says otherwise
FAILURES = "failures.json"
MAX_WORKERS = 65_536
LIMITS = Limits()
UNDONE = 3  #: exit code of a command some of whose jobs could not be done


class JobsFailedError(EngineError):
    """Jobs that could not be done; all others are kept, and the same command tries these again."""

    exit_code = UNDONE


@dataclass(frozen=True)
class Engine:
    """Where jobs run, and how much each may cost.

    Args:
        name: "local" or "ray".
        address: of a Ray cluster: HOST:PORT, ray://HOST:PORT or "auto"; None: one of its own on this machine.
        workers: jobs at a time; None: one a core. 0: in this process, one after the other, without any protection
            (a crash ends the command, an error ends it at once, nothing is tried again, there are no limits).
        limits: see `Limits`.

    Raises:
        EngineError: a value out of range, options that do not go together.
    """

    name: str = LOCAL
    address: str | None = None
    workers: int | None = None
    limits: Limits = LIMITS

    def __post_init__(self) -> None:
        """Check what was asked for."""
        if self.name not in ENGINES:
            raise EngineError(f"--engine: {self.name!r} is not known; allowed: {', '.join(ENGINES)}")
        if self.address is not None and self.name != RAY:
            raise EngineError("--address is of a Ray cluster: it goes with --engine ray")
        least = 1 if self.name == RAY else 0
        if self.workers is not None and not least <= self.workers <= MAX_WORKERS:
            raise EngineError(f"--workers {self.workers} is out of range; allowed: {least}..{MAX_WORKERS}")
        timeout, retries = self.limits.job_timeout, self.limits.retries
        if timeout is not None and not 0.0 < timeout < float("inf"):
            raise EngineError(f"--job-timeout {timeout:g} is out of range; allowed: seconds above 0")
        if not 0 <= retries <= 100:
            raise EngineError(f"--retries {retries} is out of range; allowed: 0..100")

    @property
    def here(self) -> bool:
        """Whether jobs run in this process."""
        return self.name == LOCAL and self._size() == 0

    def _size(self) -> int:
        if self.workers is not None:
            return self.workers
        said = os.environ.get(WORKERS, "")
        if said and (not said.isdigit() or int(said) > MAX_WORKERS):
            raise EngineError(f"{WORKERS}={said}: must be a whole number in 0..{MAX_WORKERS}")
        return int(said) if said else _cores()

    @contextmanager
    def pool(self, groups: int, kind: str) -> Iterator[Pool]:
        """Workers for jobs of a kind, no more than there are groups of jobs."""
        if self.name == LOCAL:
            from swarm_env.engine.local import LocalPool

            pool: Pool = LocalPool(max(1, min(self._size(), groups)), kind)
            try:
                yield pool
            finally:
                pool.close()
            return
        from swarm_env.engine.cluster import RayPool, connect

        own = not _initialised()
        ray = connect(self.address)
        try:
            pool = RayPool(ray, self.workers, kind)
            try:
                yield pool
            finally:
                pool.close()
        finally:
            if own:
                ray.shutdown()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


HERE = Engine(workers=0)


def _initialised() -> bool:
    from swarm_env.engine.cluster import load_ray

    return bool(load_ray().is_initialized())


def carry_out(
    plan: Plan,
    kept: Kept,
    there: int,
    engine: Engine,
    progress: Progress | None = None,
    out: Path | None = None,
    patient: bool = False,
) -> None:
    """Do what `kept` does not hold yet.

    Args:
        there: how many results it holds.
        progress: told (jobs kept, jobs in all).
        out: a folder for failures.json; one of an earlier run is removed once all jobs are done.
        patient: where jobs run in this process, let an error wait until all others are done, as workers do.

    Raises:
        JobsFailedError: jobs that could not be done, after all others have been. EngineError: an engine that cannot
            start. What `Kept.add` raises, and, in this process and without patience, what a job raises.
    """
    shown = progress or (lambda done, total: None)
    shown(there, plan.num_units)
    failures: list[Failure] = []
    if there < plan.num_units and engine.here:
        failures = _here(plan, kept, there, shown, patient)
    elif there < plan.num_units:
        with engine.pool(plan.num_units - there, plan.job_kind) as pool:
            schedule = Schedule(plan, kept, pool, about(KINDS[plan.job_kind].packages), engine.limits, shown)
            failures = schedule.run(kept.missing(plan), there)
    if failures:
        raise JobsFailedError(_say(plan, failures, out))
    if out is not None:
        (out / FAILURES).unlink(missing_ok=True)


def _here(plan: Plan, kept: Kept, done: int, progress: Progress, patient: bool) -> list[Failure]:
    failures = []
    for indices in plan.groups(kept.missing(plan), plan.num_units):
        try:
            for index, result in zip(indices, plan.here(indices), strict=True):
                kept.add(index, plan.job(index), result)
                done += 1
        except Exception as error:
            if not patient:
                raise
            for index in indices:
                kept.failed(index)
                failures.append(Failure(index, 1, worker.one_line(error), worker.trace()))
        kept.sync()
        progress(done, plan.num_units)
    return failures


def _say(plan: Plan, failures: list[Failure], out: Path | None) -> str:
    """Write failures.json; what is said of it in one line."""
    rows: list[dict[str, Any]] = []
    for index, tries, why, trace in failures:
        job = plan.job(index)
        what = {"index": index, "title": plan.title(index), "job": job.hash, "kind": job.kind, "params": job.params}
        rows.append({**what, "tries": tries, "why": why, "trace": trace.splitlines()})
    first = failures[0]
    said = (
        f"{len(failures)} of {plan.num_units} jobs could not be done, the first: {plan.title(first.place)}: {first.why}"
    )
    if out is None:
        return said
    path = out / FAILURES
    try:
        with Whole(path) as file:
            file.write(json.dumps({"schema": "swarm-failures/1", "failures": rows}, indent=1) + "\n")
    except (OSError, RecordingError):
        return f"{said} ({path} cannot be written)"
    return f"{said}; {path} names them all; the same command tries them again"
