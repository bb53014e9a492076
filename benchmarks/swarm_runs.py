"""What is timed of SWARM (swarm-safety): its own PettingZoo bridge, and its orchestrator. Needs swarm-safety."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.populations import WALTZ
from benchmarks.sample import Facts, Sample, until


def bridge(seconds: float, agents: int, steps: int, episodes: int = 4) -> tuple[Callable[[], Sample], Facts]:
    """Episodes of SwarmParallelEnv, reset included, agents acting at random; counts agent-steps.

    Each play makes a fresh environment: the bridge keeps every event since it was made.
    """
    from swarm.bridges.pettingzoo.config import PettingZooConfig
    from swarm.bridges.pettingzoo.environment import SwarmParallelEnv

    config = PettingZooConfig(n_agents=agents, max_steps=steps)
    rng, names = random.Random(0), SwarmParallelEnv(config).possible_agents
    drawn = [[{name: rng.randrange(4) for name in names} for _ in range(steps)] for _ in range(episodes)]

    def play() -> int:
        env, played = SwarmParallelEnv(config), 0
        for seed, episode in enumerate(drawn):
            env.reset(seed=seed)
            for actions in episode:
                if not env.agents:
                    break
                env.step(actions)
                played += 1
        return played * agents

    return lambda: until(seconds, play), {}


def orchestrator(seconds: float) -> tuple[Callable[[], Sample], Facts]:
    """SWARM's own run of the scenario, scripted agents and levers as the file has them; counts agent-steps."""
    from swarm.scenarios import loader

    from swarm_env.catalog import load_scenario, shipped

    ours = load_scenario(WALTZ)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(shipped()[WALTZ].read_text())
        markets = [loader.load_scenario(path) for _ in range(3)]
    for seed, market in enumerate(markets):
        market.orchestrator_config.seed = 1000 * seed
        market.orchestrator_config.log_path = None

    def play() -> int:
        for market in markets:
            loader.build_orchestrator(market).run()
        return len(markets) * ours.num_steps * ours.num_agents

    return lambda: until(seconds, play), {}
