"""What the engines cost: jobs a second, one worker against two, bytes kept and sent, merging and its memory.

    python benchmarks/engine.py overhead [--engine ray]    jobs that do nothing
    python benchmarks/engine.py scaling [--engine ray]     a sweep by one worker and by two, alternating
    python benchmarks/engine.py bytes                      an interaction, in an event log and in a sweep
    python benchmarks/engine.py merge [--units 51200]      a store of units that no market played, filled and merged

Each prints one JSON object. Seconds of the processor ("CPU") are this process's own and hold on a busy machine too;
seconds by the clock do not: compare ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import swarm_env
from swarm_env.engine.fingerprint import about
from swarm_env.engine.job import KINDS, Job
from swarm_env.engine.journal import Kind
from swarm_env.engine.pool import READY, Event, Pool
from swarm_env.engine.run import Engine
from swarm_env.engine.schedule import Limits, Schedule
from swarm_env.engine.store import Store
from swarm_env.evaluation import results
from swarm_env.evaluation.paired import Paired

SCENARIO = "alignment_waltz_targeted_feedback"
KIND = Kind("sweep", "swarm-sweep/1", ("cell", "seed"))


class Echoes:
    """Jobs that do nothing, one by one or in groups."""

    job_kind = "echo"

    def __init__(self, count: int, group: int, size: int = 0) -> None:
        self.num_units, self.group, self.filling = count, group, "x" * size
        self.results = 0

    def job(self, index: int) -> Job:
        return Job("echo", {"index": index, "filling": self.filling}, {})

    def title(self, index: int) -> str:
        return str(index)

    def groups(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        left = list(indices)
        yield from (left[k : k + self.group] for k in range(0, len(left), self.group))

    def here(self, indices: Sequence[int]) -> Iterator[Any]:
        yield from indices

    def missing(self, plan: Any) -> Iterator[int]:
        yield from range(self.num_units)

    def add(self, index: int, job: Job, result: Any) -> None:
        self.results += 1

    def sync(self) -> None:
        pass

    def failed(self, index: int) -> None:
        raise AssertionError(index)


class Warm:
    """A pool whose workers are all ready before the clock starts, for as many plans as are to be timed."""

    def __init__(self, pool: Pool, workers: int) -> None:
        self.pool, self.width, self.told = pool, workers, True
        self.ready: list[Event] = []
        while len(self.ready) < workers:
            self.ready += [event for event in pool.wait(60.0) if event.what == READY]
        self.submit, self.kill, self.close = pool.submit, pool.kill, pool.close

    def wait(self, timeout: float) -> list[Event]:
        if not self.told:
            self.told = True
            return self.ready
        return self.pool.wait(timeout)

    def seconds(self, plan: Any, kept: Any) -> tuple[float, float]:
        """Of a plan: by the clock, and of this process's processor."""
        self.told, limits = False, Limits()
        ours = about(KINDS[plan.job_kind].packages)
        start, used = time.perf_counter(), time.process_time()
        Schedule(plan, kept, self, ours, limits, lambda done, total: None).run(kept.missing(plan), 0)
        return time.perf_counter() - start, time.process_time() - used


@contextmanager
def warm(engine: str, kind: str, workers: int) -> Iterator[Warm]:
    """A pool of that many ready workers."""
    with Engine(engine, None, workers).pool(workers, kind) as pool:
        yield Warm(pool, workers)


def overhead(engine: str, jobs: int, repeats: int) -> dict[str, Any]:
    """Milliseconds a job that the engine itself takes, by size of the group, with one worker and with two."""
    found: dict[str, Any] = {}
    for workers in (1, 2):
        begun = time.perf_counter()
        with warm(engine, "echo", workers) as pool:
            found[f"start of {workers}, s"] = round(time.perf_counter() - begun, 2)
            for group in (1, 16):
                times = []
                for _ in range(repeats):
                    plan = Echoes(jobs, group, 4_000)
                    times.append(pool.seconds(plan, plan))
                clock, used = (round(1e3 * median(each) / jobs, 3) for each in zip(*times, strict=True))
                found[f"{workers} workers, groups of {group}, ms a job"] = {"clock": clock, "driver's CPU": used}
    return found


def sweep(cells: int, seeds: int, episodes: int) -> Paired:
    base = swarm_env.load_scenario(SCENARIO)
    arms = {
        f"{k}": swarm_env.load_scenario(base, {"governance.audit_probability": k / max(1, cells - 1)})
        for k in range(cells)
    }
    return Paired(KIND, arms, seeds, episodes)


