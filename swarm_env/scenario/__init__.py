"""Scenario files: strict, typed YAML <-> `Scenario`. Every problem is one clear line of a `ScenarioError`."""

from __future__ import annotations

from swarm_env.scenario.agents import AgentGroup
from swarm_env.scenario.errors import ScenarioError
from swarm_env.scenario.model import Scenario, load_scenario

__all__ = ["AgentGroup", "Scenario", "ScenarioError", "load_scenario"]
