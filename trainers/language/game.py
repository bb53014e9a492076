"""The dialogue game: prompts as contexts, responses as answers, JSON messages of an overseer, a judge's labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Generator, Tensor

from trainers import distributed
from trainers.checkpoint import RunError
from trainers.games import Feedback, Labels
from trainers.language.chat import Script
from trainers.language.codec import Codec, Turn, pack, unpack
from trainers.language.judges import Item, Judge, Verdict
from trainers.language.message import parse
from trainers.language.prompts import KINDS, Prompt, Prompts

#: What a dialogue is, given what policies said in it.
Tell = Callable[[list[str]], list[Turn]]

#: Groups of prompts in metrics, besides harmful, sound and any: what becomes of each kind.
GROUPS: dict[str, str] = {
    "harmful": "overt", "adversarial_harmful": "adversarial", "benign_sensitive": "sensitive", "benign": "plain",
    "dual_use": "dual_use",
}  # fmt: skip


def label(prompt: Prompt, verdict: Verdict) -> tuple[bool, bool, bool]:
    """(unsafe, overrefuse, unknown) of a response (WaltzRL 2.2): whether the prompt is harmful is the data's to say."""
    if verdict.parse_error or verdict.unsafe is None or (verdict.refusal is None and not prompt.harmful):
        return True, False, True
    unsafe = bool(verdict.unsafe)
    return unsafe, bool(verdict.refusal) and not prompt.harmful and not unsafe, False


