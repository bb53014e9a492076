"""What MACPO asks of a game: contexts and agents to begin with, and how an answer is understood, judged and shown.

Contrast, selection, twins and phases are `trainers.macpo` and `trainers.society`, and know no game. Answers are int64
(n, L) in the tokens of who said them, `PAD` beyond the end; agents may differ in their tokens, and then hear each other
through the game (`heard`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Generator, Tensor

from trainers.language.codec import PAD
from trainers.policies import Policy

if TYPE_CHECKING:
    from trainers.society import Society


def spoken(tokens: Tensor) -> Tensor:
    """Which positions of sequences (n, L) are said, bool (n, L)."""
    return tokens != PAD


def drawn(seed: int, number: int, purpose: str) -> Generator:
    """The generator of draws for one purpose in one round of a run."""
    digest = hashlib.sha256(f"{seed} {number} {purpose}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class Preferences(NamedTuple):
    """n answers, each the better of two."""

    chosen: Tensor  # int64 (n, L)
    rejected: Tensor  # int64 (n, L)


class MacpoGame(Protocol):
    """A game as MACPO plays it. Agents and policies go by names: student, teacher_1, naive, initial_teacher_1 ...

    Attributes:
        baselines: policies of the game's own that `start_baselines` teaches, beside majority_labels and ceiling.
        identity: what must agree for a checkpoint to be a run's, beside the settings.
        gate: least share of well-formed answers with which rounds may start; 0: answers cannot be malformed.
    """

    baselines: tuple[str, ...]
    identity: dict[str, str]
    gate: float

    def halves(self) -> tuple[Any, Any]:
        """Round 0's contexts: with labels, for the teachers' start, and without (Q_w2s)."""
        ...

    def meet_again(self, number: int, decide: Callable[[Any], Tensor], generator: Generator) -> Any:
        """A later round's fresh contexts without labels, met while `decide` gives the student's answers."""
        ...

    def held_out(self, number: int) -> tuple[Any, Any]:
        """A round's contexts that no training sees: to judge by, and to choose a round by, without labels."""
        ...

    def tensors(self, contexts: Any) -> dict[str, Tensor]:
        """Contexts for checkpoints and preference sets."""
        ...

    def contexts(self, tensors: Mapping[str, Tensor]) -> Any:
        """What `tensors` was given."""
        ...

    def blank(self, name: str, generator: Generator) -> Policy:
        """An untrained policy of the layout that a name has, its weights drawn from the generator."""
        ...

    def base(self, name: str) -> Policy | None:
        """What the named agent was before anything was taught to it; None where nothing is pretrained."""
        ...

    def memory(self, name: str) -> str | None:
        """What a policy is besides its weights, for what is learnt twice to be learnt once; None: never remembered."""
        ...

    def micro_batch(self, name: str) -> int | None:
        """Sequences that a policy takes at a time; None for all."""
        ...

    def inputs(self, name: str, contexts: Any) -> Any:
        """What a policy sees of contexts."""
        ...

    def heard(self, tokens: Tensor, speaker: str, listener: str) -> Tensor:
        """Answers (n, L) in the listener's tokens."""
        ...

    def decisions(self, contexts: Any, said: Tensor, who: str) -> Tensor:
        """What answers (n, L) come to, without labels: 1 goes along with the context, 0 refuses it; int64 (n,)."""
        ...

    def lesson(self, contexts: Any, teacher: int, generator: Generator) -> tuple[Tensor, Preferences]:
        """What a teacher (0..) is told: rows int64 (m,) of the contexts, and their labels."""
        ...

    def truth(self, contexts: Any) -> Tensor:
        """Right answers (n, L), for the ceiling, in the student's tokens."""
        ...

    def describe(self, said: Tensor, who: str) -> str:
        """An answer (L,) in words, for errors."""
        ...

    def start_baselines(self, society: Society, generator: Generator) -> None:
        """Teach `baselines`."""
        ...

    def judged(self, contexts: Any, said: Tensor, who: str) -> dict[str, float]:
        """accuracy, asr, orr, f1 of answers (n, L), and others, by ground truth."""
        ...

    def well_formed(self, contexts: Any, said: Tensor, who: str) -> float:
        """Share of answers (n, L) that say anything at all, in [0, 1]; no labels are looked at."""
        ...

    def blind(self, contexts: Any, teacher: int) -> Tensor:
        """Contexts in a teacher's blind spot, bool (n,)."""
        ...

    def shape(self, contexts: Any, said: Tensor, who: str) -> dict[str, float]:
        """What answers (n, L) are like: diversity, repetition and whatever else is not a matter of right and wrong."""
        ...

    def played(self, society: Society) -> dict[str, float]:
        """What becomes of the game with the student in it; {} for games without such a thing."""
        ...

    def evaluate(self, society: Society, rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """What evaluation.json holds, once the run's policies are written: "game", "rounds", "policies" and more."""
        ...
