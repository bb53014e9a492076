"""Stop strings: a sequence is over when its text holds one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainers.language.codec import Codec

SLACK = 4  #: more tokens than a stop string has bytes: the first may be part of a character


class StopStrings:
    """One of generate's stopping_criteria that remembers where each sequence stopped.

    Attributes:
        lengths: int64 (n,), of what was said up to and with the stop string's last token; beyond every length where
            none was said.

    Args:
        prompts: int64 (n, P), what generation starts from: their text does not count.
    """

    def __init__(self, codec: Codec, strings: Sequence[str], prompts: Tensor) -> None:
        self.codec, self.strings, self.width = codec, tuple(strings), prompts.shape[1]
        # every token holds a byte at least, special ones aside
        self.window = max((len(text.encode()) for text in self.strings), default=0) + SLACK
        self.lengths = torch.full((len(prompts),), torch.iinfo(torch.int64).max, device=prompts.device)

    def __call__(self, ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Which sequences are over, bool (n,); ids int64 (n, P + what was said)."""
        length = ids.shape[1] - self.width
        going = (self.lengths > length).nonzero()[:, 0]
        tails = self.codec.texts(ids[going, self.width :][:, -self.window :])
        for row, tail in zip(going.tolist(), tails, strict=True):
            if any(text in tail for text in self.strings):
                self.lengths[row] = length
        return self.lengths <= length
