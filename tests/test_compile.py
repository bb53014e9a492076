"""Scenario -> tables: who is a learner, which number lands where, what is legal; compiled against plain rules."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from swarm_env import testing
from swarm_env.compile import compile_scenario, select
from swarm_env.core import act, decide, features, observe, propose, respond, step, turn, types
from swarm_env.core import compiled as compiled_rules
from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.governance import LEVERS
from swarm_env.core.proxy import score
from swarm_env.core.types import CONDUCTS
from swarm_env.scenario import load_scenario
from tests.market import RICH, rich

NAMES = ("honest_1", "honest_2", "honest_10", "adversarial_1")


def compiled(agents=(("honest", 3),), learners=(), **sections):
    groups = [{"type": kind, "count": count} for kind, count in agents]
    return compile_scenario(load_scenario({"scenario_id": "t", "agents": groups, **sections}), learners)


# ---- learners


@pytest.mark.parametrize(
    ("learners", "chosen"),
    [
        ((), ()),
        ([], ()),
        ("all", NAMES),
        ("honest_1", NAMES[:1]),
        ("honest_*", NAMES[:3]),
        ("*_1", (NAMES[0], NAMES[3])),
        ("honest_?", NAMES[:2]),
        ("*_[2-9]", (NAMES[1],)),
        (["adversarial_1", "honest_2"], (NAMES[1], NAMES[3])),  # in the scenario's order
        (["honest_2", "honest_*", "honest_2"], NAMES[:3]),  # once each
        (("all", "honest_1"), NAMES),
    ],
)
def test_learners_are_chosen_by_name_and_pattern(learners, chosen):
    assert select(NAMES, learners) == chosen


@pytest.mark.parametrize(
    ("learners", "says"),
    [
        ("honset_1", "'honset_1' fits no agent; did you mean 'honest_1'"),
        ("zzz*", "'zzz\\*' fits no agent.*Agents: honest_1, honest_2, honest_10, adversarial_1"),
        (["honest_1", "Honest_*"], "'Honest_\\*' fits no agent"),
        ("", "'' fits no agent"),
    ],
)
def test_learners_that_fit_nobody_are_named_with_the_nearest_agent(learners, says):
    with pytest.raises(ValueError, match=says):
        select(NAMES, learners)


@pytest.mark.parametrize("learners", [[1], [None], [("honest_1",)]])
def test_learners_must_be_text(learners):
    with pytest.raises(TypeError, match="names or patterns"):
        select(NAMES, learners)


def test_learners_take_the_rows_of_the_action_array_in_order():
    made = compiled((("honest", 2), ("adversarial", 2)), ["adversarial_2", "honest_2"])
    assert made.learner_names == ("honest_2", "adversarial_2")
    assert made.scene.seats["learner"][0].tolist() == [-1, 0, -1, 1]
    assert (made.num_agents, made.num_learners) == (4, 2)


# ---- numbers


def test_every_number_of_a_section_is_a_parameter_of_its_name():
    scenario = load_scenario(RICH)
    params = compile_scenario(scenario).scene.params[0]
    sections = ("governance", "payoff", "rate_limits", "simulation", "market")
    for section in (getattr(scenario, name) for name in sections):
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, bool | int | float):
                assert params[name] == value
    for name in ("dynamic", "edge_strengthen_rate", "edge_decay_rate", "min_edge_weight", "max_edge_weight"):
        assert params[name] == getattr(scenario.network, name)
    assert params["reputation_disconnect_threshold"] == scenario.network.reputation_disconnect_threshold


def test_what_is_absent_is_compiled_to_what_never_binds():
    params = compiled().scene.params[0]
    assert params["bandwidth_cap"] == -1
    assert compiled(governance={"bandwidth_cap": 0}).scene.params[0]["bandwidth_cap"] == 0
    assert not params["dynamic"]
    assert params["reputation_disconnect_threshold"] < -1
    off = {"enabled": False, "topology": "ring", "dynamic": True, "reputation_disconnect_threshold": 0.5}
    params = compiled(network=off).scene.params[0]
    assert not params["dynamic"]
    assert params["reputation_disconnect_threshold"] < -1


def test_prices_weights_and_decays_keep_their_order():
    conduct = {"effort": {"honest": 0.5, "deceptive": 0.25}, "extraction": {"adversarial": 3.0}}
    weights = {"task_progress": 4, "rework": 3, "verifier": 2, "engagement": 1}
    params = compiled(conduct=conduct, market={"weights": weights, "decays": {"misuse": 0.9}}).scene.params[0]
    assert params["effort"].tolist() == [0.5, 0.1, 0.25, 0.0]
    assert params["extraction"].tolist() == [0.0, 0.1, 0.15, 3.0]
    assert params["weights"].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert params["count_signals"][:, 1].tolist() == pytest.approx([-0.4, -0.2, 0.8])
    assert params["count_signals"][2].tolist() == pytest.approx([1, 0.8, 0.62, 0.458])


def test_agents_begin_as_their_group_says():
    groups = [{"type": name} for name in ARCHETYPES] + [{"type": "cautious", "config": {"threshold": 0.125}}]
    scenario = load_scenario({"scenario_id": "t", "agents": groups})
    agents = compile_scenario(scenario).scene.seats[0]
    assert agents["archetype"].tolist() == [*range(len(ARCHETYPES)), list(ARCHETYPES).index("cautious")]
    for agent, group in zip(agents, scenario.agents, strict=True):
        settings = [float(getattr(group.config, name)) for name in type(group.config).model_fields]
        assert agent["traits"][: len(settings)].tolist() == settings
        assert not agent["traits"][len(settings) :].any()
    assert agents["traits"][-1, 0] == 0.125


def test_records_have_room_for_every_lever_and_archetype():
    assert len(LEVERS) == types.NUM_LEVERS
    assert max(len(module.Config.model_fields) for module in ARCHETYPES.values()) == types.NUM_TRAITS


def test_a_market_begins_with_strangers_and_full_purses():
    market = testing.plain_market({"scenario_id": "t", "agents": [{"type": "honest", "count": 3}]})
    assert set(market.agents.resources) == {100.0}
    assert set(market.agents.reputation) == {0.0}
    assert set(market.contacts.trust) == set(market.pairs.won) == {0.5}
    assert set(market.contacts.weight) == {1.0}
    assert (market.row.toxicity, market.row.mean_p) == (0.5, 0.5)
    data = {"scenario_id": "t", "agents": [{"type": "honest", "count": 2}], "market": {"initial_resources": 7.0}}
    assert set(testing.plain_market(data).agents.resources) == {7.0}


@pytest.mark.parametrize(
    ("k", "weights", "decays"),
    [
        (2.0, (0.4, 0.2, 0.2, 0.2), (0.3, 0.4, 0.5)),
        (0.5, (0, 1, 0, 0), (0.9, 0.4, 0.5)),
        (8.0, (1, 0, 3, 1), (0.3, 0.1, 0.8)),
        (100.0, (1, 0, 0, 1), (0.3, 0.4, 0.5)),
    ],
)
def test_expected_p_is_what_conduct_draws_at_reputation_0(k, weights, decays):
    names = ("task_progress", "rework", "verifier", "engagement")
    market = {
        "weights": dict(zip(names, weights, strict=True)),
        "decays": dict(zip(("rework", "rejections", "misuse"), decays, strict=True)),
    }
    expected = compiled(market=market, payoff={"sigmoid_k": k}).scene.params[0]["expected_p"]
    rng, draws, ranges = np.random.default_rng(0), 40_000, (propose.REWORK, propose.REJECTIONS, propose.MISUSE)
    for c in range(len(CONDUCTS)):
        counts = [rng.integers(*low_high[c], draws, endpoint=True) for low_high in ranges]
        progress, engagement = (0.75 * rng.uniform(*r[c], draws) for r in (propose.PROGRESS, propose.ENGAGEMENT))
        _, p = score(progress, *counts, engagement, k=k, weights=weights, decays=decays)
        assert expected[c] == pytest.approx(p.mean(), abs=5 * p.std() / np.sqrt(draws) + 1e-9)


# ---- sizes


@pytest.mark.parametrize(
    ("count", "limit", "view", "inbox", "peers"),
    [
        (2, 5, {}, 1, 1),
        (4, 5, {}, 3, 3),
        (4, 2, {}, 2, 3),
        (30, 5, {}, 5, 16),
        (30, 64, {}, 29, 16),
        (30, 5, {"inbox": 9, "peers": 20}, 9, 20),
        (3, 5, {"inbox": 1, "peers": 1}, 1, 1),
        (3, 5, {"inbox": 8, "peers": 8}, 8, 8),
    ],
)
def test_slots_do_not_grow_with_the_market(count, limit, view, inbox, peers):
    made = compiled((("honest", count),), "all", rate_limits={"interactions_per_step": limit}, view=view)
    assert (made.inbox, made.peers) == (inbox, peers)
    assert made.nvec.tolist() == [2] * inbox + [5, peers, 4]
    seen = len(features.OWN) + inbox * len(features.INBOX) + peers * len(features.PEER)
    assert len(made.feature_names) == len(set(made.feature_names)) == seen
    low, high = made.feature_bounds
    assert low.shape == high.shape == (seen,)
    state, view_tables = made.allocate(3)
    assert view_tables.observation.shape == (3, count, seen)
    assert view_tables.mask.shape == (3, count, 2 * inbox + 5 + peers + 4)
    assert state.agents.shape == (3, count)
    assert made.global_state(state).shape == (3, *made.state_bounds[0].shape)
    assert made.ledger(state).shape == (3, count, inbox, len(features.LEDGER))


def test_history_is_kept_only_for_security_control():
    assert compiled().initial.history.shape == (1, 1)
    made = compiled(governance={"security_enabled": True}, market={"history_per_agent": 4})
    assert made.initial.history.shape == (1, 12)


# ---- what is legal


def masks(market, nvec):
    out = np.zeros((len(market.agents), sum(nvec)), dtype=np.int8)
    seen = np.zeros(observe.NUM_OWN + 4 * (market.params.inbox + market.params.peers), dtype=np.float32)
    observe.show_agents(market)
    for i in range(len(market.agents)):
        observe._write_view(market, i, seen, out[i])
        observe._write_inbox(market, i, seen, out[i])
    return out


def illegal(market, actions):
    decide.decide(market, np.array(actions))
    return [int(outcome.illegal) for outcome in market.outcomes]


@pytest.mark.parametrize("seed", range(2))
def test_the_mask_marks_exactly_what_is_taken_as_told(seed):
    """Every legal action counts nothing; every single change to an illegal choice that matters counts one."""
    market, rng, met = testing.plain_market(rich(view={"peers": 4}), "all", seed), np.random.default_rng(seed), set()
    inbox = int(market.params.inbox)
    nvec = [2] * inbox + [len(types.VERBS), int(market.params.peers), len(CONDUCTS)]
    choices = [(head, choice) for head, size in enumerate(nvec) for choice in range(size)]
    for n in range(79):
        mask = masks(market, nvec)
        heads = np.split(mask, np.cumsum(nvec)[:-1], axis=1)
        assert all((head.sum(axis=1) >= 1).all() for head in heads)
        step.begin(market)
        actions = [testing.sample(rng, nvec, row) for row in mask]
        for h, choice in choices if n % 10 == 9 else ():
            changed = [action.copy() for action in actions]
            for i, action in enumerate(changed):
                if h == inbox + 1:  # a peer slot matters to who proposes, if it can
                    action[inbox] = types.PROPOSE * heads[inbox][i, types.PROPOSE]
                action[h] = choice
            for i, count in enumerate(illegal(market, changed)):
                matters = h <= inbox or (h == inbox + 1 and changed[i][inbox] == types.PROPOSE)
                assert count == int(matters and not heads[h][i, choice])
                met.add((h - inbox, bool(heads[h][i, choice])))
        assert not any(illegal(market, actions))
        for phase in (respond.respond, act.act, turn.turn):
            phase(market)
    assert {(h, legal) for h in (-1, 0, 1) for legal in (True, False)} <= met


@pytest.mark.parametrize("why", ["frozen_until", "quarantined_until"])
def test_who_is_frozen_can_only_refuse_and_do_nothing(why):
    market = testing.plain_market({"scenario_id": "t", "agents": [{"type": "honest", "count": 3}]}, "all")
    market.agents[0].inbox, market.agents[0].first, market.agents[1].proposed = 1, 1, market.seats[1].start
    free = masks(market, [2, 2, 5, 2, 4])[0].tolist()
    assert free == [1, 1, 1, 0] + [1] * 11
    setattr(market.agents[0], why, 1)
    assert masks(market, [2, 2, 5, 2, 4])[0].tolist() == [1, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0]


# ---- compiled rules against plain ones

#: Scenario -> learners. With all learners the learners' rules run; with one, the archetypes' do too.
RUNS = {
    "alignment_waltz_targeted_feedback": "all",
    "collusion_detection": "all",
    "security_evaluation": "all",
    "strict_governance": "honest_1",
    "rich": "honest_1",
    "crowd": "all",
    "strangers": "all",
}
#: More agents than a machine word has bits, see `core.picks`.
CROWD = rich(agents=[{"type": kind, "count": 24} for kind in ("honest", "opportunistic", "adversarial")])
#: Nobody has a contact.
STRANGERS = rich(network={"topology": "random_erdos_renyi", "params": {"edge_probability": 0.0}})
OWN = {"rich": RICH, "crowd": CROWD.to_dict(), "strangers": STRANGERS.to_dict()}
HASHES = """
import hashlib, json, sys
from swarm_env import testing
from swarm_env.core.compiled import JIT
runs = json.load(sys.stdin)
found = {name: hashlib.sha256(testing.trajectory(*run)).hexdigest() for name, run in runs.items()}
print(json.dumps([JIT, found]))
"""


@pytest.mark.skipif(not compiled_rules.JIT, reason="machine code is off")
def test_compiled_and_plain_rules_play_the_same_market_byte_for_byte():
    runs = {name: (OWN.get(name, name), 12 if name == "crowd" else 60, 7, learners) for name, learners in RUNS.items()}
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", HASHES],
        input=json.dumps(runs),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    machine_code, plain = json.loads(answer.stdout)
    assert not machine_code
    assert plain == {name: hashlib.sha256(testing.trajectory(*run)).hexdigest() for name, run in runs.items()}
