"""The market on a GPU, how near it is to the CPU's and how fast: `python benchmarks/gpu.py [--out FILE]`.

Needs a GPU and the extra `cuda`. Writes JSON:

    agreement   by scenario, the same random actions on both over whole episodes: share of numbers equal to the bit and
                largest difference, for what either returns; `same_choices`: share of rows whose masks never differed
    throughput  by scenario and rows: seconds of the first reset and step (compilation included), agent-steps/s of
                `step` with actions on the GPU, bytes of state a row
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a script it sees its own folder alone

import numpy as np
import torch

import swarm_env
from benchmarks import machine
from swarm_env.catalog import shipped

WALTZ = "alignment_waltz_targeted_feedback"
ROWS = (1024, 8192, 65536, 262144)


def on_host(said: Any) -> np.ndarray[Any, Any]:
    """An array, from an array or a tensor."""
    return said if isinstance(said, np.ndarray) else said.cpu().numpy()


def agreement(scenario: str, rows: int, episodes: int) -> dict[str, Any]:
    """Play both, see the module."""
    host = swarm_env.vector_env(scenario, rows, seed=1)
    there = swarm_env.vector_env(scenario, rows, seed=1, device="cuda")
    equal, total, worst = {}, {}, {}
    same = np.ones(rows, dtype=bool)

    def compare(name: str, ours: Any, theirs: Any) -> None:
        left, right = on_host(ours).astype(float), on_host(theirs).astype(float)
        equal[name] = equal.get(name, 0) + int(((left == right) | (np.isnan(left) & np.isnan(right))).sum())
        total[name] = total.get(name, 0) + left.size
        apart = np.abs(np.nan_to_num(left) - np.nan_to_num(right)).max(initial=0.0)
        worst[name] = max(worst.get(name, 0.0), float(apart))

    rng, nvec = np.random.default_rng(0), host.single_action_space.nvec
    host.reset()
    there.reset()
    for _ in range(episodes * int(host._steps[0])):
        actions = rng.integers(0, nvec, (rows, host.num_learners, len(nvec)))
        ours, theirs = host.step(actions), there.step(torch.as_tensor(actions))
        compare("observation", ours[0]["observation"], theirs[0]["observation"])
        compare("action_mask", ours[0]["action_mask"], theirs[0]["action_mask"])
        compare("reward", ours[1], theirs[1])
        same &= (ours[0]["action_mask"] == on_host(theirs[0]["action_mask"])).all(axis=(1, 2))
        if ours[-1]:
            for name, ended in ours[-1]["episode"].items():
                compare(f"episode.{name}", ended, theirs[-1]["episode"][name])
    return {
        "rows": rows,
        "episodes": episodes,
        "same_choices": float(same.mean()),
        "equal_share": {name: equal[name] / total[name] for name in equal},
        "largest_difference": worst,
    }


def throughput(scenario: str, rows: int, seconds: float) -> dict[str, float]:
    """Step for that long, see the module."""
    begin = time.perf_counter()
    venv: Any = swarm_env.vector_env(scenario, rows, device="cuda")
    venv.reset()
    nvec = venv.single_action_space.nvec
    shape = (8, rows, venv.num_learners, len(nvec))
    actions = torch.as_tensor(np.random.default_rng(0).integers(0, nvec, shape), device=venv.device)
    venv.step(actions[0])
    wait(venv)
    first = time.perf_counter() - begin
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        for now in actions:
            venv.step(now)
        steps += len(actions)
        wait(venv)
    rate = steps * rows * venv.num_learners / (time.perf_counter() - begin)
    size = sum(records[0].numel() for records in venv._records)
    return {"rows": rows, "first_seconds": first, "agent_steps_per_second": rate, "state_bytes_per_row": size}


def wait(venv: Any) -> None:
    if venv.device.type == "cuda":
        torch.cuda.synchronize()


def on() -> dict[str, str]:
    """What it was measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: Numba's CUDA simulator"
    packages = {name: metadata.version(name) for name in ("swarm-env", "torch", "numba")}
    try:
        packages["numba-cuda"] = metadata.version("numba-cuda")
    except metadata.PackageNotFoundError:
        packages["numba-cuda"] = "absent"
    return {"gpu": gpu, "cuda": str(torch.version.cuda), "cpu": machine.kind(), **packages}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gpu.json"), help="where to write (%(default)s)")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS, help="rows to time")
    parser.add_argument("--beside", type=int, default=4096, help="rows played beside the CPU (%(default)s)")
    parser.add_argument("--episodes", type=int, default=2, help="episodes played beside the CPU (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="a timing (%(default)s)")
    parser.add_argument("--scenarios", nargs="*", default=sorted(shipped()), help="played beside the CPU (all)")
    asked = parser.parse_args()
    try:
        swarm_env.vector_env("baseline", 1, device="cuda")
    except (ImportError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    found: dict[str, Any] = {"on": on(), "agreement": {}, "throughput": {WALTZ: []}}
    for scenario in asked.scenarios:
        found["agreement"][scenario] = said = agreement(scenario, asked.beside, asked.episodes)
        worst = max(said["largest_difference"].values())
        print(
            f"{scenario}: {said['same_choices']:.4%} of rows with the same choices, all within {worst:.1e}", flush=True
        )
    for rows in asked.rows:
        found["throughput"][WALTZ].append(said := throughput(WALTZ, rows, asked.seconds))
        print(f"{WALTZ}, {rows} rows: {said['agent_steps_per_second']:,.0f} agent-steps/s", flush=True)
    with tempfile.NamedTemporaryFile("w", dir=asked.out.parent, suffix=".json", delete=False) as file:
        json.dump(found, file, indent=2)
    os.replace(file.name, asked.out)
    print(asked.out)


if __name__ == "__main__":
    main()
