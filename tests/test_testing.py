"""The contract checks shipped to users: all that is registered passes, and each breach is named."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from pydantic import Field

from swarm_env import testing
from swarm_env.catalog import shipped
from swarm_env.core import types
from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.governance import LEVERS
from swarm_env.core.section import Section


@pytest.mark.parametrize("name", LEVERS)
def test_every_lever_keeps_its_contract(name: str) -> None:
    testing.check_lever(LEVERS[name])


@pytest.mark.parametrize("name", ARCHETYPES)
def test_every_archetype_keeps_its_contract(name: str) -> None:
    testing.check_archetype(ARCHETYPES[name])


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_scenario_keeps_its_contract(name: str) -> None:
    testing.check_scenario(shipped()[name], steps=40)


def test_records_have_room_for_the_registries() -> None:
    assert len(LEVERS) == types.NUM_LEVERS
    assert max(len(module.Config.model_fields) for module in ARCHETYPES.values()) == types.NUM_TRAITS


def test_no_setting_has_two_homes() -> None:
    names = [name for module in LEVERS.values() for name in module.Config.model_fields]
    assert len(names) == len(set(names))


class Good(Section):
    rate: float = Field(default=0.1, ge=0, le=1, description="a rate")


class Unbounded(Section):
    rate: float = Field(default=0.1, description="a rate")


class Undescribed(Section):
    rate: float = Field(default=0.1, ge=0, le=1)


def module(**members: Any) -> ModuleType:
    made = ModuleType("mine", "What it does.")
    for name, value in members.items():
        setattr(made, name, value)
    return made


def may_act(params: Any, agent: Any) -> bool:
    return True


def assess(market: Any) -> None:
    return None


def wrong(agent: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("lever", "message"),
    [
        (module(), "Config is missing"),
        (module(Config=Good), "defines none of the hooks"),
        (module(Config=Unbounded, may_act=may_act), "give its lowest and highest"),
        (module(Config=Undescribed, may_act=may_act), "has no description"),
        (module(Config=Good, may_act=wrong), r"parameters must be \('params', 'agent'\)"),
        (module(Config=Good, assess=assess), "assess is called before epoch_start"),
    ],
)
def test_a_lever_in_breach_is_told_how(lever: ModuleType, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_lever(lever)


def test_a_lever_of_ones_own_passes() -> None:
    testing.check_lever(module(Config=Good, may_act=may_act))


def test_an_archetype_in_breach_is_told_how() -> None:
    with pytest.raises(AssertionError, match="rule answer"):
        testing.check_archetype(module(Config=Good, CONDUCT=0))
