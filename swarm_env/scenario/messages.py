"""From what pydantic found wrong to problems: key, value, what is allowed, the nearest known key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from swarm_env.core.section import Section
from swarm_env.scenario import swarm_keys
from swarm_env.scenario.errors import (
    ABSENT,
    MAX_LISTED,
    Key,
    Problem,
    ScenarioError,
    dotted,
    kind,
    listing,
    nearest,
    show,
)

SWARM_HAS = "SWARM has this {}, swarm_env does not support it yet"


class Fault(NamedTuple):
    """What a validator of ours found wrong, at a path below the section it validates."""

    path: Key
    what: str
    allowed: str = ""
    hint: str = ""


def faulty(*faults: Fault) -> PydanticCustomError:
    """The exception by which a validator reports several faults at once, each at its own key."""
    text = "; ".join(f"{dotted(f.path)}: {f.what}" for f in faults)
    return PydanticCustomError("faults", "{text}", {"text": text, "faults": faults})


def nested(error: ValidationError, model: type[Section]) -> PydanticCustomError:
    """The exception by which a validator passes on the errors of a section that it validated itself."""
    return PydanticCustomError("nested", "{text}", {"text": str(error), "error": error, "model": model})


def keys_of(model: type[Section]) -> list[str]:
    """The keys that a section accepts, other spellings included."""
    spellings: Mapping[str, Sequence[Key]] = getattr(model, "SPELLINGS", {})
    others = [str(path[0]) for paths in spellings.values() for path in paths]
    return list(dict.fromkeys([*model.model_fields, *others]))


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field's annotation names, be it optional or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(section_of, get_args(annotation))), None)


def describe(field: FieldInfo) -> str:
    """What a field accepts, in words: ``a number in [0, 1]``."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        text = str(extra["allowed"])
    else:
        text = _describe_type(field.annotation, field)
    return f"{text} or null" if type(None) in get_args(field.annotation) else text


def _describe_type(annotation: Any, field: FieldInfo) -> str:
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(str, get_args(annotation)))
    section = section_of(annotation)
    if section is not None:
        return _a_section(section)
    kinds = [annotation, *get_args(annotation)]
    if bool in kinds:
        return "true or false"
    name = "a whole number" if int in kinds else "a number" if float in kinds else "text"
    steps = [bound.multiple_of for bound in field.metadata if hasattr(bound, "multiple_of")]
    return name + _describe_range(field) + "".join(f", a multiple of {step}" for step in steps)


def _a_section(section: type[Section]) -> str:
    return f"a section with keys out of {listing(keys_of(section))}"


def _describe_range(field: FieldInfo) -> str:
    low = high = ""
    for bound in field.metadata:
        for name, bracket in (("ge", "["), ("gt", "(")):
            low = f"{bracket}{_number(getattr(bound, name))}" if hasattr(bound, name) else low
        for name, bracket in (("le", "]"), ("lt", ")")):
            high = f"{_number(getattr(bound, name))}{bracket}" if hasattr(bound, name) else high
    return f" in {low or '(-inf'}, {high or 'inf)'}" if low or high else ""


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else repr(bound)


def scenario_error(
    error: ValidationError, model: type[Section], data: Mapping[str, Any], file: str, lines: Mapping[Key, int]
) -> ScenarioError:
    """The problems behind a ValidationError of `model` over `data`, in the order of the file."""
    report = _Report(model, data, file, lines)
    found = sorted(_flatten(error, model), key=lambda f: report.line(f.loc) or 0)
    return ScenarioError([report.problem(f) for f in found[:MAX_LISTED]], max(0, len(found) - MAX_LISTED))


class _Found(NamedTuple):
    """One error at its place; `model` is the section that holds the last key of `loc`."""

    loc: Key
    model: type[Section]
    cause: ErrorDetails | Fault


def _flatten(error: ValidationError, root: type[Section], prefix: Key = ()) -> Iterator[_Found]:
    for entry in error.errors(include_url=False):
        loc = (*prefix, *entry["loc"])
        ctx: dict[str, Any] = entry.get("ctx", {})
        if entry["type"] == "nested":
            yield from _flatten(ctx["error"], ctx["model"], loc)
            continue
        holder = root
        for part in [part for part in entry["loc"] if isinstance(part, str)][:-1]:
            holder = _below(holder, part) or holder
        if entry["type"] == "faults":
            within = (_below(holder, loc[-1]) or holder) if loc else holder
            for fault in ctx["faults"]:
                yield _Found((*loc, *fault.path), within, fault)
        else:
            yield _Found(loc, holder, entry)


def _below(model: type[Section], part: str | int) -> type[Section] | None:
    field = model.model_fields.get(str(part))
    return section_of(field.annotation) if field else None