def scaling(engine: str, repeats: int) -> dict[str, Any]:
    """The same sweep by one worker and by two, alternating; medians."""
    paired, times, drive = sweep(2, 24, 2), {1: list[float](), 2: list[float]()}, list[float]()
    list(paired.here([0]))
    used = time.process_time()
    units = sum(len(list(paired.here(indices))) for indices in paired.groups(range(24), 12))
    unit = (time.process_time() - used) / units
    for _ in range(repeats):
        for workers in times:
            with (
                warm(engine, "paired", workers) as pool,
                tempfile.TemporaryDirectory() as folder,
                closing(paired.store(Path(folder) / "out")) as kept,
            ):
                clock, used = pool.seconds(paired, kept)
                times[workers].append(round(clock, 2))
                drive.append(used)
    one, two = (median(times[workers]) for workers in (1, 2))
    found: dict[str, Any] = {"jobs": paired.num_units, "seconds": times, "ratio of medians": round(one / two, 2)}
    found["CPU ms a job, played in this process"] = round(1e3 * unit, 2)
    found["driver's CPU, ms a job"] = round(1e3 * median(drive) / paired.num_units, 2)
    return found | {"jobs/s": {1: round(paired.num_units / one, 1), 2: round(paired.num_units / two, 1)}}


def sizes() -> dict[str, Any]:
    """Bytes of an interaction: in an event log, in the results that a worker sends, and as the store keeps them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        played = swarm_env.run(SCENARIO, out=folder / "logs")
        log = sum(path.stat().st_size for path in (folder / "logs").glob("*.jsonl"))
        paired = sweep(5, 205, 1)
        sent, interactions = 0, 0.0
        with closing(paired.store(folder / "out")) as kept:
            for indices in paired.groups(range(paired.num_units), 16):
                units = list(paired.here(indices))
                sent += len(pickle.dumps(units))
                for index, unit in zip(indices, units, strict=True):
                    interactions += unit["metrics"]["total_interactions"] * unit["episodes"]
                    kept.add(index, paired.job(index), unit)
            journal = len(kept._line(next(iter(kept._where)))) if kept._where else 0
            kept.finish()
        parts = sum(path.stat().st_size for path in (folder / "out/units").glob("*.parquet"))
    per_unit = interactions / paired.num_units
    return {
        "event log, bytes an interaction": round(log / played.metrics["total_interactions"], 1),
        "interactions of a unit (one episode)": round(per_unit),
        "sent by a worker, bytes a unit": round(sent / paired.num_units),
        "sent by a worker, bytes an interaction": round(sent / interactions, 2),
        "Parquet parts, bytes a unit": round(parts / paired.num_units),
        "Parquet parts, bytes an interaction": round(parts / interactions, 2),
        "journal, bytes a unit": journal,
    }


class Synthetic:
    """Units that no market played."""

    job_kind = "echo"

    def __init__(self, count: int) -> None:
        self.num_units = count

    def job(self, index: int) -> Job:
        return Job("echo", {"index": index}, {})

    title = groups = here = None


def merge(units: int, metrics: int) -> dict[str, Any]:
    """Fill a store, open it again, merge it: CPU seconds, bytes, and the most memory that the process ever took."""
    names = [f"metric_{k}" for k in range(metrics)]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder, plan = Path(name), Synthetic(units)
        start = time.process_time()
        with closing(Store(folder, {"units": units}, KIND, plan)) as kept:  # type: ignore[arg-type]
            for index in range(units):
                values = dict(zip(names, rng.normal(size=metrics).tolist(), strict=True))
                head = {"cell": str(index // 100), "seed": index % 100, "market_seed": index, "episodes": 4}
                kept.add(index, plan.job(index), {**head, "metrics": values})
            kept.finish()
        filled = time.process_time() - start
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        with closing(Store(folder, {"units": units}, KIND, plan)) as kept:  # type: ignore[arg-type]
            opened = time.process_time() - start
            start = time.process_time()
            count = sum(1 for _ in kept.units())
            read = time.process_time() - start
            rows = (
                (each["cell"], each["seed"], metric, value)
                for each in kept.units()
                for metric, value in each["metrics"].items()
            )
            start = time.process_time()
            results.write_long(folder, ("cell", "seed", "metric", "value"), rows)
            merged = time.process_time() - start
        parts = sum(path.stat().st_size for path in (folder / "units").glob("*.parquet"))
        csv, parquet = ((folder / f"runs.{suffix}").stat().st_size for suffix in ("csv", "parquet"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert count == units
    return {
        "units": units, "numbers a unit": metrics, "filled, units a CPU second": round(units / filled),
        "opened again, CPU s": round(opened, 2), "read, units a CPU second": round(units / read),
        "merged into CSV and Parquet, units a CPU second": round(units / merged),
        "merged, million rows a CPU second": round(units * metrics / merged / 1e6, 3),
        "parts, MB": round(parts / 1e6, 1), "runs.csv, MB": round(csv / 1e6, 1),
        "runs.parquet, MB": round(parquet / 1e6, 1), "peak memory after filling, MB": round(before / 1e3),
        "peak memory after merging, MB": round(most / 1e3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "scaling", "bytes", "merge"))
    parser.add_argument("--engine", default="local")
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--units", type=int, default=51_200)
    parser.add_argument("--metrics", type=int, default=110)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = {
        "overhead": lambda: overhead(given.engine, given.jobs, given.repeats),
        "scaling": lambda: scaling(given.engine, given.repeats),
        "bytes": sizes,
        "merge": lambda: merge(given.units, given.metrics),
    }[given.what]()
    print(json.dumps({"what": given.what, "engine": given.engine, **found}, indent=1))


if __name__ == "__main__":
    main()
