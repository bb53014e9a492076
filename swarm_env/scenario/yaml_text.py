"""Strict YAML: text to plain data with the line of every key. Whatever is wrong is one clear ScenarioError.

Scalars follow the YAML 1.2 core schema (``1e3`` is a number; ``yes`` and ``0777`` are text, not what YAML 1.1
makes of them). PyYAML parses into events; the tree is built here, so that size, depth and aliases are
bounded while it grows, and duplicate keys, foreign tags and non-finite numbers are refused where they stand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import yaml

from swarm_env.scenario.errors import Key, Problem, ScenarioError, dotted, kind, printable, show
from swarm_env.scenario.yaml_scalars import TAGS, Refused, Scalar, resolve

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 32

# libyaml where PyYAML was built with it: the same events, 15 times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CORE: Final = "tag:yaml.org,2002:"


class Wanted(NamedTuple):
    """What a file should hold, in the words of its errors."""

    what: str = "a scenario"
    least: str = "a scenario with at least scenario_id and agents"
    example: str = "scenario_id: my_market"


SCENARIO: Final = Wanted()


def read_file(path: str | os.PathLike[str], wanted: Wanted = SCENARIO) -> tuple[dict[str, Any], dict[Key, int]]:
    """Read a YAML file. Pipes and devices are refused: they could block or never end."""
    name = os.fsdecode(path)
    try:
        file = Path(name)
        if file.is_file():
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
            return read(data, name, wanted)
        what = "is a folder" if file.is_dir() else "is no regular file" if file.exists() else "no such file"
    except ScenarioError:
        raise
    except (OSError, ValueError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise ScenarioError([Problem(printable(name), "", name, what, "the path of a YAML file")])


def read(text: str | bytes, name: str, wanted: Wanted = SCENARIO) -> tuple[dict[str, Any], dict[Key, int]]:
    """The mapping that the text holds, and the line (1-based) of every key and list item by its path.

    `name` stands for the file in messages. Raises ScenarioError, and nothing else, for any text.
    """
    reader = _Reader(text, name, wanted)
    data = reader.document()
    if not isinstance(data, dict):
        what = f"{show(data)} is {kind(data)}, not {wanted.what}"
        reader.fail(what, data, allowed=f"keys with values, as in '{wanted.example}'")
    return data, reader.lines


def read_value(text: str, name: str) -> Any:
    """The value of an override: a YAML scalar or flow collection; nothing at all is null."""
    return _Reader(text, name).document() if text.strip() else None


class _Node(NamedTuple):
    """A finished subtree: what aliases repeat, and what the limits count."""

    value: Any
    size: int
    height: int


class _Reader:
    """One pass over the events of one text."""

    def __init__(self, text: str | bytes, name: str, wanted: Wanted = SCENARIO) -> None:
        self.name, self.wanted = name, wanted
        self.lines: dict[Key, int] = {}
        self._nodes = 0
        self._anchors: dict[str, _Node | None] = {}  # None while the anchored node is still open
        self._events = self._parse(self._decode(text))

    def fail(
        self, what: str, value: object = None, key: Key = (), line: int | None = None, allowed: str = ""
    ) -> NoReturn:
        raise ScenarioError([Problem(printable(self.name), dotted(key), value, what, allowed, line=line)])

    def _decode(self, text: str | bytes) -> str:
        if len(text) > MAX_BYTES:
            self.fail(f"is larger than {self.wanted.what} may be", allowed=f"at most {MAX_BYTES} bytes")
        try:
            plain = (text.encode() if isinstance(text, str) else text).decode()
        except UnicodeError as error:
            self.fail(f"is not text: no UTF-8 at position {getattr(error, 'start', 0)}", allowed="UTF-8 text")
        plain = plain.removeprefix("\ufeff")
        if not plain.strip():
            self.fail("is empty", allowed=self.wanted.least)
        return plain

    def _parse(self, text: str) -> Iterator[Any]:
        """PyYAML's events, its errors turned into ours."""
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.reader.ReaderError as error:
            code = error.character if isinstance(error.character, int) else ord(error.character)
            line = text.count("\n", 0, error.position) + 1
            self.fail(f"is not text: it holds the character {code:#04x}", line=line, allowed="UTF-8 text")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            row = next(iter(text.split("\n")[line - 1 : line]), "").strip()
            about = ", ".join(filter(None, (error.context, error.problem)))
            what = f"{show(row) if row else 'the end'} is not valid YAML at column {column}: {about}"
            self.fail(what, row, line=line, allowed="YAML (indent with spaces, not tabs)")
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # the pure Python scanner lets a few of these through, as for the escape \UFFFFFFFF
            self.fail(f"is not valid YAML: {show(str(error), quoted=False)}", allowed="YAML")

    def document(self) -> Any:
        """The one document of the text."""
        next(self._events)  # stream start
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            self.fail("is empty", allowed=self.wanted.least)
        root = self._node(next(self._events), (), 0)
        next(self._events)  # document end
        after: Any = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            line = after.start_mark.line + 1
            self.fail("a second document starts here", line=line, allowed="one document, with no second ---")
        return root.value

    def _node(self, event: Any, key: Key, depth: int) -> _Node:
        """The subtree that starts with this event."""
        line: int = event.start_mark.line + 1
        anchor: str | None = event.anchor
        self._check_depth(depth, key, line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(anchor), key, depth, line)
        self._count(1, key, line)
        if anchor:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(self._scalar(event, key), 1, 0)
        else:
            is_list = isinstance(event, yaml.SequenceStartEvent)
            if event.tag not in (None, "!", _CORE + ("seq" if is_list else "map")):
                self._foreign(event, key)
            node = self._sequence(key, depth) if is_list else self._mapping(key, depth)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _check_depth(self, depth: int, key: Key, line: int) -> None:
        if depth > MAX_DEPTH:
            self.fail("is nested too deeply", key=key, line=line, allowed=f"at most {MAX_DEPTH} levels")

    def _count(self, nodes: int, key: Key, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            what = "the file is too large here, its aliases expanded"
            self.fail(what, key=key, line=line, allowed=f"at most {MAX_NODES} values")

    def _alias(self, anchor: str, key: Key, depth: int, line: int) -> _Node:
        node = self._anchors.get(anchor)
        if node is None:
            what = "stands inside itself" if anchor in self._anchors else "is not defined"
            self.fail(f"*{printable(anchor)} {what}", anchor, key, line, allowed="an anchor finished above")
        self._count(node.size, key, line)
        self._check_depth(depth + node.height, key, line)
        return node

    def _sequence(self, key: Key, depth: int) -> _Node:
        items: list[Any] = []
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            place = (*key, len(items))
            self.lines[place] = event.start_mark.line + 1
            node = self._node(event, place, depth + 1)
            items.append(node.value)
            size, height = size + node.size, max(height, node.height)
        return _Node(items, size, height + 1)

    def _mapping(self, key: Key, depth: int) -> _Node:
        items: dict[str, Any] = {}
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            name = self._name(event, key, line)
            place = (*key, name)
            if name in items:
                what = f"{show(name)} is given twice, in lines {self.lines[place]} and {line}"
                self.fail(what, name, place, line, allowed="every key once")
            self.lines[place] = line
            node = self._node(next(self._events), place, depth + 1)
            items[name] = node.value
            size, height = size + 1 + node.size, max(height, node.height)
        return _Node(items, size, height + 1)

    def _name(self, event: Any, parent: Key, line: int) -> str:
        """The name of a key; in a scenario every key is text, and merge keys would hide what is set."""
        self._count(1, parent, line)
        name = self._scalar(event, parent) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(name, str):
            shown = show(name) if isinstance(event, yaml.ScalarEvent) else "a collection or alias"
            self.fail(f"{shown} stands as a key", name, parent, line, allowed="keys that are text")
        if name == "<<" and event.implicit[0]:
            self.fail('merge keys ("<<") are not supported', name, parent, line, "keys written out")
        if event.anchor:
            self.fail(f"the key {show(name)} bears an anchor", name, parent, line, "anchors on values")
        return name

    def _foreign(self, event: Any, key: Key) -> NoReturn:
        tag = event.tag.replace(_CORE, "!!")
        allowed = "no tag, or !!str, !!int, !!float, !!bool, !!null, !!map, !!seq where it fits"
        self.fail(f"the tag {show(tag)} is not allowed here", tag, key, event.start_mark.line + 1, allowed)

    def _scalar(self, event: Any, key: Key) -> Scalar:
        """Text if quoted, what the core schema says if plain, what the tag says if tagged."""
        wanted = TAGS.get(event.tag or "")
        if event.tag == "!" or wanted is str or (event.tag is None and not event.implicit[0]):
            return str(event.value)
        try:
            value = resolve(event.value)
        except Refused as error:
            what = f"{show(event.value, quoted=False)} {error.what}"
            self.fail(what, event.value, key, event.start_mark.line + 1, error.allowed)
        if wanted is float and type(value) is int:
            return float(value)
        if event.tag is not None and type(value) is not wanted:
            self._foreign(event, key)
        return value
