"""Policies judged on seeds that no training sees: the same seats, the same seeds, one whole episode of each.

A policy here is a callable without a hidden state. The scripts that fill the seats otherwise are judged by the same
numbers. Chance is common: with one seed two policies meet the same draws until their actions differ, so differences
are taken seed by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import swarm_env
from swarm_env import Scenario
from swarm_env.adapters import choices
from swarm_env.batch import EPISODE_METRICS

if TYPE_CHECKING:
    from sb3_contrib import MaskablePPO

HELD_OUT = 2**62  #: first seed of evaluations; training stays far below
RESAMPLES = 4000  #: of the bootstrap

Learners = str | Sequence[str]
Array = NDArray[np.float64]


class Policy(Protocol):
    """Observations (n, F) and masks (n, M) in, actions (n, heads) out."""

    def __call__(self, observation: NDArray[np.float32], mask: NDArray[Any], /) -> NDArray[np.int64]:
        """One action for each row."""
        ...


@dataclass(frozen=True)
class Episodes:
    """What one policy did in E episodes."""

    policy: str
    agents: tuple[str, ...]  # names of the L seats
    returns: Array  # (E, L) sum of rewards
    market: dict[str, Array]  # EPISODE_METRICS, (E,) each; undefined is NaN
    choices: dict[str, float]  # choices.SHARES over all seats and episodes; NaN where not known


def play(name: str, policy: Policy, scenario: Scenario, learners: Learners, episodes: int) -> Episodes:
    """One episode on each of the first held-out seeds, the policy in every learner's seat."""
    venv = swarm_env.vector_env(scenario, episodes, learners, seed=HELD_OUT)
    rows = episodes * venv.num_learners
    heads = len(venv.single_action_space.nvec)
    seen, _ = venv.reset()
    chosen, legal = [], []
    infos: dict[str, Any] = {}
    while not infos:
        observation = seen["observation"].reshape(rows, -1).copy()
        mask = seen["action_mask"].reshape(rows, -1).copy()
        actions = policy(observation, mask)
        chosen.append(actions)
        legal.append(mask)
        seen, _, _, _, infos = venv.step(actions.reshape(episodes, -1, heads))
    venv.close()
    ended = infos["episode"]
    market = {metric: np.asarray(ended[metric]) for metric in EPISODE_METRICS}
    shares = choices.shares(np.concatenate(chosen), np.concatenate(legal))
    return Episodes(name, tuple(venv.possible_agents), np.asarray(ended["return"]), market, shares)


def play_scripts(name: str, scenario: Scenario, agents: Sequence[str], episodes: int) -> Episodes:
    """The same seeds with the scenario's own archetypes in all seats; returns of the named agents."""
    results = [swarm_env.run(scenario, HELD_OUT + k, out=None) for k in range(episodes)]
    returns = np.array([[result.tally.earned.get(agent, 0.0) for agent in agents] for result in results])
    market = {metric: np.array([result.metrics[metric] for result in results]) for metric in EPISODE_METRICS}
    proposed = dict.fromkeys(choices.SHARES, 0.0)
    for result in results:
        for (agent, conduct), count in result.tally.proposed.items():
            if agent in agents:
                proposed[f"conduct_{conduct}"] += count
    total = sum(proposed.values())
    shares = {k: (v / total if k.startswith("conduct_") and total else np.nan) for k, v in proposed.items()}
    return Episodes(name, tuple(agents), returns, market, shares)


class Learned:
    """A trained SB3 model as a policy that draws its actions; the global generator does not notice."""

    def __init__(self, model: MaskablePPO, seed: int = 0) -> None:
        self.model, self.seed, self.calls = model, seed, 0

    def __call__(self, observation: NDArray[np.float32], mask: NDArray[Any]) -> NDArray[np.int64]:
        """Actions (n, heads) for observations (n, F) and masks (n, M)."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed * 2**32 + self.calls)
            self.calls += 1
            actions, _ = self.model.predict(observation, action_masks=mask)
        return np.asarray(actions, dtype=np.int64)


def at_random(nvec: Sequence[int], seed: int = 0) -> Policy:
    """A policy that draws every legal choice of a head (nvec: their sizes) alike; for scale."""
    rng, ends = np.random.default_rng(seed), np.cumsum(nvec)[:-1]

    def choose(observation: NDArray[np.float32], mask: NDArray[Any]) -> NDArray[np.int64]:
        drawn = rng.random(mask.shape) * (mask > 0)
        return np.stack([part.argmax(axis=1) for part in np.split(drawn, ends, axis=1)], axis=1)

    return choose


def interval(values: Array) -> tuple[float, float, float]:
    """Mean over episodes and its 95 % bootstrap interval (percentiles); undefined episodes are left out."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(0).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = np.percentile(kept[draws].mean(axis=1), [2.5, 97.5])
    return float(kept.mean()), float(low), float(high)


def summary(episodes: Episodes, beside: Episodes | None = None) -> dict[str, Any]:
    """Plain data: mean and interval of return (mean over seats) and market metrics, shares, returns by seat.

    `beside`, played on the same seeds, adds "gain": the return above it, taken seed by seed. Undefined is None.
    """
    returns = episodes.returns.mean(axis=1)
    rows = {"return": returns, **episodes.market}
    if beside is not None:
        rows["gain"] = returns - beside.returns.mean(axis=1)
    spread = {name: [_plain(x) for x in interval(values)] for name, values in rows.items()}
    return {
        "policy": episodes.policy,
        "episodes": len(returns),
        **spread,
        **{name: _plain(share) for name, share in episodes.choices.items()},
        "by_agent": dict(zip(episodes.agents, episodes.returns.mean(axis=0).tolist(), strict=True)),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
