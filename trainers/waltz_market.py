"""WaltzRL in the market: its world, and what a run there is judged by. `trainers.waltz_config.GAMES` names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Generator, Tensor

import swarm_env
from trainers import checkpoint
from trainers.checkpoint import Tensors
from trainers.games.market import MarketGame, populations
from trainers.pairs import evaluate, table
from trainers.policies import Policy
from trainers.waltz_config import Config
from trainers.warm_start import warm_start

__all__ = ["Config", "World", "identity", "table"]

SEEDS_APART = 2**24  #: markets of run s play seeds s * SEEDS_APART + b: two runs share none


def identity(config: Config) -> dict[str, str]:
    """What must agree for two runs to be trained in the same world. ScenarioError: a scenario that does not load."""
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    return {"scenario": scenario.content_hash[:16]}


class World:
    """Markets in play, and clones of rules to start from; see `trainers.waltz.World`."""

    micro_batch = importance_cap = None

    def __init__(self, config: Config, folder: Path | None, generator: Generator) -> None:
        self.config, self.generator = config, generator
        self.scenario = swarm_env.load_scenario(config.scenario, config.overrides)
        mixed = populations(self.scenario, config.populations, config.population_spread, config.seed)
        self.game = MarketGame(
            mixed, config.num_envs, config.seed * SEEDS_APART, actor_sees=config.actor_sees, shares=config.shares
        )

    def start(self) -> tuple[Policy, Policy]:
        """See `warm_start`."""
        return warm_start(self.game, self.config.hidden, self.config.warm_start, self.generator)

    def describe(self) -> str:
        """It needs next to nothing."""
        return ""

    def keep(self, folder: Path) -> None:
        """Nothing: policies are all that a run needs to be played again."""

    def state(self) -> Tensors:
        """The markets."""
        return {"markets": checkpoint.pack_bytes(self.game.live.snapshot())}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.game.live.restore(tensors["markets"].numpy().tobytes())

    def finish(self, folder: Path, policies: Mapping[str, Policy], *, leads: bool) -> dict[str, Any]:
        """See `pairs.evaluate`."""
        return evaluate(folder, self.config)