class _Report:
    """What is needed to speak of an error as the user wrote it."""

    def __init__(self, root: type[Section], data: Mapping[str, Any], file: str, lines: Mapping[Key, int]) -> None:
        self.root, self.data, self.file, self.lines = root, data, file, lines

    def written(self, loc: Key) -> Key:
        """The path as the user spelled it: validation has moved other spellings to the canonical ones."""
        section = _below(self.root, loc[0]) if len(loc) == 2 else None
        if section is None or self.value(loc) is not ABSENT:
            return loc
        others: Sequence[Key] = getattr(section, "SPELLINGS", {}).get(loc[1], ())
        return next((p for o in others if self.value(p := (loc[0], *o)) is not ABSENT), loc)

    def value(self, loc: Key) -> Any:
        here: Any = self.data
        for part in loc:
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                return ABSENT
        return here

    def line(self, loc: Key) -> int | None:
        """The line of the key, or of the nearest section around it."""
        loc = self.written(loc)
        return next((self.lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in self.lines), None)

    def problem(self, found: _Found) -> Problem:
        loc, model, cause = found
        value = self.value(self.written(loc))
        if isinstance(cause, Fault):
            what, allowed, hint = cause.what, cause.allowed, cause.hint
        elif cause["type"] == "extra_forbidden":
            what, allowed, hint = self._unknown(loc, model, value)
        else:
            # an entry of a list is described by the field that holds the list
            field = model.model_fields[next(part for part in reversed(loc) if isinstance(part, str))]
            what, hint = _wrong(cause["type"], value, field, cause["msg"])
            section = section_of(field.annotation)
            allowed = _a_section(section) if section and isinstance(loc[-1], int) else describe(field)
        key = dotted(self.written(loc))
        return Problem(self.file, key, value, what, allowed, hint, self.line(loc))

    def _unknown(self, loc: Key, model: type[Section], value: Any) -> tuple[str, str, str]:
        word = str(loc[-1])
        allowed = listing(keys_of(model), word)
        where = ".".join(part for part in loc[:-1] if isinstance(part, str))
        is_scenario = "scenario_id" in self.root.model_fields  # a trainer's configuration is read by these means, too
        theirs = swarm_keys.KEYS.get(where, frozenset()) if is_scenario else frozenset()
        if where == "agents.config":
            theirs = swarm_keys.AGENT_CONFIG.get(str(self.value((*loc[:-2], "type"))), frozenset())
        if word in theirs:
            return f"{SWARM_HAS.format('key')} (value {show(value)})", allowed, ""
        what = f"unknown key (value {show(value)})"
        homes = [n for n, f in self.root.model_fields.items() if _has(section_of(f.annotation), word)]
        if word in self.root.model_fields:
            return what, allowed, "it belongs at the top level"
        return what, allowed, f'it belongs under "{homes[0]}"' if homes else nearest(word, keys_of(model))


def _has(section: type[Section] | None, key: str) -> bool:
    return section is not None and key in keys_of(section)


def _wrong(error: str, value: Any, field: FieldInfo, message: str) -> tuple[str, str]:
    """What is wrong with a value, and a hint."""
    shown = show(value)
    if error == "missing":
        return "is missing", ""
    if error == "literal_error":
        options = get_args(field.annotation)
        if isinstance(value, str) and value in swarm_keys.TOPOLOGIES:
            return f"{shown}: {SWARM_HAS.format('topology')}", ""
        return f"{shown} is not known", nearest(value, map(str, options))
    if error == "float_type" and type(value) is int:
        return f"{shown} is out of range", ""
    if error.endswith("_type") or error == "int_from_float":
        return f"{shown} has the wrong type, {kind(value)}", _hint(error, value)
    if error.startswith(("greater_than", "less_than", "multiple_of")):
        return f"{shown} is out of range", ""
    if error.startswith(("string", "too_")):
        return f"{shown} is not allowed", ""
    if error == "finite_number":
        return f"{shown} is not finite", ""
    return f"{shown} is not allowed ({message})", ""


_ALMOST_BOOLEAN = ("yes", "no", "on", "off", "y", "n", "true", "false", "0", "1")


def _hint(error: str, value: Any) -> str:
    """How to write a value of the wrong type, where it is plain what was meant."""
    if error == "bool_type" and show(value, quoted=False).lower() in _ALMOST_BOOLEAN:
        return "use true or false"
    if error == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write it without a decimal point, as {show(int(value))}"
    if error in ("int_type", "float_type") and isinstance(value, str):  # float() takes all of these
        try:
            float(value)
        except ValueError:
            return ""
        return "write it as a plain number: no quotes, underscores or leading zeros"
    return "put it in quotes" if error == "string_type" and isinstance(value, int | float) else ""
