"""The grammar of grids: KEY=START:STOP:COUNT, both ends included, or KEY=a,b,c with values in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from swarm_env.scenario import ScenarioError
from swarm_env.scenario.errors import printable, show
from swarm_env.scenario.yaml_text import read_value

Value = bool | int | float | str | None

MAX_COUNT = 1000  #: values of an axis
MAX_CELLS = 10_000  #: of a grid
EXAMPLE = "KEY=START:STOP:COUNT or KEY=a,b,c, as in governance.audit_probability=0:.5:6"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d+")


class GridError(ValueError):
    """A grid that cannot be read; one line."""


class Axis(NamedTuple):
    """A setting and the values to try, at least one, no two equal."""

    key: str
    values: tuple[Value, ...]

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)


def parse_grid(texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes in the order given.

    Raises:
        GridError: no axis, a text that is none, a key given twice, too many cells.
    """
    if not texts:
        raise GridError(f"--grid: none given; give at least one {EXAMPLE}")
    axes = [parse_axis(text) for text in texts]
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise GridError(f"--grid: {key} is given twice; give all its values in one")
    cells = 1
    for axis in axes:
        cells *= len(axis.values)
    if cells > MAX_CELLS:
        raise GridError(f"--grid: {cells} cells; at most {MAX_CELLS}")
    return tuple(axes)


def parse_axis(text: str) -> Axis:
    """One axis; GridError of a text that is none."""
    key, equals, values = text.partition("=")
    key = key.strip()
    if not equals or not key or not all(part.strip() for part in key.split(".")):
        raise GridError(f"--grid {_shown(text)}: no axis; must be {EXAMPLE}")
    if not values.strip():
        raise GridError(f"--grid {_shown(key)}: no values; must be {EXAMPLE}")
    ranged = ":" in values and "," not in values
    found = _range(key, values) if ranged else _list(key, values)
    for value in found:
        if sum(_same(value, other) for other in found) > 1:
            raise GridError(f"--grid {_shown(key)}: {show(value)} is there twice")
    return Axis(key, tuple(found))


def _shown(text: str) -> str:
    return printable(text if len(text) <= 60 else text[:57] + "...")


def _same(one: Value, other: Value) -> bool:
    """1 and 1.0 are the same setting, 1 and true are not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _range(key: str, text: str) -> list[Value]:
    """COUNT numbers from START to STOP, evenly spaced and exact: 0:.5:6 is 0, .1, .2, .3, .4, .5 to the bit."""
    parts = [part.strip() for part in text.split(":")]
    where = f"--grid {_shown(key)}={_shown(text)}"
    if len(parts) != 3:
        raise GridError(f"{where}: {len(parts)} parts; must be START:STOP:COUNT")
    for part in parts[:2]:
        if not _NUMBER.fullmatch(part):
            raise GridError(f"{where}: {_shown(part) or 'nothing'} is no number; must be START:STOP:COUNT")
    if not re.fullmatch(r"\d{1,9}", parts[2]) or not 1 <= int(parts[2]) <= MAX_COUNT:
        raise GridError(f"{where}: COUNT must be a whole number in 1..{MAX_COUNT}, got {_shown(parts[2]) or 'nothing'}")
    start, stop, count = Fraction(parts[0]), Fraction(parts[1]), int(parts[2])
    if count == 1:
        if start != stop:
            raise GridError(f"{where}: one value cannot reach from {parts[0]} to {parts[1]}; COUNT must be at least 2")
        points = [start]
    else:
        points = [start + (stop - start) * k / (count - 1) for k in range(count)]
    whole = all(_WHOLE.fullmatch(part) for part in parts[:2])  # the user writes whole numbers: keep those that are
    try:
        return [int(point) if whole and point.denominator == 1 else float(point) for point in points]
    except OverflowError:
        raise GridError(f"{where}: too large a number") from None


def _list(key: str, text: str) -> list[Value]:
    """Values as YAML has them: numbers, true, false, null, text."""
    found: list[Value] = []
    for part in text.split(","):
        if not part.strip():
            raise GridError(f"--grid {_shown(key)}={_shown(text)}: an empty value between commas")
        try:
            value = read_value(part.strip(), "--grid")
        except ScenarioError as error:
            raise GridError(f"--grid {_shown(key)}: {_shown(part.strip())}: {error.problems[0].what}") from None
        if not isinstance(value, bool | int | float | str | None):
            raise GridError(f"--grid {_shown(key)}: {_shown(part.strip())} is no single value")
        found.append(value)
    return found


def cells(axes: Sequence[Axis]) -> Iterator[dict[str, Value]]:
    """The settings of every cell, the last axis running fastest."""
    for values in product(*(axis.values for axis in axes)):
        yield dict(zip((axis.key for axis in axes), values, strict=True))
