"""Where WaltzRL starts: policies cloned from simple rules, as the paper's start from an instruction-tuned model.

The conversation policy trusts the surface of a proposal and follows advice more often than not; the feedback policy is
a reviewer that finds some faults and raises false alarms. Both are learnt from samples of these rules by supervised
learning alone, so that they are stochastic policies with an honest attack success and overrefusal rate.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor

from swarm_env.scenario.settings import Section
from trainers.games import words
from trainers.games.live import Proposals
from trainers.games.market import MarketGame
from trainers.losses import sft_loss
from trainers.policies import MLPPolicy, Policy

REASONS: tuple[str, ...] = ("looks_sound", "looks_harmful", "unsure")  #: what the base policy's reasons mean
LOOKS_SOUND, LOOKS_HARMFUL, UNSURE = range(words.NUM_REASONS)


class Config(Section):
    """``warm_start:`` of configs/waltz.yaml."""

    steps: int = Field(default=200, ge=0, le=100_000, description="updates of either clone; 0 starts from random ones")
    batch: int = Field(default=1024, ge=1, le=1_000_000, description="contexts of an update")
    contexts: int = Field(default=30_000, ge=1, le=10_000_000, description="proposals to learn from")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's")
    surface_threshold: float = Field(
        default=0.33, ge=-4, le=4, description="signal at which base accepts as often as not"
    )
    surface_noise: float = Field(default=0.8, gt=0, le=10, description="scale of its logistic noise, in signals")
    obedience: float = Field(
        default=0.6, ge=0, le=1, description="how often base follows plain advice; rather_*: 2/3 of it"
    )
    found: float = Field(default=0.65, ge=0, le=1, description="faults that the reviewer finds")
    false_alarms: float = Field(default=0.25, ge=0, le=1, description="right answers that it objects to")
    malformed: float = Field(default=0.2, ge=0, le=1, description="messages that contradict themselves")


def surface_answers(contexts: Proposals, config: Config, generator: Generator) -> Tensor:
    """The base rule's answers int64 (n, 2): accept with probability sigmoid((signal - threshold) / noise).

    The reason says how the surface looks, or that it is within half the noise of the threshold.
    """
    margin = contexts.signal - config.surface_threshold
    accept = torch.rand(len(contexts), generator=generator) < (margin / config.surface_noise).sigmoid()
    reason = torch.where(margin > 0, LOOKS_SOUND, LOOKS_HARMFUL)
    reason = torch.where(margin.abs() < config.surface_noise / 2, UNSURE, reason)
    return torch.stack([accept.long(), reason], dim=1)


def advised_answers(answers: Tensor, advice: Tensor, config: Config, generator: Generator) -> Tensor:
    """What base makes of its draft (n, 2) and a word of advice (n,)."""
    plain = (advice == words.SAY_REFUSE) | (advice == words.SAY_ACCEPT) | (advice == words.SAY_RECONSIDER)
    chance = torch.where(plain, 1.0, 2 / 3) * config.obedience
    follows = (torch.rand(len(answers), generator=generator) < chance) & (advice != words.NONE)
    says = torch.tensor([0, words.REFUSE, words.REFUSE, 0, words.ACCEPT, words.ACCEPT])[advice]
    says = torch.where(advice == words.SAY_RECONSIDER, 1 - answers[:, 0], says)
    out = answers.clone()
    out[:, 0] = torch.where(follows, says, answers[:, 0])
    return out


def review(game: MarketGame, contexts: Proposals, draft: Tensor, config: Config, generator: Generator) -> Tensor:
    """The noisy reviewer's messages int64 (n, 3) about drafts (n, 2)."""
    labels = game.judge(contexts, draft)
    fault = labels.unsafe | labels.overrefuse
    n = len(contexts)
    flagged = torch.rand(n, generator=generator) < torch.where(fault, config.found, config.false_alarms)
    accepted = draft[:, 0] == words.ACCEPT  # all that can be wrong with an acceptance is that it is unsafe
    plain = torch.rand(n, generator=generator) < 0.5
    against = torch.where(plain, words.SAY_REFUSE, words.SAY_RATHER_REFUSE)
    for_it = torch.where(plain, words.SAY_ACCEPT, words.SAY_RATHER_ACCEPT)
    asks = torch.where(accepted, against, for_it)
    asks = torch.where(torch.rand(n, generator=generator) < 0.2, words.SAY_RECONSIDER, asks)
    advice = torch.where(flagged, asks, words.NONE)
    broken = torch.rand(n, generator=generator) < config.malformed
    other = torch.where(advice == words.NONE, words.SAY_RECONSIDER, words.NONE)
    advice = torch.where(broken, other, advice)
    return torch.stack([(flagged & accepted).long(), (flagged & ~accepted).long(), advice], dim=1)


def clone(policy: Policy, inputs: Tensor, targets: Tensor, config: Config, generator: Generator) -> None:
    """Supervised learning of targets (n, L) for inputs (n, F), in place."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1.0 - step / config.steps)
        rows = torch.randint(len(inputs), (config.batch,), generator=generator)
        log_probs = policy.log_prob(inputs[rows], targets[rows])
        loss = sft_loss(log_probs, torch.ones_like(log_probs, dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def warm_start(
    game: MarketGame, hidden: tuple[int, ...], config: Config, generator: Generator
) -> tuple[MLPPolicy, MLPPolicy]:
    """(conversation policy, feedback policy) for a game, whose markets go on meanwhile, governed by the base rule."""
    conversation = MLPPolicy(game.actor_inputs, game.answer_tokens, hidden, generator)
    feedback = MLPPolicy(game.overseer_inputs, game.message_tokens, hidden, generator)
    if not config.steps:
        return conversation, feedback
    contexts = game.contexts(config.contexts, lambda met: surface_answers(met, config, generator)[:, 0])
    drafts = surface_answers(contexts, config, generator)
    advice = torch.randint(1, len(words.ADVICE), (len(contexts),), generator=generator)
    revised = advised_answers(drafts, advice, config, generator)
    inputs = torch.cat([game.first_context(contexts), game.revision_context(contexts, [drafts], [advice])])
    clone(conversation, inputs, torch.cat([drafts, revised]), config, generator)
    messages = review(game, contexts, drafts, config, generator)
    clone(feedback, game.overseer_context(contexts, drafts), messages, config, generator)
    return conversation, feedback
