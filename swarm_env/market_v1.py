"""The PettingZoo environment: a view of one row of the compiled market, with no rules of its own.

Constructors as PettingZoo has them: `parallel_env` (the class), `raw_env` and `env` (AEC, through `parallel_to_aec`).
Every shipped scenario is registered as ``swarm/<scenario_id>-v1``, where PettingZoo has a registry.

What bridges and trainers rely on: agents stay in `agents` until the episode is over (a frozen agent has a mask that
leaves it the noop); an illegal choice is a noop, counted in infos; infos hold the same numeric keys from reset on and
no NaN; the last step shows final observations; returned arrays are never written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
from numpy.typing import NDArray
from pettingzoo.utils import parallel_to_aec
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from swarm_env import catalog
from swarm_env.catalog import Source
from swarm_env.compile import Learners, compile_scenario
from swarm_env.core import step
from swarm_env.core.claims import ALONE
from swarm_env.core.features import INFO
from swarm_env.core.types import State, View
from swarm_env.deals import settled
from swarm_env.scenario import Scenario
from swarm_env.spaces import MaskedMultiDiscrete

RENDER_MODES = ("human", "ansi", "rgb_array")
_NO_INFO = dict.fromkeys(INFO, 0.0)  # an agent's infos of a step in which nothing happened to it


class MarketEnv(pettingzoo.ParallelEnv):  # type: ignore[misc]
    """One market. Learners act; all other agents follow their archetype.

    Args:
        scenario: a Scenario, a YAML file, a mapping, or the id of a shipped scenario.
        learners: which agents are driven from outside: "all", names, or patterns such as ``honest_*``.
        render_mode: None, "ansi" (`render` returns text), "rgb_array" (uint8 (H, W, 3)) or "human" (a window).
        max_cycles: truncate an episode after so many steps; None, or more than the scenario has: at its end.
        infos: whether to fill infos (the payoff breakdown, see `features.INFO`); empty ones make steps a third faster.

    Observations: {"observation": float32 (F,), "action_mask": int8 (sum of nvec,)}; see `feature_names`.
    Actions: int64 (I+3,): accept bit of every inbox slot, verb, peer slot, conduct.
    Rewards: change of resources in the step, without the floor at 0 (resource units).

    Raises:
        ScenarioError: a scenario that does not load.
        ValueError: a learner, render mode or max_cycles that does not exist.
    """

    metadata = {  # noqa: RUF012  PettingZoo reads a plain dict here
        "name": "swarm_market_v1",
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        scenario: Source = catalog.DEFAULT,
        learners: Learners = "all",
        render_mode: str | None = None,
        max_cycles: int | None = None,
        infos: bool = True,
    ) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ValueError(f"render_mode must be None or one of {RENDER_MODES}, got {render_mode!r}")
        if max_cycles is not None and max_cycles < 1:
            raise ValueError(f"max_cycles must be at least 1, got {max_cycles}")
        self.compiled = compile_scenario(catalog.load_scenario(scenario), learners)
        if not self.compiled.learner_names:
            raise ValueError("learners: an environment needs at least one; scripted runs are `swarm_env.run`")
        self.render_mode = render_mode
        self.max_cycles = max_cycles
        self.possible_agents = list(self.compiled.learner_names)
        self.agents: list[str] = []
        self._state: State
        self._view: View
        self._state, self._view = self.compiled.allocate(1, infos)
        self._actions = np.zeros((1, self.compiled.num_learners, len(self.compiled.nvec)), dtype=np.int64)
        self._episodes = 0  # started since the seed was set
        self._learners = np.flatnonzero(self.compiled.scene.seats["learner"][0] >= 0)
        self._make_spaces()

    def _make_spaces(self) -> None:
        low, high = self.compiled.feature_bounds
        masks = int(self.compiled.nvec.sum())
        self.observation_spaces = {
            agent: gymnasium.spaces.Dict(
                {
                    "observation": gymnasium.spaces.Box(low, high, dtype=np.float32),
                    "action_mask": gymnasium.spaces.Box(0, 1, (masks,), dtype=np.int8),
                }
            )
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: MaskedMultiDiscrete(self.compiled.nvec) for agent in self.possible_agents}
        low, high = self.compiled.state_bounds
        self.state_space = gymnasium.spaces.Box(low, high, dtype=np.float32)

    def observation_space(self, agent: str) -> gymnasium.spaces.Dict:
        """The same object at every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> MaskedMultiDiscrete:
        """The same object at every call."""
        return self.action_spaces[agent]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of every entry of an observation."""
        return self.compiled.feature_names

    @property
    def scenario(self) -> Scenario:
        """What is being played."""
        return self.compiled.scenario

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
        """Start an episode. A seed starts its first episode, no seed the next one of the seed in force.

        Args:
            seed: 0..2**63-1; unless ever given, the scenario's `simulation.seed`.
            options: ignored (PettingZoo asks for the argument).

        Returns:
            (observations, infos), by agent.
        """
        row = self._state.rows[0]
        if seed is not None:
            if not 0 <= int(seed) < 2**63:
                raise ValueError(f"seed must be in 0..2**63-1, got {seed}")
            row["seed"], self._episodes = int(seed), 0
        elif self._episodes == 0:
            row["seed"] = self.scenario.simulation.seed
        row["episode"] = self._episodes
        self._episodes += 1
        compiled = self.compiled
        step.reset_unchecked(compiled.scene, compiled.initial, self._state, self._view, 0, 1)
        self.agents = list(self.possible_agents)
        self._show()
        return self._observations(), self._infos()[0]

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, float]]]:
        """Play a step.

        Args:
            actions: by agent, whole numbers of shape (I+3,). Illegal choices become noops.

        Returns:
            (observations, rewards, terminations, truncations, infos), by agent; empty once the episode is over.

        Raises:
            ValueError: an agent without an action, or an action of another shape.
            RuntimeError: called before `reset`.
        """
        agents = self.agents
        if not agents:
            if self._episodes == 0:
                raise RuntimeError("reset the environment before the first step")
            return {}, {}, {}, {}, {}
        try:
            chosen = [actions[agent] for agent in agents]
            if any(len(action) != self._actions.shape[2] for action in chosen):
                raise ValueError("an action of another length")
            np.concatenate(chosen, out=self._actions.reshape(-1))  # faster than an assignment for each agent
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise ValueError(self._explain(actions)) from error
        step.advance_unchecked(self.compiled.scene, self._state, self._view, self._actions, 0, 1, *ALONE)
        over = self._is_over()
        if over:
            self.agents = []
        self._show()
        infos, rewards = self._infos()
        alive, ended = dict.fromkeys(agents, False), dict.fromkeys(agents, over)
        return self._observations(), rewards, alive, ended, infos

    def _show(self) -> None:
        """In "human" mode the window follows the market by itself, as PettingZoo's environments do."""
        if self.render_mode == "human":
            self.render()

    def _is_over(self) -> bool:
        steps, played = (
            self.compiled.scenario.num_steps,
            int(self._state.rows["step"][0]),
        )  # no view kept: a copied environment has tables of its own
        return played >= (steps if self.max_cycles is None else min(self.max_cycles, steps))

    def _explain(self, actions: Mapping[str, Any]) -> str:
        heads = len(self.compiled.nvec)
        for agent in self.agents:
            if agent not in actions:
                return f"step: no action for {agent!r}; agents now: {', '.join(self.agents)}"
            if np.shape(actions[agent]) != (heads,):
                shape = np.shape(actions[agent])
                return f"step: the action of {agent!r} has shape {shape}; it must be ({heads},) whole numbers"
        return f"step: actions must be {heads} whole numbers an agent"

    def _observations(self) -> dict[str, Any]:
        observation, mask = self._view.observation[0].copy(), self._view.mask[0].copy()
        # the zips here and below are the hot lines of a step: `strict` would double their cost
        return {
            agent: {"observation": seen, "action_mask": legal}
            for agent, seen, legal in zip(self.possible_agents, observation, mask)  # noqa: B905
        }

    def _infos(self) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Infos, empty if nobody asked for them, and rewards."""
        agents, rows = self.possible_agents, self._view.info[0]
        rewards = dict(zip(agents, self._view.reward[0].tolist()))  # noqa: B905
        if not len(rows):
            return {agent: {} for agent in agents}, rewards
        infos = [_NO_INFO.copy() for _ in agents]
        learners, places = rows.nonzero()  # few: most of what can happen to an agent does not happen in most steps
        for learner, place, value in zip(learners.tolist(), places.tolist(), rows[learners, places].tolist()):  # noqa: B905
            infos[learner][INFO[place]] = value
        return dict(zip(agents, infos)), rewards  # noqa: B905

    def state(self) -> NDArray[np.float32]:
        """The market as a whole, for centralised critics: float32 (S,), no latent quality, conduct or archetype."""
        return np.asarray(self.compiled.global_state(self._state)[0])

    def ledger(self) -> dict[str, NDArray[np.float32]]:
        """For overseers only: float32 (I, 6) by agent, what the books say of each proposal in its inbox."""
        view = self.compiled.ledger(self._state)[0]
        return {agent: view[i] for agent, i in zip(self.possible_agents, self._learners, strict=True)}

    def interactions(self) -> NDArray[Any]:
        """The interactions settled in the last step: a structured array (n,), see `swarm_env.core.types.Deal`.

        A fresh copy with the field `initiator` in front, fit for `swarm_env.metrics.compute`. It holds latent p and
        conduct: for metrics and logs, not for policies.
        """
        return settled(self._state)

    def render(self) -> str | NDArray[np.uint8] | None:
        """The market after the last step, in the way of `render_mode`."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() was called, but the environment has no render_mode")
            return None
        from swarm_env import render
        from swarm_env.snapshot import snapshot

        picture = snapshot(self.compiled, self._state)
        if self.render_mode == "ansi":
            return render.draw_ansi(picture)
        image = render.draw_rgb(picture)
        if self.render_mode == "human":
            render.show(image)
            return None
        return image

    def close(self) -> None:
        """Close the window, if there is one."""
        if self.render_mode == "human":
            from swarm_env import render

            render.close()


