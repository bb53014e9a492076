"""Sections whose keys SWARM also spells otherwise: an alias, or a name inside a folder of parameters."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from swarm_env.core.section import Section
from swarm_env.scenario.errors import Key, kind, nearest, show
from swarm_env.scenario.messages import Fault, faulty


class Spelled(Section):
    """A section whose keys have other spellings in SWARM: either may be given, not both."""

    #: Key -> its other spellings, as paths below the section.
    SPELLINGS: ClassVar[dict[str, tuple[Key, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def one_spelling(cls, data: Any) -> Any:
        """Move values given under another spelling to the key itself."""
        if not isinstance(data, dict):
            return data
        homes = {path: name for name, paths in cls.SPELLINGS.items() for path in ((name,), *paths)}
        folders = {path[0] for path in homes if len(path) > 1}
        result: dict[Any, Any] = {}
        faults: list[Fault] = []
        for path, value in _leaves(data, folders):
            name = homes.get(path, path[0])
            if path[0] in folders and path not in homes:
                known = [str(p[1]) for p in homes if p[0] == path[0] and len(p) > 1]
                what = f"unknown key (value {show(value)})"
                faults.append(Fault(path, what, ", ".join(known), nearest(path[-1], known)))
            elif name in result:
                known = [".".join(map(str, p)) for p in homes if homes[p] == name]
                what = f'{show(value)} is given beside another spelling of "{name}"'
                faults.append(Fault(path, what, "one of " + ", ".join(known)))
            result[name] = value
        if faults:
            raise faulty(*faults)
        return result


def _leaves(data: dict[Any, Any], folders: set[Any]) -> list[tuple[Key, Any]]:
    """The keys of a section with their values, and in place of a folder the keys inside it."""
    leaves: list[tuple[Key, Any]] = []
    for key, value in data.items():
        if key not in folders:
            leaves.append(((key,), value))
        elif isinstance(value, dict):
            leaves += [((key, inner), item) for inner, item in value.items()]
        elif value is not None:
            raise faulty(Fault((key,), f"{show(value)} has the wrong type, {kind(value)}", "a section"))
    return leaves
