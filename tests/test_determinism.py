"""Same seed and actions, same bytes: across batch size, threads, processes; and levers move no draw but their own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from swarm_env.catalog import shipped
from swarm_env.compile import Compiled, compile_scenario
from swarm_env.core.governance import LEVERS
from swarm_env.scenario import load_scenario
from tests.market import rich

STEPS = 60


def actions_of(compiled: Compiled, seed: int) -> np.ndarray[Any, Any]:
    """Random choices (steps, learners, heads), legal or not, that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, compiled.nvec, (STEPS, compiled.num_learners, len(compiled.nvec)))


def play(compiled: Compiled, seeds: list[int], threads: int = 1) -> list[str]:
    """Hash of every row's whole trajectory: state, observations, masks, infos."""
    size = len(seeds)
    state, view = compiled.allocate(size)
    state.rows["seed"] = seeds
    bounds = np.linspace(0, size, threads + 1).astype(int)
    ranges = list(pairwise(bounds))
    chosen = np.stack([actions_of(compiled, seed) for seed in seeds], axis=1)
    digests = [hashlib.sha256() for _ in seeds]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda r: compiled.reset(state, view, *r), ranges))
        for step in range(STEPS):
            now = np.ascontiguousarray(chosen[step])
            list(pool.map(lambda r, now=now: compiled.advance(state, view, now, *r), ranges))
            for b, digest in enumerate(digests):
                for part in (*state, *view):
                    digest.update(np.ascontiguousarray(part[b]).tobytes())
    return [digest.hexdigest() for digest in digests]


@pytest.mark.parametrize("scenario", sorted(shipped()))
def test_a_row_does_not_depend_on_its_batch_or_the_threads(scenario: str) -> None:
    compiled = compile_scenario(load_scenario(shipped()[scenario]), "all")
    seeds = [3, 1, 4, 1, 5, 9, 2, 6]
    alone = [play(compiled, [seed])[0] for seed in seeds[:3]]
    together = play(compiled, seeds)
    assert together[:3] == alone
    assert together[1] == together[3]
    assert len(set(together)) == len(set(seeds))
    assert play(compiled, seeds, threads=3) == together


def test_processes_and_hash_seeds_do_not_matter() -> None:
    code = (
        "from swarm_env.testing import trajectory; import hashlib;"
        "print(hashlib.sha256(trajectory('strict_governance', 40, seed=7)).hexdigest())"
    )
    outputs = set()
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1


#: Per lever, what turns it off.
OFF: dict[str, dict[str, Any]] = {
    "reputation_decay": {"reputation_decay_rate": 1.0},
    "vote_normalization": {"vote_normalization_enabled": False},
    "bandwidth": {"bandwidth_cap": None},
    "staking": {"staking_enabled": False},
    "transaction_tax": {"transaction_tax_rate": 0.0},
    "audit": {"audit_enabled": False},
    "circuit_breaker": {"circuit_breaker_enabled": False},
    "collusion": {"collusion_detection_enabled": False},
    "security": {"security_enabled": False},
}


def test_every_lever_can_be_turned_off() -> None:
    assert set(OFF) == set(LEVERS)


@pytest.mark.parametrize("lever", OFF)
def test_a_lever_moves_no_draw_but_its_own(lever: str) -> None:
    """Every agent always has the same intents here, so all draws of proposals must be the same without the lever."""

    def draws(governance: dict[str, Any]) -> list[tuple[float, ...]]:
        # high limits, so that nothing but a freeze or a stake could keep a proposal from being made
        easy = {"min_stake_to_participate": 0.0, "bandwidth_cap": 1000, "security_quarantine_threshold": 1.0}
        easy |= {"freeze_threshold_violations": 1000, **governance}
        network = {"enabled": False, "params": {}, "topology": "complete", "dynamic": True}
        scenario = rich(governance=easy, network=network, rate_limits={"interactions_per_step": 60})
        compiled = compile_scenario(scenario, "all")
        state, view = compiled.allocate(1)
        compiled.reset(state, view, 0, 1)
        seen = []
        for step in range(40):
            actions = np.zeros((1, compiled.num_learners, len(compiled.nvec)), dtype=np.int64)
            actions[:, :, : compiled.inbox] = view.mask[:, :, 1 : 2 * compiled.inbox : 2]
            actions[:, :, compiled.inbox :] = (1, step % compiled.peers, step % 4)
            compiled.advance(state, view, actions, 0, 1)
            offers = state.proposals[0]
            seen += [tuple(row) for row in offers[["rework", "rejections", "misuse"]].tolist()]
        return seen

    with_lever, without = draws({}), draws(OFF[lever])
    assert len(with_lever) == len(without) > 300
    assert with_lever == without
