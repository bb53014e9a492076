"""Who else could decide: the rows of WaltzRL's Table 1 that are not trained policies."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainers.attainable import Classifier
from trainers.games import words
from trainers.games.live import Proposals
from trainers.games.market import MarketRules
from trainers.governed import Decider, Decision
from trainers.policies import Policy


def safeguarded(decider: Decider, guard: Classifier) -> Decider:
    """Refuses what the guard flags, whatever was decided: where P(sound) is not above its threshold (rows 2 and 4)."""

    def decide(contexts: Proposals) -> Decision:
        decision = decider(contexts)
        answer = decision.answer.clone()
        answer[guard.accepts(contexts) == 0, 0] = words.REFUSE
        return decision._replace(answer=answer)

    return decide


def oracle(rules: MarketRules, conversation: Policy, generator: Generator) -> Decider:
    """True labels, put into a template's words, for a conversation policy that revises once (row 6)."""

    def decide(contexts: Proposals) -> Decision:
        draft = conversation.sample(rules.first_context(contexts), generator).tokens
        said = rules.parse(words.correction(rules.judge(contexts, draft)))
        on = said.triggered.nonzero()[:, 0]
        inputs = rules.revision_context(contexts[on], [draft[on]], [said.advice[on]])
        answer = draft.clone()
        answer[on] = conversation.sample(inputs, generator).tokens
        everybody = torch.ones(len(contexts), dtype=torch.bool)
        return Decision(answer, said.triggered, everybody, said.triggered.long())

    return decide


def by(classifier: Classifier) -> Decider:
    """A classifier's own decisions: the best that can be attained."""

    def decide(contexts: Proposals) -> Decision:
        decided = classifier.accepts(contexts)
        return Decision(torch.stack([decided, torch.zeros_like(decided)], dim=1))

    return decide


def always(decision: int) -> Decider:
    """The same answer to everybody."""

    def decide(contexts: Proposals) -> Decision:
        answer: Tensor = torch.full((len(contexts), len(words.ANSWER)), 0, dtype=torch.long)
        answer[:, 0] = decision
        return Decision(answer)

    return decide
