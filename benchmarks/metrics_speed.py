"""Every metric over ten million interactions: processor seconds and memory, streamed and at once. Prints a table.

    python benchmarks/metrics_speed.py                    7 and 1,000 agents, 10 million interactions, 3 repeats each
    python benchmarks/metrics_speed.py --rows 1000000     fewer of them
    python benchmarks/metrics_speed.py --out FILE         every repeat as JSON as well

Each repeat is a process of its own, since memory is the highest that the process ever took: for `Stream` beyond what
it had after its imports, for `compute` beyond what it had with the interactions in memory. Interactions are made up as
they are needed, with all 17 columns, and making them is not timed. Where chains, paths and groups are rare a report is
cheap; here a tenth of the deals is bad, trust differs, and with 1,000 agents every pair deals with every other.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a script it sees its own folder alone

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.text_table import markdown
from swarm_env import metrics

AGENTS = (7, 1000)
WAYS = {"stream": "`Stream`, chunks of 65,536", "compute": "`compute`, all at once"}
CHUNK = 2**16
BAR = 10.0  # processor seconds for ten million
PAYOFF = {"s_plus": 2, "s_minus": 1, "h": 2, "theta": 0.5, "rho_a": 0.1, "rho_b": 0.1, "w_rep": 1}


def made_up(rows: int, agents: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Interactions in chunks: honest and less honest ones, each step a round of the market."""
    rng = np.random.default_rng(0)
    for first in range(0, rows, CHUNK):
        n = min(CHUNK, rows - first)
        a, p = rng.integers(0, agents, n), rng.beta(3, 2, n)
        accepted = rng.random(n) < 0.3 + 0.6 * p
        step = (first + np.arange(n)) // (agents - 2)
        yield {
            "initiator": a,
            "counterparty": (a + rng.integers(1, agents, n)) % agents,
            "p": p,
            "accepted": accepted,
            "tau": -0.3 * rng.random(n) - 1.2 * (rng.random(n) < 0.1),
            "c_a": 0.1 * rng.random(n),
            "c_b": np.zeros(n),
            "r_a": p - 0.5,
            "r_b": np.zeros(n),
            "effort": np.full(n, 0.2),
            "p_offer": p,
            "responded": accepted | (rng.random(n) < 0.9),
            "v": np.where(rng.random(n) < p, 1.0, -1.0),
            "misuse": (rng.random(n) < 0.05).astype(np.int64),
            "rejections": rng.integers(0, 2, n),
            "step": step,
            "epoch": step // 10,
        }


def _peak() -> float:
    """Most memory that this process ever took, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def measure(way: str, rows: int, agents: int) -> dict[str, float]:
    """Processor seconds and MiB of one run, in this process."""
    trust = np.random.default_rng(1).normal(0.0, 0.4, agents)
    if way == "stream":
        before, adding = _peak(), 0.0
        stream = metrics.Stream(PAYOFF, agents)
        for chunk in made_up(rows, agents):
            start = time.process_time()
            stream.add(chunk)
            adding += time.process_time() - start
        start = time.process_time()
        values = stream.metrics(trust=trust)
        reading, error = time.process_time() - start, stream.auc_error()
    else:
        kinds = {name: column.dtype for name, column in next(made_up(1, agents)).items()}
        table = {name: np.empty(rows, kind) for name, kind in kinds.items()}
        for number, chunk in enumerate(made_up(rows, agents)):
            for name, column in chunk.items():
                table[name][number * CHUNK : (number + 1) * CHUNK] = column
        before, start = _peak(), time.process_time()
        values = metrics.compute(table, PAYOFF, trust=trust, num_agents=agents)
        adding, reading, error = time.process_time() - start, 0.0, 0.0
    assert list(values) == list(metrics.METRICS)
    return {"seconds": adding + reading, "reading": reading, "mib": _peak() - before, "auc_error": error}


def repeats(way: str, rows: int, agents: int, times: int) -> list[dict[str, float]]:
    """The same in processes of their own."""
    command = [sys.executable, __file__, "--one", way, "--rows", str(rows), "--agents", str(agents)]
    return [json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(times)]


def table(results: list[dict[str, Any]]) -> str:
    """Medians over the repeats."""
    lines = []
    for case in results:
        runs = case["runs"]
        seconds = sorted(run["seconds"] for run in runs)
        lines.append(
            (
                f"{case['agents']:,} agents, {WAYS[case['way']]}",
                f"{median(seconds):.1f}",
                f"{seconds[0]:.1f}..{seconds[-1]:.1f}",
                f"{case['rows'] / median(seconds) / 1e6:.1f}",
                f"{median(run['mib'] for run in runs):,.0f}",
                f"{median(run['auc_error'] for run in runs):.0e}",
            )
        )
    head = ("", "CPU seconds", "range", "million/s", "MiB", "AUC known to")
    return markdown(head, lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="interactions")
    parser.add_argument("--agents", type=int, nargs="+", default=AGENTS)
    parser.add_argument("--repeats", type=int, default=3, help="of every measurement; the median counts")
    parser.add_argument("--out", type=Path, help="JSON file of every repeat")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.rows, arguments.agents[0])))
        return 0
    print(machine.describe())
    results = [
        {"way": way, "agents": n, "rows": arguments.rows, "runs": repeats(way, arguments.rows, n, arguments.repeats)}
        for n in arguments.agents
        for way in WAYS
    ]
    print(f"\n{len(metrics.METRICS)} metrics over {arguments.rows:,} interactions\n\n{table(results)}")
    if arguments.out:
        record = {"date": time.strftime("%Y-%m-%d"), "machine": machine.kind(), "packages": machine.versions()}
        arguments.out.write_text(json.dumps({**record, "results": results}, indent=1) + "\n", encoding="utf-8")
    slow = [case for case in results if case["rows"] == 10**7 and _slow(case)]
    return 1 if slow else 0


def _slow(case: dict[str, Any]) -> bool:
    """Whether a stream of ten million takes longer than it may."""
    return case["way"] == "stream" and median(run["seconds"] for run in case["runs"]) >= BAR


if __name__ == "__main__":
    sys.exit(main())
