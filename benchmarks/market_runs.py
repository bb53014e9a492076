"""What is timed of ours: the PettingZoo environment, and the batch kernel below it.

Learners act at random among what is legal. The actions are drawn beforehand, in a run that the timed one repeats
seed by seed, so that the clock sees the environment alone and no action is wasted on an illegal choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import swarm_env
from swarm_env.compile import Compiled, compile_scenario
from swarm_env.core.types import State, View

Actions = list[dict[str, Any]]


def environment_steps(scenario: str, num_steps: int, infos: bool = True) -> Callable[[], int]:
    """Episodes of the ParallelEnv, reset included: `num_steps` steps or more, all agents learners."""
    env = swarm_env.parallel_env(scenario, learners="all", infos=infos)
    episodes = [_record(env, seed) for seed in range(max(1, -(-num_steps // env.scenario.num_steps)))]

    def play() -> int:
        for seed, episode in enumerate(episodes):
            env.reset(seed=seed)
            for actions in episode:
                env.step(actions)
        return sum(map(len, episodes))

    return play


def _record(env: Any, seed: int) -> Actions:
    episode, (observations, _) = [], env.reset(seed=seed)
    for k, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(1000 * seed + k)
    while env.agents:
        actions = {a: env.action_space(a).sample(observations[a]["action_mask"]) for a in env.agents}
        observations, *_ = env.step(actions)
        episode.append(actions)
    return episode


def kernel_steps(scenario: str, num_envs: int) -> Callable[[], int]:
    """Whole episodes of the compiled kernel over `num_envs` rows; counts agent-steps.

    Few rows play several episodes of other seeds, since a market whose agents are frozen early is a fast one.
    """
    compiled = compile_scenario(swarm_env.load_scenario(scenario), "all")
    state, view = compiled.allocate(num_envs)
    recorded = {first: _record_rows(compiled, state, view, first) for first in range(0, max(32, num_envs), num_envs)}

    def play() -> int:
        for first, episode in recorded.items():
            _start(compiled, state, view, first)
            for actions in episode:
                compiled.advance(state, view, actions, 0, num_envs)
        return len(recorded) * num_envs * compiled.scenario.num_steps * compiled.num_learners

    return play


def _start(compiled: Compiled, state: State, view: View, first: int) -> None:
    state.rows["seed"] = np.arange(first, first + len(state.rows))
    compiled.reset(state, view, 0, len(state.rows))


def _record_rows(compiled: Compiled, state: State, view: View, first: int) -> list[np.ndarray]:
    rng, recorded, ends = np.random.default_rng(first), [], np.cumsum(compiled.nvec)[:-1]
    _start(compiled, state, view, first)
    for _ in range(compiled.scenario.num_steps):
        chance = rng.random(view.mask.shape) * view.mask
        actions = np.stack([part.argmax(-1) for part in np.split(chance, ends, axis=-1)], axis=-1)
        compiled.advance(state, view, actions, 0, len(state.rows))
        recorded.append(actions)
    return recorded


def state_bytes(scenario: str) -> int:
    """Bytes of one environment's tables."""
    state, view = compile_scenario(swarm_env.load_scenario(scenario), "all").allocate(1)
    return sum(part.nbytes for part in (*state, *view))
