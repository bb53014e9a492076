"""Gymnasium's view: its own checks, and the same trajectories as the ParallelEnv's."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import swarm_env
from swarm_env.adapters.single import SingleMarket
from swarm_env.adapters.vector import SingleMarketVector
from swarm_env.catalog import shipped
from swarm_env.core.features import INFO
from swarm_env.testing import sample

SCENARIOS = sorted(shipped())
SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=4", "view.inbox=2", "view.peers=3"]
VIEWS = [
    {"observations": observations, "actions": actions}
    for observations in ("box", "dict")
    for actions in ("multi_discrete", "discrete")
]


def short() -> Any:
    """Baseline with episodes of eight steps and few slots."""
    return swarm_env.load_scenario("baseline", SHORT)


def same(one: Any, other: Any) -> bool:
    """Equal keys, types, dtypes and bits, through dictionaries and object arrays."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype == object:
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: "-".join(view.values()))
def test_gymnasiums_checker_has_nothing_to_say(scenario: str, view: dict[str, str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(f"swarm/{scenario}-v1", **view).unwrapped, skip_render_check=True)
    assert [str(warning.message) for warning in caught] == []


def test_gymnasiums_checker_renders_every_mode() -> None:
    pytest.importorskip("matplotlib")
    check_env(gymnasium.make("swarm/baseline-v1", render_mode="ansi").unwrapped)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_learner_plays_what_the_parallel_environment_plays(scenario: str) -> None:
    name = swarm_env.load_scenario(scenario).agent_names[-1]
    env = gymnasium.make(f"swarm/{scenario}-v1", learner=name)
    twin = swarm_env.parallel_env(scenario, learners=(name,))
    rng = np.random.default_rng(0)
    seen, info = env.reset(seed=7)
    views, infos = twin.reset(seed=7)
    for _ in range(2):  # the second episode goes on without a seed
        over = False
        while not over:
            mask = views[name]["action_mask"]
            assert same(seen, views[name]["observation"])
            assert same(info, {**infos[name], "action_mask": mask})
            assert same(env.get_wrapper_attr("action_masks")(), mask)
            action = sample(rng, twin.compiled.nvec, mask)
            seen, reward, terminated, over, info = env.step(action)
            views, rewards, _, truncations, infos = twin.step({name: action})
            assert (reward, terminated, over) == (rewards[name], False, truncations[name])
        assert twin.agents == []
        seen, info = env.reset()
        views, infos = twin.reset()


def test_flat_actions_and_dictionaries_show_the_same_market() -> None:
    plain, flat = SingleMarket(short()), SingleMarket(short(), observations="dict", actions="discrete")
    seen, _ = plain.reset(seed=3)
    view, info = flat.reset(seed=3)
    rng, over = np.random.default_rng(1), False
    while not over:
        assert same(view["observation"], seen)
        assert same(view["action_mask"], info["action_mask"])
        assert flat.observation_space.contains(view)
        action = int(rng.choice(np.flatnonzero(flat.action_masks())))
        heads = flat._seat.act(action)
        assert plain.action_space.contains(heads)
        assert all(mask[choice] for mask, choice in zip(split(plain), heads, strict=True)), "legal here, legal there"
        seen, paid, _, over, _ = plain.step(heads)
        view, reward, _, _, info = flat.step(action)
        assert reward == paid
        assert info["illegal_actions"] == 0


def split(env: SingleMarket) -> list[np.ndarray]:
    return np.split(env.action_masks(), np.cumsum(env.action_space.nvec)[:-1])


def test_samples_under_the_mask_are_legal() -> None:
    for actions in ("multi_discrete", "discrete"):
        env = SingleMarket(short(), actions=actions)
        _, info = env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(8):
            *_, info = env.step(env.action_space.sample(mask=info["action_mask"]))
            assert info["illegal_actions"] == 0


def test_infos_keep_their_keys_and_can_be_left_out() -> None:
    env, bare = SingleMarket(short()), SingleMarket(short(), infos=False)
    assert list(env.reset(seed=0)[1]) == [*INFO, "action_mask"]
    assert list(bare.reset(seed=0)[1]) == ["action_mask"]
    nothing = np.zeros(5, dtype=np.int64)
    assert list(env.step(nothing)[-1]) == [*INFO, "action_mask"]
    assert list(bare.step(nothing)[-1]) == ["action_mask"]


def test_masks_given_away_are_copies() -> None:
    env = SingleMarket(short(), observations="dict")
    seen, info = env.reset(seed=0)
    kept = env.action_masks()
    for mask in (seen["action_mask"], info["action_mask"], env.action_masks()):
        mask[:] = 7
    assert same(env.action_masks(), kept)


def test_environments_never_seeded_differ_and_say_their_seed() -> None:
    one, two = SingleMarket("baseline"), SingleMarket("baseline")
    first, _ = one.reset()
    two.reset()
    assert one.np_random_seed != two.np_random_seed
    again, _ = SingleMarket("baseline").reset(seed=one.np_random_seed)
    assert same(first, again)
    nothing = np.zeros(7, dtype=np.int64)
    paths = []
    for env in (one, two):
        paths.append(np.concatenate([env.step(nothing)[0] for _ in range(20)]).tobytes())
    assert paths[0] != paths[1]


def test_the_registry_works_without_an_import_of_ours() -> None:
    code = (
        "import gymnasium, sys; env = gymnasium.make('swarm_env.adapters.single:swarm/baseline-v1'); env.reset(seed=0);"
        "assert 'torch' not in sys.modules;"
        "envs = gymnasium.make_vec('swarm_env.adapters.single:swarm/baseline-v1', num_envs=2); print(envs)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "SingleMarketVector(swarm/baseline-v1, num_envs=2)"


def test_a_time_limit_and_a_scenario_of_ones_own_go_through_make() -> None:
    env = gymnasium.make("swarm/baseline-v1", scenario=short(), learner="deceptive_*", max_episode_steps=3)
    assert env.unwrapped.learner == "deceptive_1"
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[3] for _ in range(3)] == [False, False, True]


def test_bad_arguments_say_so() -> None:
    with pytest.raises(ValueError, match=r"^learner: 'honset_1' fits no agent; did you mean 'honest_1'"):
        SingleMarket("baseline", learner="honset_1")
    with pytest.raises(ValueError, match=r"fits 3 agents, name one of: honest_1, honest_2, honest_3"):
        SingleMarket("baseline", learner="honest_*")
    with pytest.raises(ValueError, match="learner must be the name of one agent, got 3"):
        SingleMarket("baseline", learner=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"actions must be one of .* got 'discret'; did you mean 'discrete'"):
        SingleMarket("baseline", actions="discret")
    with pytest.raises(ValueError, match="observations must be one of 'box', 'dict', got 'flat'"):
        SingleMarketVector(2, "baseline", observations="flat")
    with pytest.raises(ValueError, match="too many to enumerate"):
        SingleMarket(swarm_env.load_scenario("baseline", ["view.inbox=16"]), actions="discrete")
    with pytest.raises(ValueError, match="render_mode must be None for a batch"):
        gymnasium.make_vec("swarm/baseline-v1", num_envs=2, render_mode="rgb_array")


def test_bad_calls_say_so() -> None:
    env = SingleMarket(short(), actions="discrete")
    with pytest.raises(RuntimeError, match="step: reset the environment first"):
        env.step(0)
    with pytest.raises(RuntimeError, match="action_masks: reset the environment first"):
        env.action_masks()
    env.reset(seed=0)
    count = env.action_space.n
    for wrong in (count, -1, 0.5):
        with pytest.raises(ValueError, match=rf"whole number in 0\.\.{count - 1}, got"):
            env.step(wrong)
    for _ in range(8):
        env.step(0)
    with pytest.raises(RuntimeError, match="the episode is over"):
        env.step(0)
    heads = SingleMarket(short())
    heads.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(2,\); it must be \(5,\)"):
        heads.step([0, 0])


def test_stable_baselines_checker_has_nothing_to_say() -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    for view in VIEWS:
        checker.check_env(SingleMarket(short(), **view), warn=True)  # warnings are errors here
