"""Errors as a whole: unreadable files, dicts, overrides, several problems at once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from swarm_env.scenario import load_scenario
from swarm_env.scenario.errors import MAX_LISTED, ScenarioError

HEAD = "scenario_id: x\nagents: [{type: honest, count: 2}]\n"


def no_scenario(source: Any, *parts: str, overrides: Any = ()) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(source, overrides)
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"
    return caught.value


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    no_scenario(tmp_path / "none.yaml", str(tmp_path / "none.yaml"), "no such file", "the path of a YAML file")
    no_scenario(tmp_path, str(tmp_path), "is a folder", "the path of a YAML file")
    no_scenario("a\0b", "a\\u0000b", "no such file")
    no_scenario("x" * 100_000, "cannot be read", "too long")
    no_scenario("scenario_id: x\nagents: []", "no such file", "the path of a YAML file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    no_scenario(tmp_path / "pipe", "no regular file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(HEAD)
    (tmp_path / "x").chmod(0)
    no_scenario(tmp_path / "x", "cannot be read", "ermission")


@pytest.mark.parametrize("source", [None, 3, [], b"x", {1, 2}, object()])
def test_what_is_no_source(source: Any) -> None:
    no_scenario(source, "is no scenario", "a path, a dict or a Scenario")


def test_dicts_are_bounded_too() -> None:
    loop: dict[str, Any] = {"scenario_id": "x"}
    loop["agents"] = loop
    no_scenario(loop, "nested too deeply", "at most 32 levels")
    no_scenario({"agents": [0] * 200_000}, "too large", "100000 values")
    no_scenario({"a": {3: 1}}, "<dict>: a: 3 stands as a key", "keys that are text")
    no_scenario({"payoff": {"h": 10**5000}}, "payoff.h", "a whole number of 16610 bits", "[0, 1000000]")
    no_scenario({"payoff": {"h": float("nan")}}, "payoff.h: nan is not finite", "[0, 1000000]")
    no_scenario({"governance": {"audit_enabled": 10**5000}}, "governance.audit_enabled", "true or false")
    no_scenario({"description": "\ud800"}, "description", '"\\ud800"')
    no_scenario({"motif": object()}, "motif: a Python object has the wrong type", "text")


def test_every_problem_is_listed_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("payoff: {h: -1, hh: 2}\nscenario_id: a b\nagents: [{type: nobody}]\nview: {inbox: 0}\n")
    error = no_scenario(file)
    keys = ["payoff.h", "payoff.hh", "scenario_id", "agents.0.type", "view.inbox"]
    assert [problem.key for problem in error.problems] == keys
    assert [problem.line for problem in error.problems] == [1, 1, 2, 3, 4]
    assert len(str(error).splitlines()) == len(keys)
    assert (error.key, error.value, error.allowed, error.line) == (
        "payoff.h",
        -1,
        "a number in [0, 1000000]",
        1,
    )
    assert error.problems[1].hint == 'did you mean "h"?'


def test_many_problems_are_cut_short() -> None:
    error = no_scenario({f"k{i}": i for i in range(100)})
    assert len(error.problems) == MAX_LISTED
    assert str(error).splitlines()[-1] == f"<dict>: and {102 - MAX_LISTED} more problems"


def test_values_are_shown_short() -> None:
    long = no_scenario({"payoff": {"h": "x" * 10_000, "s_plus": list(range(1000))}})
    assert all(len(str(problem)) < 200 for problem in long.problems if problem.key.startswith("payoff"))


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("seed", ['"seed" is no override', "key.path=value, as in simulation.seed=7"]),
        ("=3", ['"" is no override', "key.path=value"]),
        ("a..b=3", ["a..b: ", "is no override"]),
        (
            "simulation.seed=-1",
            ["(overridden): simulation.seed: -1 is out of range", "a whole number in [0, "],
        ),
        ("simulation.sed=1", ["(overridden): simulation.sed: unknown key", 'did you mean "seed"?']),
        ("simulation.sed=null", ["simulation.sed: unknown key"]),
        ("network.params.kk=1", ["(overridden): network.params.kk: unknown key"]),
        ("simulation.seed=[", ["<dict> (overridden): simulation.seed: the end is not valid YAML"]),
        ("simulation.seed=.nan", ["<dict> (overridden): simulation.seed: .nan is not finite"]),
        ("scenario_id.x=1", ['scenario_id.x: "x" is text and has no keys']),
        ("agents.7.count=1", ['agents.7: "7" is no group', "a number below 1", "honest"]),
        ("agents.honst.count=1", ['"honst" is no group', 'did you mean "honest"?']),
        ("agents=null", ["agents: is missing"]),
        (3, ["3 is no override", "key.path=value"]),
    ],
)
def test_bad_override(override: Any, parts: list[str]) -> None:
    no_scenario({"scenario_id": "x", "agents": [{"type": "honest", "count": 2}]}, *parts, overrides=[override])


def test_an_overridden_key_has_no_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(HEAD + "payoff:\n  h: 1\n")
    error = no_scenario(file, f"{file} (overridden): payoff.h: -1 is out of range", overrides=["payoff.h=-1"])
    assert len(error.problems) == 1


def test_an_error_can_be_pickled() -> None:
    error = no_scenario({"payoff": {"h": -1}})
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.key == error.key