def parallel_env(
    scenario: Source = catalog.DEFAULT,
    learners: Learners = "all",
    render_mode: str | None = None,
    max_cycles: int | None = None,
    infos: bool = True,
) -> MarketEnv:
    """A PettingZoo ParallelEnv of a scenario; see `MarketEnv`."""
    return MarketEnv(scenario, learners, render_mode, max_cycles, infos)


def raw_env(**kwargs: Any) -> Any:
    """The same as an AEC environment; arguments as for `parallel_env`."""
    return parallel_to_aec(parallel_env(**kwargs))


def env(**kwargs: Any) -> Any:
    """The AEC environment with PettingZoo's order-enforcing wrapper; arguments as for `parallel_env`."""
    return OrderEnforcingWrapper(raw_env(**kwargs))


def _register() -> None:
    """Enter the shipped scenarios into PettingZoo's registry, which it has from 1.27 on."""
    register = getattr(pettingzoo, "register", None)
    if register is None:
        return
    from pettingzoo.env_registry.registration import parallel_registry

    for name in catalog.shipped():
        if f"swarm/{name}-v1" not in parallel_registry:
            kwargs = {"scenario": name}
            register("parallel", f"swarm/{name}-v1", "swarm_env.market_v1:parallel_env", kwargs=kwargs)
            register("aec", f"swarm/{name}-v1", "swarm_env.market_v1:env", kwargs=kwargs)


_register()
