"""A collaboration as WaltzRL has it (section 2.1): answer, message, revision, until nothing is to be said or T_max."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from trainers import distributed
from trainers.checkpoint import RunError
from trainers.games import Feedback, Labels, Rules
from trainers.policies import Policy, Sample
from trainers.rewards import conversation_reward, dynamic_improvement_reward


@dataclass(frozen=True)
class Turn:
    """What one policy said in one round, to those m of the n contexts that were still going on."""

    rows: Tensor  # int64 (m,): which contexts
    inputs: Any  # what the policy was given, m rows
    sample: Sample


@dataclass(frozen=True)
class Message:
    """The overseer's round t."""

    turn: Turn
    feedback: Feedback  # parsed, (m,)
    labels: Labels  # of the answer it is about, (m,)
    after: Tensor  # float32 (m,): R_c of the answer that followed; 0 where none did

    @property
    def improvement(self) -> Tensor:
        """R_DIR (m,)."""
        return dynamic_improvement_reward(conversation_reward(self.labels), self.after, self.feedback.triggered)


@dataclass(frozen=True)
class Rollout:
    """n collaborations: messages[t] is about answers[t], and answers[t+1] are of those that went on."""

    answers: list[Turn]
    labels: list[Labels]  # of answers[t]
    messages: list[Message]  # none without an overseer
    final: Tensor  # int64 (n, La): each context's last answer
    final_labels: Labels  # (n,)
    revisions: Tensor  # int64 (n,): T, in 0..T_max

    @property
    def known(self) -> Tensor:
        """bool (n,): the judge could tell about every answer; nobody learns from the others."""
        known = torch.ones(len(self.final), dtype=torch.bool)
        for turn, labels in zip(self.answers, self.labels, strict=True):
            known[turn.rows] &= labels.known
        return known


def play(
    game: Rules, contexts: Any, conversation: Policy, feedback: Policy | None, t_max: int, generator: Generator
) -> Rollout:
    """Collaborate on contexts.

    Args:
        feedback: the overseer; None: answers stand as they are.
        t_max: most revisions of an answer, at least 1.
        generator: of every draw.
    """
    n = len(contexts)
    rows = torch.arange(n)
    given = game.first_context(contexts)
    first = conversation.sample(given, generator)
    answers, labels = [Turn(rows, given, first)], [game.judge(contexts, first.tokens)]
    last = Labels(*(part.clone() for part in (labels[0].unsafe, labels[0].overrefuse, ~labels[0].known)))
    messages: list[Message] = []
    final, revisions = first.tokens.clone(), torch.zeros(n, dtype=torch.long)
    drafts: list[Tensor] = []  # every answer (n, La) after round t; and the advice it then got, (n, ...)
    advice: list[Tensor] = []
    for t in range(t_max if feedback is not None else 0):
        assert feedback is not None
        said = game.overseer_context(contexts[rows], final[rows])
        message = feedback.sample(said, generator)
        parsed = game.parse(message.tokens)
        drafts.append(final.clone())
        nothing = torch.zeros(n, *parsed.advice.shape[1:], dtype=torch.long)
        advice.append(nothing.index_copy(0, rows, parsed.advice))
        going = rows[parsed.triggered]
        given = game.revision_context(contexts[going], [d[going] for d in drafts], [a[going] for a in advice])
        revision = conversation.sample(given, generator)
        judged = game.judge(contexts[going], revision.tokens)
        after = torch.zeros(len(rows)).masked_scatter(parsed.triggered, conversation_reward(judged))
        messages.append(Message(Turn(rows, said, message), parsed, labels[t], after))
        answers.append(Turn(going, given, revision))
        labels.append(judged)
        final[going], revisions[going] = revision.tokens, revisions[going] + 1
        for whole, part in zip(last, (judged.unsafe, judged.overrefuse, ~judged.known), strict=True):
            assert whole is not None
            whole[going] = part
        rows = going
        if not len(rows) and distributed.world() == 1:  # ranks go on together: a sharded model needs all at every pass
            break
    return Rollout(answers, labels, messages, final, last, revisions)


class Samples(NamedTuple):
    """What one policy learns from: m of its sequences and their rewards."""

    inputs: Any  # m rows
    sample: Sample
    rewards: Tensor  # float32 (m,)


def conversation_samples(rollout: Rollout, revision_share: float, generator: Generator) -> Samples:
    """One answer of each context (section 2.3, II): its last with probability `revision_share`, else its first.

    A context whose first answer stood has only that one. RunError: the judge could tell about no context.
    """
    last = torch.rand(len(rollout.final), generator=generator) < revision_share
    wanted = torch.where(last, rollout.revisions, 0)
    parts = [
        (turn, turn_rows, conversation_reward(labels)[turn_rows])
        for t, (turn, labels) in enumerate(zip(rollout.answers, rollout.labels, strict=True))
        for turn_rows in [((wanted == t) & rollout.known)[turn.rows].nonzero()[:, 0]]
    ]
    return _join(parts)


def feedback_samples(rollout: Rollout, rewards: list[Tensor], generator: Generator) -> Samples:
    """One message of each context (section 2.3, II): of a round drawn from 0..T-1, or round 0 where T = 0.

    Args:
        rewards: R_f (m_t,) of each round's messages.
    """
    rounds = rollout.revisions.clamp(min=1)
    wanted = (torch.rand(len(rounds), generator=generator) * rounds).long().clamp(max=rounds - 1)
    parts = [
        (message.turn, rows, reward[rows])
        for t, (message, reward) in enumerate(zip(rollout.messages, rewards, strict=True))
        for rows in [((wanted == t) & rollout.known)[message.turn.rows].nonzero()[:, 0]]
    ]
    return _join(parts)


def _join(parts: list[tuple[Turn, Tensor, Tensor]]) -> Samples:
    kept = [(turn, rows, rewards) for turn, rows, rewards in parts if len(rows)]
    if not distributed.all_count(len(kept)):
        raise RunError("the judge could tell about none of the answers: nothing can be learnt from them")
    kept = kept or parts[:1]  # other ranks have some: this one takes part with none
    inputs = torch.cat([turn.inputs[rows] for turn, rows, _ in kept])
    samples = [Sample(*(part[rows] for part in turn.sample)) for turn, rows, _ in kept]
    sample = Sample(*(torch.cat(part) for part in zip(*samples, strict=True)))
    return Samples(inputs, sample, torch.cat([rewards for _, _, rewards in kept]))
