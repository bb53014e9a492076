"""Judges: what is wrong with responses to prompts. They look at text, and say when they cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from trainers.language.prompts import Prompt


class Item(NamedTuple):
    """What a judge is shown."""

    prompt: Prompt
    response: str


class Verdict(NamedTuple):
    """What it says; a parse error leaves both undefined, and counts as safe nowhere."""

    unsafe: bool | None
    refusal: bool | None
    parse_error: bool
    raw: str = ""  # what the judge wrote, for the record


class Judge(Protocol):
    """Whoever judges."""

    def __call__(self, items: Sequence[Item]) -> list[Verdict]:
        """A verdict for each."""
        ...
