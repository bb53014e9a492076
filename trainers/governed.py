"""Who decides in the market, and what the market makes of it: whole episodes governed by one decider.

Labels say how good the decisions were (ASR, ORR, F1); the market's own metrics say what they led to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from swarm_env import Scenario
from swarm_env.batch import EPISODE_METRICS
from trainers import judgement, rollouts
from trainers.games.live import LiveMarkets, Proposals
from trainers.games.market import MarketRules
from trainers.policies import Policy
from trainers.rewards import label_reward

HELD_OUT = 2**62  #: first seed of evaluations; training stays far below


class Decision(NamedTuple):
    """What was decided about n proposals, and how."""

    answer: Tensor  # int64 (n, La), final
    triggered: Tensor | None = None  # bool (n,): the first message asked for a revision; None without an overseer
    right: Tensor | None = None  # bool (n,): its flags were right
    revisions: Tensor | None = None  # int64 (n,)


Decider = Callable[[Proposals], Decision]


def pair(
    rules: MarketRules, conversation: Policy, feedback: Policy | None, t_max: int, generator: Generator
) -> Decider:
    """A conversation policy, with an overseer or alone."""

    def decide(contexts: Proposals) -> Decision:
        rollout = rollouts.play(rules, contexts, conversation, feedback, t_max, generator)
        if not rollout.messages:
            return Decision(rollout.final)
        message = rollout.messages[0]
        right = label_reward(message.feedback, message.labels) > 0
        return Decision(rollout.final, message.feedback.triggered, right, rollout.revisions)

    return decide


def govern(
    scenarios: Sequence[Scenario], rules: MarketRules, decider: Decider, episodes: int, seed: int = HELD_OUT
) -> dict[str, float]:
    """One episode of each of `episodes` markets, every answer in them by the decider.

    Args:
        scenarios: spread over the markets, see `LiveMarkets`.
        seed: market b plays seed + b.

    Returns:
        Of all decisions together: those of `judgement.outcome`, trigger rates by kind, label accuracy, revisions a
        decision. Of the markets: EPISODE_METRICS, means over episodes in which they are defined. Undefined is NaN.
    """
    live = LiveMarkets(scenarios, episodes, seed, groups=1)
    decided: list[Decision] = []
    met: list[Proposals] = []

    def decide(contexts: Proposals) -> Tensor:
        decided.append(decider(contexts))
        return rules.action(decided[-1].answer)

    for _ in range(scenarios[0].num_steps):
        contexts, infos = live.step(decide)
        if len(contexts):
            met.append(contexts)
    out = _decisions(rules, Proposals.join(met), decided) if met else {}
    market = infos[0]["episode"]
    return out | {name: _mean(market[name]) for name in EPISODE_METRICS}


def _decisions(rules: MarketRules, contexts: Proposals, decided: Sequence[Decision]) -> dict[str, float]:
    kinds = rules.kinds(contexts)
    labels = rules.judge(contexts, torch.cat([one.answer for one in decided]))
    out: dict[str, float] = {"decisions": float(len(contexts)), **judgement.outcome(labels, kinds)}
    triggered = [one.triggered for one in decided if one.triggered is not None]
    right = [one.right for one in decided if one.right is not None]
    revisions = [one.revisions for one in decided if one.revisions is not None]
    for kind, which in kinds.items():
        out[f"trigger_{kind}"] = judgement.share(torch.cat(triggered), which) if triggered else math.nan
        out[f"label_accuracy_{kind}"] = judgement.share(torch.cat(right), which) if right else math.nan
    out["revisions"] = float(torch.cat(revisions).float().mean()) if revisions else math.nan
    return out


def _mean(values: NDArray[np.float64]) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else math.nan


def deployed(
    rules: MarketRules, decider: Decider
) -> Callable[
    [NDArray[np.float32], NDArray[np.float32]], NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.int64]]
]:
    """A decider as `swarm_env.evaluate` asks it (`swarm_env.evaluation.protocol.Govern`).

    Latent p is NaN there: only judges may know it, and no decision depends on it.
    """

    def decide(view: NDArray[np.float32], ledger: NDArray[np.float32]) -> Any:
        unknown = torch.full((len(view),), math.nan)
        said = decider(Proposals(torch.from_numpy(view), torch.from_numpy(ledger), unknown))
        accept = rules.action(said.answer).numpy()
        return accept if said.revisions is None else (accept, said.revisions.numpy())

    return decide
