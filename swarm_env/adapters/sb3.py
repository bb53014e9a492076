"""Stable-Baselines3 `VecEnv` over many markets: every learner of every market is a slot, all slots share one policy.

    venv = MarketVecEnv("alignment_waltz_targeted_feedback", num_envs=64, learners="honest_*")
    MaskablePPO("MlpPolicy", venv, n_steps=32, batch_size=2048).learn(1_000_000)

Slot = market * L + learner, so there are num_envs * L slots. Needs the `sb3` extra.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, Self

import gymnasium
import numpy as np
from numpy.typing import NDArray

from swarm_env.batch import EPISODE_METRICS, MarketVectorEnv
from swarm_env.catalog import DEFAULT, Source
from swarm_env.compile import Learners

try:
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("the Stable-Baselines3 adapter needs stable-baselines3: pip install 'swarm-env[sb3]'") from error

Indices = int | Iterable[int] | None


class _Info(dict[str, Any]):
    """An info of a step in which nothing ended: it notes when somebody writes into it."""

    def __init__(self, written: list[bool]) -> None:
        super().__init__()
        self._written = written

    def _note(self) -> None:
        if not self._written:
            self._written.append(True)

    def __setitem__(self, key: str, value: Any) -> None:
        self._note()
        super().__setitem__(key, value)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self._note()
        return super().__ior__(other)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._note()
        return super().setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self._note()
        super().update(*args, **kwargs)


class MarketVecEnv(VecEnv):
    """Parameter-shared learners as the slots of a `VecEnv`; a thin view of `swarm_env.batch.MarketVectorEnv`.

    Observations are float32 (slots, F): views that stay as they are during the next step, and are overwritten by the
    one after it. SB3 reads the last observations once more when it has the next ones, and its buffers copy what they
    are given; copy what you keep for longer. Rewards, float32 (slots,), and dones are fresh arrays. Actions are whole
    numbers (slots, heads), MultiDiscrete; illegal choices become noops. `env_method("action_masks")` gives MaskablePPO
    its flat bool masks (M,).

    Episodes end by truncation, never by termination. In the step that ends one, a slot's info has
    ``TimeLimit.truncated`` (True), ``terminal_observation`` (F,), ``episode`` {"r", "l", "t"} as SB3's Monitor writes
    it, and ``market``: the metrics of `swarm_env.batch.EPISODE_METRICS` that are defined for that market's episode.
    In all other steps infos are one list of empty dictionaries, used again and again.

    Args:
        scenario: one for all markets, or one for each; see `swarm_env.vector_env`.
        num_envs: markets, at least 1. (SB3's own `num_envs` counts the slots.)
        learners: "all", a name, a pattern such as ``honest_*``, or a sequence of these.
        num_threads: worker threads under the markets.
        seed: market b plays seed + b; `seed()`, which SB3 calls for `PPO(seed=...)`, sets it anew.
        tuned: machine code for this shape of batch, see `MarketVectorEnv`.

    Attributes:
        market: the MarketVectorEnv below.
        agents: name of the agent in each slot.

    Raises:
        ScenarioError: a scenario that does not load. ValueError: as for `MarketVectorEnv`.
    """

    def __init__(
        self,
        scenario: Source | Sequence[Source] = DEFAULT,
        num_envs: int = 64,
        learners: Learners = "all",
        num_threads: int = 1,
        seed: int = 0,
        tuned: bool = False,
    ) -> None:
        self.market = MarketVectorEnv(scenario, num_envs, learners, num_threads, seed, tuned=tuned)
        slots = self.market.num_envs * self.market.num_learners
        self.agents = self.market.possible_agents * self.market.num_envs
        self._started = time.time()
        self.market.keep_last()
        self._rest(slots)
        observation, action = self.market.single_observation_space, self.market.single_action_space
        super().__init__(slots, observation["observation"], gymnasium.spaces.MultiDiscrete(action.nvec))
        self._actions: NDArray[Any] | None = None
        self._mask: NDArray[np.int8] | None = None

    def _rest(self, slots: int) -> None:
        """Infos for steps in which nothing ends; `_written` fills when somebody writes into one."""
        self._written: list[bool] = []
        self._idle: list[dict[str, Any]] = [_Info(self._written) for _ in range(slots)]

    def seed(self, seed: int | None = None) -> Sequence[int]:
        """The next `reset` starts market b at the first episode of seed + b; returns the seed of each slot."""
        first = int(np.random.randint(0, 2**31)) if seed is None else int(seed)
        learners = self.market.num_learners
        seeds = [first + slot // learners for slot in range(self.num_envs)]
        self._seeds = list(seeds)
        return seeds

    def reset(self) -> NDArray[np.float32]:
        """Start an episode in every market: of the seed just set, else the next one. Returns float32 (slots, F).

        Raises:
            ValueError: a seed below 0 or too large.
        """
        seen, _ = self.market.reset(self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        return self._show(seen)

    def _show(self, seen: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The observations, slot by slot; the masks, for which most steps are never asked, are kept."""
        self._mask = seen["action_mask"].reshape(self.num_envs, -1)
        return seen["observation"].reshape(self.num_envs, -1)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions (slots, heads) for `step_wait`.

        Raises:
            ValueError: actions of another shape.
        """
        heads = len(self.market.single_action_space.nvec)
        if np.shape(actions) != (self.num_envs, heads):
            raise ValueError(f"actions have shape {np.shape(actions)}; they must be {(self.num_envs, heads)}")
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Play the step: observations (slots, F), rewards (slots,), dones (slots,), infos."""
        if self._actions is None:
            raise RuntimeError("step_wait needs step_async before it")
        shape = (self.market.num_envs, self.market.num_learners)
        actions = np.ascontiguousarray(self._actions, dtype=np.int64).reshape(*shape, -1)
        self._actions = None
        paid, over, ended = self.market.play(actions, np.float32)
        dones = np.zeros(shape, dtype=np.bool_)
        if self._written:  # a wrapper wrote into an info: what it said was of that step alone
            self._rest(self.num_envs)
        infos = self._idle
        if ended:
            dones[over] = True
            infos = self._infos(ended)
        return self._show(self.market.seen()), paid.reshape(-1), dones.reshape(-1), infos

    def _infos(self, ended: dict[str, Any]) -> list[dict[str, Any]]:
        """Fresh dictionaries for all slots, filled in where an episode has ended."""
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        elapsed, learners = round(time.time() - self._started, 6), self.market.num_learners
        final, episode = ended["final_observation"]["observation"], ended["episode"]
        returns, lengths = episode["return"].tolist(), episode["length"].tolist()
        metrics = zip(*(episode[name].tolist() for name in EPISODE_METRICS), strict=True)
        for k, (row, values) in enumerate(zip(ended["final_rows"].tolist(), metrics, strict=True)):
            market = {name: x for name, x in zip(EPISODE_METRICS, values, strict=True) if isfinite(x)}
            for learner in range(learners):
                infos[row * learners + learner] = {
                    "TimeLimit.truncated": True,
                    "terminal_observation": final[k, learner],
                    "episode": {"r": returns[k][learner], "l": lengths[k], "t": elapsed},
                    "market": market,
                }
        return infos

    def action_masks(self) -> NDArray[np.bool_]:
        """(slots, M): True where a choice is legal now, the heads one after the other; a fresh array.

        Raises:
            RuntimeError: called before `reset`.
        """
        if self._mask is None:
            raise RuntimeError("reset the environment before asking for masks")
        return self._mask.astype(np.bool_)

    def snapshot(self) -> bytes:
        """All that the future depends on; see `MarketVectorEnv.snapshot`."""
        return self.market.snapshot()

    def restore(self, snapshot: bytes) -> NDArray[np.float32]:
        """Go back to a snapshot; returns its observations. ValueError: a snapshot of something else."""
        return self._show(self.market.restore(snapshot))

    def close(self) -> None:
        """End the worker threads."""
        self.market.close()

    def has_attr(self, attr_name: str) -> bool:
        """Whether `get_attr` or `env_method` know the name."""
        return attr_name in ("action_masks", "render_mode", "agent") or hasattr(self.market, attr_name)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of the markets, the same for every slot; "agent" is the name of the slot's agent."""
        slots = list(self._get_indices(indices))
        if attr_name == "agent":
            return [self.agents[slot] for slot in slots]
        if attr_name == "render_mode":
            return [None] * len(slots)
        return [getattr(self if attr_name == "action_masks" else self.market, attr_name)] * len(slots)

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of the markets.

        Raises:
            ValueError: for some slots only; they all share one object.
        """
        if sorted(self._get_indices(indices)) != list(range(self.num_envs)):
            raise ValueError(f"set_attr: {attr_name!r} can only be set for all slots, which share one environment")
        setattr(self.market, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """The result for each slot: its mask of "action_masks"; of any other method what one call on all returns."""
        slots = list(self._get_indices(indices))
        if method_name == "action_masks":
            masks = self.action_masks()
            return list(masks) if indices is None else [masks[slot] for slot in slots]
        return [getattr(self.market, method_name)(*method_args, **method_kwargs)] * len(slots)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """True for SB3's Monitor alone, whose work is done here: `info["episode"]` has unmodified returns."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]