class DialogueRules:
    """What the game is apart from its prompts.

    Args:
        codec: of both policies.
        script: who is told what.
        judge: of responses.
        prompt_tokens: P, the most that either policy is shown; what was said is cut where it would not fit.
        noted: the conversation policy sees a prompt's note too.
    """

    answer_tokens: tuple[int, ...] = ()
    message_tokens: tuple[int, ...] = ()
    actor_inputs = overseer_inputs = 0

    def __init__(self, codec: Codec, script: Script, judge: Judge, *, prompt_tokens: int, noted: bool = False) -> None:
        self.codec, self.script, self.judged_by = codec, script, judge
        self.prompt_tokens, self.noted = prompt_tokens, noted
        assert set(GROUPS) == set(KINDS)

    def prompts(self, items: Sequence[Prompt]) -> Prompts:
        """Prompts as contexts."""
        dialogues = [self.script.actor(prompt, noted=self.noted) for prompt in items]
        return Prompts(items, self.codec.prompts(dialogues, self.prompt_tokens))

    def fits(self, items: Sequence[Prompt], room: int) -> bool:
        """Whether both policies' first contexts of all prompts leave room for that many tokens."""
        actor = [self.script.actor(prompt, noted=self.noted) for prompt in items]
        overseer = [self.script.overseer(prompt, "") for prompt in items]
        try:
            self.codec.prompts([*actor, *overseer], self.prompt_tokens - room)
        except ValueError:
            return False
        return True

    def first_context(self, contexts: Prompts) -> Tensor:
        """int64 (n, P)."""
        return contexts.inputs

    def overseer_context(self, contexts: Prompts, draft: Tensor) -> Tensor:
        """int64 (n, P): the request, its note, and the last answer (n, L)."""

        def tell(prompt: Prompt) -> Tell:
            return lambda said: self.script.overseer(prompt, said[0])

        texts = self.codec.texts(draft)
        return self._told([(tell(prompt), [text]) for prompt, text in zip(contexts.items, texts, strict=True)])

    def revision_context(self, contexts: Prompts, drafts: Sequence[Tensor], advice: Sequence[Tensor]) -> Tensor:
        """int64 (n, P): the request, then every draft (n, L) and every piece of advice (n, W) as a user's turn."""
        texts, said = [self.codec.texts(draft) for draft in drafts], [unpack(points) for points in advice]
        rounds = len(texts)

        def tell(prompt: Prompt) -> Tell:
            return lambda both: self.script.actor(prompt, both[:rounds], both[rounds:], noted=self.noted)

        return self._told(
            [(tell(prompt), [part[k] for part in (*texts, *said)]) for k, prompt in enumerate(contexts.items)]
        )

    def _told(self, rows: Sequence[tuple[Tell, list[str]]]) -> Tensor:
        """Dialogues that quote what policies said. Where one does not fit, its longest quotation is cut in half."""
        try:
            return self.codec.prompts([tell(said) for tell, said in rows], self.prompt_tokens)
        except ValueError:
            return torch.cat([self._cut(tell, said) for tell, said in rows])

    def _cut(self, tell: Tell, said: list[str]) -> Tensor:
        while True:
            try:
                return self.codec.prompts([tell(said)], self.prompt_tokens)
            except ValueError:
                longest = max(range(len(said)), key=lambda k: len(said[k]))
                if not said[longest]:
                    raise
                said = [text[: len(text) // 2] if k == longest else text for k, text in enumerate(said)]

    def judge(self, contexts: Prompts, answer: Tensor) -> Labels:
        """What is wrong with answers (n, L), see `label`."""
        items = [Item(*one) for one in zip(contexts.items, self.codec.texts(answer), strict=True)]
        verdicts = self.judged_by(items) if items else []
        rows = [label(item.prompt, verdict) for item, verdict in zip(items, verdicts, strict=True)]
        unsafe, overrefuse, unknown = torch.tensor(rows, dtype=torch.bool).reshape(-1, 3).unbind(dim=1)
        return Labels(unsafe, overrefuse, unknown)

    def parse(self, message: Tensor) -> Feedback:
        """Messages (n, L); what cannot be read is not well formed, and asks for nothing."""
        said = [parse(text) for text in self.codec.texts(message)]
        flags = [(m is not None and m.unsafe, m is not None and m.overrefuse, m is not None) for m in said]
        unsafe, overrefuse, well_formed = torch.tensor(flags, dtype=torch.bool).reshape(-1, 3).unbind(dim=1)
        return Feedback(unsafe, overrefuse, pack([m.feedback if m else "" for m in said]), well_formed)

    def kinds(self, contexts: Prompts) -> dict[str, Tensor]:
        """harmful and sound by the data's labels; and every kind of prompt, see `GROUPS`."""
        harmful = torch.tensor([prompt.harmful for prompt in contexts.items], dtype=torch.bool)
        groups = {
            name: torch.tensor([prompt.kind == kind for prompt in contexts.items], dtype=torch.bool)
            for kind, name in GROUPS.items()
        }
        return {"harmful": harmful, "sound": ~harmful, **groups, "any": torch.ones_like(harmful)}

    def action(self, answer: Tensor) -> Tensor:
        """Nothing: prompts do not depend on what was answered to others."""
        return torch.zeros(len(answer), dtype=torch.long)


class DialogueGame(DialogueRules):
    """See `trainers.games.protocol.Game`: the prompts of a list, in an order of its own in every pass over them.

    With several processes each takes its share of every batch.

    Attributes:
        met: prompts so far, of all processes; all that the next ones depend on.
    """

    def __init__(self, rules: DialogueRules, items: Sequence[Prompt], seed: int) -> None:
        super().__init__(
            rules.codec, rules.script, rules.judged_by, prompt_tokens=rules.prompt_tokens, noted=rules.noted
        )
        if not items:
            raise RunError("no prompts to train on")
        self.items, self.seed, self.met = tuple(items), seed, 0

    def contexts(self, count: int, decide: Callable[[Prompts], Tensor]) -> Prompts:
        """This process's share of the next `count` prompts."""
        rows = [self._row(self.met + k) for k in range(distributed.rank(), count, distributed.world())]
        self.met += count
        return self.prompts([self.items[row] for row in rows])

    def _row(self, number: int) -> int:
        """Which prompt comes as the number-th."""
        lap, place = divmod(number, len(self.items))
        return _order(len(self.items), self.seed, lap)[place]


@lru_cache(maxsize=8)
def _order(count: int, seed: int, lap: int) -> tuple[int, ...]:
    """The order of that many prompts in a pass over them."""
    drawn = Generator().manual_seed((seed * 1_000_003 + lap) % 2**63)
    return tuple(torch.randperm(count, generator=drawn).tolist())
