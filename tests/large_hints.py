"""A market of 24 agents whose plain rules take it for a large one: what is asked for ahead must be there to be read.

`python -m tests.large_hints` under NUMBA_DISABLE_JIT=1 prints what machine code, which takes it for a small one, plays.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from swarm_env.compile import compile_scenario
from swarm_env.core import prefetch, prefetch_large
from swarm_env.core.compiled import JIT
from tests.market import rich

KINDS = ("honest", "opportunistic", "deceptive", "adversarial")
STEPS = 60
WORLD = {"topology": "small_world", "params": {"k": 6, "p": 0.2}}
#: More contacts than slots, as many, and none; everybody learns, one does, nobody.
CASES: dict[str, tuple[dict[str, Any], int, Any]] = {
    "slots vary": (WORLD, 4, "all"),
    "slots vary, one learner": (WORLD, 4, "honest_1"),
    "slots vary, no learner": (WORLD, 4, ()),
    "room for all": ({"topology": "ring", "params": None}, 6, "all"),
    "strangers": ({"topology": "random_erdos_renyi", "params": {"edge_probability": 0.0}}, 4, "all"),
}


def played(name: str) -> str:
    """Hash of what a case leaves after each step, with choices drawn at random, legal or not."""
    network, peers, learners = CASES[name]
    agents = [{"type": kind, "count": 6} for kind in KINDS]
    market = rich(agents=agents, network=network, view={"peers": peers}, market={"history_per_agent": 1})
    compiled = compile_scenario(market, learners)
    state, view = compiled.allocate(1)
    compiled.reset(state, view, 0, 1)
    rng, digest = np.random.default_rng(5), hashlib.sha256()
    for _ in range(STEPS):
        actions = rng.integers(0, compiled.nvec, (1, compiled.num_learners, len(compiled.nvec)))
        compiled.advance(state, view, actions, 0, 1)
        for part in (state.agents, state.books, state.contacts, state.slots, *view):
            digest.update(repr(part.tolist()).encode())  # not the bytes: of those between fields nobody takes care
    assert state.rows["settled"][0] > len(KINDS) * 6 or name == "strangers"  # more than the history holds
    return digest.hexdigest()


if __name__ == "__main__":
    assert not JIT
    prefetch.LARGE = prefetch_large.LARGE = prefetch.SEATS
    print(json.dumps({name: played(name) for name in CASES}))
