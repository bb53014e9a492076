"""Scalars of the YAML 1.2 core schema: what a plain word means. Pure functions of the text."""

from __future__ import annotations

import re
from typing import Final

#: Whole numbers are 64-bit, as they are in the kernel.
MAX_INT: Final = 2**63 - 1

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
# No leading zeros: 0777 is 777 in YAML 1.2 and 511 in 1.1, so it stays text, which no number field accepts.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

#: Core tags of scalars and the Python type each stands for.
TAGS: Final[dict[str, type]] = {
    f"tag:yaml.org,2002:{name}": cls
    for name, cls in {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}.items()
}

Scalar = str | int | float | bool | None


class Refused(Exception):
    """A number that no scenario may hold: `what` is wrong with it, and what is `allowed`."""

    def __init__(self, what: str, allowed: str) -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed


def resolve(text: str) -> Scalar:
    """The value of a plain scalar. Raises Refused for NaN, infinities and numbers beyond 64 bits."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return _whole(text)
    if _NOT_FINITE.fullmatch(text):
        raise Refused("is not finite", "finite numbers")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise Refused("is too large", "finite numbers")
        return number
    return text


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    # 32 characters are too many in any base, and int() is quadratic in their number
    if len(text) > 32 or abs(value := int(text, base)) > MAX_INT:
        raise Refused("is too large", "whole numbers of at most 64 bits")
    return value
