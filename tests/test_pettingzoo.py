"""PettingZoo's own conformance tests, for every shipped scenario, and what they miss."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pettingzoo
import pytest
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
    state_test,
)
from pettingzoo.utils import parallel_to_aec

import swarm_env
from swarm_env import market_v1
from swarm_env.adapters.flat import flatten
from swarm_env.catalog import shipped
from swarm_env.core.features import INFO
from swarm_env.testing import sample, trajectory

SCENARIOS = sorted(shipped())
CYCLES = 300
#: What api_test says of every environment with dictionaries or several heads that is not in its own list of names.
ADVISORIES = {
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Action space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Observation is not a NumPy array",
}


def native(scenario: str, **options: Any) -> Any:
    return swarm_env.parallel_env(scenario, **options)


def flat(scenario: str, **options: Any) -> Any:
    return flatten(swarm_env.parallel_env(scenario, **options))


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("make", [native, flat])
def test_parallel_api_seed_and_state(make: Any, scenario: str) -> None:
    if make is flat and scenario == "collusion_detection":
        make = narrow  # seven inbox slots times 57 moves are too many joint actions, see test_flat
    parallel_api_test(make(scenario), num_cycles=CYCLES)
    parallel_seed_test(lambda: make(scenario), num_cycles=CYCLES)
    env = make(scenario)
    state_test(parallel_to_aec(env), env, num_cycles=20)


def narrow(scenario: str) -> Any:
    return flatten(swarm_env.parallel_env(swarm_env.load_scenario(scenario, ["view.inbox=3"])))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_aec_api_and_seed(scenario: str) -> None:
    seed_test(lambda: parallel_to_aec(native(scenario)), num_cycles=CYCLES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        api_test(parallel_to_aec(native(scenario)), num_cycles=CYCLES)
    assert {str(w.message) for w in caught} <= ADVISORIES


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_flat_view_passes_the_aec_api_without_any_warning(scenario: str) -> None:
    make = narrow if scenario == "collusion_detection" else flat
    api_test(parallel_to_aec(make(scenario)), num_cycles=CYCLES)
    seed_test(lambda: parallel_to_aec(make(scenario)), num_cycles=CYCLES)


def test_max_cycles() -> None:
    max_cycles_test(market_v1)


def test_render_modes() -> None:
    render_test(lambda render_mode: market_v1.env(render_mode=render_mode, max_cycles=20))
    env = native("baseline", render_mode="ansi")
    env.reset(seed=1)
    assert "honest_1" in env.render()
    with pytest.raises(ValueError, match="render_mode must be None or one of"):
        native("baseline", render_mode="svg")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whole_episodes_repeat_under_a_seed_and_differ_between_seeds(scenario: str) -> None:
    # PettingZoo 1.27's parallel seed test stops after one step
    steps = swarm_env.load_scenario(scenario).num_steps + 30  # into the second episode
    first = trajectory(scenario, steps, seed=5)
    assert first == trajectory(scenario, steps, seed=5)
    assert first != trajectory(scenario, steps, seed=6)


def test_constructors_and_registry() -> None:
    aec = market_v1.env(scenario="baseline", learners="honest_*")
    aec.reset(seed=1)
    assert aec.possible_agents == ["honest_1", "honest_2", "honest_3"]
    made = pettingzoo.make("parallel", "swarm/baseline-v1", learners="deceptive_1", max_cycles=3)
    made.reset(seed=0)
    assert made.possible_agents == ["deceptive_1"]


def play(env: Any, seed: int, steps: int) -> Any:
    rng = np.random.default_rng(seed)
    observations, _ = env.reset(seed=seed)
    for _ in range(steps):
        nvec = env.compiled.nvec
        yield env.step({a: sample(rng, nvec, observations[a]["action_mask"]) for a in env.agents})


def test_an_episode_truncates_with_final_observations() -> None:
    env = native("baseline")
    *_, (observations, rewards, terminations, truncations, infos) = play(env, 0, env.scenario.num_steps)
    everyone = set(env.possible_agents)
    assert env.agents == []
    assert set(observations) == set(rewards) == set(infos) == everyone
    assert set(truncations.values()) == {True}
    assert set(terminations.values()) == {False}
    assert type(next(iter(truncations.values()))) is bool
    assert env.step({}) == ({}, {}, {}, {}, {})
    env.reset()
    assert env.agents == env.possible_agents


def test_infos_have_the_same_finite_numbers_from_reset_on() -> None:
    env = native("strict_governance")
    _, infos = env.reset(seed=0)
    assert all(tuple(info) == INFO for info in infos.values())
    for *_, infos in play(env, 1, 60):
        assert all(tuple(info) == INFO for info in infos.values())
        assert all(type(v) is float and np.isfinite(v) for info in infos.values() for v in info.values())


def test_rewards_are_the_sum_of_their_parts() -> None:
    env = native("strict_governance")
    for _, rewards, _, _, infos in play(env, 3, 120):
        for agent, reward in rewards.items():
            info = infos[agent]
            gains = info["payoff_initiator"] + info["payoff_counterparty"] + info["task_pay"]
            assert reward == pytest.approx(gains - info["rejected_cost"] - info["penalty"], abs=1e-9)


def test_returned_arrays_are_never_written_again() -> None:
    env = native("baseline")
    observations, _ = env.reset(seed=0)
    copies = {a: {k: v.copy() for k, v in view.items()} for a, view in observations.items()}
    state = env.state()
    before = state.copy()
    for _ in play(env, 1, 20):
        pass
    assert all(np.array_equal(observations[a][k], copies[a][k]) for a in copies for k in copies[a])
    assert np.array_equal(state, before)


def test_a_frozen_agent_stays_with_a_mask_that_leaves_it_the_noop() -> None:
    env = native("alignment_waltz_targeted_feedback", learners="adversarial_1")
    frozen = 0
    env.reset(seed=2)
    attack = np.zeros(len(env.compiled.nvec), dtype=np.int64)
    for step in range(env.scenario.num_steps):
        attack[env.compiled.inbox :] = (1, step % 6, 3)  # propose, to each in turn, adversarially
        observations, _, _, _, infos = env.step({"adversarial_1": attack})
        info = infos["adversarial_1"]
        if info["frozen"]:
            frozen += 1
            heads = np.split(observations["adversarial_1"]["action_mask"], np.cumsum(env.compiled.nvec)[:-1])
            assert all(np.flatnonzero(head).tolist() == [0] for head in heads)
    assert frozen > 24, "the attacker must be caught, and stay in the environment"


def test_illegal_actions_are_counted_noops() -> None:
    env = native("baseline")
    env.reset(seed=0)
    nothing = np.zeros(len(env.compiled.nvec), dtype=np.int64)
    wild = np.full(len(env.compiled.nvec), 99)
    *_, infos = env.step(dict.fromkeys(env.agents, wild))
    assert all(info["illegal_actions"] == env.compiled.inbox + 1 for info in infos.values())
    *_, infos = env.step(dict.fromkeys(env.agents, nothing))
    assert all(info["illegal_actions"] == 0 for info in infos.values())


def test_bad_calls_say_what_is_wrong() -> None:
    env = native("baseline")
    with pytest.raises(RuntimeError, match="reset the environment"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="no action for 'honest_1'"):
        env.step({})
    with pytest.raises(ValueError, match=r"shape \(2,\); it must be \(7,\)"):
        env.step({a: [0, 0] for a in env.agents})
    with pytest.raises(ValueError, match="seed must be"):
        env.reset(seed=-1)
    with pytest.raises(ValueError, match="max_cycles must be at least 1"):
        native("baseline", max_cycles=0)
    with pytest.raises(ValueError, match="fits no agent; did you mean 'honest_1'"):
        native("baseline", learners="honset_1")
    with pytest.raises(ValueError, match="needs at least one"):
        native("baseline", learners=())


def test_an_environment_can_be_pickled_in_mid_episode() -> None:
    env = native("baseline")
    for _ in play(env, 0, 7):
        pass
    twin = pickle.loads(pickle.dumps(env))
    nothing = {a: np.zeros(len(env.compiled.nvec), dtype=np.int64) for a in env.agents}
    for _ in range(20):
        ours, theirs = env.step(nothing), twin.step(nothing)
        assert ours[1] == theirs[1]
        assert all(np.array_equal(ours[0][a]["observation"], theirs[0][a]["observation"]) for a in ours[0])


def test_interactions_ledger_and_state_have_their_shapes() -> None:
    env = native("baseline")
    seen = 0
    for _, _, _, _, infos in play(env, 4, 50):
        deals = env.interactions()
        assert len(deals) == sum(info["initiated"] for info in infos.values())
        assert np.all((deals["p"] > 0) & (deals["p"] < 1))
        seen += len(deals)
        assert env.state_space.contains(env.state())
        assert all(view.shape == (env.compiled.inbox, 6) for view in env.ledger().values())
    assert seen > 20


def test_without_infos_everything_else_is_the_same() -> None:
    full, bare = native("strict_governance"), native("strict_governance", infos=False)
    for (seen, paid, *_, infos), (again, same, *_, none) in zip(play(full, 5, 40), play(bare, 5, 40), strict=True):
        assert paid == same
        assert all(np.array_equal(seen[a]["observation"], again[a]["observation"]) for a in seen)
        assert set(infos) == set(none)
        assert not any(none.values())


@pytest.mark.parametrize("how", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copied_environment_plays_on_by_itself(how: Any) -> None:
    """As libraries copy environments: by deepcopy, or by pickle into a worker."""
    env = swarm_env.parallel_env("baseline", "honest_*")
    env.reset(seed=4)
    nothing = np.zeros(len(env.compiled.nvec), dtype=np.int64)
    for _ in range(5):
        env.step(dict.fromkeys(env.agents, nothing))
    twin = how(env)
    steps = 0
    while env.agents:
        ours = env.step(dict.fromkeys(env.agents, nothing))
        theirs = twin.step(dict.fromkeys(twin.agents, nothing))
        assert ours[1] == theirs[1]
        assert ours[3] == theirs[3]
        assert np.array_equal(ours[0]["honest_1"]["observation"], theirs[0]["honest_1"]["observation"])
        steps += 1
    assert twin.agents == []
    assert steps == env.compiled.scenario.num_steps - 5
