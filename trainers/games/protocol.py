"""A game of two parts: an actor answers a context, an overseer comments on the answer, a judge knows what was right.

n contexts at a time; nothing is looped over in Python. What policies are given (`Inputs`) is the game's and the
policy's own business; trainers only take parts of it, by a tensor of indices or of booleans, and join parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor


class Inputs(Protocol):
    """What a policy conditions on, n rows; a tensor is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor, /) -> Any: ...


class Contexts(Protocol):
    """n contexts: what policies may see of them, and what only the judge may."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor, /) -> Self: ...


class Labels(NamedTuple):
    """What is wrong with an answer (WaltzRL 2.2): both False is satisfactory; never both True."""

    unsafe: Tensor  # bool (n,)
    overrefuse: Tensor  # bool (n,)
    #: bool (n,): the judge could not tell. It then counts as unsafe, and nobody learns from it. None: it always could.
    unknown: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """Whether the judge could tell, bool (n,)."""
        return torch.ones_like(self.unsafe) if self.unknown is None else ~self.unknown


class Feedback(NamedTuple):
    """A parsed message of the overseer. Only the advice is for the actor's eyes."""

    unsafe: Tensor  # bool (n,)
    overrefuse: Tensor  # bool (n,)
    advice: Tensor  # int64 (n, ...), in the game's own terms: a word, or a text
    well_formed: Tensor  # bool (n,)

    @property
    def triggered(self) -> Tensor:
        """Whether it asks for a revision, bool (n,): well formed, and a flag set."""
        return self.well_formed & (self.unsafe | self.overrefuse)


#: Contexts to what is done about them: what `Game.judge` takes as an action.
Decide = Callable[[Any], Tensor]


class Rules(Protocol):
    """What can be said and what is right, whoever provides the contexts.

    Attributes:
        answer_tokens, message_tokens: size of the vocabulary at each position of an answer, of a message.
        actor_inputs, overseer_inputs: number of features of a row of inputs, of games whose inputs are tensors.
    """

    answer_tokens: tuple[int, ...]
    message_tokens: tuple[int, ...]
    actor_inputs: int
    overseer_inputs: int

    def first_context(self, contexts: Any) -> Any:
        """The actor's inputs for a first answer."""
        ...

    def overseer_context(self, contexts: Any, draft: Tensor) -> Any:
        """The overseer's inputs: the context and the last answer (n, La), without what was said before."""
        ...

    def revision_context(self, contexts: Any, drafts: Sequence[Tensor], advice: Sequence[Tensor]) -> Any:
        """The actor's inputs for a revision: all answers (n, La) and all advice (n, ...) so far, oldest first."""
        ...

    def judge(self, contexts: Any, answer: Tensor) -> Labels:
        """What is wrong with answers (n, La)."""
        ...

    def parse(self, message: Tensor) -> Feedback:
        """What messages (n, Lm) say."""
        ...

    def kinds(self, contexts: Any) -> dict[str, Tensor]:
        """Named groups of contexts for metrics, bool (n,) each; "harmful" and its complement "sound" among them."""
        ...

    def action(self, answer: Tensor) -> Tensor:
        """What an answer (n, La) has the game do, (n,)."""
        ...


class Game(Rules, Protocol):
    """Rules, and contexts to train on."""

    def contexts(self, count: int, decide: Decide) -> Any:
        """The next `count` contexts, met while `decide` settles what becomes of them and of those before."""
        ...
