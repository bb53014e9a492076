"""What is said of a wrong scenario: a line for each problem, with file, key, value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

#: Where a key stands: the keys and list positions from the top, as in ("agents", 0, "count").
Key = tuple[str | int, ...]

#: The line number of a key that an override has set: it stands in no line of the file.
OVERRIDDEN: Final = 0

#: Problems listed in full; a file with more of them is most likely no scenario at all.
MAX_LISTED: Final = 20

_WIDTH: Final = 60


class _Absent:
    """Stands for no value at all, which is not the same as null."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


class Problem(NamedTuple):
    """One thing wrong with a scenario."""

    file: str  # path, or "<dict>"
    key: str  # dotted path as the user wrote it; "" for the file as a whole
    value: Any  # the offending value, or ABSENT
    what: str  # what is wrong, with the value in it
    allowed: str = ""  # what would be right
    hint: str = ""  # how to get there, e.g. the nearest known key
    line: int | None = None  # 1-based; OVERRIDDEN; None if unknown

    def __str__(self) -> str:
        place = self.file if not self.line else f"{self.file}:{self.line}"
        place += " (overridden)" if self.line == OVERRIDDEN else ""
        parts = [f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"]
        parts += [self.hint] if self.hint else []
        text = "; ".join(parts)
        if not self.allowed:
            return text
        return text + (" allowed: " if text.endswith("?") else "; allowed: ") + self.allowed


class ScenarioError(ValueError):
    """A scenario that cannot be used. ``str()`` gives one line for each of ``problems``.

    ``file``, ``key``, ``value``, ``allowed`` and ``hint`` are those of the first problem.
    """

    def __init__(self, problems: Sequence[Problem], unlisted: int = 0) -> None:
        super().__init__(tuple(problems), unlisted)  # what pickle calls it with again
        self.problems = tuple(problems)
        self.unlisted = unlisted
        first = self.problems[0]
        self.file, self.key, self.value = first.file, first.key, first.value
        self.allowed, self.hint, self.line = first.allowed, first.hint, first.line

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if self.unlisted:
            lines.append(f"{self.file}: and {self.unlisted} more problems")
        return "\n".join(lines)


def printable(text: str) -> str:
    """The text with everything escaped that could break a line or drive a terminal."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def show(value: object, quoted: bool = True) -> str:
    """A value as YAML writes it, in one line of at most 60 characters."""
    text = _render(value, 3)
    if not quoted and isinstance(value, str):
        text = printable(value[: _WIDTH + 1])
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _render(value: object, depth: int) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{printable(value[: _WIDTH + 1])}"'
    if isinstance(value, int):  # Python refuses to print integers of more than 4,300 digits
        return str(value) if value.bit_length() <= 256 else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, Mapping):
        items = list(value.items())[:8] if depth else []
        inside = [f"{show(k, quoted=False)}: {_render(v, depth - 1)}" for k, v in items]
        return "{" + ", ".join(inside + ["..."] * (len(value) > len(items))) + "}"
    if isinstance(value, list | tuple):
        inside = [_render(v, depth - 1) for v in value[:8]] if depth else []
        return "[" + ", ".join(inside + ["..."] * (len(value) > len(inside))) + "]"
    return f"a Python {type(value).__name__}"


def kind(value: object) -> str:
    """What sort of value it is, in words."""
    if value is None:
        return "nothing"
    names = {bool: "a boolean", str: "text", int: "a whole number", float: "a number"}
    for cls, name in names.items():
        if isinstance(value, cls):
            return name
    if isinstance(value, Mapping):
        return "a section"
    return "a list" if isinstance(value, list | tuple) else f"a Python {type(value).__name__}"


def dotted(key: Key) -> str:
    """The key path as overrides spell it: ``agents.0.count``."""
    return ".".join(show(part, quoted=False) for part in key)


def nearest(word: object, known: Iterable[str]) -> str:
    """``did you mean "x"?``, or nothing if no known word comes near."""
    close = get_close_matches(str(word)[:_WIDTH], list(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


def listing(names: Iterable[str], word: object = "", limit: int = 14) -> str:
    """The names; of many, those nearest to the word, and how many there are."""
    names = list(names)
    if len(names) <= limit:
        return ", ".join(names)
    close = get_close_matches(str(word)[:_WIDTH], names, n=limit, cutoff=0.0)
    return ", ".join(name for name in names if name in close) + f", ... ({len(names)} in all)"
