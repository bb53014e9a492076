"""A scenario: what a YAML file or a dict says, strictly typed, and back again.

`load_scenario` is the way in; every problem it finds is named in one `ScenarioError`. Settings live in
sections, each beside the rules it feeds, so that a default, a range or a unit is written down once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from swarm_env.core.payoff import Payoff
from swarm_env.core.section import Section
from swarm_env.scenario import yaml_text
from swarm_env.scenario.agents import MAX_AGENTS, AgentGroup
from swarm_env.scenario.data import Overrides, apply_overrides, as_dict, plain
from swarm_env.scenario.errors import Key, Problem, ScenarioError, printable, show
from swarm_env.scenario.messages import Fault, faulty, scenario_error
from swarm_env.scenario.network import Network
from swarm_env.scenario.sections import (
    Conduct,
    Governance,
    Market,
    Outputs,
    RateLimits,
    Simulation,
    SuccessCriteria,
    View,
)

__all__ = ["AgentGroup", "Scenario", "ScenarioError", "load_scenario"]

#: Up to here everybody can deal with everybody; more agents need a network.
MAX_COMPLETE = 256
#: Contacts of all agents together: memory and time of a market grow with them.
MAX_CONTACTS = 50_000_000

# What is printed on a terminal must not be able to drive it.
_Text = Annotated[
    str,
    Field(
        max_length=10_000,
        pattern=r"^[^\x00-\x08\x0B-\x1F\x7F-\x9F]*$",
        json_schema_extra={"allowed": "text of at most 10000 characters, none of them control characters"},
    ),
]


class Scenario(Section):
    """One market: who takes part, under which rules, for how long. Immutable; equal if every setting is."""

    scenario_id: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description="name of the scenario and of its output files",
        json_schema_extra={"allowed": "1 to 100 letters, digits, _, . or -"},
    )
    description: _Text = Field(default="", description="what the scenario is for")
    motif: _Text = Field(default="", description="theme that scenarios are grouped by")
    agents: tuple[AgentGroup, ...] = Field(
        description="groups of agents, in the order of their numbers",
        json_schema_extra={"allowed": "a list of at least one group with type, count, name, config"},
    )
    governance: Governance = Field(default_factory=Governance, description="levers; off unless turned on")
    simulation: Simulation = Field(default_factory=Simulation, description="length and seed")
    rate_limits: RateLimits = Field(default_factory=RateLimits, description="budgets of an agent")
    payoff: Payoff = Field(default_factory=lambda: Payoff.model_validate({}), description="payoffs of an interaction")
    network: Network | None = Field(default=None, description="who can deal with whom; absent: everybody")
    success_criteria: SuccessCriteria = Field(default_factory=SuccessCriteria, description="PASS or FAIL")
    outputs: Outputs = Field(default_factory=Outputs, description="files written by a run")
    conduct: Conduct = Field(default_factory=Conduct, description="what conduct costs and brings")
    view: View = Field(default_factory=View, description="slots of inbox and peers")
    market: Market = Field(default_factory=Market, description="signals, tasks and the proxy")

    @model_validator(mode="before")
    @classmethod
    def empty_sections(cls, data: Any) -> Any:
        """A section whose keys are all commented out reads as null: it means the defaults."""
        if not isinstance(data, dict):
            return data
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        texts = {"description", "motif"}
        known = cls.model_fields.keys() - required - texts
        return {key: value for key, value in data.items() if value is not None or key not in known}

    @field_validator("agents", mode="before")
    @classmethod
    def as_tuple(cls, value: Any) -> Any:
        """Strict pydantic takes no list for a tuple."""
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def population(self) -> Self:
        """Refuse markets too small or large, and agents that would share a name."""
        users = Counter(group.label for group in self.agents)
        faults = [
            Fault(("agents", i, "name"), f"{show(g.name)} is taken by another group", "a name of its own")
            for i, g in enumerate(self.agents)
            if g.name is not None and users[g.label] > 1
        ]
        total = self.num_agents
        if not 2 <= total <= MAX_AGENTS:
            faults.append(Fault(("agents",), f"{total} agents in all", f"2 to {MAX_AGENTS} agents in all"))
        else:
            faults += self._contacts(total)
        if faults:
            raise faulty(*faults)
        return self

    def _contacts(self, total: int) -> list[Fault]:
        network = self.network
        complete = network is None or not network.enabled or network.topology == "complete"
        if complete and total > MAX_COMPLETE:
            what = f"{total} agents need a network, or everybody would deal with everybody"
            allowed = f"up to {MAX_COMPLETE} agents, or a network enabled with a topology other than complete"
            return [Fault(("network",), what, allowed)]
        contacts = total * (network.mean_contacts(total) if network and not complete else total - 1)
        if contacts > MAX_CONTACTS:
            what = f"{contacts:.0f} contacts of {total} agents are too many"
            return [Fault(("network",), what, f"at most {MAX_CONTACTS} contacts in all")]
        return []

    @property
    def num_agents(self) -> int:
        """Agents of all groups."""
        return sum(group.count for group in self.agents)

    @property
    def num_steps(self) -> int:
        """Steps of an episode."""
        return self.simulation.n_epochs * self.simulation.steps_per_epoch

    @property
    def archetypes(self) -> tuple[str, ...]:
        """The archetype of every agent."""
        return tuple(group.type for group in self.agents for _ in range(group.count))

    @property
    def agent_names(self) -> list[str]:
        """``<type>_<k>``, or ``<name>_<k>`` in a group with a name; k counts from 1 over all groups."""
        counts: Counter[str] = Counter()
        names = []
        for group in self.agents:
            for _ in range(group.count):
                counts[group.label] += 1
                names.append(f"{group.label}_{counts[group.label]}")
        return names

    def to_dict(self, defaults: bool = False) -> dict[str, Any]:
        """Plain data that loads to an equal scenario; without the keys that have their defaults."""
        return as_dict(self, defaults)

    def to_yaml(self) -> str:
        """The text of a scenario file that loads to an equal scenario."""
        return yaml.dump(self.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) over every setting, defaults included: equal for equal scenarios."""
        text = json.dumps(self.to_dict(defaults=True), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class _Dumper(yaml.SafeDumper):
    """Quotes all text but plain words: PyYAML writes YAML 1.1, where the text 1e3 needs no quotes."""


def _quote(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if re.fullmatch(r"[A-Za-z][A-Za-z0-9_/.]*", text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quote)


def load_scenario(source: str | os.PathLike[str] | Mapping[str, Any] | Scenario, overrides: Overrides = ()) -> Scenario:
    """The scenario of a YAML file, a dict or another scenario, with `overrides` applied.

    An override is ``"key.path=value"`` with the value in YAML, or an item of a mapping from path to value:
    ``"simulation.seed=7"``, ``"agents.0.count=3"``, ``"agents.honest.count=3"`` (the first group so named or
    of that type). It replaces what the source says; null goes back to the default.
    Raises ScenarioError, which lists every problem found, and nothing else for any content of source.
    """
    lines: dict[Key, int] = {}
    data: Any
    if isinstance(source, Scenario):
        if not overrides:
            return source
        data, file = source.to_dict(), f"<{source.scenario_id}>"
    elif isinstance(source, Mapping):
        data, file = source, "<dict>"
    elif isinstance(source, str | os.PathLike):
        data, lines = yaml_text.read_file(source)
        file = printable(os.fsdecode(source))
    else:
        what = f"{show(source)} is no scenario"
        raise ScenarioError([Problem("<scenario>", "", source, what, "a path, a dict or a Scenario")])
    data = plain(data, file)
    apply_overrides(data, overrides, Scenario, file, lines)
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise scenario_error(error, Scenario, data, file, lines) from None
