"""Scenarios as plain data: bounded copies of it, what differs from the defaults, and overrides."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from swarm_env.core.section import Section
from swarm_env.scenario import yaml_text
from swarm_env.scenario.errors import (
    OVERRIDDEN,
    Key,
    Problem,
    ScenarioError,
    dotted,
    kind,
    listing,
    nearest,
    show,
)
from swarm_env.scenario.messages import section_of

Overrides = Sequence[str] | Mapping[str, Any]


def as_dict(section: Section, defaults: bool = False) -> dict[str, Any]:
    """The keys of a section that differ from their defaults, or all of them; only plain data inside."""
    result: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(value, Section):
            inner = as_dict(value, defaults)
            if inner or defaults or default is None:  # an empty `network:` is not the same as none
                result[name] = inner
        elif isinstance(value, tuple):
            result[name] = [as_dict(item, defaults) for item in value]
        elif defaults or value != default:
            result[name] = value
    return result


def plain(value: Any, file: str) -> Any:
    """A copy in dicts, lists and Python scalars, bounded as YAML is, that shares nothing with the source."""
    return _Copy(file).of(value, ())


class _Copy:
    def __init__(self, file: str) -> None:
        self.file = file
        self.nodes = 0

    def of(self, value: Any, key: Key) -> Any:
        self.nodes += 1
        if len(key) > yaml_text.MAX_DEPTH or self.nodes > yaml_text.MAX_NODES:
            what = f"{show(value)} is nested too deeply, or the whole too large"
            allowed = f"at most {yaml_text.MAX_DEPTH} levels and {yaml_text.MAX_NODES} values"
            raise ScenarioError([Problem(self.file, dotted(key[:8]), value, what, allowed)])
        if isinstance(value, Section):
            value = as_dict(value)
        if isinstance(value, Mapping):
            return {self._name(name, key): self.of(item, (*key, name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, (*key, index)) for index, item in enumerate(value)]
        if isinstance(value, np.generic):
            return value.item()
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    def _name(self, name: object, key: Key) -> str:
        if isinstance(name, str):
            return name
        what = f"{show(name)} stands as a key"
        raise ScenarioError([Problem(self.file, dotted(key), name, what, "keys that are text")])


def apply_overrides(
    data: dict[str, Any],
    overrides: Overrides,
    model: type[Section],
    file: str,
    lines: MutableMapping[Key, int],
) -> None:
    """Set each ``key.path=value`` in `data`. Values replace what is there; null goes back to the default.

    `model` says which keys have other spellings, `lines` is told which keys no longer stand in the file.
    """
    for path, value in _pairs(overrides, file):
        key = _assign(data, _canonical(data, path, model), value, model, file)
        for old in [k for k in lines if k[: len(key)] == key]:
            del lines[old]
        lines[key] = OVERRIDDEN


def _pairs(overrides: Overrides, file: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    given: Any = [overrides] if isinstance(overrides, str) else overrides
    items = given.items() if isinstance(given, Mapping) else [_split(text, file) for text in given]
    for name, value in items:
        path = tuple(part.strip() for part in name.split(".")) if isinstance(name, str) else ("",)
        if not all(path):
            _refuse(name, file)
        yield path, plain(value, file)


def _split(text: object, file: str) -> tuple[str, Any]:
    if not isinstance(text, str) or "=" not in text:
        _refuse(text, file)
    name, _, value = str(text).partition("=")
    try:
        return name, yaml_text.read_value(value, file)
    except ScenarioError as error:
        key = show(name.strip(), quoted=False)
        raise ScenarioError([p._replace(key=key, line=OVERRIDDEN) for p in error.problems]) from None


def _refuse(override: object, file: str) -> None:
    key = show(override, quoted=False) if isinstance(override, str) else ""
    what = f"{show(override)} is no override"
    raise ScenarioError([Problem(file, key, override, what, "key.path=value, as in simulation.seed=7")])


def _canonical(data: dict[str, Any], path: tuple[str, ...], model: type[Section]) -> tuple[str, ...]:
    """The path in its main spelling, the others removed from the data, so that the override replaces them."""
    section = _section(model, path[0])
    for name, others in getattr(section, "SPELLINGS", {}).items():
        if path[1:] == (name,) or path[1:] in others:
            for other in others:
                holder = data.get(path[0])
                for part in other[:-1]:
                    holder = holder.get(part) if isinstance(holder, dict) else None
                if isinstance(holder, dict):
                    holder.pop(other[-1], None)
            return path[0], name
    return path


def _section(model: type[Section], name: str) -> type[Section] | None:
    field = model.model_fields.get(name)
    return section_of(field.annotation) if field else None


def _assign(data: dict[str, Any], path: tuple[str, ...], value: Any, model: type[Section], file: str) -> Key:
    """Set one value; return its key, list positions as numbers."""
    here: Any = data
    key: Key = ()
    for part in path[:-1]:
        step = _step(here, part, key, file)
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = {}
        here, key = here[step], (*key, step)
    last = _step(here, path[-1], key, file)
    section = _section(model, path[0]) if len(path) == 2 else model if len(path) == 1 else None
    known = last in here if isinstance(here, dict) else False
    if value is None and (known or (section is not None and last in section.model_fields)):
        here.pop(last, None)
    else:
        here[last] = value
    return (*key, last)


def _step(here: Any, part: str, key: Key, file: str) -> Any:
    """The key or position that a part of a path means: a group by number, by name or by type."""
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        what = f"{show(here)} is {kind(here)} and has no keys"
        raise ScenarioError([Problem(file, dotted((*key, part)), here, what, "the path of a key")])
    names = [str(group.get("name") or group.get("type")) if isinstance(group, dict) else "" for group in here]
    types = [str(group.get("type")) if isinstance(group, dict) else "" for group in here]
    if part.isdecimal() and len(part) < 9 and int(part) < len(here):
        return int(part)
    for known in (names, types):
        if part in known:
            return known.index(part)
    what = f"{show(part)} is no group"
    allowed = f"a number below {len(here)}, or one of {listing(dict.fromkeys(names + types), part)}"
    hint = nearest(part, names + types)
    raise ScenarioError([Problem(file, dotted((*key, part)), part, what, allowed, hint)])
