"""Box observations and one Discrete action, for libraries that take neither dictionaries nor several heads.

    env = flatten(swarm_env.parallel_env("alignment_waltz_targeted_feedback"))

An action is a pattern of answers and a move: action = pattern * number of moves + move. Bit k of the pattern accepts
the proposal in inbox slot k. The moves are the combinations of verb, peer slot and conduct that differ in effect (see
`moves`). The joint mask is infos[agent]["action_mask"], int8 (n,).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pettingzoo.utils.wrappers import BaseParallelWrapper

from swarm_env.core.types import ADVERSARIAL, HONEST, NOOP, NUM_CONDUCTS, POST, PROPOSE, TASK, VERBS, VOTE
from swarm_env.market_v1 import MarketEnv

MAX_ACTIONS = 1 << 16  #: beyond this a flat action space is no use to any learner


def moves(peers: int) -> NDArray[np.int64]:
    """(m, 3) verb, peer slot, conduct of every move: noop, post, proposals, votes by trust and votes down, tasks."""
    rows = [(NOOP, 0, 0), (POST, 0, 0)]
    rows += [(PROPOSE, peer, conduct) for peer in range(peers) for conduct in range(NUM_CONDUCTS)]
    rows += [(VOTE, peer, conduct) for peer in range(peers) for conduct in (HONEST, ADVERSARIAL)]
    rows += [(TASK, 0, conduct) for conduct in range(NUM_CONDUCTS)]
    return np.array(rows, dtype=np.int64)


class FlatActions:
    """The way between flat actions and the market's heads, for one agent or for arrays of any leading shape.

    Args:
        inbox: I, inbox slots.
        peers: peer slots.

    Attributes:
        count: n, how many flat actions there are.

    Raises:
        ValueError: more than 65,536 joint actions; `view.inbox` and `view.peers` make them fewer.
    """

    def __init__(self, inbox: int, peers: int) -> None:
        self._inbox, self._peers, self._moves = inbox, peers, moves(peers)
        self.count = len(self._moves) << inbox
        if self.count > MAX_ACTIONS:
            raise ValueError(
                f"{self.count} joint actions are too many to enumerate ({MAX_ACTIONS} at most); "
                "set view.inbox or view.peers in the scenario to see fewer slots"
            )
        self._patterns = (np.arange(1 << inbox)[:, None] >> np.arange(inbox)) & 1  # (2**I, I) accept bits
        self._asks = np.isin(self._moves[:, 0], (PROPOSE, VOTE))

    def decode(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Whole numbers (...) in 0..n-1 -> the market's actions (..., I+3)."""
        pattern, move = np.divmod(np.asarray(actions, dtype=np.int64), len(self._moves))
        return np.concatenate([self._patterns[pattern], self._moves[move]], axis=-1)

    def joint_mask(self, mask: NDArray[np.int8]) -> NDArray[np.int8]:
        """The market's masks (..., M) -> legal flat actions, 0 or 1 (..., n); a fresh array."""
        at = 2 * self._inbox
        accept, verb = mask[..., 1:at:2], mask[..., at : at + len(VERBS)]
        peer = mask[..., at + len(VERBS) :][..., : self._peers]
        legal = verb[..., self._moves[:, 0]] & np.where(self._asks, peer[..., self._moves[:, 1]], 1)
        answers = np.all(self._patterns <= accept[..., None, :], axis=-1)
        joint = answers[..., :, None] & legal[..., None, :].astype(bool)
        return np.asarray(joint, dtype=np.int8).reshape(*mask.shape[:-1], self.count)


class FlatMarket(BaseParallelWrapper):  # type: ignore[misc]
    """See the module. Observations are float32 (F,), actions whole numbers.

    Raises:
        ValueError: more than 65,536 joint actions; `view.inbox` and `view.peers` make them fewer.
    """

    def __init__(self, env: MarketEnv) -> None:
        super().__init__(env)
        compiled = env.compiled
        self._flat = FlatActions(compiled.inbox, compiled.peers)
        low, high = compiled.feature_bounds
        self._observation_spaces = {
            agent: gymnasium.spaces.Box(low, high, dtype=np.float32) for agent in env.possible_agents
        }
        self._action_spaces = {agent: gymnasium.spaces.Discrete(self._flat.count) for agent in env.possible_agents}

    def observation_space(self, agent: str) -> gymnasium.spaces.Box:
        """The same object at every call."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.spaces.Discrete:
        """The same object at every call."""
        return self._action_spaces[agent]

    def decode(self, action: int) -> NDArray[np.int64]:
        """The environment's action (I+3,) for a flat one."""
        return self._flat.decode(action)

    def joint_mask(self, mask: NDArray[np.int8]) -> NDArray[np.int8]:
        """Legal flat actions (n,) for the environment's mask of one agent."""
        return self._flat.joint_mask(mask)

    def _split(
        self, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = {agent: view["observation"] for agent, view in observations.items()}
        masks = {agent: self.joint_mask(view["action_mask"]) for agent, view in observations.items()}
        return shown, {agent: {**infos[agent], "action_mask": masks[agent]} for agent in observations}

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As the environment's."""
        return self._split(*self.env.reset(seed=seed, options=options))

    def step(self, actions: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """As the environment's, with whole numbers for actions.

        Raises:
            ValueError: an agent without an action, or a number outside its space.
        """
        for agent in self.env.agents:
            if agent not in actions or not self._action_spaces[agent].contains(np.int64(actions[agent])):
                given = actions.get(agent, "nothing")
                raise ValueError(
                    f"step: {agent!r} needs a whole number in 0..{self._action_spaces[agent].n - 1}, got {given}"
                )
        decoded = {agent: self.decode(actions[agent]) for agent in self.env.agents}
        observations, rewards, terminations, truncations, infos = self.env.step(decoded)
        shown, infos = self._split(observations, infos)
        return shown, rewards, terminations, truncations, infos


def flatten(env: MarketEnv) -> FlatMarket:
    """The flat view of a market environment."""
    return FlatMarket(env)
