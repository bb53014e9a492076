"""Markets of many agents: what they take grows with agents and contacts, never with pairs of agents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import swarm_env
from swarm_env.compile import compile_scenario
from swarm_env.contact_graph import contact_pairs, directed
from swarm_env.core import extremes
from swarm_env.core.compiled import JIT
from swarm_env.scenario import ScenarioError
from tests import large_hints

#: Contacts of an agent do not grow with the market.
NETWORKS = {
    "ring": {"topology": "ring"},
    "star": {"topology": "star"},
    "small_world": {"topology": "small_world", "k_neighbors": 8, "rewire_probability": 0.2},
    "scale_free": {"topology": "scale_free", "m_edges": 4},
}
ALL_ON = {
    "collusion_detection_enabled": True,
    "security_enabled": True,
    "audit_enabled": True,
    "circuit_breaker_enabled": True,
    "transaction_tax_rate": 0.05,
}


def scenario(agents, network, steps=6, epochs=2):
    return swarm_env.load_scenario(
        {
            "scenario_id": "large",
            "agents": [
                {"type": "honest", "count": agents - 2 * (agents // 4)},
                {"type": "opportunistic", "count": agents // 4},
                {"type": "adversarial", "count": agents // 4},
            ],
            "network": {**network, "dynamic": True},
            "governance": ALL_ON,
            "simulation": {"n_epochs": epochs, "steps_per_epoch": steps, "seed": 1},
        }
    )


def erdos_renyi(agents):
    return {"topology": "random_erdos_renyi", "edge_probability": 8 / (agents - 1)}


def sizes(agents, network):
    """Bytes by what they are: of tables, of what is shown, of a snapshot, of what is asked for; and contacts."""
    env = swarm_env.vector_env(scenario(agents, network), 1)
    seen, _ = env.reset(seed=0)
    found = {f"state.{name}": part.nbytes for name, part in env.state_tables._asdict().items()}
    found |= {f"scene.{name}": part.nbytes for name, part in env._scene._asdict().items()}
    found |= {name: part.nbytes for name, part in seen.items()}
    found |= {"snapshot": len(env.snapshot()), "state()": env.state().nbytes, "ledger": env.ledger().nbytes}
    return found, env._scene.edges.shape[1]


@pytest.mark.parametrize("name", [*NETWORKS, "random_erdos_renyi"])
def test_memory_is_linear_in_agents_and_contacts(name):
    agents = 600
    network = [NETWORKS.get(name) or erdos_renyi(n) for n in (agents, 2 * agents)]
    (once, contacts), (twice, more) = (sizes(n, net) for n, net in zip((agents, 2 * agents), network, strict=True))
    assert more <= 2.2 * contacts
    for part, nbytes in twice.items():
        assert nbytes <= 2.2 * once[part], part
    assert sum(once.values()) < agents * 6000 + contacts * 400


@pytest.mark.parametrize("name", ["ring", "small_world", "scale_free"])
def test_a_search_visits_each_agent_a_bounded_number_of_times(name):
    compiled = compile_scenario(scenario(1000, NETWORKS[name]), "honest_1")
    state, view = compiled.allocate(1)
    compiled.reset(state, view, 0, 1)
    actions = np.zeros((1, 1, len(compiled.nvec)), dtype=np.int64)
    for _ in range(6):  # the last one opens an epoch
        compiled.advance(state, view, actions, 0, 1)
    work = state.nodes[0]
    assert (work["outs"] > 0).any()
    assert work["visits"].max() <= extremes.TRIES
    assert work["sought"].sum() < 64  # agents left to searches that cost as much as the market is large


@pytest.mark.skipif(not JIT, reason="machine code is off")
def test_what_is_asked_for_ahead_is_there_and_changes_nothing():
    answer = subprocess.run(
        [sys.executable, "-m", "tests.large_hints"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {name: large_hints.played(name) for name in large_hints.CASES}


def test_the_contact_graph_is_built_without_pairs_of_strangers(monkeypatch):
    pairs = contact_pairs(scenario(100_000, NETWORKS["small_world"]))
    assert len(pairs) == 400_000
    monkeypatch.setattr(np, "empty_like", bounded(np.empty_like, 2_000_000))
    start, peer, back = directed(pairs, 100_000)
    assert len(start) == 100_001
    assert len(peer) == len(back) == 800_000
    assert np.array_equal(back[back], np.arange(800_000))


def bounded(make, entries):
    """An allocator that refuses more than so many entries."""

    def allocate(*args, **kwargs):
        made = make(*args, **kwargs)
        assert made.size <= entries
        return made

    return allocate


def test_a_hundred_thousand_agents_step_in_one_environment():
    began = time.process_time()
    market = scenario(100_000, NETWORKS["small_world"], steps=3)
    env = swarm_env.vector_env(market, 1, learners="all")
    env.reset(seed=0)
    actions = np.zeros((1, 100_000, len(env.single_action_space.nvec)), dtype=np.int64)
    actions[..., : env.compiled.inbox] = 1
    actions[..., env.compiled.inbox] = 1  # propose
    total = 0.0
    for step in range(5):  # an epoch and two thirds
        actions[..., env.compiled.inbox + 1] = step
        seen, rewards, _, _, _ = env.step(actions)
        total += float(np.abs(rewards).sum())
    assert total > 0
    assert np.isfinite(seen["observation"]).all()
    assert env.state_tables.rows["settled"][0] > 100_000
    assert (env.state_tables.books["threat"] > 0).any()
    assert time.process_time() - began < 60  # seconds measured: some 5, and 40 more where the rules must be compiled


def test_everybody_dealing_with_everybody_is_refused_above_a_size():
    with pytest.raises(ScenarioError, match="1000 agents need a network") as refused:
        scenario(1000, {"topology": "complete"})
    assert "up to 256 agents" in str(refused.value)


def test_learners_given_by_name_are_found_without_a_search_through_all_agents(monkeypatch):
    from swarm_env import compile as compiling

    names = tuple(f"honest_{k}" for k in range(1, 5001))
    monkeypatch.setattr(compiling, "fnmatchcase", None)  # not even called
    assert compiling.select(names, names[::2]) == names[::2]
