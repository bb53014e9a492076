"""The ``agents:`` section: groups of agents of one archetype."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.section import Section
from swarm_env.scenario import swarm_keys
from swarm_env.scenario.errors import kind, listing, nearest, show
from swarm_env.scenario.messages import SWARM_HAS, Fault, faulty, nested

MAX_AGENTS: Final = 1_000_000


class AgentGroup(Section):
    """An entry of ``agents:``: so many agents of one archetype with one config."""

    type: str = Field(description="archetype", json_schema_extra={"allowed": "the name of an archetype"})
    count: int = Field(default=1, ge=0, le=MAX_AGENTS, description="agents in the group")
    name: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="stands for the archetype in agent names",
        json_schema_extra={"allowed": "a name of a-z, 0-9 and _ that begins with a letter"},
    )
    config: Section = Field(
        default_factory=Section,
        description="settings of the archetype",
        json_schema_extra={"allowed": "a section with the keys of the archetype"},
    )

    @field_validator("type")
    @classmethod
    def known(cls, value: str) -> str:
        """Refuse what is no archetype of ours."""
        if value in ARCHETYPES:
            return value
        allowed = "one of " + ", ".join(ARCHETYPES)
        if value in swarm_keys.AGENT_TYPES:
            raise faulty(Fault((), f"{show(value)}: {SWARM_HAS.format('agent type')}", allowed))
        raise faulty(Fault((), f"{show(value)} is no archetype", allowed, nearest(value, ARCHETYPES)))

    @field_validator("config", mode="before")
    @classmethod
    def of_archetype(cls, value: Any, info: ValidationInfo) -> Any:
        """Validate by the archetype's own section; null is the same as nothing."""
        if "type" not in info.data:
            return Section()  # the type is in error already
        model: type[Section] = ARCHETYPES[info.data["type"]].Config
        value = {} if value is None or type(value) is Section else value
        if not isinstance(value, dict | model):
            allowed = f"a section with keys out of {listing(model.model_fields)}"
            raise faulty(Fault((), f"{show(value)} has the wrong type, {kind(value)}", allowed))
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise nested(error, model) from None

    @property
    def label(self) -> str:
        """What agent names begin with."""
        return self.name or self.type
