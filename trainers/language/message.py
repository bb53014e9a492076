"""The overseer's message: one JSON object, exact keys in their order and nothing else (WaltzRL, section 2.1).

    {"reasoning": "...", "unsafe": false, "overrefuse": true, "feedback": "..."}

Only `feedback` is for the actor's eyes.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

#: Where writing may stop: an overseer that has said so will not be heard.
SATISFIED = '"unsafe": false, "overrefuse": false'


class Message(NamedTuple):
    """What an overseer says."""

    reasoning: str
    unsafe: bool
    overrefuse: bool
    feedback: str


TYPES = {"reasoning": str, "unsafe": bool, "overrefuse": bool, "feedback": str}


def write(message: Message) -> str:
    """As JSON; `parse` gives it back."""
    return json.dumps(message._asdict(), ensure_ascii=False)


def parse(text: str) -> Message | None:
    """The message that a text is, or None: not JSON, other keys or another order, other types, anything beside it.

    A text that stopped after SATISFIED is one without feedback.
    """
    text = text.strip()
    if text.endswith(SATISFIED):
        text += ', "feedback": ""}'
    try:
        pairs = json.loads(text, object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, _Object) or [key for key, _ in pairs] != list(TYPES):
        return None
    if any(not isinstance(value, TYPES[key]) for key, value in pairs):
        return None
    return Message(**dict(pairs))


class _Object(list[tuple[str, Any]]):
    """A JSON object as it was written: order and repeated keys are not lost, and no list is taken for one."""
