"""The market on a device beside the market on the CPU: ``NUMBA_ENABLE_CUDASIM=1 python -m tests.devices``.

Both play the same random actions, legal or not, over several episodes; all that either says is compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import swarm_env
from swarm_env.catalog import shipped

EPISODE = ["simulation.n_epochs=2", "simulation.steps_per_epoch=4"]


def leaves(said: Any, name: str = "") -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """(name, array) of everything in nested dicts and tuples of arrays or tensors."""
    if isinstance(said, dict | tuple):
        for key, value in said.items() if isinstance(said, dict) else enumerate(said):
            yield from leaves(value, f"{name}/{key}")
    else:
        yield name, said if isinstance(said, np.ndarray) else said.cpu().numpy()


def furthest(ours: Any, theirs: Any) -> float:
    """The largest difference of any number in `ours` from its place in `theirs`, which must have the same layout."""
    left, right = dict(leaves(ours)), dict(leaves(theirs))
    assert left.keys() == right.keys()
    worst = 0.0
    for name, array in left.items():
        other = right[name]
        assert (array.shape, array.dtype) == (other.shape, other.dtype), name
        assert np.array_equal(np.isnan(array.astype(float)), np.isnan(other.astype(float))), name
        apart = np.abs(np.nan_to_num(array.astype(float)) - np.nan_to_num(other.astype(float)))
        worst = max(worst, float(apart.max(initial=0.0)))
    return worst


def play_beside(scenario: Any, rows: int, steps: int, learners: Any = "all") -> dict[str, float]:
    """Play on the CPU and on the device.

    Returns:
        difference: the largest between them; same_bytes: 1.0 if all tables end the same to the bit; accepted:
        interactions accepted in the episodes that ended; ended: their number.
    """
    host = swarm_env.vector_env(scenario, rows, learners, seed=5, copy=True)
    there = swarm_env.vector_env(scenario, rows, learners, seed=5, copy=True, device="cuda")
    rng, worst, accepted, ended = np.random.default_rng(0), furthest(host.reset(), there.reset()), 0.0, 0
    nvec = host.single_action_space.nvec
    for _ in range(steps):
        actions = rng.integers(0, nvec, (rows, host.num_learners, len(nvec)))
        ours, theirs = host.step(actions), there.step(actions)
        worst = max(worst, furthest(ours, theirs), furthest((host.state(),), (there.state(),)))
        worst = max(worst, furthest((host.ledger(),), (there.ledger(),)))
        if ours[-1]:
            episode = ours[-1]["episode"]
            accepted += float(np.nansum(episode["acceptance_rate"] * episode["total_interactions"]))
            ended += len(ours[-1]["final_rows"])
    same = float(host.snapshot() == there.snapshot())
    return {"difference": worst, "same_bytes": same, "accepted": accepted, "ended": ended}


def cross_over(scenario: Any, rows: int, steps: int) -> bool:
    """Whether each device goes on from the other's snapshot, taken in mid-episode, to the same bytes."""
    host = swarm_env.vector_env(scenario, rows, seed=5)
    there = swarm_env.vector_env(scenario, rows, seed=9, device="cuda")
    host.reset()
    nvec = host.single_action_space.nvec
    actions = np.random.default_rng(1).integers(0, nvec, (steps, rows, host.num_learners, len(nvec)))
    for now in actions:
        host.step(now)
    there.restore(host.snapshot())
    back = swarm_env.vector_env(scenario, rows)
    back.restore(there.snapshot())
    for now in actions:
        for env in (host, there, back):
            env.step(now)
    return bool(host.snapshot() == there.snapshot() == back.snapshot())


def main() -> dict[str, Any]:
    """Every shipped scenario with one learner; episodes of several lengths in a batch; snapshots that change sides."""
    out: dict[str, Any] = {}
    for name in sorted(shipped()):
        scenario = swarm_env.load_scenario(name, EPISODE)
        out[name] = play_beside(scenario, rows=2, steps=9, learners=scenario.agent_names[0])
    lengths = [[*EPISODE, f"simulation.steps_per_epoch={n}"] for n in (2, 1, 3)]
    out["lengths"] = play_beside([swarm_env.load_scenario("baseline", n) for n in lengths], rows=3, steps=13)
    out["snapshots"] = cross_over(swarm_env.load_scenario("strict_governance", EPISODE), rows=2, steps=4)
    return out


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=2)
