"""Overrides: what `--set key.path=value` and its mapping form do to a scenario."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm_env.scenario import Scenario, load_scenario
from swarm_env.scenario.data import as_dict
from swarm_env.scenario.network import Network
from swarm_env.scenario.sections import Outputs

TWO = {"scenario_id": "two", "agents": [{"type": "honest", "count": 2}]}


def load(overrides: Any = (), **keys: Any) -> Scenario:
    return load_scenario({**TWO, **keys}, overrides)


def test_a_scenario_passes_through() -> None:
    s = load()
    assert load_scenario(s) is s
    assert load_scenario(s, ["simulation.seed=9"]).simulation.seed == 9


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("simulation.seed=7", "simulation.seed", 7),
        (" simulation.seed = 7", "simulation.seed", 7),
        ("payoff.h=1e1", "payoff.h", 10.0),
        ("governance.audit_enabled=true", "governance.audit_enabled", True),
        ("governance.transaction_tax=.2", "governance.transaction_tax_rate", 0.2),
        ("description=a = b", "description", "a = b"),
        ("agents.0.count=3", "agents.0.count", 3),
        ("agents.honest.count=3", "agents.0.count", 3),
        ("agents.honest.config.trust_weight=.9", "agents.0.config.trust_weight", 0.9),
        ("agents.1.config={trust_building_phase: 2}", "agents.1.config.trust_building_phase", 2),
        ("agents.actor.count=4", "agents.1.count", 4),
        ("agents.deceptive.count=4", "agents.1.count", 4),
        ("network={topology: ring}", "network.topology", "ring"),
        ("conduct.effort.honest=0", "conduct.effort.honest", 0.0),
        ("outputs.event_log=null", "outputs.event_log", None),
        ("outputs.event_log=", "outputs.event_log", None),
        ("payoff.w_rep=null", "payoff.w_rep", 1.0),
        ("governance.bandwidth_cap=null", "governance.bandwidth_cap", None),
    ],
)
def test_override(override: str, path: str, value: Any) -> None:
    base = {
        "agents": [*TWO["agents"], {"type": "deceptive", "name": "actor"}],
        "governance": {"transaction_tax_rate": 0.1},
        "payoff": {"w_rep": 3},
        "outputs": {"event_log": "logs/x"},
    }
    result: Any = load([override], **base)
    for part in path.split("."):
        result = result[int(part)] if part.isdigit() else getattr(result, part)
    assert result == value
    assert type(result) is type(value)


def test_overrides_may_be_a_mapping() -> None:
    s = load({"simulation.seed": np.int64(3), "payoff.h": np.float64(0.5), "outputs.event_log": Path("logs/e")})
    assert (s.simulation.seed, s.payoff.h, s.outputs) == (3, 0.5, Outputs(event_log="logs/e"))
    assert type(s.simulation.seed) is int


def test_overrides_replace_and_come_in_order() -> None:
    s = load(["simulation={seed: 3}", "simulation.seed=4"], simulation={"n_epochs": 3})
    assert (s.simulation.n_epochs, s.simulation.seed) == (10, 4)


def test_an_override_replaces_other_spellings() -> None:
    base = {"topology": "small_world", "params": {"k": 6, "p": 0.3}}
    expected = Network(topology="small_world", k_neighbors=2, rewire_probability=0.3)
    for path in ("network.k_neighbors", "network.params.k", "network.params.k_neighbors"):
        assert load([f"{path}=2"], network=base).network == expected


def test_overrides_leave_their_source_alone() -> None:
    source: dict[str, Any] = copy.deepcopy(TWO)
    load_scenario(source, ["agents.0.count=5", "payoff.h=1"])
    assert source == TWO


def test_overriding_one_of_two_aliases_changes_one(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    group = "{type: honest, config: &c {trust_weight: .2}}"
    file.write_text(f"scenario_id: x\nagents: [{group}, {{type: honest, config: *c}}]")
    s = load_scenario(file, ["agents.0.config.trust_weight=.9"])
    assert [as_dict(g.config) for g in s.agents] == [{"trust_weight": 0.9}, {"trust_weight": 0.2}]
