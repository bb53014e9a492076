"""Gymnasium's view: one learner among scripted agents.

    import gymnasium as gym
    import swarm_env.adapters.single                       # registers swarm/<scenario_id>-v1
    env = gym.make("swarm/baseline-v1", learner="deceptive_1")
    envs = gym.make_vec("swarm/baseline-v1", num_envs=64)  # one batch, see swarm_env.adapters.vector

``gym.make("swarm_env.adapters.single:swarm/baseline-v1")`` imports this module by itself; Gymnasium has had no plug-in
entry points since 1.0. An episode truncates at the end of the scenario; it never terminates.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from swarm_env import catalog
from swarm_env.adapters.seat import Seat, any_seed, one_learner
from swarm_env.catalog import Source
from swarm_env.market_v1 import RENDER_MODES, MarketEnv


class SingleMarket(gymnasium.Env[Any, Any]):
    """One learner's market: ``parallel_env(scenario, learners=(learner,))`` without the dictionaries of agents.

    Args:
        scenario: a Scenario, a YAML file, a mapping, or the id of a shipped scenario.
        learner: the agent driven from outside, by name; the first one unless given. The others are scripted.
        observations: "box": float32 (F,); "dict": {"observation": float32 (F,), "action_mask": int8 (M,)}.
        actions: "multi_discrete": int64 (I+3,), the market's heads; "discrete": one of n (see `adapters.flat`).
        render_mode: None, "ansi", "rgb_array" or "human", as for `parallel_env`.
        infos: whether infos hold the payoff breakdown (`features.INFO`) beside the mask.

    The mask of legal choices, int8 (M,), is `action_masks()` (what MaskablePPO asks for) and infos["action_mask"]:
    the heads' masks one after the other, or one entry for each flat action. An illegal choice is a noop.

    Raises:
        ScenarioError: a scenario that does not load.
        ValueError: a learner, option or render mode that does not exist, or too many flat actions to enumerate.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012  Gymnasium reads a plain dict

    def __init__(
        self,
        scenario: Source = catalog.DEFAULT,
        learner: str | None = None,
        observations: str = "box",
        actions: str = "multi_discrete",
        render_mode: str | None = None,
        infos: bool = True,
    ) -> None:
        loaded = catalog.load_scenario(scenario)
        self.learner = one_learner(list(loaded.agent_names), learner)
        self.market = MarketEnv(loaded, (self.learner,), render_mode, infos=infos)
        self.render_mode = render_mode
        self._seat = Seat(self.market.compiled, observations, actions)
        self.observation_space = self._seat.observation_space
        self.action_space = self._seat.action_space
        self._masks: NDArray[np.int8] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode. A seed starts its first episode, no seed the next one of the seed in force.

        Args:
            seed: 0..2**63-1. Without one ever given, one is drawn from the system's entropy, as Gymnasium has it;
                it stands in `np_random_seed`.
            options: none are known.

        Returns:
            (observation, info); info holds "action_mask" and, unless infos are off, the numbers of `features.INFO`.
        """
        if seed is None and self._masks is None:
            seed = any_seed()
        observations, infos = self.market.reset(seed=seed)
        super().reset(seed=seed)
        return self._show(observations, infos)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play a step.

        Returns:
            (observation, reward in resource units, terminated (never), truncated, info).

        Raises:
            ValueError: an action of another shape, or a flat one out of range.
            RuntimeError: called before `reset`, or after the end of an episode.
        """
        if not self.market.agents:
            raise RuntimeError(
                "step: reset the environment first" + (", the episode is over" * (self._masks is not None))
            )
        name = self.learner
        observations, rewards, terminations, truncations, infos = self.market.step({name: self._seat.act(action)})
        seen, info = self._show(observations, infos)
        return seen, rewards[name], terminations[name], truncations[name], info

    def _show(self, observations: dict[str, Any], infos: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        view = observations[self.learner]
        self._masks = self._seat.masks(view["action_mask"])
        info = {**infos[self.learner], "action_mask": self._masks.copy()}
        return self._seat.see(view["observation"], self._masks), info

    def action_masks(self) -> NDArray[np.int8]:
        """Legal choices of the step to come: 0 or 1 (M,), a fresh array.

        Raises:
            RuntimeError: called before `reset`.
        """
        if self._masks is None:
            raise RuntimeError("action_masks: reset the environment first")
        return self._masks.copy()

    def render(self) -> Any:
        """The market after the last step, in the way of `render_mode`."""
        return self.market.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        self.market.close()


def _register() -> None:
    for name in catalog.shipped():
        if f"swarm/{name}-v1" not in gymnasium.registry:
            gymnasium.register(
                f"swarm/{name}-v1",
                entry_point="swarm_env.adapters.single:SingleMarket",
                vector_entry_point="swarm_env.adapters.vector:SingleMarketVector",
                kwargs={"scenario": name},
            )


_register()
