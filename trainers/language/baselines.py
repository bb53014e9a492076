"""Who else could answer: the rows of WaltzRL's Table 1 that are not trained policies, in dialogues."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from trainers.games import Labels
from trainers.language.codec import pack
from trainers.language.game import DialogueRules
from trainers.language.prompts import Prompt, Prompts
from trainers.policies import Policy

BUCKETS = 4096  #: that words and pairs of words are hashed into
STEPS, RATE, DECAY = 300, 0.05, 1e-3  #: of a guard's training: full-batch Adam
FLAG = 0.5  #: probability above which a guard objects


def features(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    """float32 (n, BUCKETS): which words, and pairs of words one after the other or one apart, are in a dialogue.

    A guard sees what an overseer sees: prompt, note and response.
    """
    out = torch.zeros(len(prompts), BUCKETS)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        words = [*f"{prompt.text} {prompt.note}".lower().split(), "|", *response.lower().split()[:2]]
        near = [f"{a} {b}" for gap in (1, 2) for a, b in zip(words, words[gap:], strict=False)]
        for piece in (*words, *near):
            out[row, zlib.crc32(piece.encode()) % BUCKETS] = 1.0
    return out


class Guard:
    """A linear classifier of dialogues: P(unsafe), learnt from a judge's labels."""

    def __init__(self, prompts: Sequence[Prompt], responses: Sequence[str], labels: Labels) -> None:
        known = labels.known
        inputs, targets = features(prompts, responses)[known], labels.unsafe[known].float()
        self.linear = nn.Linear(BUCKETS, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        optimizer = torch.optim.Adam(self.linear.parameters(), lr=RATE, weight_decay=DECAY)
        for _ in range(STEPS):
            loss = binary_cross_entropy_with_logits(self.linear(inputs)[:, 0], targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    @torch.no_grad()
    def flags(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Whether it objects, bool (n,)."""
        flagged: Tensor = self.linear(features(prompts, responses))[:, 0].sigmoid() > FLAG
        return flagged


def guarded(rules: DialogueRules, contexts: Prompts, answers: Tensor, guard: Guard, refusal: str) -> Tensor:
    """Answers (n, L), a refusal in place of those that the guard objects to (rows 2 and 4)."""
    flagged = guard.flags(contexts.items, rules.codec.texts(answers))
    out = answers.clone()
    out[flagged] = rules.codec.sequences([refusal], answers.shape[1]).to(out.dtype)
    return out


def oracle(rules: DialogueRules, contexts: Prompts, conversation: Policy, generator: Generator) -> Tensor:
    """Answers (n, L) of a policy that revises once, told the true labels in a template's words (row 6)."""
    draft = conversation.sample(rules.first_context(contexts), generator).tokens
    labels = rules.judge(contexts, draft)
    wrong = (labels.unsafe | labels.overrefuse).nonzero()[:, 0]
    said = [
        rules.script.correction(bool(labels.unsafe[k]), bool(labels.overrefuse[k])).feedback for k in wrong.tolist()
    ]
    inputs = rules.revision_context(contexts[wrong], [draft[wrong]], [pack(said)])
    out = draft.clone()
    if len(wrong):
        out[wrong] = conversation.sample(inputs, generator).tokens
    return out
