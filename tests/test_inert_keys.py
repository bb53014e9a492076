"""No key is inert: for every key that a scenario accepts, changing it alone changes what the run shows.

The keys come from the schema itself, so a new lever or setting is tested by existing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import swarm_env
from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.criteria import CRITERIA
from swarm_env.recording import output_paths
from swarm_env.scenario import Scenario, load_scenario
from tests.market import RICH, rich, shown

#: The same for agents' settings, in the `config` of both runs.
CONFIG: dict[str, dict[str, Any]] = {"honest-trust_weight": {"acceptance_threshold": 0.38}}
AGENT_CHANGES = {"deceptive-exploitation_threshold": 1.0, "honest-trust_weight": 1.0}

#: Sections with a test of their own below, because they do not act inside the market.
ELSEWHERE = {"scenario_id", "description", "motif", "agents", "success_criteria", "outputs"}

#: Values to change to where half or twice the value would not do, and what must be changed besides for both runs.
CHANGES: dict[str, Any] = {
    "simulation.seed": 4,
    "governance.security_min_chain_length": 5,
    "governance.security_contagion_velocity": 100.0,
    "governance.collusion_min_interactions": 40,
    "governance.security_min_interactions": 300,
    "governance.security_injection_threshold": 0.9,
    "governance.security_quarantine_threshold": 0.3,
    "governance.security_realtime_threshold": 0.9,
    "governance.freeze_duration_epochs": 3,
    "governance.transaction_tax_split": 0.1,
    "market.safety_threshold": 0.7,
    "market.history_per_agent": 1,
    "network.topology": "ring",
    "network.k_neighbors": 2,
    "network.max_edge_weight": 0.5,
    "network.edge_probability": 0.9,
    "network.m_edges": 3,
    "view.inbox": 1,
    "view.peers": 2,
}
#: The network of `rich`, with nothing set that only a dynamic one has.
LASTING = dict.fromkeys(("edge_strengthen_rate", "edge_decay_rate", "min_edge_weight"))

#: Settings both runs need for a key to have something to act on.
CONTEXT: dict[str, dict[str, Any]] = {
    "network.edge_probability": {"network": {"topology": "random_erdos_renyi", "params": {}}},
    "network.m_edges": {"network": {"topology": "scale_free", "params": {}}},
    "network.topology": {"network": {"params": {}, "topology": "star"}},
    # harmful dealings must be passed on for contagion: p < .3 is rare unless weights favour the counts
    "governance.security_contagion_velocity": {
        "agents": [{"type": "honest"}, {"type": "adversarial", "count": 5, "config": {"target_honest": False}}],
        "rate_limits": {"posts_per_epoch": 0, "votes_per_epoch": 0},
        "market": {"weights": {"task_progress": 0.1, "rework": 0.5, "verifier": 0.4, "engagement": 0.0}},
        "governance": {
            "circuit_breaker_enabled": False, "audit_enabled": False, "staking_enabled": False,
            "collusion_detection_enabled": False, "security_quarantine_threshold": 1.0,
            "security_injection_threshold": 1.0, "security_manipulation_threshold": 1.0,
            "security_realtime_penalty": False,
        },
        "conduct": {"extraction": {"adversarial": 0.0}},
    },
    "network.dynamic": {"network": LASTING, "simulation": {"n_epochs": 60, "steps_per_epoch": 2}},
}  # fmt: skip


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, default) of every setting under a model."""
    for name, field in model.model_fields.items():
        nested = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        section = next((t for t in nested if issubclass(t, BaseModel)), None)
        if section is not None:
            yield from leaves(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.get_default(call_default_factory=True)


MARKET_KEYS = sorted(key for key, _ in leaves(Scenario) if key.split(".")[0] not in ELSEWHERE)
DEFAULTS = dict(leaves(Scenario))


def current(scenario: Scenario, key: str) -> Any:
    value: Any = scenario
    for part in key.split("."):
        value = getattr(value, part)
    return value


def another(key: str, value: Any) -> Any:
    """A value that differs from the present one and lies in range."""
    if key in CHANGES:
        return CHANGES[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return max(value // 2, 1) if value > 1 else value + 1
    return value / 2 if value else 0.5


@cache
def base(key: str) -> tuple[Scenario, str]:
    scenario = rich(**CONTEXT.get(key, {}))
    return scenario, shown(scenario)


def changed(key: str, value: Any) -> Scenario:
    section, _, rest = key.partition(".")
    context = {name: dict(part) if isinstance(part, dict) else part for name, part in CONTEXT.get(key, {}).items()}
    inner: dict[str, Any] = dict(context.get(section, {}))
    head, _, leaf = rest.partition(".")
    if leaf:
        inner[head] = {**inner.get(head, {}), leaf: value}
    elif section == "network" and head in ("k_neighbors", "rewire_probability"):
        short = {"k_neighbors": "k", "rewire_probability": "p"}[head]
        inner["params"] = {**RICH["network"]["params"], short: value}
    else:
        inner[head] = value
    return rich(**{**context, section: inner})


@pytest.mark.parametrize("key", MARKET_KEYS)
def test_changing_a_key_changes_the_run(key: str) -> None:
    scenario, before = base(key if key in CONTEXT else "")
    value = another(key, current(scenario, key))
    after = changed(key, value)
    assert current(after, key) == value != current(scenario, key)
    if key == "market.safety_threshold":  # a threshold of the metrics alone
        runs = [swarm_env.run(each, out=None).metrics["attack_success_rate"] for each in (scenario, after)]
        assert runs[0] != runs[1]
    else:
        assert shown(after) != before


@pytest.mark.parametrize(
    ("archetype", "setting"), [(name, key) for name, module in ARCHETYPES.items() for key in module.Config.model_fields]
)
def test_changing_an_agents_setting_changes_the_run(archetype: str, setting: str) -> None:
    mixed = [{"type": "opportunistic", "count": 2}, {"type": "adversarial", "count": 2, "name": "foe"}]
    others = mixed if archetype == "honest" else [{"type": "honest", "count": 2}]
    learner = {"type": "honest", "count": 1, "name": "seat"}
    default, name = getattr(ARCHETYPES[archetype].Config(), setting), f"{archetype}-{setting}"
    quiet = {"circuit_breaker_enabled": False, "security_enabled": False, "staking_enabled": False}

    def play(value: Any) -> str:
        group = {"type": archetype, "count": 3, "name": "focal", "config": {**CONFIG.get(name, {}), setting: value}}
        audit = {"audit_threshold_p": 0.7, "audit_probability": 0.8} if archetype == "adaptive_adversary" else {}
        limits = {"posts_per_epoch": 10, "votes_per_epoch": 1}
        return shown(rich(agents=[learner, group, *others], governance=quiet | audit, network={}, rate_limits=limits))

    assert play(default) != play(AGENT_CHANGES.get(name, another(setting, default)))


def test_agents_type_count_and_name_change_the_run() -> None:
    plain = [{"type": "honest", "count": 2}, {"type": "opportunistic", "count": 2}]
    first = rich(agents=plain)
    assert shown(first) != shown(rich(agents=[plain[0], {"type": "deceptive", "count": 2}]))
    assert shown(first) != shown(rich(agents=[plain[0], {"type": "opportunistic", "count": 3}]))
    named = rich(agents=[plain[0], {"type": "opportunistic", "count": 2, "name": "broker"}])
    assert [*named.agent_names] == ["honest_1", "honest_2", "broker_1", "broker_2"]


def test_descriptive_keys_and_outputs_reach_the_files(tmp_path: Any) -> None:
    scenario = load_scenario({**RICH, "simulation": {"n_epochs": 1, "steps_per_epoch": 2}})
    for key, value in (("scenario_id", "other"), ("description", "a text"), ("motif", "a theme")):
        other = load_scenario(scenario, [f"{key}={value}"])
        swarm_env.run(other, out=tmp_path)
        assert f'"{key}":"{value}"' in output_paths(other, tmp_path)[0].read_text()
    outputs = ["outputs.event_log=logs/deep/e.jsonl", "outputs.metrics_csv=logs/m.csv"]
    assert output_paths(load_scenario(scenario, outputs), tmp_path) == (tmp_path / "deep/e.jsonl", tmp_path / "m.csv")


@pytest.mark.parametrize("name", CRITERIA)
def test_every_success_criterion_can_pass_and_fail(name: str) -> None:
    epochs = {"simulation": {"n_epochs": 4, "steps_per_epoch": 10, "seed": 1}}
    context = CONTEXT["governance.security_contagion_velocity"] if "contain" in name or "contagion" in name else {}
    result = swarm_env.run(rich(**epochs, **context), out=None)
    assert result.verdicts == []
    sought = rich(**epochs, **context, success_criteria={name: 1})
    value = swarm_env.run(sought, out=None).verdicts[0].value
    assert value == value, "the run must give the criterion something to judge"
    for expected in (True, False):
        criteria = bounds(name, value, easy=expected)
        verdicts = swarm_env.run(rich(**epochs, **context, success_criteria=criteria), out=None).verdicts
        assert [v.passed for v in verdicts] == [expected]


def bounds(name: str, value: float, easy: bool) -> dict[str, Any]:
    """A criterion with a bound just on the passing or failing side of value."""
    field = type(rich().success_criteria).model_fields[name]
    whole = int in get_args(field.annotation)
    slack = (1 if whole else 1e-6) * CRITERIA[name][2] * (-1 if easy else 1)
    bound = value if easy else value + slack
    return {name: round(bound) if whole else bound}


def test_every_criterion_of_the_schema_is_judged() -> None:
    assert set(CRITERIA) == set(type(rich().success_criteria).model_fields)
