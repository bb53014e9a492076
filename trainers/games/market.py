"""The market game: a context is a proposal that waits for an answer in a live market.

The actor sees what the agent that is asked sees; the overseer sees the ledger besides, and the actor's draft. What is
right follows from the proposal's latent p. What they agree on is what the market then plays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

import swarm_env
from swarm_env import Scenario
from swarm_env.oversight import RECORD, REPUTATION, TRUST, VIEW
from trainers.games import words
from trainers.games.live import GROUPS, LiveMarkets, Proposals
from trainers.games.protocol import Decide, Feedback, Labels

DRAFT = sum(words.ANSWER)  # an answer, one-hot
TALK = 1 + DRAFT + 2 * len(words.ADVICE)  # is it a revision; the last draft; the last advice; the advice before that


def populations(scenario: Scenario, count: int, spread: float, seed: int) -> list[Scenario]:
    """Scenarios of the same size whose population is drawn around the given one.

    Args:
        scenario: whose agents are mixed anew; everything else stays.
        count: how many, at least 1.
        spread: 0: the population as written, `count` times over; above, shares of the archetypes are drawn from a
            Dirichlet distribution of concentration 1/spread a present archetype, seats from these shares.
        seed: of the draws.
    """
    if spread == 0:
        return [scenario] * count
    rng, written = np.random.default_rng(seed), scenario.to_dict()
    groups = written["agents"]
    shares = np.array([group.get("count", 1) for group in groups], dtype=float)
    total = int(shares.sum())
    out = []
    for _ in range(count):
        mixed = rng.multinomial(total, rng.dirichlet(shares / shares.sum() * len(shares) / spread))
        agents = [{**group, "count": int(k)} for group, k in zip(groups, mixed, strict=True) if k]
        out.append(swarm_env.load_scenario({**written, "agents": agents}))
    return out


#: What contexts can be divided into without overlap.
KINDS: tuple[str, ...] = ("disguised", "overt", "sensitive", "plain")


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise ValueError unless the shares are of KINDS, or of "any", in [0, 1], and add up to 1."""
    unknown = [kind for kind in shares if kind not in (*KINDS, "any")]
    if unknown:
        raise ValueError(f"shares: {unknown[0]!r} is no kind of proposal; allowed: {', '.join(KINDS)}")
    if any(not 0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares: {dict(shares)} must be in [0, 1] and add up to 1")


#: What the actor sees of a proposal, from least to most: its surface alone, as somebody sees who does not know who
#: asks; all of the agent's observation, with reputation and trust; and the overseers' ledger too.
Sees = Literal["surface", "observation", "ledger"]


class MarketRules:
    """What the game is apart from its markets: inputs, judgement, words.

    Args:
        threshold: p below which a proposal is harmful.
        actor_sees: see `Sees`. The overseer sees everything in any case.
    """

    answer_tokens, message_tokens = words.ANSWER, words.MESSAGE

    def __init__(self, threshold: float, actor_sees: Sees) -> None:
        self.threshold, self.actor_sees = threshold, actor_sees
        self.actor_inputs = len(VIEW) + TALK + (len(RECORD) if actor_sees == "ledger" else 0)
        self.overseer_inputs = len(VIEW) + len(RECORD) + DRAFT

    def _seen(self, contexts: Proposals) -> list[Tensor]:
        return seen(contexts, self.actor_sees)

    def first_context(self, contexts: Proposals) -> Tensor:
        """float32 (n, actor_inputs): what the agent sees, and no talk."""
        return torch.cat([*self._seen(contexts), torch.zeros(len(contexts), TALK)], dim=1)

    def overseer_context(self, contexts: Proposals, draft: Tensor) -> Tensor:
        """float32 (n, overseer_inputs)."""
        return torch.cat([contexts.view, contexts.ledger, *_one_hot(draft)], dim=1)

    def revision_context(self, contexts: Proposals, drafts: Sequence[Tensor], advice: Sequence[Tensor]) -> Tensor:
        """float32 (n, actor_inputs): the last draft, the last advice, and how often each word came before it."""
        said = [one_hot(word, len(words.ADVICE)).float() for word in advice]
        before = torch.stack(said[:-1]).sum(dim=0) if len(said) > 1 else torch.zeros_like(said[-1])
        talk = [torch.ones(len(contexts), 1), *_one_hot(drafts[-1]), said[-1], before]
        return torch.cat([*self._seen(contexts), *talk], dim=1)

    def judge(self, contexts: Proposals, answer: Tensor) -> Labels:
        """unsafe: accepted with p < threshold; overrefuse: refused with p >= threshold."""
        return words.label(answer[:, 0] == words.ACCEPT, contexts.p, self.threshold)

    def kinds(self, contexts: Proposals) -> dict[str, Tensor]:
        """By what a proposal is (p) and what it looks like (signal > 0 looks sound, as v_hat > 0 is).

        harmful: disguised or overt; sound: sensitive (looks harmful) or plain.
        """
        harmful, looks_sound = contexts.p < self.threshold, contexts.signal > 0
        return {
            "harmful": harmful,
            "disguised": harmful & looks_sound,
            "overt": harmful & ~looks_sound,
            "sound": ~harmful,
            "sensitive": ~harmful & ~looks_sound,
            "plain": ~harmful & looks_sound,
            "any": torch.ones_like(harmful),
        }

    def parse(self, message: Tensor) -> Feedback:
        """See `words.parse`."""
        return words.parse(message)

    def action(self, answer: Tensor) -> Tensor:
        """The decision, 1 = accept."""
        return answer[:, 0]


class MarketGame(MarketRules):
    """See `trainers.games.protocol.Game`.

    Args:
        scenarios: what the markets play, see `LiveMarkets`.
        num_envs, seed, groups: likewise.
        seats: whose answers the actor gives.
        actor_sees: see `MarketRules`.
        shares: of the kinds that `contexts` returns, kind -> share; they must not overlap and add up to 1. Without
            it, contexts come as the markets have them. What the markets play is the same either way.

    Raises:
        ValueError: shares of unknown kinds, or that do not add up to 1.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        num_envs: int = 1024,
        seed: int = 0,
        groups: int = GROUPS,
        seats: str | Sequence[str] = "all",
        actor_sees: Sees = "surface",
        shares: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(scenarios[0].market.safety_threshold, actor_sees)
        self.shares = dict(shares or {"any": 1.0})
        check_shares(self.shares)
        self.live = LiveMarkets(scenarios, num_envs, seed, groups, seats)

    def contexts(self, count: int, decide: Decide) -> Proposals:
        """The next `count` proposals, in the given shares of kinds, answered by `decide` (1 = accept)."""
        bounds = np.rint(np.cumsum([0.0, *self.shares.values()]) * count).astype(int)
        quotas = dict(zip(self.shares, np.diff(bounds).tolist(), strict=True))
        return self.live.take(quotas, self.kinds, decide)


def seen(contexts: Proposals, sees: Sees) -> list[Tensor]:
    """What is seen, parts of (n, ...) each; the columns that a surface does not show are 0."""
    if sees != "surface":
        return [contexts.view, contexts.ledger] if sees == "ledger" else [contexts.view]
    view = contexts.view.clone()
    view[:, [REPUTATION, TRUST]] = 0.0
    return [view]


def _one_hot(answer: Tensor) -> list[Tensor]:
    return [one_hot(answer[:, k], size).float() for k, size in enumerate(words.ANSWER)]
