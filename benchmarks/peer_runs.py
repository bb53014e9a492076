"""What is timed of other environments. Every function imports its library itself: one that is missing fails alone.

All act at random; actions are drawn beforehand into a ring.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from benchmarks.sample import Facts, Sample, until

RING = 64  #: different actions that are played in turn
CYCLES = 100  #: steps between resets, where the library leaves that to the user


def _dicts(seconds: float, env: Any, agents: int) -> Callable[[], Sample]:
    """Episodes of a PettingZoo ParallelEnv whose agents live through all of it; counts agent-steps."""
    env.reset(seed=0)
    for k, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(k)
    ring = [{agent: env.action_space(agent).sample() for agent in env.possible_agents} for _ in range(RING)]
    episode = list(islice(cycle(ring), CYCLES))

    def play() -> int:
        steps = 0
        env.reset(seed=1)
        for actions in episode:
            if not env.agents:
                break
            env.step(actions)
            steps += 1
        return steps * agents

    return lambda: until(seconds, play)


def mpe2(seconds: float, agents: int) -> tuple[Callable[[], Sample], Facts]:
    """MPE2's simple_spread_v3."""
    from mpe2 import simple_spread_v3

    return _dicts(seconds, simple_spread_v3.parallel_env(N=agents, max_cycles=CYCLES), agents), {}


def rps(seconds: float) -> tuple[Callable[[], Sample], Facts]:
    """PettingZoo's own rock, paper, scissors: the cheapest rules there are, so nearly all of it is the API."""
    from pettingzoo.classic import rps_v2

    return _dicts(seconds, rps_v2.parallel_env(max_cycles=CYCLES), 2), {}


def vmas(seconds: float, agents: int, rows: int) -> tuple[Callable[[], Sample], Facts]:
    """VMAS's simple_spread on the processor, one thread."""
    import torch
    from vmas import make_env

    torch.set_num_threads(1)
    torch.manual_seed(0)
    env = make_env(
        "simple_spread", num_envs=rows, device="cpu", continuous_actions=False, n_agents=agents, seed=0,
    )  # fmt: skip
    choices = [int(space.n) for space in env.action_space]
    ring = [[torch.randint(0, n, (rows,)) for n in choices] for _ in range(8)]
    steps = {"played": 0}

    def play() -> int:
        if steps["played"] % CYCLES == 0:
            env.reset()
        with torch.no_grad():
            env.step(ring[steps["played"] % len(ring)])
        steps["played"] += 1
        return rows * agents

    return lambda: until(seconds, play), {}


def jaxmarl(seconds: float, agents: int, rows: int) -> tuple[Callable[[], Sample], Facts]:
    """JaxMARL's MPE_simple_spread_v3 on the processor: CYCLES steps in one compiled scan, autoresets included."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax
    from jaxmarl import make

    env = make("MPE_simple_spread_v3", num_agents=agents)
    names = list(env.agents)
    keys = jax.random.split(jax.random.PRNGKey(0), rows)
    _, state = jax.vmap(env.reset)(keys)
    ring = {
        name: jax.random.randint(jax.random.PRNGKey(k), (CYCLES, rows), 0, env.action_space(name).n)
        for k, name in enumerate(names)
    }

    def step(carry: Any, actions: Any) -> Any:
        key, state = carry
        key, now = jax.random.split(key)
        seen, state, rewards, _, _ = jax.vmap(env.step)(jax.random.split(now, rows), state, actions)
        return (key, state), (sum(part.sum() for part in seen.values()), sum(r.sum() for r in rewards.values()))

    scan = jax.jit(lambda key, state: jax.lax.scan(step, (key, state), ring))
    held = {"carry": (jax.random.PRNGKey(1), state)}

    def play() -> int:
        held["carry"], shown = scan(*held["carry"])
        jax.block_until_ready(shown)
        return CYCLES * rows * agents

    return lambda: until(seconds, play), {}
