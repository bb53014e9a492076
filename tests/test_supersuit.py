"""SuperSuit's bridge to Stable-Baselines3: what works, and what docs/adapters.md says stays broken there (3.11.0).

Each fault below is upstream's. Should one of these tests fail after an update, the fault is mended: change the docs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env.adapters.flat import flatten

supersuit = pytest.importorskip("supersuit")
sb3 = pytest.importorskip("stable_baselines3")

COPIES, AGENTS, STEPS = 2, 3, 8
NOTHING = np.zeros(COPIES * AGENTS, dtype=np.int64)


def bridge(base_class: str = "stable_baselines3", native: bool = False, seed: int | None = None) -> Any:
    """Two copies of baseline with three learners and episodes of eight steps, as PettingZoo's tutorials wrap it."""
    short = ["simulation.n_epochs=2", "simulation.steps_per_epoch=4"]
    env = swarm_env.parallel_env(swarm_env.load_scenario("baseline", short), learners="honest_*")
    env = env if native else flatten(env)
    if seed is not None:
        env.reset(seed=seed)
    rows = supersuit.pettingzoo_env_to_vec_env_v1(env)
    return supersuit.concat_vec_envs_v1(rows, COPIES, num_cpus=0, base_class=base_class)


def copies_differ(venv: Any) -> bool:
    """Whether the two copies ever show different observations in 20 steps under the same actions."""
    for _ in range(20):
        seen = venv.step(NOTHING)[0]
        if not np.array_equal(seen[:AGENTS], seen[AGENTS:]):
            return True
    return False


@pytest.mark.parametrize(("native", "policy"), [(False, "MlpPolicy"), (True, "MultiInputPolicy")])
def test_ppo_learns_through_the_bridge(native: bool, policy: str) -> None:
    venv = bridge(native=native)
    assert venv.num_envs == COPIES * AGENTS
    model = sb3.PPO(policy, venv, n_steps=16, batch_size=32, n_epochs=1, device="cpu")
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(2 * 16 * venv.num_envs)
    assert model.num_timesteps == 2 * 16 * venv.num_envs
    assert any(not value.equal(was) for value, was in zip(model.policy.parameters(), before, strict=True))


def test_gymnasiums_base_class_takes_a_seed_and_repeats() -> None:
    one, two = bridge("gymnasium"), bridge("gymnasium")
    assert np.array_equal(one.reset(seed=3)[0], two.reset(seed=3)[0])
    for _ in range(20):
        assert np.array_equal(one.step(NOTHING)[0], two.step(NOTHING)[0])
    one.reset(seed=3)
    assert copies_differ(one)


def test_seeding_the_inner_environment_works_around_the_missing_seed() -> None:
    venv = bridge()
    venv.venv.reset(seed=3)
    venv.reset()
    assert copies_differ(venv)


def test_upstream_fault_stable_baselines_cannot_seed() -> None:
    with pytest.raises(AttributeError, match="'ConcatVecEnv' object has no attribute 'seed'"):
        sb3.PPO("MlpPolicy", bridge(), seed=0, device="cpu")
    with pytest.raises(AttributeError, match="'ConcatVecEnv' object has no attribute 'seed'"):
        bridge().reset(seed=3)


@pytest.mark.parametrize("seed", [None, 5])
def test_upstream_fault_copies_play_the_same_episodes(seed: int | None) -> None:
    venv = bridge(seed=seed)
    venv.reset()
    assert not copies_differ(venv)


def test_upstream_fault_a_time_limit_is_not_told_from_an_end() -> None:
    venv = bridge()
    venv.reset()
    for _ in range(STEPS):
        _, _, dones, infos = venv.step(NOTHING)
    assert dones.all()
    assert all("terminal_observation" in info for info in infos)
    assert not any("TimeLimit.truncated" in info for info in infos), "SB3 bootstraps only where this is set"


def test_upstream_fault_masks_do_not_reach_maskable_ppo() -> None:
    contrib = pytest.importorskip("sb3_contrib")
    venv = bridge()
    venv.reset()
    assert all("action_mask" in info for info in venv.reset_infos), "they are in infos all the same"
    model = contrib.MaskablePPO("MlpPolicy", venv, n_steps=16, batch_size=32, device="cpu")
    with pytest.raises(AttributeError, match="'ConcatVecEnv' object has no attribute 'has_attr'"):
        model.learn(32)
