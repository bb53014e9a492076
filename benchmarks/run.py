"""The benchmark: `python -m benchmarks.run`, or `make bench`, which sets up the peers first.

Every measurement is a process of its own with a time limit (`worker.py`). The members of a group are set up together
and then play in turn, one at a time, so that a neighbour's burst does not fall on one of them alone. What fails or does
not fit is recorded with its reason. After every round all that was measured is saved under logs/, and after Ctrl-C the
same command goes on with the group that was cut off. At the end: benchmarks/results.json, docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import inspect
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.plan import PLAN, Measurement

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PARTIAL = ROOT / "logs" / "bench.partial.json"
SETUP_LIMIT, REPEAT_LIMIT = 240.0, 90.0  #: seconds
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Worker:
    """A measurement's process, as the parent drives it."""

    def __init__(self, measurement: Measurement, seconds: float) -> None:
        spec = {"run": measurement.run, "args": measurement.args, "seconds": seconds}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env=os.environ | dict.fromkeys(ONE_THREAD, "1") | {"PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def answer(self, limit: float) -> dict[str, Any]:
        """What it says next; a failure if it says nothing in time."""
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            return {"status": "failed", "reason": f"no answer within {limit:.0f} s"}
        if not line:
            return {"status": "failed", "reason": f"the process ended with code {self.process.wait()}"}
        return dict(json.loads(line))

    def go(self) -> dict[str, Any]:
        """Play once."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has died; its answer says so
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        return self.answer(REPEAT_LIMIT)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not flushed to a process that died
                pipe.close()


def measure(members: Sequence[Measurement], seconds: float, rounds: int, keep: Any) -> list[dict[str, Any]]:
    """Set all members up, let them take turns, and say what came out; `keep` is called after every round."""
    records = [
        {"id": m.id, "label": m.label, "run": m.run, "args": m.args, "agents": m.agents, "status": "failed",
         "reason": "cut off", "facts": {}, "raw": []}
        for m in members
    ]  # fmt: skip
    workers: dict[int, Worker] = {}
    try:
        for k, member in enumerate(members):
            start = time.perf_counter()
            workers[k] = Worker(member, seconds)
            said = workers[k].answer(SETUP_LIMIT)
            if said["status"] == "ready":
                records[k] |= {"status": "ok", "reason": None, "facts": said["facts"]}
            else:
                records[k] |= {"status": said["status"], "reason": said["reason"]}
                workers.pop(k).close()
            took, outcome = time.perf_counter() - start, records[k]["reason"] or "ready"
            print(f"  [{k + 1}/{len(members)}] {member.label}: {outcome} ({took:.1f} s)", flush=True)
        for turn in range(rounds):
            for k in list(workers):
                said = workers[k].go()
                if said.pop("status") == "sample":
                    records[k]["raw"].append(said)
                else:
                    records[k] |= {"status": "failed", "reason": said["reason"]}
                    workers.pop(k).close()
            keep(records)
            print(f"  round {turn + 1}/{rounds}, load average {machine.load()}", flush=True)
    finally:
        for worker in workers.values():  # all of them before anything else: Ctrl-C may come twice
            worker.process.kill()
        keep(records)
        for worker in workers.values():
            worker.close()
    return records


def head(options: argparse.Namespace) -> dict[str, Any]:
    """What the measurements were taken on and with."""
    import swarm_env

    sources = hashlib.sha256()
    for path in sorted([*(ROOT / "swarm_env").rglob("*.py"), *(ROOT / "benchmarks").glob("*_runs.py")]):
        sources.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    default = inspect.signature(swarm_env.vector_env).parameters["num_threads"].default
    return {
        "version": report.VERSION,
        "machine": {"kind": machine.kind(), "processor": machine.cpu_model(), "cores": os.cpu_count()},
        "packages": machine.packages(),
        "sources": sources.hexdigest()[:16],
        "settings": {"rounds": options.rounds, "seconds": options.seconds, "quick": options.quick},
        "defaults": {"num_threads": default},
    }


def save(path: Path, results: dict[str, Any]) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".json.new")
    partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def resume(options: argparse.Namespace) -> dict[str, Any]:
    """Results, with what a run that was cut off has left if machine, packages, sources and settings are the same."""
    fresh = {
        **head(options),
        "date": time.strftime("%Y-%m-%d"),
        "load": [machine.load()],
        "done": [],
        "measurements": [],
    }
    if options.fresh or not PARTIAL.exists():
        return fresh
    left = json.loads(PARTIAL.read_text(encoding="utf-8"))
    same = all(left.get(key) == value for key, value in head(options).items())
    if not same:
        print("what an earlier run has left is of other sources, packages or settings; starting anew")
        return fresh
    left["measurements"] = [each for each in left["measurements"] if each["id"].partition("/")[0] in left["done"]]
    print(f"going on after {', '.join(left['done']) or 'the start'}")
    return dict(left)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="repeats of every measurement; the median counts")
    parser.add_argument("--seconds", type=float, default=0.4, help="of a repeat")
    parser.add_argument("--quick", action="store_true", help="a few measurements, two rounds, nothing written: a trial")
    parser.add_argument("--only", nargs="+", metavar="GROUP", help="these groups, nothing written: a look at them")
    parser.add_argument("--fresh", action="store_true", help="forget what a run that was cut off has left")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the tables from results.json")
    options = parser.parse_args()
    if options.render:
        report.write(json.loads(RESULTS.read_text(encoding="utf-8")))
        return 0
    if options.quick:
        options.rounds, options.seconds = 2, 0.1
    known = list(dict.fromkeys(each.group for each in PLAN))
    for name in options.only or ():
        if name not in known:
            parser.error(f"unknown group {name!r}; allowed: {', '.join(known)}")
    whole = not (options.quick or options.only)
    options.fresh |= not whole
    results = resume(options)
    try:
        _measure_all(results, options, whole)
    except KeyboardInterrupt:
        kept = f"; what was measured is in {PARTIAL.relative_to(ROOT)}, the same command goes on" if whole else ""
        print(f"\ncut off{kept}")
        return 130
    results["load"].append(machine.load())
    results.pop("done")
    if whole:
        save(RESULTS, results)
        report.write(results)
        PARTIAL.unlink(missing_ok=True)
    else:
        print(report.listing(results["measurements"]))
    return 0


def _measure_all(results: dict[str, Any], options: argparse.Namespace, whole: bool) -> None:
    groups = list(dict.fromkeys(each.group for each in PLAN if not options.quick or each.quick))
    groups = [name for name in groups if not options.only or name in options.only]
    begun = time.perf_counter()
    for k, name in enumerate(groups):
        if name in results["done"]:
            continue
        print(f"\n{name}: group {k + 1} of {len(groups)}, {time.perf_counter() - begun:.0f} s so far", flush=True)
        members = [each for each in PLAN if each.group == name and (each.quick or not options.quick)]
        before = list(results["measurements"])

        def keep(records: list[dict[str, Any]], before: list[dict[str, Any]] = before) -> None:
            results["measurements"] = before + records
            if whole:
                save(PARTIAL, results)

        measure(members, options.seconds, options.rounds, keep)
        results["done"].append(name)
    print(f"\nall in {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
