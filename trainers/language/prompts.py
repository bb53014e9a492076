"""Prompts: what users ask for, of which kind it is, and what only an overseer may know of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

#: Kinds of prompts. Whether a dual-use prompt is harmful hangs on its note.
KINDS: tuple[str, ...] = ("harmful", "adversarial_harmful", "benign_sensitive", "benign", "dual_use")
HARMFUL: frozenset[str] = frozenset({"harmful", "adversarial_harmful"})


class Prompt(NamedTuple):
    """What a user asks for."""

    text: str
    kind: str  # one of KINDS
    harmful: bool  # the data's label, not a judge's opinion (WaltzRL, appendix C)
    source: str = ""  # the dataset
    id: str = ""  # within it
    note: str = ""  # what only the overseer (and the judge) is told; "" for nothing


class Prompts:
    """n prompts: the contexts of a dialogue game.

    Attributes:
        items: the prompts.
        inputs: their first contexts, int64 (n, P), made once.
    """

    def __init__(self, items: Sequence[Prompt], inputs: Tensor) -> None:
        self.items, self.inputs = tuple(items), inputs

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: Tensor) -> Self:
        """Those rows, by a tensor of indices or of booleans."""
        index = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        return type(self)([self.items[k] for k in index.tolist()], self.inputs[index])
