"""Contract checks for what users add: a lever, an archetype, a scenario. Each raises AssertionError saying why.

    from swarm_env import testing
    testing.check_lever(my_lever)              # a module with Config and hooks, as in swarm_env.core.governance
    testing.check_archetype(my_archetype)      # a module with Config, CONDUCT, answer and act
    testing.check_scenario("my_scenario.yaml") # loads, round-trips, runs, repeats, and passes PettingZoo's checks

`plain_market` gives one environment whose rules run as plain Python, for unit tests and debuggers.
"""

from __future__ import annotations

import inspect
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from swarm_env.catalog import Source, load_scenario
from swarm_env.compile import Learners, compile_scenario
from swarm_env.core import types
from swarm_env.core.section import Section
from swarm_env.core.sizes import UNKNOWN
from swarm_env.core.tables import table
from swarm_env.core.types import CONDUCTS, NUM_TRAITS, Market

#: Hook of a lever -> its parameters, in order.
LEVER_HOOKS: dict[str, tuple[str, ...]] = {
    "may_act": ("params", "agent"),
    "vote_weight": ("params", "agent"),
    "on_interaction": ("market", "i", "deal"),
    "on_sanction": ("params", "agent"),
    "remember": ("market", "i", "deal"),
    "assess": ("market",),
    "epoch_start": ("market", "i"),
}
#: Rule of an archetype -> its parameters, in order.
ARCHETYPE_RULES: dict[str, tuple[str, ...]] = {
    "answer": ("market", "i", "initiator", "edge", "on_turn"),
    "act": ("market", "i"),
}


#: Table of Scene or State -> its record.
RECORDS: dict[str, type] = {
    "seats": types.Seat,
    "edges": types.Edge,
    "rows": types.Row,
    "agents": types.Agent,
    "shown": types.Shown,
    "books": types.Book,
    "proposals": types.Proposal,
    "outcomes": types.Outcome,
    "deals": types.Deal,
    "contacts": types.Contact,
    "relations": types.Relation,
    "slots": types.Slot,
    "pairs": types.Pair,
    "assessments": types.Assessment,
    "nodes": types.Node,
    "places": types.Place,
    "links": types.Link,
    "history": types.Past,
}


def plain_market(scenario: Source, learners: Learners = (), seed: int = 0) -> Market:
    """One environment, just reset, in tables whose records have attributes: call any rule on it from Python."""
    compiled = compile_scenario(load_scenario(scenario), learners)
    state, view = compiled.allocate(1)
    state.rows["seed"] = seed
    compiled.reset(state, view, 0, 1)
    scene, copies = compiled.scene, {}
    for name, cls in RECORDS.items():
        original = np.asarray(getattr(state if name in state._fields else scene, name))
        copies[name] = table(cls, *original.shape, plain=True)
        np.copyto(copies[name].view(np.ndarray).view(original.dtype), original)
    params = np.array(scene.params).view(np.recarray)
    return Market._make([params[0], *(copies[name][0] for name in (*RECORDS, "rows", "agents", "history")), UNKNOWN])


def _check_config(module: ModuleType) -> None:
    config = getattr(module, "Config", None)
    assert isinstance(config, type), f"{module.__name__}: Config is missing"
    assert issubclass(config, Section), f"{module.__name__}: Config must be a Section"
    assert module.__doc__, f"{module.__name__}: say in the module's docstring what it does"
    config()  # every field has a default, and the defaults are valid
    for name, field in config.model_fields.items():
        assert field.description, f"{module.__name__}.Config.{name}: has no description"
        if field.annotation in (int, float):
            assert len(field.metadata) >= 2, f"{module.__name__}.Config.{name}: give its lowest and highest value"


def _check_rules(module: ModuleType, rules: dict[str, tuple[str, ...]], required: bool) -> list[str]:
    found = []
    for name, parameters in rules.items():
        function = getattr(module, name, None)
        if function is None:
            assert not required, f"{module.__name__}: rule {name}({', '.join(parameters)}) is missing"
            continue
        plain = getattr(function, "py_func", function)
        actual = tuple(inspect.signature(plain).parameters)
        assert actual == parameters, f"{module.__name__}.{name}: parameters must be {parameters}, not {actual}"
        found.append(name)
    return found


def check_lever(module: ModuleType) -> None:
    """A lever keeps its contract: a Config of described, bounded, valid settings, and hooks of the right form."""
    _check_config(module)
    found = _check_rules(module, LEVER_HOOKS, required=False)
    assert found, f"{module.__name__}: defines none of the hooks {tuple(LEVER_HOOKS)}"
    if "assess" in found:
        assert "epoch_start" in found, f"{module.__name__}: assess is called before epoch_start, which is missing"


def check_archetype(module: ModuleType) -> None:
    """An archetype keeps its contract: a Config that fits an agent's traits, a conduct, and both rules."""
    _check_config(module)
    _check_rules(module, ARCHETYPE_RULES, required=True)
    settings = len(module.Config.model_fields)
    assert settings <= NUM_TRAITS, f"{module.__name__}: {settings} settings, there is room for {NUM_TRAITS}"
    assert getattr(module, "CONDUCT", -1) in range(len(CONDUCTS)), f"{module.__name__}: CONDUCT must be a conduct"


def check_scenario(source: Source, steps: int = 100) -> None:
    """A scenario loads, round-trips, repeats, stays within its spaces, and passes PettingZoo's parallel checks."""
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    from swarm_env.market_v1 import parallel_env

    scenario = load_scenario(source)
    assert load_scenario(scenario.to_dict()) == scenario, "to_dict() does not load to the same scenario"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(parallel_env(scenario), num_cycles=steps)
        parallel_seed_test(lambda: parallel_env(scenario), num_cycles=steps)
    first, second = (trajectory(scenario, steps) for _ in range(2))
    assert first == second, "the same seed and actions gave two trajectories"


def trajectory(source: Source, steps: int, seed: int = 0, learners: Learners = "all") -> bytes:
    """Everything that the learners see in so many steps under legal random actions, as bytes to compare.

    Raises:
        AssertionError: an observation outside its space, or an undefined reward or info.
    """
    from swarm_env.market_v1 import parallel_env

    env = parallel_env(source, learners)
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    seen: list[bytes] = []
    for _ in range(steps):
        if not env.agents:
            observations, infos = env.reset()
        actions = {agent: sample(rng, env.compiled.nvec, observations[agent]["action_mask"]) for agent in env.agents}
        observations, rewards, *_, infos = env.step(actions)
        for agent, observation in observations.items():
            assert env.observation_space(agent).contains(observation), f"{agent}: observation outside its space"
            assert np.isfinite([rewards[agent], *infos[agent].values()]).all(), f"{agent}: reward or info undefined"
            seen += [observation["observation"].tobytes(), observation["action_mask"].tobytes()]
        seen.append(np.array([[rewards[a], *infos[a].values()] for a in observations]).tobytes())
    return b"".join(seen)


def sample(rng: np.random.Generator, nvec: Any, mask: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A legal action, each head uniform over its legal choices."""
    heads = np.split(mask, np.cumsum(nvec)[:-1])
    return np.array([rng.choice(np.flatnonzero(head)) for head in heads], dtype=np.int64)
