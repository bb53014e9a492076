"""B markets as one batch, in the shape that RLlib's new API stack gives a vector of multi-agent environments.

RLlib 2.60 steps such a vector through a list of dictionaries, by environment and agent. `MarketEnvRunner` steps this
one through arrays; of RLlib's class it keeps the spaces and `close`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from swarm_env.adapters.rllib import DEFAULTS, settings
from swarm_env.adapters.seat import Seat
from swarm_env.batch import MarketVectorEnv

try:
    from ray.rllib.env.vector.vector_multi_agent_env import VectorMultiAgentEnv
except ImportError as error:
    raise ImportError("swarm_env.adapters.rllib_rows needs RLlib: pip install 'swarm-env[rllib]'") from error


class MarketRows(VectorMultiAgentEnv):  # type: ignore[misc]
    """B markets whose L learners all act in every step; all rows end their episodes in the same step.

    Args:
        config: the `env_config` of `MarketMultiAgentEnv`. Infos are empty, whatever "infos" says.
        num_envs: B, at least 1.

    Attributes:
        agents: names of the L learners.
        steps: of an episode.
        single_observation_spaces, single_action_spaces: by agent, as of `MarketMultiAgentEnv`.

    Raises:
        ScenarioError: a scenario that does not load.
        ValueError: a setting that does not exist, is out of range, or that a batch has not.
    """

    closed = True  # of the class, since RLlib closes even what was never made

    def __init__(self, config: Mapping[str, Any] | None, num_envs: int) -> None:
        super().__init__()
        chosen = settings(config)
        for name in ("state", "render_mode"):
            if chosen[name] != DEFAULTS[name]:
                raise ValueError(
                    f"env_config: {name} must be {DEFAULTS[name]} in a batch of markets, got {chosen[name]!r}; "
                    "RLlib's own env runner has it"
                )
        self.market = MarketVectorEnv(chosen["scenario"], num_envs, chosen["learners"])
        self.num_envs = num_envs
        self.agents = tuple(self.market.possible_agents)
        self.steps = self.market.compiled.scenario.num_steps
        self.seat = Seat(self.market.compiled, chosen["observations"], chosen["actions"], "observations")
        seen, acts = self.seat.observation_space, self.seat.action_space
        self.single_observation_spaces = dict.fromkeys(self.agents, seen)
        self.single_action_spaces = dict.fromkeys(self.agents, acts)
        self.single_observation_space = gymnasium.spaces.Dict(self.single_observation_spaces)
        self.single_action_space = gymnasium.spaces.Dict(self.single_action_spaces)
        self.closed = False
        self.left = 0  # steps of the running episodes; 0 before the first

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every row; a seed restarts row b at the first episode of seed + b.

        Returns:
            (observations, {}): of a learner's space, with the axes (B, L) in front; fresh arrays.
        """
        views, infos = self.market.reset(seed)
        self.left = self.steps
        return self._show(views), infos

    def step(self, actions: NDArray[Any]) -> tuple[Any, NDArray[np.float64], bool, Any]:
        """Play a step in every row.

        Args:
            actions: of a learner's space, with the axes (B, L) in front.

        Returns:
            (observations, of the next episode if this one is over; rewards (B, L) in resource units; whether the
            episodes are over, by truncation; the observations after the step, of the old episode); fresh arrays.

        Raises:
            ValueError: actions of another shape, or a flat one out of range. RuntimeError: called before `reset`.
        """
        views, rewards, _, _, infos = self.market.step(self.seat.act(actions))
        seen, over = self._show(views), bool(infos)
        self.left = self.steps if over else self.left - 1
        return seen, rewards, over, self._show(infos["final_observation"]) if over else seen

    def _show(self, views: dict[str, NDArray[Any]]) -> Any:
        return self.seat.see(views["observation"], self.seat.masks(views["action_mask"]))

    def close_extras(self, **_: Any) -> None:
        """End the worker threads."""
        self.market.close()
