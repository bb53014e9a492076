"""HTML written with care: every text that reaches the page passes `escape` or `embed`."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from html import escape as _escape
from typing import Any


def escape(text: object) -> str:
    """Text for HTML, in an element or a quoted attribute; what cannot be seen is shown as a box."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(text))
    return _escape(shown, quote=True)


def embed(content: Any) -> str:
    """JSON that is safe inside a script element: no `<` can end it, no line separator can break it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def sha256(text: str) -> str:
    """The source expression that allows exactly this script or style."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def number(value: float | None, spec: str = ".4g") -> str:
    """A cell; undefined is a dash, never 0."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.0f}" if value == int(value) and abs(value) < 1e9 else format(value, spec)
    return text.replace("-", "\u2212")


def interval(low: float, high: float) -> str:
    """[low, high], or a dash."""
    return f"[{number(low)}, {number(high)}]" if math.isfinite(low) and math.isfinite(high) else "–"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """A table that scrolls by itself where it is too wide. The first `texts` columns hold words, the others numbers."""
    titles = "".join(f'<th scope="col"{_kind(i, texts)}>{escape(title)}</th>' for i, title in enumerate(head))
    body = "".join("<tr>" + "".join(_cell(i, cell, texts) for i, cell in enumerate(row)) + "</tr>\n" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _kind(column: int, texts: int) -> str:
    return "" if column < texts else ' class="n"'


def _cell(column: int, cell: str, texts: int) -> str:
    if column == 0:
        return f'<th scope="row">{escape(cell)}</th>'
    mark = {"pass": ' class="pass"', "FAIL": ' class="fail"'}.get(cell, _kind(column, texts))
    return f"<td{mark}>{escape(cell)}</td>"


def folded(title: str, inside: str) -> str:
    """What is shown when asked for."""
    return f"<details><summary>{escape(title)}</summary>\n{inside}</details>\n"


def listing(notes: Iterable[str]) -> str:
    """A list of remarks."""
    return '<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>\n"
