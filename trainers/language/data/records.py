"""What data sets give besides prompts: preferences; and what is wrong with a row or with a table."""

from __future__ import annotations

import re
from typing import NamedTuple

from trainers.language.codec import Turn

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class Preference(NamedTuple):
    """Two responses to one prompt."""

    prompt: str  # a user's request, or a transcript that ends in one: "\n\nHuman: ..\n\nAssistant: ..\n\nHuman: .."
    chosen: str  # the response that people found better
    rejected: str  # the other one
    source: str = ""  # the dataset
    id: str = ""  # within it


class DataError(ValueError):
    """A table cannot be used; the message says which, where, and what would be accepted."""


class BadRowError(ValueError):
    """A row cannot be used; the message says why."""


def dialogue(prompt: str) -> list[Turn]:
    """The turns of a preference's prompt, the user's last one at the end.

    A prompt that does not open with "Human:" is one turn of the user's, whatever it holds.
    """
    opening = _SPEAKER.match(prompt)
    if opening is None or opening[1] != "Human":
        return [Turn("user", prompt)]
    parts = _SPEAKER.split(prompt)[1:]
    return [Turn(_ROLES[who], said.strip()) for who, said in zip(parts[::2], parts[1::2], strict=True)]
