"""Scenarios: the shipped ones, both ways between YAML and objects, derived values, overrides."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.governance import LEVERS
from swarm_env.core.payoff import Payoff
from swarm_env.scenario import Scenario, load_scenario, swarm_keys, yaml_text
from swarm_env.scenario.messages import keys_of, section_of
from swarm_env.scenario.network import Network
from swarm_env.scenario.sections import Governance, SuccessCriteria, Weights

SHIPPED = sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))
TWO = {"scenario_id": "two", "agents": [{"type": "honest", "count": 2}]}


def load(overrides: Any = (), **keys: Any) -> Scenario:
    return load_scenario({**TWO, **keys}, overrides)


def test_all_six_are_shipped() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "alignment_waltz_targeted_feedback",
        "macpo_weak_to_strong",
        "strict_governance",
        "security_evaluation",
        "collusion_detection",
        "baseline",
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_loads_twice_the_same_and_round_trips(path: Path, tmp_path: Path) -> None:
    scenario = load_scenario(path)
    again = load_scenario(str(path))
    assert scenario == again
    assert hash(scenario) == hash(again)
    assert scenario.content_hash == again.content_hash
    assert scenario.scenario_id == path.stem
    assert scenario.outputs.event_log == f"logs/{path.stem}_events.jsonl"
    assert scenario.outputs.metrics_csv == f"logs/{path.stem}_metrics.csv"
    copies = [
        load_scenario(scenario.to_dict()),
        load_scenario(scenario.to_dict(defaults=True) | _sparse(scenario)),
    ]
    written = tmp_path / "copy.yaml"
    written.write_text(scenario.to_yaml(), encoding="utf-8")
    for other in (
        *copies,
        load_scenario(written),
        pickle.loads(pickle.dumps(scenario)),
        copy.deepcopy(scenario),
    ):
        assert other == scenario
        assert other.content_hash == scenario.content_hash


def _sparse(scenario: Scenario) -> dict[str, Any]:
    """The network without its defaults: some of them would be inert, so they may not be written out."""
    return {"network": scenario.to_dict().get("network")}


def test_waltz_says_what_its_issue_says() -> None:
    s = load_scenario(SHIPPED[0].parent / "alignment_waltz_targeted_feedback.yaml")
    assert [(g.type, g.count) for g in s.agents] == [
        ("honest", 3), ("opportunistic", 2), ("deceptive", 1), ("adversarial", 1),
    ]  # fmt: skip
    assert s.to_dict()["governance"] == {
        "circuit_breaker_enabled": True,
        "freeze_threshold_toxicity": 0.6,
        "freeze_threshold_violations": 2,
        "audit_enabled": True,
        "audit_probability": 0.2,
        "audit_threshold_p": 0.6,
        "security_enabled": True,
        "security_penalty_multiplier": 1.5,
    }
    assert (s.num_steps, s.simulation.seed, s.payoff.h, s.payoff.w_rep) == (240, 101, 2.5, 1.5)
    assert s.success_criteria == SuccessCriteria(toxicity_threshold=0.35)


def test_macpo_says_what_its_issue_says() -> None:
    s = load_scenario(SHIPPED[0].parent / "macpo_weak_to_strong.yaml")
    assert [(g.type, g.count) for g in s.agents] == [("honest", 4), ("opportunistic", 2), ("deceptive", 2)]
    assert s.governance.reputation_decay_rate == 0.9
    assert s.governance.max_vote_weight_per_agent == 4.0
    assert s.governance.audit_threshold_p == 0.55
    assert (s.num_steps, s.simulation.seed, s.payoff.w_rep) == (250, 202, 1.2)
    assert s.rate_limits.votes_per_epoch == 40


def test_governance_holds_every_lever_in_order() -> None:
    expected = [name for lever in LEVERS.values() for name in lever.Config.model_fields]
    assert list(Governance.model_fields) == expected
    assert len(set(expected)) == len(expected), "two levers share a key"


def test_every_field_says_what_it_means() -> None:
    def visit(section: Any) -> None:
        for name, field in section.model_fields.items():
            assert field.description, (section, name)
            below = section_of(field.annotation)
            if below is not None:
                visit(below)

    visit(Scenario)


def test_swarm_keys_are_those_we_do_not_have() -> None:
    for where, names in swarm_keys.KEYS.items():
        field = Scenario.model_fields.get(where)
        section = Scenario if field is None else section_of(field.annotation)
        assert section is not None
        assert not names & set(keys_of(section)), where
    for archetype, names in swarm_keys.AGENT_CONFIG.items():
        assert not names & ARCHETYPES[archetype].Config.model_fields.keys()
    assert not swarm_keys.AGENT_TYPES & ARCHETYPES.keys()
    assert len(swarm_keys.GOVERNANCE) + len(Governance.model_fields) == 165  # as SWARM 1.9.0 counts them


# --- derived values


def test_agents_are_numbered_over_all_groups() -> None:
    groups = [
        {"type": "honest", "count": 2},
        {"type": "deceptive", "name": "actor"},
        {"type": "honest"},
        {"type": "cautious", "count": 0},
    ]
    s = load(agents=groups)
    assert s.agent_names == ["honest_1", "honest_2", "actor_1", "honest_3"]
    assert s.archetypes == ("honest", "honest", "deceptive", "honest")
    assert s.num_agents == 4


def test_config_is_the_archetypes_own() -> None:
    s = load(agents=[{"type": "honest", "count": 2, "config": {"trust_weight": 1}}, {"type": "adversarial"}])
    assert s.agents[0].config == ARCHETYPES["honest"].Config(trust_weight=1.0)
    assert s.agents[1].config == ARCHETYPES["adversarial"].Config()
    assert s.to_dict()["agents"] == [
        {"type": "honest", "count": 2, "config": {"trust_weight": 1.0}},
        {"type": "adversarial"},
    ]


def test_hash_is_of_the_settings_not_of_the_way_they_are_written() -> None:
    written_out = load(governance={"audit_probability": 0.1}, description="")
    assert written_out == load()
    assert written_out.content_hash == load().content_hash
    assert load(simulation={"seed": 1}).content_hash != load().content_hash
    config = {"type": "honest", "count": 2, "config": {"trust_weight": 0.2}}
    assert load(agents=[config]).content_hash != load().content_hash


def test_sections_may_be_empty_or_objects() -> None:
    s = load(governance=None, rate_limits=None, network=None, outputs={}, payoff=Payoff(h=3.0))
    assert s == load(payoff={"h": 3})
    assert load(network={}).network == Network()
    assert load(network={}).to_dict()["network"] == {}


def test_weights_count_by_their_share() -> None:
    w = Weights(task_progress=1, rework=1, verifier=2, engagement=0)
    assert w.normalised == (0.25, 0.25, 0.5, 0.0)


def test_spellings_of_swarm() -> None:
    assert load(governance={"transaction_tax": 0.1, "reputation_decay": 0.5}) == load(
        governance={"transaction_tax_rate": 0.1, "reputation_decay_rate": 0.5}
    )
    spelled: list[dict[str, Any]] = [
        {"params": {"k": 6, "p": 0.3}},
        {"params": {"k_neighbors": 6, "rewire_probability": 0.3}},
        {"k_neighbors": 6, "rewire_probability": 0.3},
        {"k_neighbors": 6, "params": {"p": 0.3}},
    ]
    networks = [load(network={"topology": "small_world", **s}).network for s in spelled]
    assert set(networks) == {Network(topology="small_world", k_neighbors=6, rewire_probability=0.3)}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60), st.floats(0, 1e6))
def test_any_text_and_number_survive_yaml(text: str, number: float) -> None:
    s = load(description=text, motif=text + "\n\tx", payoff={"h": number})
    data, _ = yaml_text.read(s.to_yaml(), "copy")
    assert load_scenario(data) == s


@pytest.mark.parametrize("text", ["1e3", "yes", "null", "~", "0o17", "true", "-", "a: b", "#", "1_0", "<<", ""])
def test_text_that_looks_like_something_else_survives_yaml(text: str) -> None:
    data, _ = yaml_text.read(load(description=text).to_yaml(), "copy")
    assert load_scenario(data).description == text


def test_swarm_reads_what_we_write() -> None:
    s = load_scenario(SHIPPED[0].parent / "collusion_detection.yaml")
    assert yaml.safe_load(s.to_yaml()) == s.to_dict()
