"""Gymnasium's `VectorEnv` of one learner: the native batch behind ``gymnasium.make_vec("swarm/<scenario_id>-v1")``.

Row b under seed s plays what the single environment plays under seed s + b, bit for bit. Rows reset themselves in the
step that ends their episode (`AutoresetMode.SAME_STEP`): the observation returned for such a row is the first of its
next episode; the last one is in infos.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from swarm_env import catalog
from swarm_env.adapters.seat import Seat, any_seed, one_learner
from swarm_env.batch import EPISODE_METRICS, MarketVectorEnv
from swarm_env.catalog import Source


class SingleMarketVector(gymnasium.vector.VectorEnv[Any, Any, NDArray[Any]]):
    """B markets with one learner each, in the same seat.

    Args:
        num_envs: B, at least 1.
        scenario, learner, observations, actions: as for `SingleMarket`.
        render_mode: None; a batch is not drawn.
        num_threads: worker threads of the batch.

    infos["action_mask"] is int8 (B, M) at every step, as is `action_masks()`. When episodes end, infos hold, with the
    masks ``_name`` that Gymnasium has beside every name: "final_obs", an object array (B,) of observations; and
    "final_info": {"action_mask": int8 (B, M), "episode": {"r": return, "l": steps, "t": seconds}, "metrics":
    {name: (B,)} with the numbers of `swarm_env.batch.EPISODE_METRICS` (undefined is NaN)}. The statistics are under
    "final_info", where a batch of `RecordEpisodeStatistics` has them, so that its vector wrapper fits around this.
    The payoff breakdown of the single environment's infos is left out.

    Raises:
        ScenarioError: a scenario that does not load.
        ValueError: an argument that does not exist or is out of range.
    """

    metadata = {  # noqa: RUF012  Gymnasium reads a plain dict
        "autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP,
        "render_modes": [],
    }
    _parts: Sequence[MarketVectorEnv] = ()  # of the class, since Gymnasium closes even what was never made

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Source = catalog.DEFAULT,
        learner: str | None = None,
        observations: str = "box",
        actions: str = "multi_discrete",
        render_mode: str | None = None,
        num_threads: int = 1,
    ) -> None:
        if render_mode is not None:
            raise ValueError(
                f"render_mode must be None for a batch, got {render_mode!r}; "
                "draw one market with gymnasium.make, or choose vectorization_mode='sync'"
            )
        self._scenario = catalog.load_scenario(scenario)
        self.learner = one_learner(list(self._scenario.agent_names), learner)
        self.num_envs, self._threads = num_envs, num_threads
        self._parts = [self._batch(num_envs)]
        self._seat = Seat(self._parts[0].compiled, observations, actions)
        self.single_observation_space = self._seat.observation_space
        self.single_action_space = self._seat.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._started = False
        self._views: list[dict[str, NDArray[Any]]] = []  # of every batch; the next step overwrites them
        self._masks = np.zeros((num_envs, self._seat.num_masks), dtype=np.int8)
        self._returns = np.zeros(num_envs)  # of the running episodes
        self._since = np.zeros(num_envs)  # seconds, when each row's episode began

    def _batch(self, rows: int) -> MarketVectorEnv:
        return MarketVectorEnv(self._scenario, rows, (self.learner,), self._threads)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every row.

        Args:
            seed: row b starts the first episode of seed + b, or of seed[b]. Without one, every row starts its next
                episode; without one ever given, one is drawn from the system's entropy. A list that does not count
                up by one is played as several batches, one for each run that does: slow for many rows.
            options: {"reset_mask": bool (B,)}, all of it True: rows that reset themselves are never waiting.

        Raises:
            ValueError: seeds of another number or out of range, or a reset mask that leaves a row out.
        """
        check_options(options, self.num_envs)
        if seed is None and not self._started:
            seed = any_seed()
        if isinstance(seed, int | np.integer):
            first = int(seed)
            self._reseed(list(range(first, first + self.num_envs)))
            super().reset(seed=first)
        elif seed is not None:
            self._reseed(list(seed))
        else:
            self._views = [part.reset()[0] for part in self._parts]
        self._started = True
        self._returns[:], self._since[:] = 0.0, time.perf_counter()
        return self._show()

    def _reseed(self, seeds: list[int]) -> None:
        """Start seeds[b] in row b: one batch for each run of seeds that count up by one."""
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: {len(seeds)} seeds for {self.num_envs} rows; give one, or one for each")
        if not all(isinstance(seed, int | np.integer) and 0 <= seed < 2**63 - self.num_envs for seed in seeds):
            raise ValueError(f"seed must be whole numbers in 0..2**63-1-{self.num_envs}, got {seeds[:8]}")
        starts = [b for b, seed in enumerate(seeds) if b == 0 or seed != seeds[b - 1] + 1]
        sizes = np.diff([*starts, self.num_envs]).tolist()
        if sizes != [part.num_envs for part in self._parts]:
            for part in self._parts:
                part.close()
            self._parts = [self._batch(size) for size in sizes]
        self._views = [part.reset(int(seeds[b]))[0] for part, b in zip(self._parts, starts, strict=True)]

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Play a step in every row.

        Args:
            actions: whole numbers (B, I+3), or (B,) if flat.

        Returns:
            (observations, rewards (B,) in resource units, terminations (B,) (never), truncations (B,), infos);
            fresh arrays.

        Raises:
            ValueError: actions of another shape, or a flat one out of range. RuntimeError: called before `reset`.
        """
        if not self._started:
            raise RuntimeError("step: reset the environment first")
        chosen = np.asarray(self._seat.act(actions))
        if chosen.ndim != 2 or len(chosen) != self.num_envs:
            raise ValueError(f"step: actions of shape {np.shape(actions)}; they must be {self.action_space.shape}")
        rewards, over = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        ended: list[dict[str, Any]] = []
        for k, (part, rows) in enumerate(self._ranges()):
            self._views[k], paid, _, truncations, infos = part.step(chosen[rows, None])
            rewards[rows], over[rows] = paid[:, 0], truncations[:, 0]
            if infos:
                ended.append(infos)
        self._returns += rewards
        final = self._finish(over, ended) if ended else {}
        seen, info = self._show()
        return seen, rewards, np.zeros_like(over), over, {**final, **info}

    def _ranges(self) -> list[tuple[MarketVectorEnv, slice]]:
        """Every batch with its rows."""
        stops = np.cumsum([part.num_envs for part in self._parts]).tolist()
        return [(part, slice(stop - part.num_envs, stop)) for part, stop in zip(self._parts, stops, strict=True)]

    def _show(self) -> tuple[Any, dict[str, Any]]:
        """Observations and infos of the step to come."""
        seen = np.concatenate([view["observation"][:, 0] for view in self._views])
        self._masks = self._seat.masks(np.concatenate([view["action_mask"][:, 0] for view in self._views]))
        everywhere = np.ones(self.num_envs, dtype=bool)
        return self._seat.see(seen, self._masks), {"action_mask": self._masks.copy(), "_action_mask": everywhere}

    def _finish(self, over: NDArray[np.bool_], ended: list[dict[str, Any]]) -> dict[str, Any]:
        """What ended episodes leave, in Gymnasium's layout; `ended` is in the order of rows."""
        rows = np.flatnonzero(over)

        def gather(*keys: str) -> NDArray[Any]:
            found: list[Any] = ended
            for key in keys:
                found = [each[key] for each in found]
            return np.concatenate(found)

        def spread(values: NDArray[Any]) -> NDArray[Any]:
            out = np.zeros((self.num_envs, *values.shape[1:]), dtype=values.dtype)
            out[rows] = values
            return out

        def masked(**entries: Any) -> dict[str, Any]:
            return entries | {f"_{name}": over.copy() for name in entries}

        masks = self._seat.masks(gather("final_observation", "action_mask")[:, 0])
        seen = gather("final_observation", "observation")[:, 0]
        last = np.full(self.num_envs, None, dtype=object)
        for k, b in enumerate(rows):
            last[b] = self._seat.see(seen[k], masks[k])
        now = time.perf_counter()
        episode = masked(
            r=np.where(over, self._returns, 0.0),
            l=spread(gather("episode", "length")).astype(np.int64),
            t=np.where(over, np.round(now - self._since, 6), 0.0),
        )
        metrics = masked(**{name: spread(gather("episode", name)) for name in EPISODE_METRICS})
        self._returns[over], self._since[over] = 0.0, now
        info = masked(action_mask=spread(masks), episode=episode, metrics=metrics)
        return masked(final_obs=last, final_info=info)

    def action_masks(self) -> NDArray[np.int8]:
        """Legal choices of the step to come: 0 or 1 (B, M), a fresh array.

        Raises:
            RuntimeError: called before `reset`.
        """
        if not self._started:
            raise RuntimeError("action_masks: reset the environment first")
        return self._masks.copy()

    def close_extras(self, **_: Any) -> None:
        """End the worker threads."""
        for part in self._parts:
            part.close()


def check_options(options: dict[str, Any] | None, num_envs: int) -> None:
    """Raise ValueError for a reset mask that this environment cannot follow; other options are ignored."""
    mask = (options or {}).get("reset_mask")
    if mask is None:
        return
    if np.shape(mask) != (num_envs,) or np.asarray(mask).dtype != np.bool_:
        raise ValueError(f"options: reset_mask must be bool ({num_envs},), got {mask!r}")
    if not np.all(mask):
        raise ValueError(
            "options: reset_mask must be True for every row: rows reset themselves in the step that ends "
            "their episode (AutoresetMode.SAME_STEP), and cannot be reset alone"
        )
