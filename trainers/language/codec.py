"""Between text and tokens: dialogues to prompts, texts to sequences and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

PAD = -1  #: where there is no token
WIDTH = 1  #: of an empty batch of texts


class Turn(NamedTuple):
    """A message of a dialogue."""

    role: str  # system, user or assistant
    text: str


class Codec(Protocol):
    """A tokenizer with its chat template."""

    def prompts(self, dialogues: Sequence[Sequence[Turn]], width: int) -> Tensor:
        """Dialogues that an assistant is to go on with, int64 (n, width), padded on the left.

        Raises:
            ValueError: one is longer than width.
        """
        ...

    def sequences(self, texts: Sequence[str], width: int) -> Tensor:
        """What an assistant says, each ended by the end-of-turn token, int64 (n, width), padded on the right.

        What does not fit is cut, and then has no end.
        """
        ...

    def texts(self, tokens: Tensor) -> list[str]:
        """What sequences (n, L) say, without special tokens."""
        ...


def pack(texts: Sequence[str]) -> Tensor:
    """Text as a tensor that can be indexed by row: code points int64 (n, W), PAD after the end."""
    width = max((len(text) for text in texts), default=WIDTH) or WIDTH
    rows = [[ord(c) for c in text] + [PAD] * (width - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.long).reshape(len(texts), width)


def unpack(points: Tensor) -> list[str]:
    """The texts that `pack` took."""
    return ["".join(chr(point) for point in row if point != PAD) for row in points.tolist()]
