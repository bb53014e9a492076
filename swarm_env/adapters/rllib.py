"""RLlib's view, for its new API stack: a `MultiAgentEnv` whose observations hold the masks that its modules read.

    config = (
        PPOConfig()
        .environment(MarketMultiAgentEnv, env_config={"scenario": "baseline", "learners": "honest_*"})
        .env_runners(env_runner_cls=MarketEnvRunner, num_envs_per_env_runner=64)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **_: "shared")
        .rl_module(rl_module_spec=RLModuleSpec(module_class=MaskedMarketModule))
    )

`MaskedMarketModule` (`rllib_module`) never takes an illegal choice; `MarketEnvRunner` (`rllib_runner`) is the fast way
to sample, and RLlib's own runner works, too.

RLlib 2.60 pins gymnasium==1.2.2, so it lives in an environment of its own: ``make rllib``. RLlib's own
`ParallelPettingZooEnv` takes the order of agents from a set, so that it differs between processes; here it is the
scenario's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from swarm_env import catalog
from swarm_env.adapters.seat import Seat, any_seed
from swarm_env.market_v1 import MarketEnv

try:
    from ray.rllib.env.multi_agent_env import MultiAgentEnv
except ImportError as error:
    raise ImportError("swarm_env.adapters.rllib needs RLlib: pip install 'swarm-env[rllib]'") from error

#: Settings of `env_config` and what they are unless given.
DEFAULTS: dict[str, Any] = {
    "scenario": catalog.DEFAULT,
    "learners": "all",
    "observations": "dict",
    "actions": "multi_discrete",
    "state": False,
    "infos": True,
    "render_mode": None,
}


def settings(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """DEFAULTS with what an `env_config` gives in their place. ValueError: a setting that does not exist."""
    given = dict(config or {})
    for key in given:
        if key not in DEFAULTS:
            near = difflib.get_close_matches(str(key), DEFAULTS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"env_config: unknown setting {key!r}{hint} (settings: {', '.join(DEFAULTS)})")
    return DEFAULTS | given


class MarketMultiAgentEnv(MultiAgentEnv):  # type: ignore[misc]
    """One market for RLlib. All learners act in every step; an episode truncates for all of them at once.

    Args:
        config: settings by name:
            scenario, learners, infos, render_mode: as for `parallel_env`;
            observations: "dict": {"observations": float32 (F,), "action_mask": int8 (M,)}, what masking
                modules read, ours and RLlib's; "box": float32 (F,), for RLlib's default networks;
            actions: "multi_discrete": int64 (I+3,), the market's heads; "discrete": one of n (see `adapters.flat`);
            state: whether every info holds "state", float32 (S,): the market as a whole, for centralised critics.

    The mask is also infos[agent]["action_mask"]. Rewards are resource units.

    Raises:
        ScenarioError: a scenario that does not load.
        ValueError: a setting that does not exist or is out of range.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        chosen = settings(config)
        self.market = MarketEnv(
            chosen["scenario"], chosen["learners"], chosen["render_mode"], infos=bool(chosen["infos"])
        )
        self.possible_agents = list(self.market.possible_agents)
        self.agents = list(self.possible_agents)
        super().__init__()
        self.metadata = dict(self.market.metadata)  # RLlib writes into it
        self.render_mode = chosen["render_mode"]
        self._with_state = bool(chosen["state"])
        seats = [
            Seat(self.market.compiled, chosen["observations"], chosen["actions"], "observations")
            for _ in self.possible_agents
        ]
        self._seats = dict(zip(self.possible_agents, seats, strict=True))
        self.observation_spaces = {agent: seat.observation_space for agent, seat in self._seats.items()}
        self.action_spaces = {agent: seat.action_space for agent, seat in self._seats.items()}
        self._seeded = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode. A seed starts its first episode, no seed the next one of the seed in force.

        Args:
            seed: 0..2**63-1. Without one ever given, one is drawn from the system's entropy, so that RLlib's copies of
                an environment differ.
            options: none are known.

        Returns:
            (observations, infos), by agent.
        """
        if seed is None and not self._seeded:
            seed = any_seed()
        views, infos = self.market.reset(seed=seed)
        self._seeded = True
        self.agents = list(self.possible_agents)
        return self._show(views, infos)

    def step(self, action_dict: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Play a step.

        Returns:
            (observations, rewards, terminateds, truncateds, infos), by agent; "__all__" stands in both flags.

        Raises:
            ValueError: an agent without an action, or an action outside its space.
            RuntimeError: called before `reset`, or after the end of an episode.
        """
        if not self.market.agents:
            why = "; the episode is over" if self._seeded else ""
            raise RuntimeError(f"step: reset the environment first{why}")
        chosen = {
            agent: self._seats[agent].act(action) for agent, action in action_dict.items() if agent in self._seats
        }
        views, rewards, terminateds, truncateds, infos = self.market.step(chosen)
        self.agents = list(self.market.agents)
        seen, shown = self._show(views, infos)
        over = not self.agents
        return seen, rewards, {**terminateds, "__all__": False}, {**truncateds, "__all__": over}, shown

    def _show(self, views: dict[str, Any], infos: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        seen, shown = {}, {}
        for agent, view in views.items():
            masks = self._seats[agent].masks(view["action_mask"])
            seen[agent] = self._seats[agent].see(view["observation"], masks)
            shown[agent] = {**infos[agent], "action_mask": masks}
            if self._with_state:
                shown[agent]["state"] = self.market.state()
        return seen, shown

    def render(self) -> Any:
        """The market after the last step, in the way of `render_mode`."""
        return self.market.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        self.market.close()
