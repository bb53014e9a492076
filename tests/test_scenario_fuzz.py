"""Whatever the input, loading gives a Scenario or a ScenarioError, soon, and says so in printable lines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.scenario import Scenario, load_scenario, swarm_keys, yaml_text
from swarm_env.scenario.errors import ScenarioError
from swarm_env.scenario.messages import keys_of, section_of

TEXTS = [path.read_text() for path in sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))]
BASE = yaml.safe_load(TEXTS[0])

fuzz = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

SECTIONS = {name: section_of(field.annotation) for name, field in Scenario.model_fields.items()}
KEYS = sorted(
    {key for section in (Scenario, *SECTIONS.values()) if section is not None for key in keys_of(section)}
    | {key for module in ARCHETYPES.values() for key in module.Config.model_fields}
    | {"params", "k", "p", "m", "marketplace", *sorted(swarm_keys.GOVERNANCE)[:5]}
)
SYNTAX = [
    *"[]{}:,-?&*!|>'\"%@`#~<=\t\n ",
    "---\n",
    "...",
    "&a ",
    "*a ",
    "<<: ",
    "!!str ",
    "!!python/none ",
    ": ",
    "- ",
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from([*ARCHETYPES, "small_world", "ring", "logs/x", "yes", "ldt", 0, 1, 0.5, 2**63, 10**400, "\x1b["]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), inner, max_size=5),
    ),
    max_leaves=25,
)
documents = st.dictionaries(st.one_of(st.sampled_from(sorted(SECTIONS)), st.sampled_from(KEYS)), values, max_size=8)


def outcome(source: Any, overrides: Any = ()) -> Scenario | ScenarioError:
    try:
        scenario = load_scenario(source, overrides)
    except ScenarioError as error:
        lines = str(error).split("\n")
        assert all(line.isprintable() and ": " in line for line in lines), lines
        assert len(lines) <= 21
        return error
    assert load_scenario(scenario.to_dict()) == scenario
    return scenario


def outcome_of_text(text: str | bytes) -> Scenario | ScenarioError:
    try:
        data, lines = yaml_text.read(text, "fuzz.yaml")
    except ScenarioError as error:
        return error
    assert all(line >= 1 for line in lines.values())
    return outcome(data)


@fuzz
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    outcome_of_text(data)


@fuzz
@given(st.lists(st.one_of(st.sampled_from(SYNTAX), st.sampled_from(KEYS), st.text(max_size=4)), max_size=40))
def test_any_text(parts: list[str]) -> None:
    outcome_of_text("".join(parts))


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@fuzz
@given(data=st.data())
def test_a_damaged_scenario(loader: str, data: st.DataObject) -> None:
    if not hasattr(yaml, loader):
        pytest.skip("PyYAML without libyaml")
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 20))
        text = text[:at] + data.draw(st.one_of(st.sampled_from(SYNTAX), st.text(max_size=4))) + text[at + cut :]
    before = yaml_text._LOADER
    yaml_text._LOADER = getattr(yaml, loader)
    try:
        outcome_of_text(text)
    finally:
        yaml_text._LOADER = before


@fuzz
@given(documents)
def test_any_dict(data: dict[str, Any]) -> None:
    outcome(data)
    outcome(BASE | data)


@fuzz
@given(documents)
def test_any_data_as_yaml(data: dict[str, Any]) -> None:
    outcome_of_text(yaml.safe_dump(BASE | data, allow_unicode=True))


@fuzz
@given(st.sampled_from(sorted(name for name, section in SECTIONS.items() if section)), values)
def test_any_section(name: str, value: Any) -> None:
    outcome(BASE | {name: value})


@fuzz
@given(
    st.lists(st.one_of(st.sampled_from(KEYS), st.sampled_from([*SECTIONS, "0", "7", "honest"]), st.text(max_size=4))),
    st.one_of(values.map(str), st.text(max_size=10)),
)
def test_any_override(parts: list[str], value: str) -> None:
    outcome(BASE, [".".join(parts) + "=" + value])
    outcome(BASE, [".".join(parts) + value])


@fuzz
@given(st.dictionaries(st.one_of(st.text(max_size=20), st.sampled_from(KEYS)), values, max_size=4))
def test_any_mapping_of_overrides(overrides: dict[str, Any]) -> None:
    outcome(BASE, overrides)
    outcome(
        BASE,
        {f"{section}.{key}": value for section in ("governance", "network") for key, value in overrides.items()},
    )


MIB = yaml_text.MAX_BYTES
HEAVY = {
    "open brackets": "[" * MIB,
    "open braces": "{" * MIB,
    "dashes": "- " * (MIB // 2),
    "question marks": "? " * (MIB // 2),
    "anchors": "&a " * (MIB // 3),
    "one word": "a" * MIB,
    "escapes": '"' + "\\n" * (MIB // 2 - 2) + '"',
    "items": "- a\n" * (MIB // 4),
    "pairs": "".join(f"k{i}: 1\n" for i in range(80_000)),
    "unknown keys": "".join(f"k{i}: 1\n" for i in range(40_000)),
    "bad groups": "scenario_id: x\nagents:\n" + "- {type: x, count: -1}\n" * 12_000,
    "one huge key": "k" * (MIB - 10) + ": 1",
    "one huge number": "payoff: {h: " + "9" * (MIB - 20) + "}",
}


@pytest.mark.parametrize("kind", HEAVY)
def test_nothing_takes_long(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "heavy.yaml"
    file.write_text(HEAVY[kind])
    start = time.perf_counter()
    assert isinstance(outcome(file), ScenarioError)
    assert time.perf_counter() - start < 30  # measured: at most 1 s with libyaml, 3 s without
