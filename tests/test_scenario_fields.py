"""Every field of every section: its bounds hold, its wrong types are refused, its default is the default."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.section import Section
from swarm_env.scenario import Scenario, load_scenario
from swarm_env.scenario.errors import ScenarioError
from swarm_env.scenario.messages import describe, section_of
from swarm_env.scenario.network import DYNAMIC, PARAMETERS

Path = tuple[str | int, ...]


class Case(NamedTuple):
    path: Path
    field: FieldInfo
    kinds: tuple[Any, ...]

    @property
    def key(self) -> str:
        return ".".join(map(str, self.path))


def scalars(section: type[Section], path: Path = ()) -> Iterator[Case]:
    """The scalar fields of a section and of those below it; a list is visited by its first entry."""
    for name, field in section.model_fields.items():
        below = section_of(field.annotation)
        if name == "config":
            continue  # its fields depend on the type: see below
        if below is None:
            yield Case((*path, name), field, (field.annotation, *get_args(field.annotation)))
        else:
            inside = (name, 0) if get_origin(field.annotation) is tuple else (name,)
            yield from scalars(below, (*path, *inside))


CASES = list(scalars(Scenario))
for number, module in enumerate(ARCHETYPES.values()):
    CASES += scalars(module.Config, ("agents", number, "config"))
NUMBERS = [case for case in CASES if {int, float} & set(case.kinds) and bool not in case.kinds]


def load(case: Case, value: Any) -> Scenario:
    """A scenario in which the field has this value and is in use, all else being default."""
    data: dict[str, Any] = {"scenario_id": "x", "agents": [{"type": name} for name in ARCHETYPES]}
    name = case.path[-1]
    if case.path[0] == "network":
        topology = next((t for t, names in PARAMETERS.items() if name in names), "ring")
        data["network"] = {"topology": topology, "dynamic": name in DYNAMIC}
        if name == "min_edge_weight":
            data["network"]["max_edge_weight"] = 1e6
    if name == "max_edge_weight":
        data["network"]["min_edge_weight"] = 0
    here: Any = data
    for part in case.path[:-1]:
        here = here[part] if isinstance(here, list) else here.setdefault(part, {})
    here[name] = value
    return load_scenario(data)


def refused(case: Case, value: Any, what: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(case, value)
    first = caught.value.problems[0]
    assert first.key == case.key
    assert first.value is value or first.value == value
    assert what in first.what, str(first)
    assert first.allowed == describe(case.field), str(first)


def bounds(field: FieldInfo) -> dict[str, float]:
    return {name: getattr(m, name) for m in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(m, name)}


def ids(case: Case) -> str:
    return case.key


def test_all_fields_are_visited() -> None:
    assert len(CASES) > 110
    assert len({case.key for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", NUMBERS, ids=ids)
def test_bounds(case: Case) -> None:
    limits = bounds(case.field)
    assert {"ge", "gt"} & limits.keys(), "no lower bound"
    assert {"le", "lt"} & limits.keys(), "no upper bound"
    whole = int in case.kinds
    low = limits.get("ge", limits.get("gt", 0))
    high = limits.get("le", limits.get("lt", 0))
    below = low - 1 if whole else math.nextafter(low, -math.inf)
    above = high + 1 if whole else math.nextafter(high, math.inf)
    for outside in [below, above] + [low] * ("gt" in limits) + [high] * ("lt" in limits):
        refused(case, outside, "is out of range")
    inside = [low] * ("ge" in limits) + [high] * ("le" in limits)
    for value in inside if case.key != "agents.0.count" else [0, 3]:
        here: Any = load(case, int(value) if whole else value)
        for part in case.path:
            here = here[part] if isinstance(part, int) else getattr(here, part)
        assert here == value
        assert type(here) is (int if whole else float)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_wrong_types(case: Case) -> None:
    wrong: list[Any] = [[], {}, [1]]
    if get_origin(case.field.annotation) is Literal:
        for value in (*wrong, 1, True, None, "nothing"):
            refused(case, value, "is not known")
        return
    if type(None) not in case.kinds:
        wrong.append(None)
    if str in case.kinds:
        wrong += [1, 1.5, True]
    elif bool in case.kinds:
        wrong += [0, 1, 1.0, "yes", "true", ""]
    else:
        wrong += ["", "1", "x", True, False]
        wrong += [1.0, 1.5] if int in case.kinds else []
    for value in wrong:
        refused(case, value, "has the wrong type")


@pytest.mark.parametrize("case", [c for c in NUMBERS if float in c.kinds], ids=ids)
def test_whole_numbers_pass_for_numbers_and_nothing_infinite_does(case: Case) -> None:
    limits = bounds(case.field)
    whole = math.floor(limits.get("ge", limits.get("gt", 0))) + 1
    if whole <= limits["le"]:
        load(case, whole)
    for value in (math.nan, math.inf, -math.inf):
        refused(case, value, "")


@pytest.mark.parametrize("case", [c for c in CASES if not c.field.is_required()], ids=ids)
def test_default_given_is_default_kept(case: Case) -> None:
    default = case.field.get_default(call_default_factory=True)
    given = load(case, default)
    here: Any = given.to_dict()
    for part in case.path:
        here = here.get(part, {}) if isinstance(here, dict) else here[part]
    assert here == {} or case.path[-1] == "dynamic", "a default is left out of to_dict"
    assert load_scenario(given.to_dict()) == given
