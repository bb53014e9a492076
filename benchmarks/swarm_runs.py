"""What is timed of SWARM (swarm-safety): its own PettingZoo bridge. Imported only where SWARM is installed."""

from __future__ import annotations

import random
from collections.abc import Callable

from swarm.bridges.pettingzoo.config import PettingZooConfig
from swarm.bridges.pettingzoo.environment import SwarmParallelEnv


def bridge_steps(num_agents: int, max_steps: int, num_episodes: int) -> Callable[[], int]:
    """Episodes of SwarmParallelEnv, reset included, agents acting at random.

    Each call makes a fresh environment: the bridge keeps every event since it was made.
    """
    config = PettingZooConfig(n_agents=num_agents, max_steps=max_steps)
    rng, names = random.Random(0), SwarmParallelEnv(config).possible_agents
    recorded = [
        [{name: rng.randrange(4) for name in names} for _ in range(max_steps)] for _ in range(num_episodes)
    ]  # fmt: skip

    def play() -> int:
        env, steps = SwarmParallelEnv(config), 0
        for seed, episode in enumerate(recorded):
            env.reset(seed=seed)
            for actions in episode:
                if not env.agents:
                    break
                env.step(actions)
                steps += 1
        return steps

    return play


def bridge_after_an_episode(num_agents: int, max_steps: int) -> Callable[[], SwarmParallelEnv]:
    """Makes a bridge and plays one episode of it: what it then keeps in memory."""
    config = PettingZooConfig(n_agents=num_agents, max_steps=max_steps)

    def make() -> SwarmParallelEnv:
        env, rng = SwarmParallelEnv(config), random.Random(0)
        env.reset(seed=0)
        while env.agents:
            env.step({name: rng.randrange(4) for name in env.agents})
        return env

    return make
