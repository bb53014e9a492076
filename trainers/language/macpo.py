"""MACPO's language game: prompts, texts for answers, language models with a positive and a negative adapter each.

Deviations from the paper and its released code (the loop's are in `trainers.macpo`):
- By default models and language are made here (`trainers.language.synthetic`): small Llamas that can speak and know no
  right from wrong (`trainers.language.macpo_bases`), few labels, some wrong, and a blind spot for every teacher. With
  `model.path` and `data` they are models and preferences of one's own, as in the paper.
- LoRA on all linear layers, rank 16 (released: rank 8 on queries and values), on every agent, also its SFT.
- DPO's reference is the base with adapters off in all rounds, as in the released code; `contrast.reference: previous`
  is the policy of the round before, and `initial` that of round 0.
- Answers go from agent to agent as text, and are tokenised anew by whoever hears them; what an agent said itself stays
  the ids that it said. An answer that was cut at `max_new_tokens` reaches others with an end.
- The confidence loss of Burns et al. is of a binary decision: a text has none, and there is no such baseline here.
- Small models need other weights (defaults of `macpo_config`): DPO's beta .2 and gamma 4 for .1 and .2; negative twins
  that are taught for several epochs, since after one they say one thing to every prompt; a student that starts from
  labels of all teachers, since one that starts from the first one's finds nobody else's answers as likely.
- Beyond the paper: rounds do not begin with agents whose answers are malformed (`gate`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from trainers import distributed
from trainers.checkpoint import RunError
from trainers.language import macpo_report
from trainers.language.codec import Codec, Turn
from trainers.language.judges import Judge
from trainers.language.judges.keyword import refuses
from trainers.language.judges.registry import make_judge
from trainers.language.macpo_bases import Bases
from trainers.language.macpo_config import Config
from trainers.language.macpo_prompts import Pool, Rows, built_in, from_tables, is_built_in, speaks_built_in
from trainers.language.macpo_report import Answered, table
from trainers.language.synthetic import words
from trainers.language.synthetic.judge import well_formed
from trainers.language.synthetic.teachers import BLIND_SPOTS
from trainers.macpo_game import Preferences, spoken
from trainers.policies import Policy
from trainers.society import Society
from trainers.standings import Voter, decide, plain

__all__ = ["Config", "Dialogue", "game", "table"]

_LOG = logging.getLogger(__name__)
VALIDATION = 4  #: one in so many held-out prompts is for choosing a round, without labels; the others judge


def agent_of(name: str) -> str:
    """Whose base a policy of that name has: initial_teacher_1's is teacher_1's, naive's the student's."""
    head, mark, rest = name.partition(".")[0].partition("teacher_")
    del head
    return f"{mark}{rest}" if mark else "student"


class Dialogue:
    """See `trainers.macpo_game.MacpoGame`; contexts are `Rows` of its pool.

    Args:
        folder: of the run; bases made here are kept there. None: they are not.
    """

    baselines: tuple[str, ...] = ()

    def __init__(self, config: Config, folder: Path | None) -> None:
        self.config, self.gate, self.bases = config, config.gate, Bases(config, folder)
        self.judge: Judge | None
        if speaks_built_in(config):
            self.pool, language = built_in(config)
            self.judge = language.judge
            self.identity = {}
        else:
            self.pool = from_tables(config, self._fits, _LOG.warning)
            self.judge = make_judge(config.judge) if config.judge is not None else None
            self.identity = {"data": self.pool.digest}
        self._seen: dict[str, Tensor] = {}

    identity: dict[str, str]
    pool: Pool

    def codec(self, agent: str) -> Codec:
        """How an agent reads and writes."""
        return self.bases.codec(agent)

    def _fits(self, turns: Sequence[Turn]) -> bool:
        """Whether every agent can be shown a dialogue."""
        for agent in ("student", *(f"teacher_{k + 1}" for k in range(self.config.teachers.count))):
            try:
                self.codec(agent).prompts([turns], self.config.lengths.prompt)
            except ValueError:
                return False
        return True

    def halves(self) -> tuple[Rows, Rows]:
        """The first prompts of the pool, and the next."""
        count = self.config.contexts
        return Rows(torch.arange(count)), Rows(torch.arange(count, 2 * count))

    def meet_again(self, number: int, decide: Callable[[Any], Tensor], generator: Generator) -> Rows:
        """The pool's next prompts: what the student answers changes nothing of what is asked."""
        del decide, generator
        count = self.config.contexts
        return Rows(torch.arange((1 + number) * count, (2 + number) * count))

    def held_out(self, number: int) -> tuple[Rows, Rows]:
        """The same in every round."""
        del number
        rows = torch.arange(self.pool.train, len(self.pool.items))
        chooses = torch.arange(len(rows)) % VALIDATION == VALIDATION - 1
        return Rows(rows[~chooses]), Rows(rows[chooses])

    def tensors(self, contexts: Rows) -> dict[str, Tensor]:
        """Rows of the pool, which settings and data make again."""
        return {"prompt": contexts.index}

    def contexts(self, tensors: Mapping[str, Tensor]) -> Rows:
        """See `tensors`."""
        return Rows(tensors["prompt"])

    def blank(self, name: str, generator: Generator) -> Policy:
        """A fresh adapter of that name on its agent's base, in place of the one that there may be."""
        base, adapter = self.bases[agent_of(name)], name.replace(".", "_")
        if adapter in base.adapters.names:
            base.drop_adapter(adapter)
        base.add_adapter(adapter, seed=int(torch.randint(2**31, (), generator=generator)))
        return base.policy(adapter, self.config.lengths.answer)

    def base(self, name: str) -> Policy:
        """Adapters off."""
        return self.bases[agent_of(name)].policy(None, self.config.lengths.answer)

    def memory(self, name: str) -> str | None:
        """Which base, of those made here."""
        return self.bases.digest(agent_of(name))

    def micro_batch(self, name: str) -> int:
        """`model.micro_batch`."""
        del name
        return self.config.model.micro_batch

    def inputs(self, name: str, contexts: Rows) -> Tensor:
        """int64 (n, P) in the agent's tokens."""
        agent = agent_of(name)
        if agent not in self._seen:
            turns = [item.shown(agent) for item in self.pool.items]
            self._seen[agent] = self.codec(agent).prompts(turns, self.config.lengths.prompt)
        return self._seen[agent][contexts.index]

    def heard(self, tokens: Tensor, speaker: str, listener: str) -> Tensor:
        """As text in between, unless it is the agent's own."""
        if agent_of(speaker) == agent_of(listener):
            return tokens
        return self.codec(agent_of(listener)).sequences(self.texts(tokens, speaker), self.config.lengths.answer)

    def texts(self, tokens: Tensor, who: str) -> list[str]:
        """What answers (n, L) say."""
        return self.codec(agent_of(who)).texts(tokens)

    def decisions(self, contexts: Rows, said: Tensor, who: str) -> Tensor:
        """0 for refusals: the language's one, or by their phrases (`judges.keyword`); 1 for all else."""
        del contexts
        refusal: Callable[[str], bool] = refuses
        if speaks_built_in(self.config):
            refusal = words.REFUSAL.__eq__
        return torch.tensor([int(not refusal(text)) for text in self.texts(said, who)])

    def lesson(self, contexts: Rows, teacher: int, generator: Generator) -> tuple[Tensor, Preferences]:
        """At most `supervision.labels` prompts outside of the teacher's blind spot, some labels wrong."""
        told, agent = self.config.supervision, f"teacher_{teacher + 1}"
        hidden = self.blind(contexts, teacher) if told.blind_spots else torch.zeros(len(contexts), dtype=torch.bool)
        seen = (~hidden).nonzero()[:, 0]
        if not len(seen):
            raise RunError(f"{agent}: all {len(contexts)} labelled prompts are of the kind it never sees")
        rows = seen[torch.randperm(len(seen), generator=generator)[: told.labels]]
        wrong = torch.rand(len(rows), generator=generator) < told.wrong
        items = self.pool.at(contexts[rows])
        pairs = [
            (item.rejected, item.chosen) if flip else (item.chosen, item.rejected)
            for item, flip in zip(items, wrong.tolist(), strict=True)
        ]
        better, worse = (self._written([pair[k] for pair in pairs], agent) for k in (0, 1))
        return rows, Preferences(better, worse)

    def _written(self, texts: Sequence[str], agent: str) -> Tensor:
        return self.codec(agent).sequences(texts, self.config.lengths.answer)

    def truth(self, contexts: Rows) -> Tensor:
        """What people, or the language's judge, prefer."""
        return self._written([item.chosen for item in self.pool.at(contexts)], "student")

    def describe(self, said: Tensor, who: str) -> str:
        """The text."""
        return repr(self.texts(said[None], who)[0][:200])

    def start_baselines(self, society: Society, generator: Generator) -> None:
        """None of its own."""

    def _answered(self, contexts: Rows, said: Tensor, who: str) -> list[Answered]:
        texts, lengths = self.texts(said, who), spoken(said).sum(dim=1).tolist()
        items = self.pool.at(contexts)
        return [Answered(*each) for each in zip(items, texts, lengths, strict=True)]

    def judged(self, contexts: Rows, said: Tensor, who: str) -> dict[str, float]:
        """See `macpo_report.judged`."""
        return macpo_report.judged(self.judge, self._answered(contexts, said, who))

    def well_formed(self, contexts: Rows, said: Tensor, who: str) -> float:
        """By the language's form; of other models: not empty, and ended before `max_new_tokens` was up."""
        answered = self._answered(contexts, said, who)
        if is_built_in(self.config):
            return macpo_report.mean(well_formed(each.asked.prompt, each.text) for each in answered)
        return macpo_report.mean(bool(each.text) and each.length < said.shape[1] for each in answered)

    def blind(self, contexts: Rows, teacher: int) -> Tensor:
        """By the kind of prompt; preferences have none."""
        spot = BLIND_SPOTS[teacher % len(BLIND_SPOTS)]
        return torch.tensor([item.prompt.kind == spot for item in self.pool.at(contexts)], dtype=torch.bool)

    def shape(self, contexts: Rows, said: Tensor, who: str) -> dict[str, float]:
        """malformed, and `macpo_report.shape`."""
        found = macpo_report.shape(self._answered(contexts, said, who))
        return {"malformed": 1.0 - self.well_formed(contexts, said, who), **found}

    def played(self, society: Society) -> dict[str, float]:
        """Nothing comes of answers."""
        del society
        return {}

    def evaluate(self, society: Society, rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """Every policy, and the first teachers' majority, on held-out prompts."""
        contexts, named = self.held_out(0)[0], society.named()
        first = [Voter(name, named[name]) for name in named if name.startswith("initial_")]
        policies = []
        for name in [*macpo_report.order(named), "majority"]:
            voters = first if name == "majority" else [Voter(name, named[name])]
            said = decide(society, contexts, *voters)
            found = self.judged(contexts, *said) | self.shape(contexts, *said)
            policies.append({"policy": name, **plain(found)})
        return {
            "game": "language", "model": self.config.model.path, "prompts": len(contexts),
            "rounds": [plain(row) for row in rounds], "policies": policies,
        }  # fmt: skip


def game(config: Config, folder: Path | None = None) -> Dialogue:
    """The dialogues of a configuration.

    Raises:
        RunError: several processes, or too little data. ImportError: the extra is not installed.
    """
    if distributed.world() > 1:
        raise RunError("macpo: runs in one process; leave torchrun away, and model.shard false")
    if config.hard_negatives and config.contrast.gamma == 0:
        _LOG.warning(
            "macpo: contrast.gamma is 0: without its SFT term DPO may lower the chosen answers too, as long as the "
            "rejected fall faster, until nothing that is said has form or sense"
        )
    return Dialogue(config, folder)
