"""What one learner sees and does in libraries with plain spaces: shared by the Gymnasium and RLlib adapters.

Arrays may have any leading axes, so that one seat of one market and one seat of a batch go the same way.
"""

from __future__ import annotations

import difflib
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from swarm_env.adapters.flat import FlatActions
from swarm_env.compile import Compiled, select
from swarm_env.spaces import MaskedMultiDiscrete

OBSERVATIONS = ("box", "dict")
ACTIONS = ("multi_discrete", "discrete")
SEEDS = 1 << 31  #: `any_seed` draws below this


class Seat:
    """Spaces of a learner, and the way between them and the market's arrays.

    Args:
        compiled: the scenario.
        observations: "box" for float32 (F,), or "dict" for {`features`: float32 (F,), "action_mask": int8 (M,)}.
        actions: "multi_discrete" for the market's heads (I+3,), or "discrete" for one whole number (see `flat`).
        features: what a "dict" observation calls its features.

    Attributes:
        observation_space, action_space: of one learner.
        num_masks: M: sum of the heads' choices, or the number of flat actions.

    Raises:
        ValueError: another option, or too many joint actions for "discrete".
    """

    def __init__(self, compiled: Compiled, observations: str, actions: str, features: str = "observation") -> None:
        check_option("observations", observations, OBSERVATIONS)
        check_option("actions", actions, ACTIONS)
        self._flat = FlatActions(compiled.inbox, compiled.peers) if actions == "discrete" else None
        self._key = features if observations == "dict" else None
        self.num_masks = int(compiled.nvec.sum()) if self._flat is None else self._flat.count
        self.action_space: gymnasium.Space[Any] = MaskedMultiDiscrete(compiled.nvec)
        if self._flat is not None:
            self.action_space = gymnasium.spaces.Discrete(self._flat.count)
        low, high = compiled.feature_bounds
        box = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.observation_space: gymnasium.Space[Any] = box
        if self._key is not None:
            mask = gymnasium.spaces.Box(0, 1, (self.num_masks,), dtype=np.int8)
            self.observation_space = gymnasium.spaces.Dict({self._key: box, "action_mask": mask})

    def masks(self, mask: NDArray[np.int8]) -> NDArray[np.int8]:
        """The market's masks (..., sum of nvec) -> this seat's (..., M); a fresh array."""
        return mask.copy() if self._flat is None else self._flat.joint_mask(mask)

    def see(self, observation: NDArray[np.float32], masks: NDArray[np.int8]) -> Any:
        """An observation of `observation_space` from features (..., F) and this seat's masks (..., M); fresh arrays."""
        seen = observation.copy()
        return seen if self._key is None else {self._key: seen, "action_mask": masks.copy()}

    def act(self, actions: Any) -> Any:
        """Actions of `action_space`, with any leading axes -> the market's (..., I+3).

        Raises:
            ValueError: a flat action outside 0..n-1, or not a whole number.
        """
        if self._flat is None:
            return actions
        numbers = np.asarray(actions)
        if not np.issubdtype(numbers.dtype, np.integer) or ((numbers < 0) | (numbers >= self.num_masks)).any():
            raise ValueError(f"step: an action is a whole number in 0..{self.num_masks - 1}, got {actions!r}")
        return self._flat.decode(numbers)


def any_seed() -> int:
    """A seed from the system's entropy, for an environment that was never given one, so that copies differ."""
    return int(np.random.default_rng().integers(SEEDS))


def check_option(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of the allowed words."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}{hint}")


def one_learner(names: list[str], learner: str | None) -> str:
    """The agent that a single-agent environment drives: the named one (or a pattern that fits one), else the first.

    Raises:
        ValueError: a name that fits no agent, or several.
    """
    if learner is None:
        return names[0]
    if not isinstance(learner, str):
        raise ValueError(f"learner must be the name of one agent, got {learner!r}; agents: {', '.join(names)}")
    try:
        fits = select(names, learner)
    except ValueError as error:
        raise ValueError(str(error).replace("learners:", "learner:", 1)) from None
    if len(fits) > 1:
        raise ValueError(f"learner: {learner!r} fits {len(fits)} agents, name one of: {', '.join(fits)}")
    return fits[0]
